"""Measures how the domain's grader scores the model's greedy answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mixplan.domains import Domain, Row
from mixplan.evaluate.answering import Answering
from mixplan.grading.grade import Grade
from mixplan.grading.probes import SECONDS, bounded
from mixplan.grading.process import GradingProcess
from mixplan.model import Answer, spoken
from mixplan.saved.evaluation import Measured


def measure_exact(
    answering: Answering, domain: Domain, rows: Sequence[Row], *, answer_tokens: int, advance: Callable[[int], None]
) -> Measured:
    """Measure how the domain's grader scores the model's greedy answers.

    What stands behind an answer's reasoning is graded. An answer that the model had not ended at `answer_tokens` is
    graded as far as it goes: when that is not right, its outcome is `truncated` instead of `wrong` or `unparsable`. An
    answer that the grader fails on, or takes more than ten seconds for, scores 0 as `unparsable`.

    Args:
        answering: Answers prompts with the model.
        domain: For its grader.
        rows: Its rows.
        answer_tokens: Longest answer.
        advance: Told how many rows each batch answered.

    Returns:
        `score` (0 to 1) of each row that fits the model's window with its answer; `outcome` and `answer` as texts.
    """
    kept, answers = answering.answers(rows, answer_tokens=answer_tokens, advance=advance)
    texts = spoken(answering.model, answers)
    process = GradingProcess(seconds=SECONDS)
    try:
        graded = bounded(domain.grader, process)
        grades = [graded(row, text) for row, text in zip(kept, texts, strict=True)]
    finally:
        process.close()
    return Measured(
        measure="exact",
        rows=tuple(row.id for row in kept),
        values={"score": tuple(one.score for one in grades)},
        texts={
            "outcome": tuple(outcome(one, answer) for one, answer in zip(grades, answers, strict=True)),
            "answer": tuple(texts),
        },
    )


def outcome(one: Grade, answer: Answer) -> str:
    """`right`, `wrong`, `unparsable`, or `truncated` for an answer that was cut before it was right."""
    return one.outcome if answer.finished or one.outcome == "right" else "truncated"
