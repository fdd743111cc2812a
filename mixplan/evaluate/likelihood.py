"""Measures how many bits the model needs for each byte of the reference answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from mixplan.domains import Row
from mixplan.evaluate.prompts import fitting, taught_tree
from mixplan.evaluate.reading import Asked, read_together
from mixplan.evaluate.scoring import Scored
from mixplan.model import Model
from mixplan.saved.evaluation import Measured


def measure_likelihood(model: Model, rows: Sequence[Row], *, advance: Callable[[int], None]) -> Measured:
    """Measure `-log2 P(answer | prompt)` over the answer's length in UTF-8 bytes.

    Args:
        model: The model.
        rows: Rows of any format; their supervised answer is the reference.
        advance: Told how many rows each pass scored.

    Returns:
        `bits_per_byte` of each row that fits the model's window.
    """
    asked = ask_likelihood(model, rows)
    (scored,), _ = read_together(model, [asked], advance=advance)
    return likelihood_of(asked, scored)


def ask_likelihood(model: Model, rows: Sequence[Row]) -> Asked:
    """The rows that fit the model's window, each with its reference answer as the template writes it.

    A template may leave an answer's reasoning out; the answer's length is that of what is read.
    """
    taught = [taught_tree(model, row, [row.answer]) for row in rows]
    written = [replace(row, answer=text) for row, (_, (text,)) in zip(rows, taught, strict=True)]
    return fitting(model, written, [tree for tree, _ in taught])


def likelihood_of(asked: Asked, scored: Sequence[tuple[Scored, ...]]) -> Measured:
    """The measure from each reference answer's scores."""
    values = tuple(bits_per_byte(row, branch) for (row, _), (branch,) in zip(asked, scored, strict=True))
    return Measured("likelihood", tuple(row.id for row, _ in asked), {"bits_per_byte": values}, {})


def bits_per_byte(row: Row, answer: Scored) -> float:
    """Bits that the model needs for each byte of the row's reference answer."""
    return -answer.log / math.log(2) / len(row.answer.encode())
