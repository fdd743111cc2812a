"""Rows in, how many bits the model needs for each byte of the reference answer out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mixplan.domains import Row
from mixplan.evaluate.prompts import fitting, tree_of
from mixplan.evaluate.result import Measured
from mixplan.evaluate.scoring import score_continuations
from mixplan.model import Model


def measure_likelihood(model: Model, rows: Sequence[Row], *, advance: Callable[[int], None]) -> Measured:
    """Measure `-log2 P(answer | prompt)` over the answer's length in UTF-8 bytes.

    Args:
        model: The model.
        rows: Rows of any format; their supervised answer is the reference.
        advance: Told how many rows each pass scored.

    Returns:
        `bits_per_byte` of each row that fits the model's window.
    """
    kept = fitting(model, rows, [tree_of(model, row, [row.answer]) for row in rows])
    scored = score_continuations(model, [tree for _, tree in kept], on_trees=advance)
    bits = [-branch.log / math.log(2) for (branch,) in scored]
    return Measured(
        measure="likelihood",
        rows=tuple(row.id for row, _ in kept),
        values={
            "bits_per_byte": tuple(need / len(row.answer.encode()) for need, (row, _) in zip(bits, kept, strict=True))
        },
        texts={},
    )
