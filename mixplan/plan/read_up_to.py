"""Reads up to a look where the recipe leaves to mixplan how much is read, and draws what reading all could give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mixplan.features.in_parts import divided, up_to
from mixplan.features.queries import Reading
from mixplan.features.statistics import Integers, Statistics
from mixplan.plan.looks import (
    LEAST_ROWS,
    LOOKS,
    ReadRows,
    plausible_dimensions,
    plausible_scores,
    same_dimensions,
    widening,
)
from mixplan.plan.stopped import stops
from mixplan.reading.units import Reader
from mixplan.recipe import Recipe
from mixplan.saved.scores import Looks


def read_up_to(
    recipe: Recipe, readings: Mapping[str, Reading], reader: Reader, looks: Mapping[str, int] | None
) -> tuple[dict[str, Reading], Reader]:
    """Cut readings at their looks.

    Args:
        recipe: Says which readings stop by themselves; the others stay whole.
        readings: All that may be read.
        reader: Reads.
        looks: The number of each reading's last look, from 0; None where nothing stops by itself.

    Returns:
        What is read up to there, and a reader that reads it in the parts in which earlier looks read it.
    """
    if looks is None:
        return dict(readings), reader
    found, parts = dict(readings), dict(reader.parts)
    for name in readings:
        if stops(recipe, name):
            own = divided(readings[name], LOOKS, least_rows=LEAST_ROWS)
            found[name] = up_to(readings[name], own, looks[name])
            for unit, divisions in zip(found[name].units, own, strict=True):
                read = tuple(part for part in divisions[: looks[name] + 1] if part.queries)
                if len(read) > 1:  # a single one is the unit itself
                    parts[unit.mark] = read
    return found, replace(reader, parts=parts)


def widening_of(recipe: Recipe, parts: Sequence[Statistics]) -> float:
    """How many times as wide the intervals of a domain are as those of a reading of given size."""
    if not stops(recipe, "a domain"):
        return 1.0
    return widening(sum(len(part.tokens) for part in parts), len(parts))


def drawn_from(
    recipe: Recipe,
    reader: Reader,
    readings: tuple[Mapping[str, Reading], Mapping[str, Reading]],
    target: Sequence[Statistics],
    looks: Mapping[str, int],
) -> Looks:
    """Draw what reading all could give.

    Args:
        recipe: The recipe.
        reader: Has read the domains.
        readings: All that may be read, and what was read up to the look.
        target: The statistics of the target's units.
        looks: The number of each one's last look.
    """
    whole, read = readings
    part = {name: read[name].tokens / max(1, whole[name].tokens) for name in whole}
    shift, replicas = (np.sum([getattr(unit, name) for unit in target], axis=0) for name in ("shift", "replicas"))
    sets = plausible_dimensions(shift, replicas, count=recipe.drift.features, part=part["target"])
    drawn: dict[str, list[float]] | None = {}
    for number, name in enumerate(name for name in whole if name != "target"):
        rows = rows_of(reader, read[name], sets, part[name], act=recipe.sts.score == "act")
        if rows is None or drawn is None:
            drawn = None
            break
        drawn[name] = plausible_scores(rows, seed=(recipe.seed, number, looks.get(name, len(LOOKS)))).tolist()
    return Looks(
        looks=dict(looks),
        at_most={name: reading.tokens for name, reading in whole.items()},
        dimensions=same_dimensions(sets),
        drawn=drawn,
    )


def rows_of(reader: Reader, reading: Reading, sets: Integers, part: float, *, act: bool) -> ReadRows | None:
    """What was read of a domain row by row; None where not all features of it are kept."""
    sums = reader.sums_of_sets(reading.units, sets, act=act)
    if sums is None:
        return None
    return ReadRows(
        tokens=np.array([query.count for unit in reading.units for query in unit.queries], dtype=np.int64),
        sums=sums,
        draw=np.array([unit.draw for unit in reading.units for _ in unit.queries], dtype=np.int64),
        part=part,
    )
