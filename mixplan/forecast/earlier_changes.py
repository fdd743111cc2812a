"""Lays out how far earlier targets moved a plan's domains as a table of logarithms, and what scores say beyond it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixplan.forecast.completion import FLOOR, Doubles
from mixplan.forecast.target_only import Known

FEWEST_COLUMN = 2
"""Targets that must have measured a domain for the completion to know it."""


@dataclass(frozen=True)
class Table:
    """How far earlier targets moved the plan's domains.

    Attributes:
        names: `[D]` the plan's domains that at least two targets measured.
        logs: `[T, D]` logarithms of changes in nats, means over runs of a target; NaN where one was not measured.
        runs: `[T]` hashes of the runs behind each row.
        scores: `[T, D]` logarithms of a score that a plan had of them, likewise; NaN where there is none.
    """

    names: tuple[str, ...]
    logs: Doubles
    runs: tuple[tuple[str, ...], ...]
    scores: Doubles


def table_of(known: Known, names: Sequence[str], score: str = "") -> Table:
    """Lay earlier runs out; those of one target share a row.

    Args:
        known: The runs, scaled to this plan's job.
        names: The plan's domains.
        score: A score's name in the runs, such as `sts_icl`; none where nothing of scores is asked.
    """
    groups = targets_of(known)
    rows = np.array([[mean_log(known, members, name) for name in names] for members in groups])
    rows = rows.reshape(len(groups), len(names))
    scores = np.array([[mean_score(known, members, name, score) for name in names] for members in groups])
    scores = scores.reshape(len(groups), len(names))
    columns = np.isfinite(rows).sum(axis=0) >= FEWEST_COLUMN
    there = np.isfinite(rows[:, columns]).any(axis=1)
    runs = [tuple(known.runs[number].hash for number in members) for members in groups]
    return Table(
        tuple(name for name, keep in zip(names, columns, strict=True) if keep),
        rows[np.ix_(there, columns)],
        tuple(each for each, keep in zip(runs, there, strict=True) if keep),
        scores[np.ix_(there, columns)],
    )


def targets_of(known: Known) -> list[list[int]]:
    """The places of each target's runs."""
    groups: dict[int, list[int]] = {}
    for number, group in enumerate(known.groups):
        groups.setdefault(group, []).append(number)
    return list(groups.values())


def mean_log(known: Known, members: Sequence[int], name: str) -> float:
    """Mean logarithm of a domain's change over one target's runs; NaN where none measured it."""
    found = [known.runs[number].domains.get(name) for number in members]
    changes = [part.behaviour for part in found if part is not None and part.behaviour is not None]
    return math.fsum(math.log(max(change, FLOOR)) for change in changes) / len(changes) if changes else math.nan


def mean_score(known: Known, members: Sequence[int], name: str, score: str) -> float:
    """Mean logarithm of a domain's score over one target's runs; NaN where none has one above 0."""
    found = [known.runs[number].domains.get(name) for number in members]
    values = [part.scores[score] for part in found if part is not None and part.scores.get(score, 0.0) > 0]
    return math.fsum(map(math.log, values)) / len(values) if values else math.nan


@dataclass(frozen=True)
class Slope:
    """What a score says of a domain that no earlier target measured.

    Attributes:
        value: Change of the logarithm with that of the score, within one target.
        deviation: Standard deviation of a domain around it.
    """

    value: float
    deviation: float


def slope_of(known: Known, score: str) -> Slope | None:
    """Fit how changes go with scores within earlier targets; 0 where that erred less for targets that were left out.

    Args:
        known: The runs.
        score: The score's name in them.

    Returns:
        None where no target measured three domains.
    """
    centred = [found for members in targets_of(known) if (found := within(known, members, score)) is not None]
    if not centred:
        return None
    best = Slope(0.0, root_mean([changes for _, changes in centred]))
    left = []
    for place, (scores, changes) in enumerate(centred):
        others = [one for number, one in enumerate(centred) if number != place]
        if others:
            left.append(changes - pooled_slope(others) * scores)
    if len(left) > 1 and root_mean(left) < best.deviation:
        return Slope(pooled_slope(centred), root_mean(left))
    return best


def within(known: Known, members: Sequence[int], score: str) -> tuple[Doubles, Doubles] | None:
    """One target's logarithms of scores and changes around their means; None of fewer than three domains."""
    names = dict.fromkeys(name for number in members for name in known.runs[number].domains)
    pairs = [(mean_score(known, members, name, score), mean_log(known, members, name)) for name in names]
    values = np.array([pair for pair in pairs if all(map(math.isfinite, pair))])
    if len(values) <= FEWEST_COLUMN:
        return None
    centred: npt.NDArray[np.float64] = values - values.mean(axis=0)
    return centred[:, 0], centred[:, 1]


def pooled_slope(centred: Sequence[tuple[Doubles, Doubles]]) -> float:
    """Least squares through the origin over several targets; 0 where no score differs."""
    below = math.fsum(float(scores @ scores) for scores, _ in centred)
    return math.fsum(float(scores @ changes) for scores, changes in centred) / below if below else 0.0


def root_mean(parts: Sequence[Doubles]) -> float:
    """Root of the mean over targets of their mean squares, each of one degree of freedom less than it has domains."""
    squares = [float(np.square(part).sum()) / (len(part) - 1) for part in parts]
    return math.sqrt(math.fsum(squares) / len(squares))
