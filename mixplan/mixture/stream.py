"""Yields the selected rows one by one in the mixture's final order, and counts them as they pass."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixplan.chat.tool_calls import TOOLS, parted_tools
from mixplan.domains import Domain, Row
from mixplan.errors import RecipeError
from mixplan.grading.rewards import ACCEPTED
from mixplan.mixture.answers import messages
from mixplan.mixture.card import data_line
from mixplan.mixture.order import Selection, held_out, refuse_held_out, shuffled, walk
from mixplan.mixture.result import Progress
from mixplan.mixture.tokens import TokenCounter
from mixplan.mixture.trl_config import Job
from mixplan.mixture.write import Record
from mixplan.saved.plan import MixturePart

PROGRESS_ROWS = 1_000
SHOWN_REPEATED = 8
"""Domains with repeated rows that are named; more are counted."""


@dataclass
class Tally:
    """What is counted while a domain's rows are written."""

    answers: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    longest_tokens: int = 0
    cut_rows: int = 0
    untrained_rows: int = 0


@dataclass(frozen=True)
class Stream:
    """Gives the rows of selections one by one in the mixture's order, and counts them as they pass."""

    selections: Sequence[Selection]
    answers: str
    job: Job
    seed: int
    count_tokens: TokenCounter | None
    progress: Progress
    tallies: list[Tally] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.tallies.extend(Tally() for _ in self.selections)

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
            kind, text = self.answer(row, selection.answers.get(position), is_target=selection.domain.is_taught)
            self.count(self.tallies[owner], row, kind, text)
            yield self.columns(selection.domain.name, row, text, selection.domain.grader) | {
                "domain": selection.domain.name,
                "data": origins[owner],
                "row_id": row.id,
                "repeat": selection.repeat(number),
            }
            if done % PROGRESS_ROWS == 0 or done == total:
                self.progress("mixture", done, total)

    def answer(self, row: Row, own: str | None, *, is_target: bool) -> tuple[str, str]:
        """Whose answer a row carries, and the answer; the target always teaches its own, in whosever words."""
        if self.job.method == "grpo":
            return "reference", row.answer
        if own is not None:
            return "own_voice" if is_target else "self", own
        if self.answers == "rationale" and not is_target and row.rationale:
            return "rationale", row.rationale
        return "gold", row.answer

    def columns(self, name: str, row: Row, text: str, grader: str) -> Record:
        """The columns that TRL trains on."""
        tools, said = parted_tools(row.prompt)
        prompt = [{"role": role, "content": self.native(role, content, tools)} for role, content in said]
        if self.job.method == "grpo":
            if tools:
                raise RecipeError(
                    f"'{name}': its rows have tools, which TRL's GRPO does not read from rows. Remove `columns.tools`."
                )
            others = {ACCEPTED: list(row.accepted)} if self.has_accepted else {}
            return {"prompt": prompt, "reference": text, "grader": grader, "entry": row.entry, **others}
        settings = {"chat_template_kwargs": dict(self.job.settings)} if self.job.settings else {}
        given = {"tools": row.prompt[0][1] if tools else None} if self.has_tools else {}
        completion = [{"role": "assistant", "content": self.native("assistant", text, tools)}]
        return {"prompt": prompt, "completion": completion, **given, **settings}

    @functools.cached_property
    def has_tools(self) -> bool:
        """Whether any row of the mixture's domains has tools, which TRL's SFT reads from a column."""
        return any_tools([selection.domain for selection in self.selections])

    @functools.cached_property
    def has_accepted(self) -> bool:
        """Whether any row has other answers that count as right, which rewards need as evaluation does."""
        return any_accepted([selection.domain for selection in self.selections])

    def native(self, role: str, content: str, tools: Sequence[Any] | None) -> str:
        """A turn's content with tool calls as the model's chat template writes them, where it is known."""
        template = self.count_tokens.template if self.count_tokens else None
        return template.native(role, content, tools) if template else content

    def count(self, tally: Tally, row: Row, kind: str, text: str) -> None:
        """Count a row by its kind of answer and, where asked, its tokens."""
        tally.answers[kind] += 1
        if self.count_tokens is not None:
            tokens = self.count_tokens.count(messages(row), text)
            tally.tokens += tokens
            tally.longest_tokens = max(tally.longest_tokens, tokens)
            most, question = self.job.max_length_tokens, self.count_tokens.question
            if most is not None and tokens > most:
                asked = 0 if question is None or self.job.keeps_end else question(messages(row))
                tally.untrained_rows += asked >= most
                tally.cut_rows += asked < most

    def parts(self) -> tuple[MixturePart, ...]:
        """What each domain gave, once all rows have passed: the target, then the domains."""
        counted = self.count_tokens is not None
        return tuple(part(*pair, counted=counted) for pair in zip(self.selections, self.tallies, strict=True))

    def told(self) -> Iterator[str]:
        """Say in whole sentences what a reader should know before training, once all rows have passed."""
        for selection, tally in zip(self.selections, self.tallies, strict=True):
            of_all = f"of {selection.count} rows of '{selection.domain.name}'"
            if self.answers == "rationale" and not selection.domain.is_taught and tally.answers["gold"]:
                yield f"{tally.answers['gold']} {of_all} have no rationale and carry their gold answer."
            if selection.voice is not None and not selection.voice.rewritten:
                of_none = selection.voice.text(selection.domain.name)
                yield f"`mixture.target_answers: own_voice` changes nothing: {of_none}"
            if selection.voice is not None and (short := selection.voice.shorter()):
                yield f"'{selection.domain.name}': {short}"
            if selection.empty_answers:
                yield (
                    f"{selection.empty_answers} pool rows of '{selection.domain.name}' were passed over: "
                    "the model answered them with nothing, or they leave no room for an answer in its window."
                )
            if selection.cut_rows:
                yield (
                    f"{selection.cut_rows} {of_all} carry an answer of the model's that was cut before its end. "
                    "Raise `mixture.answer_tokens` to keep such answers whole."
                )
            if selection.passed_over:
                yield (
                    f"{selection.passed_over} pool rows of '{selection.domain.name}' were passed over: the model had "
                    "not ended its answer at `mixture.answer_tokens`. Raise it to keep such answers."
                )
            if tally.untrained_rows:
                yield (
                    f"{tally.untrained_rows} {of_all} train nothing: their questions alone fill the "
                    f"{self.job.max_length_tokens} tokens at which TRL cuts them. The longest row has "
                    f"{tally.longest_tokens}: set `train.args.max_length` to train on all."
                )
            if tally.cut_rows:
                yield (
                    f"{tally.cut_rows} {of_all} are longer than {self.job.max_length_tokens} tokens, where TRL "
                    f"cuts them. Their longest has {tally.longest_tokens}: "
                    "set `train.args.max_length` to keep it whole."
                )
        yield from repeats(self.selections)


