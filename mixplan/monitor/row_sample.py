"""Takes fewer rows where as many as were asked for would leave hardly a measure within the share of time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from mixplan.monitor.begin import part_of
from mixplan.monitor.pace import Pace
from mixplan.monitor.rows import Asked
from mixplan.saved.trajectory import PartPoint, Trajectory

WANTED = 4
"""Measures in a training for which rows are given up."""
FEWEST = 2
"""Rows of a part that are always taken."""


def share_of_rows(pace: Pace, *, step: int, training: float, spent: float, estimate: float) -> float:
    """The share of the rows at which a training has room for `WANTED` measures; 1 where it has, or never will.

    Args:
        pace: The training's.
        step: The present one, at least 1.
        training: Seconds of training by itself so far.
        spent: Seconds of measuring so far.
        estimate: Seconds that a measure of all rows takes.
    """
    room = pace.cost * training / step * pace.steps - spent
    return min(1.0, room / (WANTED * estimate)) if room > 0 < estimate else 1.0


def fewer(asked: Mapping[str, Asked], share: float) -> dict[str, Asked]:
    """The first rows of each part, at least `FEWEST`, or all where there are no more."""
    cut = {}
    for name, part in asked.items():
        scored, own = (max(FEWEST, math.floor(share * len(rows))) for rows in (part.scored, part.own))
        cut[name] = replace(part, scored=part.scored[:scored], own=dict(list(part.own.items())[:own]))
    return cut


def remaining(before: Mapping[str, Asked], after: Mapping[str, Asked]) -> float:
    """The share of rows and of answers that are still measured, of those that were."""
    counts = [sum(len(part.scored) + len(part.own) for part in asked.values()) for asked in (before, after)]
    return counts[1] / max(1, counts[0])


def as_measured(asked: Mapping[str, Asked], trajectory: Trajectory) -> dict[str, Asked]:
    """The rows that a trajectory goes on with, of those that were asked for at first."""
    cut = {}
    for name, part in asked.items():
        kept = trajectory.begin.parts[name]
        own = {row: text for row, text in part.own.items() if row in kept.kl_rows}
        cut[name] = replace(part, scored=part.scored[: len(kept.rows)], own=own)
    return cut


def with_rows(trajectory: Trajectory, asked: Mapping[str, Asked], said: str) -> Trajectory:
    """A trajectory with only the rows that are asked for now, and a sentence on why."""
    parts = {name: part_of(part) for name, part in asked.items()}
    begin = trajectory.begin.model_copy(update={"parts": parts, "warnings": [*trajectory.begin.warnings, said]})
    points = []
    for point in trajectory.points:
        cut = {
            name: PartPoint.of_parts(
                part, kl=part.kl[: len(parts[name].kl_rows)], quantity=part.quantity[: len(parts[name].rows)]
            )
            for name, part in point.parts.items()
        }
        points.append(point.model_copy(update={"parts": cut}))
    return replace(trajectory, begin=begin, points=tuple(points))
