"""Tabulates finished cells and the forecasts made before them, by target, domain and seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mixplan.drift import drift_dimensions, overlap
from mixplan.saved.evaluation import Evaluation, Measured
from mixplan.study.files.ablations import Concentration
from mixplan.study.files.read import write_file
from mixplan.study.forecasts.formulas import BOUNDS, COMPETITORS, Readings, bounds_of, drift_variants
from mixplan.study.forecasts.joint import PARTS, combined
from mixplan.study.jobs import Bench, Cell, evaluated, evaluation_of, read_drift
from mixplan.study.judged.table import Table

Doubles = npt.NDArray[np.float64]

RAW = "raw"
"""The drift variant of the raw stream's dimensions, of which there may be fewer than drift dimensions are asked for."""

FEWEST_FITTED = 3
"""Development targets behind a joint forecast: each of them is forecast from the others."""

SIGNS = {
    "preview_bits_per_byte": -1,
    "preview_bits_per_byte_corrected": -1,
    "preview_gold_probability": 1,
    "preview_gold_probability_corrected": 1,
    "preview_gold_margin": 1,
    "preview_gold_margin_corrected": 1,
    "direction": 1,
    "direction_raw": 1,
    "behind_toward": 1,
    "behind_answers_toward": 1,
}
"""Forecasts with a direction, and whether more of each is better (1) or worse (-1)."""


def tabulate(bench: Bench, cells: Sequence[Cell], readings: Readings, folder: Path) -> Table:
    """Put every cell's changes, overlaps and bounds beside the forecasts; write how concentrated each drift is.

    Args:
        bench: The study's model and data.
        cells: Finished ones, every target's for each of their seeds.
        readings: What `read_forecasts` gave.
        folder: Where concentration.json goes.
    """

    def moved(cell: Cell) -> Mapping[str, Doubles]:
        drift = read_drift(cell)
        assert drift is not None  # a cell without it is not done
        return drift

    table, concentrations = table_of(bench, cells, readings, measured=evaluation_of, moved=moved)
    count = bench.study.whole.recipe.drift.features
    write_file(folder / "concentration.json", Concentration(features=count, share=concentrations))
    return table


def table_of(
    bench: Bench,
    cells: Sequence[Cell],
    readings: Readings,
    *,
    measured: Callable[[Cell], Evaluation],
    moved: Callable[[Cell], Mapping[str, Doubles]],
) -> tuple[Table, dict[str, float]]:
    """The table, and by cell the part of the target's whole change that its drift dimensions hold.

    Args:
        bench: The study's model and data.
        cells: Every target's for each of their seeds.
        readings: What `read_forecasts` gave.
        measured: A cell's evaluation.
        moved: A cell's mean changes, as `read_drift` gives them.
    """
    study = bench.study
    spec = study.spec
    before = {name: evaluated(bench, bench.taught(name), bench.model) for name in spec.targets}
    seeds = tuple(dict.fromkeys(cell.seed for cell in cells))
    shape = (len(spec.targets), len(study.domains), len(seeds))
    changes = _Changes(shape)
    bounds: dict[str, Doubles] = {name: np.full(shape, np.nan) for name in BOUNDS}
    overlaps = _Overlaps(shape)
    count = study.whole.recipe.drift.features
    concentrations: dict[str, float] = {}
    for cell in cells:
        t, s = list(spec.targets).index(cell.target), seeds.index(cell.seed)
        drift, after = moved(cell), measured(cell)
        for d, name in enumerate(study.domains):
            if name not in after.domains:
                continue
            changes.add((t, d, s), before[cell.target], after, name)
            for bound, value in bounds_of(readings.domains[name], drift, name, count=count).items():
                bounds[bound][t, d, s] = value
        overlaps.add((t, s), shared_dimensions(readings.targets[cell.target], drift, count))
        concentrations[f"{cell.target}-{cell.seed}"] = concentration(drift["target.shift"], count)
    predictors = predictors_of(study.domains, tuple(spec.targets), readings.forecasts)
    known = np.array([[name in readings.forecasts[target] for name in study.domains] for target in spec.targets])
    table = Table(
        targets=tuple(spec.targets),
        domains=study.domains,
        kinds={name: kind for kind, names in spec.kinds.items() for name in names},
        seeds=seeds,
        development=tuple(spec.development),
        measures=changes.change,
        noise=changes.noise,
        predictors={name: value for name, value in predictors.items() if whole(value[known])}
        | joint(predictors, changes.change, tuple(spec.targets), tuple(spec.development))
        | {name: over_seeds(value) for name, value in bounds.items()},
        competitors=COMPETITORS,
        bounds=BOUNDS,
        overlaps=overlaps.shared,
        live=overlaps.live,
        drift_features={name: min(count, live) if name == RAW else count for name, live in overlaps.live.items()},
        signs=signs_of(predictors, shape[:2]),
        items=changes.items,
    )
    return table, concentrations


