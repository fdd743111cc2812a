"""Tries a study's judgement on made-up changes, so that nothing is trained that it refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mixplan.saved.evaluation import Evaluation, Measured, quality
from mixplan.study.forecasts.formulas import Readings
from mixplan.study.jobs import Bench, Cell, evaluated
from mixplan.study.judged.judge import judge
from mixplan.study.judged.pass_marks import Mark
from mixplan.study.judged.tabulate import table_of

Doubles = npt.NDArray[np.float64]

RESAMPLES = 20
"""Of the rehearsal, whose intervals nobody reads."""


def rehearse(bench: Bench, cells: Sequence[Cell], readings: Readings, marks: Sequence[Mark]) -> None:
    """Judge made-up changes of this study's shape: a registered mark that names no figure could never be mended.

    The untrained model is measured for it, which is kept and needed later anyway.

    Args:
        bench: The study's model and data.
        cells: All cells.
        readings: What `read_forecasts` gave.
        marks: The study's pass marks.

    Raises:
        RunError: a mark names a figure that there will not be.
    """
    generator = np.random.default_rng(bench.study.spec.seeds[0])

    def measured(cell: Cell) -> Evaluation:
        before = evaluated(bench, bench.taught(cell.target), bench.model)
        domains = {
            name: {measure: moved_items(values, generator) for measure, values in measures.items()}
            for name, measures in before.domains.items()
        }
        return replace(before, domains=domains)

    def moved(cell: Cell) -> Mapping[str, Doubles]:
        own = readings.targets[cell.target].own
        widths = {"shift": len(own.shift), "raw_shift": len(own.raw_shift)}
        return {
            f"{name}.{kind}": generator.exponential(size=width)
            for name in ("target", *bench.taught(cell.target).domains)
            for kind, width in widths.items()
        } | {"target.fired": own.fired.astype(np.float64)}

    table, _ = table_of(bench, cells, readings, measured=measured, moved=moved)
    judge(table, marks=marks, resamples=RESAMPLES, seed=bench.study.spec.seeds[0])


def moved_items(measured: Measured, generator: np.random.Generator) -> Measured:
    """A measure as if training had moved its items: all by about as much, clearly more than they differ."""
    values = {}
    for quantity, items in measured.values.items():
        step = generator.exponential() * (generator.choice([-1, 1]) if quality(quantity) else 1)
        values[quantity] = tuple(item + step * generator.normal(1, 0.01) for item in items)
    return replace(measured, values=values)