def repeats(selections: Sequence[Selection]) -> Iterator[str]:
    """Say how many of the mixture's rows are repeats, and of how many rows; nothing where none is."""
    again = [one for one in selections if one.count > len(one.usable)]
    if not again:
        return
    count, rows = sum(one.count - len(one.usable) for one in again), sum(one.count for one in selections)
    listed = [f"{one.domain.name} {one.count} rows of {len(one.usable)}" for one in again[:SHOWN_REPEATED]]
    more = [f"{len(again) - SHOWN_REPEATED} more domains"] if len(again) > SHOWN_REPEATED else []
    yield (
        f"{count:,} of the mixture's {rows:,} rows are repeats, which `budget.max_repeats` allows: "
        f"{', '.join([*listed, *more])}. Fewer rows in all, or more data of these domains, keep rows different."
    )


def any_tools(domains: Sequence[Domain]) -> bool:
    """Whether any pool row has tools."""
    return any(row.prompt[0][0] == TOOLS for domain in domains for row in domain.pool)


def any_accepted(domains: Sequence[Domain]) -> bool:
    """Whether any pool row has other answers that count as right."""
    return any(row.accepted for domain in domains for row in domain.pool)


def part(selection: Selection, tally: Tally, *, counted: bool) -> MixturePart:
    """What one domain gave, as the card and the plan state it."""
    distinct = min(selection.count, len(selection.usable))
    return MixturePart(
        name=selection.domain.name,
        rows=selection.count,
        distinct_rows=distinct,
        most_uses=-(-selection.count // distinct) if distinct else 0,
        answers=dict(sorted(tally.answers.items())),
        empty_answers=selection.empty_answers,
        cut_answers=selection.cut_rows or selection.passed_over,
        tokens=tally.tokens if counted else None,
        longest_tokens=tally.longest_tokens if counted else None,
        data=data_line(selection.domain.spec.data),
        licence=selection.domain.spec.licence,
        **({} if selection.voice is None else {"voice": selection.voice}),
    )
