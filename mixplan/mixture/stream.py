"""Selected rows in, their columns in the mixture's final order out, counted as they pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from mixplan.domains import Row
from mixplan.mixture.answers import messages
from mixplan.mixture.card import data_line
from mixplan.mixture.order import Selection, held_out, refuse_held_out, shuffled, walk
from mixplan.mixture.result import Messages, Part, Progress
from mixplan.mixture.write import Record

PROGRESS_ROWS = 1_000

TokenCounter = Callable[[Messages, str], int]
"""Tokens of a row, from its prompt and its answer."""


@dataclass
class Tally:
    """What is counted while a domain's rows are written."""

    answers: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    longest_tokens: int = 0
    cut_rows: int = 0


@dataclass(frozen=True)
class Stream:
    """Selections in, their rows one by one in the mixture's order out, counted as they pass."""

    selections: Sequence[Selection]
    tallies: Sequence[Tally]
    answers: str
    method: str
    seed: int
    max_length_tokens: int | None
    count_tokens: TokenCounter | None
    progress: Progress

    def records(self) -> Iterator[Record]:
        """Yield rows by column.

        Raises:
            DataError: a row's content is in some domain's evaluation.
        """
        total = sum(selection.count for selection in self.selections)
        origins = [data_line(selection.domain.spec.data) for selection in self.selections]
        keys = held_out([selection.domain for selection in self.selections])
        for done, (owner, number) in enumerate(walk(self.selections, shuffled(self.selections, self.seed)), start=1):
            selection = self.selections[owner]
            position = selection.position(number)
            row = selection.domain.pool[position]
            refuse_held_out(row, selection.domain.name, keys)
            kind, text = self.answer(row, selection.answers.get(position), is_target=owner == 0)
            self.count(self.tallies[owner], row, kind, text)
            yield self.columns(row, text, selection.domain.grader) | {
                "domain": selection.domain.name,
                "data": origins[owner],
                "row_id": row.id,
                "repeat": selection.repeat(number),
            }
            if done % PROGRESS_ROWS == 0 or done == total:
                self.progress("mixture", done, total)

    def answer(self, row: Row, own: str | None, *, is_target: bool) -> tuple[str, str]:
        """Whose answer a row carries, and the answer; the target always teaches its own."""
        if self.method == "grpo":
            return "reference", row.answer
        if own is not None:
            return "self", own
        if self.answers == "rationale" and not is_target and row.rationale:
            return "rationale", row.rationale
        return "gold", row.answer

    def columns(self, row: Row, text: str, grader: str) -> Record:
        """The columns that TRL trains on."""
        if self.method == "grpo":
            return {"prompt": messages(row), "reference": text, "grader": grader, "entry": row.entry}
        return {"prompt": messages(row), "completion": [{"role": "assistant", "content": text}]}

    def count(self, tally: Tally, row: Row, kind: str, text: str) -> None:
        """Count a row by its kind of answer and, where asked, its tokens."""
        tally.answers[kind] += 1
        if self.count_tokens is not None:
            tokens = self.count_tokens(messages(row), text)
            tally.tokens += tokens
            tally.longest_tokens = max(tally.longest_tokens, tokens)
            tally.cut_rows += self.max_length_tokens is not None and tokens > self.max_length_tokens


def part(selection: Selection, tally: Tally, *, counted: bool) -> Part:
    """What one domain gave, as the card and the plan state it."""
    distinct = min(selection.count, len(selection.usable))
    return Part(
        name=selection.domain.name,
        rows=selection.count,
        distinct_rows=distinct,
        most_uses=-(-selection.count // distinct) if distinct else 0,
        answers=dict(sorted(tally.answers.items())),
        empty_answers=selection.empty_answers,
        tokens=tally.tokens if counted else None,
        longest_tokens=tally.longest_tokens if counted else None,
        data=data_line(selection.domain.spec.data),
        licence=selection.domain.spec.licence,
    )


def told(parts: Sequence[Part], tallies: Sequence[Tally], max_length_tokens: int | None, answers: str) -> list[str]:
    """Say in whole sentences what a reader should know before training."""
    sentences = []
    for part, tally in zip(parts, tallies, strict=True):
        if answers == "rationale" and part.name != parts[0].name and part.answers.get("gold"):
            gold = part.answers["gold"]
            sentences.append(
                f"{gold} of {part.rows} rows of '{part.name}' have no rationale and carry their gold answer."
            )
        if part.empty_answers:
            sentences.append(
                f"{part.empty_answers} pool rows of '{part.name}' were passed over: "
                "the model answered them with nothing."
            )
        if tally.cut_rows:
            sentences.append(
                f"{tally.cut_rows} of {part.rows} rows of '{part.name}' are longer than {max_length_tokens} tokens, "
                f"where TRL cuts them. Their longest has {part.longest_tokens}: "
                "set `train.args.max_length` to keep it whole."
            )
    return sentences
