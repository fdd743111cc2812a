"""Renders mixture rows as the text and tokens that the plan trains, by the model's own template and tokenizer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixplan.export.rows import MixtureRow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Rendered:
    """A row as the trainer reads it.

    Attributes:
        row: The row.
        question: The text without loss.
        answer: The text with loss, which follows the question at once.
        ids: Token ids of both together, cut where TRL cuts them.
        trained_from: The first of them on which loss falls.
        exact: Whether question and answer, tokenized one by one, give these very tokens.
        whole_tokens: How many tokens the row has before it is cut.
    """

    row: MixtureRow
    question: str
    answer: str
    ids: tuple[int, ...]
    trained_from: int
    exact: bool
    whole_tokens: int


@dataclass
class Renderer:
    """Renders rows as TRL's SFT trainer does, and counts what becomes of them.

    TRL puts the loss on what follows the longest common beginning of two renderings: of the prompt with the opening of
    an answer, and of the whole conversation.

    Attributes:
        tokenizer: The model's, its chat template held to the recipe's settings.
        limit: Where a row is cut, in tokens; None where none is.
        keeps_end: Whether rows are cut at their start.
    """

    tokenizer: PreTrainedTokenizerBase
    limit: int | None
    keeps_end: bool = False
    cut: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    inexact: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    trained_tokens: Counter[str] = field(default_factory=Counter)
    longest: int = 0

    def all(self, rows: Iterable[MixtureRow]) -> Iterator[Rendered]:
        """Render rows in order, without those whose question alone fills the limit, which TRL leaves out too."""
        for row in rows:
            made = self.render(row)
            if made.trained_from >= len(made.ids):
                self.left_out[row.domain] += 1
                continue
            self.cut[row.domain] += made.whole_tokens > len(made.ids)
            self.inexact[row.domain] += not made.exact
            self.rows[row.domain] += 1
            self.trained_tokens[row.domain] += len(made.ids) - made.trained_from
            self.longest = max(self.longest, len(made.ids))
            yield made

    def reset(self) -> None:
        """Begin to count anew."""
        for counts in (self.cut, self.left_out, self.inexact, self.rows, self.trained_tokens):
            counts.clear()

    def render(self, row: MixtureRow) -> Rendered:
        """Render one row."""
        asked = self.ids(self.text(row, awaiting=True))
        text = self.text(row, awaiting=False)
        whole = self.ids(text)
        trained = common_length(asked, whole)
        start, end = 0, len(whole)
        if self.limit is not None and end > self.limit:
            start, end = (end - self.limit, end) if self.keeps_end else (0, self.limit)
        ids, trained_from = whole[start:end], max(0, min(trained, end) - start)
        question, answer = self.parted(text, start, start + trained_from, end)
        exact = self.ids(question) + self.ids(answer) == ids
        return Rendered(row, question, answer, tuple(ids), trained_from, exact, len(whole))

    def text(self, row: MixtureRow, *, awaiting: bool) -> str:
        """The text of a row's question with the opening of an answer, or of the whole row."""
        return str(
            self.tokenizer.apply_chat_template(
                row.prompt if awaiting else row.turns,
                tools=list(row.tools) if row.tools else None,
                tokenize=False,
                add_generation_prompt=awaiting,
                **row.settings,
            )
        )

    def ids(self, text: str) -> list[int]:
        """A text's tokens, without what a tokenizer adds by itself."""
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def parted(self, text: str, start: int, trained: int, end: int) -> tuple[str, str]:
        """A text's part without loss and its part with loss, given as tokens' numbers."""
        if not self.tokenizer.is_fast:
            asked = str(self.tokenizer.decode(self.ids(text)[start:trained]))
            return asked, text.removeprefix(asked)
        places = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        ends = [*(place[0] for place in places), len(text)]
        return text[ends[start] if start else 0 : ends[trained]], text[ends[trained] : ends[end]]


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts have in common at their beginnings."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
