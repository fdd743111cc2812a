"""Measures the likelihood of each option as the answer: whether the right one is likeliest, and its share.

Options stand in the prompt as they do in training. Option k's answer is the text that a right answer has in training,
`B. text`, and with L(k) = log P(answer k | prompt), summed over its tokens,

    gold_probability = exp L(gold) / sum over k of exp L(k)
    correct          = 1 when no other option has a higher L, else 0; on equal L the earlier option counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mixplan.domains import Row
from mixplan.domains.choice import LETTERS
from mixplan.evaluate.prompts import fitting, tree_of
from mixplan.evaluate.reading import Asked, read_together
from mixplan.evaluate.scoring import Scored
from mixplan.model import Model
from mixplan.saved.evaluation import Measured


def measure_choice(model: Model, rows: Sequence[Row], *, advance: Callable[[int], None]) -> Measured:
    """Measure which option the model finds likeliest.

    Args:
        model: The model.
        rows: Choice rows.
        advance: Told how many rows each pass scored.

    Returns:
        `correct` (0 or 1) and `gold_probability` of each row that fits the model's window; the letter it chose as text.
    """
    asked = ask_choice(model, rows)
    (scored,), _ = read_together(model, [asked], advance=advance)
    return choice_of(asked, scored)


def ask_choice(model: Model, rows: Sequence[Row]) -> Asked:
    """The rows that fit the model's window, each with all its options' answers."""
    return fitting(model, rows, [tree_of(model, row, option_answers(row)) for row in rows])


def choice_of(asked: Asked, scored: Sequence[tuple[Scored, ...]]) -> Measured:
    """The measure from each option's scores."""
    logs = [np.array([branch.log for branch in branches]) for branches in scored]
    chosen = [int(values.argmax()) for values in logs]
    golds = [row.gold if row.gold is not None else -1 for row, _ in asked]
    return Measured(
        measure="choice",
        rows=tuple(row.id for row, _ in asked),
        values={
            "correct": tuple(float(pick == gold) for pick, gold in zip(chosen, golds, strict=True)),
            "gold_probability": tuple(
                float(np.exp(values[gold] - np.logaddexp.reduce(values)))
                for values, gold in zip(logs, golds, strict=True)
            ),
        },
        texts={"chosen": tuple(LETTERS[pick] for pick in chosen)},
    )


def option_answers(row: Row) -> list[str]:
    """Each option as the answer that a row with this right option would have."""
    return [f"{letter}. {text}" for letter, text in zip(LETTERS, row.options, strict=False)]