class _Changes:
    """Changes with their standard errors, cell by cell."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.change: dict[str, Doubles] = {}
        self.noise: dict[str, Doubles] = {}
        self.items: dict[str, tuple[int, ...]] = {}

    def add(self, place: tuple[int, int, int], before: Evaluation, after: Evaluation, name: str) -> None:
        """Add one domain of one cell; one item alone has no standard error."""
        for measure, late in after.domains[name].items():
            early = before.domains[name][measure]
            for quantity in late.values:
                moved = paired(early, late, quantity)
                self.at(self.change, quantity)[place] = moved.mean()
                error = moved.std(ddof=1) / np.sqrt(len(moved)) if len(moved) > 1 else np.nan
                self.at(self.noise, quantity)[place] = error
                counts = list(self.items.get(quantity, (0,) * self.shape[1]))
                counts[place[1]] = len(moved)
                self.items[quantity] = tuple(counts)

    def at(self, arrays: dict[str, Doubles], quantity: str) -> Doubles:
        """A quantity's array, made when it is first met."""
        return arrays.setdefault(quantity, np.full(self.shape, np.nan))


class _Overlaps:
    """Shared dimensions by drift variant, cell by cell, and the fewest that there ever were to choose from."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.shared: dict[str, Doubles] = {}
        self.live: dict[str, int] = {}

    def add(self, place: tuple[int, int], found: Mapping[str, tuple[int, int]]) -> None:
        """Add one cell."""
        for variant, (number, choices) in found.items():
            self.shared.setdefault(variant, np.full(self.shape[::2], np.nan))[place] = number
            self.live[variant] = min(self.live.get(variant, choices), choices)


def paired(before: Measured, after: Measured, quantity: str) -> Doubles:
    """A quantity's change on each item that both hold."""
    early = dict(zip(before.rows, before.values[quantity], strict=True))
    late = dict(zip(after.rows, after.values[quantity], strict=True))
    return np.array([late[row] - early[row] for row in late if row in early])


def predictors_of(
    domains: Sequence[str], targets: Sequence[str], forecasts: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> dict[str, Doubles]:
    """Forecasts as arrays `[T, D]`; NaN where a domain is left out."""
    names = dict.fromkeys(name for target in targets for domain in forecasts[target].values() for name in domain)
    return {
        name: np.array([[forecasts[t].get(d, {}).get(name, np.nan) for d in domains] for t in targets], dtype=float)
        for name in names
    }


def signs_of(predictors: Mapping[str, Doubles], shape: tuple[int, int]) -> dict[str, Doubles]:
    """Forecasts with a direction, above 0 for better; NaN where there is none."""
    return {
        name: sign * predictors[name] if name in predictors else np.full(shape, np.nan) for name, sign in SIGNS.items()
    }


def joint(
    predictors: Mapping[str, Doubles], changes: Mapping[str, Doubles], targets: Sequence[str], fit_on: Sequence[str]
) -> dict[str, Doubles]:
    """The joint forecast of behaviour; none where its parts or enough development targets are not there."""
    if "kl" not in changes or len(fit_on) < FEWEST_FITTED or not set(PARTS) <= set(predictors):
        return {}
    return {"combined": combined(predictors, over_seeds(changes["kl"]), targets, fit_on)}


def whole(values: Doubles) -> bool:
    """Whether a forecast exists for most of the domains that were read: those of choices alone rank no others."""
    return bool(np.isnan(values).mean() < 0.2)


def over_seeds(values: Doubles) -> Doubles:
    """Mean over seeds, `[T, D]`; NaN where nothing is known."""
    known = ~np.isnan(values)
    number = known.sum(2)
    found: Doubles = np.where(number > 0, np.where(known, values, 0).sum(2) / np.maximum(1, number), np.nan)
    return found


def shared_dimensions(reading: Any, drift: Mapping[str, Doubles], count: int) -> dict[str, tuple[int, int]]:
    """How many dimensions each way of predicting shares with what training moved, and of how many to choose."""
    actual = drift_dimensions(drift["target.shift"], count=count)
    live = int(((drift["target.fired"] > 0) | (drift["target.shift"] > 0)).sum())
    found = {name: (overlap(chosen, actual), live) for name, chosen in drift_variants(reading, count=count).items()}
    width = len(drift["target.raw_shift"])
    raw = [
        drift_dimensions(values, count=min(count, width))
        for values in (reading.own.raw_shift, drift["target.raw_shift"])
    ]
    return found | {RAW: (overlap(*raw), width)}


def concentration(shift: Doubles, count: int) -> float:
    """Part of the whole change that the features that moved most hold."""
    return float(np.sort(shift)[::-1][:count].sum() / shift.sum())
