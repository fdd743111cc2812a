"""Tries a grader on answers whose grade is known before anything is measured or trained by it.

Each row's own answer must be right. Another row's answer, an empty one and one fixed text must not: a grader that
accepts them measures nothing, and trains a model to say them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mixplan.domains import Row
from mixplan.grading.grade import Grade, grade
from mixplan.grading.process import GradingProcess, ScorerError
from mixplan.grading.texts import unboxed

BOUNDED = ("math", "generator")
"""Graders that may hang or raise: they run in a child process."""
SECONDS = 10.0
"""A grader that takes longer for one answer gives it no score."""
FIXED = "I do not know."
TRIED_ROWS = 40
"""Rows on which wrong answers are tried."""
TOLD_SHARE = 0.05
"""Wrong answers accepted from this share on are told."""
REFUSED_SHARE = 0.1
"""Beyond this share of rows whose own answer is not right the grader does not fit the data."""

Graded = Callable[[Row, str], Grade]


@dataclass(frozen=True)
class Probed:
    """What a grader made of known answers.

    Attributes:
        rows: Rows whose own answers were graded.
        unfit: How many of these were not right.
        example: The first of these, as `row id: answer`; empty without one.
        others, empty, fixed: Shares of `TRIED_ROWS` rows that accept another row's answer, none, and `FIXED`.
    """

    rows: int
    unfit: int
    example: str
    others: float
    empty: float
    fixed: float

    @property
    def refused(self) -> bool:
        """Whether the grader does not fit the data."""
        return self.unfit > REFUSED_SHARE * self.rows


def probe(rows: Sequence[Row], graded: Graded) -> Probed:
    """Try a grader on rows.

    Args:
        rows: At least one.
        graded: Grades an answer to a row.
    """
    unfit = [row for row in rows if graded(row, row.answer).outcome != "right"]
    tried = rows[:TRIED_ROWS]
    pairs = [(row, other) for row, other in zip(tried, others_of(tried), strict=True) if other is not None]
    return Probed(
        rows=len(rows),
        unfit=len(unfit),
        example=f"{unfit[0].id}: {unfit[0].answer[:80]!r}" if unfit else "",
        others=share(graded(row, other.answer).outcome == "right" for row, other in pairs),
        empty=share(graded(row, "").outcome == "right" for row in tried),
        fixed=share(graded(row, FIXED).outcome == "right" for row in tried if unboxed(row.answer) != unboxed(FIXED)),
    )


def others_of(rows: Sequence[Row]) -> list[Row | None]:
    """For each row the next one whose answer is another one; None where all are alike."""
    found: list[Row | None] = []
    for place, row in enumerate(rows):
        ring = [*rows[place + 1 :], *rows[:place]]
        found.append(next((other for other in ring if differs(row, other)), None))
    return found


def differs(row: Row, other: Row) -> bool:
    """Whether another row's answer is wrong for a row."""
    if row.gold is not None and other.gold is not None:
        # The same letter may stand for another text, and the same text behind another letter.
        return row.gold != other.gold and row.options[row.gold] != other.options[other.gold]
    wrong = {unboxed(answer) for answer in (other.answer, other.answer.splitlines()[-1] if other.answer else "")}
    right = {unboxed(answer) for answer in (row.answer, *row.accepted)}
    return not wrong & right


def share(found: Iterator[bool]) -> float:
    """The share of what is true; 0 of nothing."""
    values = list(found)
    return sum(values) / len(values) if values else 0.0


def bounded(
    grader: str, process: GradingProcess, on_error: Callable[[ScorerError], object] = lambda error: error
) -> Graded:
    """How a grader grades a row's answers within bounds; an answer that it fails on is unparsable.

    Args:
        grader: Its name.
        process: Where one that may hang runs.
        on_error: Told of each failure.
    """

    def graded(row: Row, text: str) -> Grade:
        if grader not in BOUNDED:
            return grade(text, row.answer, grader, row.entry, row.accepted)
        try:
            return process.grade(text, row.answer, grader, row.entry, row.accepted)
        except ScorerError as error:
            on_error(error)
            return Grade(0.0, "unparsable")

    return graded


def refusal(name: str, grader: str, found: Probed) -> str:
    """Why a domain cannot be measured by its grader."""
    return (
        f"{name}: its grader `{grader}` does not accept the rows' own answers: {found.unfit} of {found.rows} are not "
        f"graded right, such as {found.example}. Set the domain's `grader` to one that fits them, `none` to measure it "
        "otherwise, or map `columns.answer` to what it reads."
    )


def findings(name: str, grader: str, found: Probed) -> Iterator[str]:
    """What a reader should know of a grader, a sentence each."""
    if found.unfit:
        yield (
            f"{name}: {found.unfit} of {found.rows} rows' own answers are not graded right by `{grader}` and count as "
            f"wrong whatever a model says, such as {found.example}."
        )
    kinds = ((found.others, "another row's answer"), (found.empty, "an empty answer"), (found.fixed, f"{FIXED!r}"))
    accepted = [f"{what} in {part:.0%} of rows" for part, what in kinds if part >= TOLD_SHARE]
    if accepted:
        yield (
            f"{name}: its grader `{grader}` accepts wrong answers: {', '.join(accepted)}. What it measures, and what "
            "it would reward, is not the ability alone."
        )
