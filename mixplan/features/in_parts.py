"""Divides a reading into parts that are read one after another, and adds up the statistics of those that were read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixplan.features.queries import Reading, Unit, shared_prefix
from mixplan.features.sparse import Singles
from mixplan.features.statistics import EXAMPLES, Integers, Statistics

Parts = tuple[Unit, ...]


def divided(reading: Reading, looks: Sequence[float], *, least_rows: int) -> tuple[Parts, ...]:
    """Divide each unit of a reading into parts, one for each look; its rows stay in their order.

    Args:
        reading: All that may be read.
        looks: Parts of each unit's query tokens that are read at each look at least, rising to 1.
        least_rows: Rows of all units together that the first look holds at least, two of each unit among them, or as
            many as there are.

    Returns:
        For each unit its parts, one a look, some of them without queries.
    """
    least = max(
        2, -(-least_rows // max(1, len(reading.units)))
    )  # of one row of a draw nothing says how far rows differ
    found = []
    for unit in reading.units:
        ends = [row_end(unit, part, least=least) for part in looks]
        found.append(tuple(part_of(unit, left, right) for left, right in zip([0, *ends], ends, strict=False)))
    return tuple(found)


def row_end(unit: Unit, part: float, *, least: int) -> int:
    """How many of a unit's rows hold a part of its query tokens, and `least` rows where it has so many."""
    reached = np.cumsum([query.count for query in unit.queries])
    enough = int(np.searchsorted(reached, part * reached[-1] - 1e-9)) + 1
    return min(len(unit.queries), max(enough, least))


def part_of(unit: Unit, left: int, right: int) -> Unit:
    """A unit's rows from one to another, with what these share in front."""
    queries = unit.queries[left:right]
    alone, context = ([(getattr(query, name), query.count) for query in queries] for name in ("alone", "context"))
    return replace(
        unit,
        queries=queries,
        alone_prefix=shared_prefix(alone) if queries else 0,
        context_prefix=shared_prefix(context) if queries else 0,
    )


def up_to(reading: Reading, parts: Sequence[Parts], look: int) -> Reading:
    """The reading as far as a look, all of its units' rows up to there in one unit each.

    Args:
        reading: All that may be read.
        parts: From `divided`.
        look: The last look that was read, from 0.
    """
    ends = (sum(len(part.queries) for part in own[: look + 1]) for own in parts)
    return replace(reading, units=tuple(part_of(unit, 0, end) for unit, end in zip(reading.units, ends, strict=True)))


def together(parts: Sequence[Statistics]) -> Statistics:
    """Add up the statistics of a unit's parts, in their order, as if they had been read as one.

    Args:
        parts: At least one, of the same dimensions.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    starts = np.cumsum([0, *(len(part.tokens) for part in parts[:-1])])
    values, places = strongest(parts, starts)
    return Statistics(
        tokens=np.concatenate([part.tokens for part in parts]),
        shift=np.sum([part.shift for part in parts], axis=0),
        act=np.sum([part.act for part in parts], axis=0),
        fired=np.sum([part.fired for part in parts], axis=0),
        raw_shift=np.sum([part.raw_shift for part in parts], axis=0),
        replicas=np.sum([part.replicas for part in parts], axis=0),
        rows={name: np.concatenate([part.rows[name] for part in parts]) for name in first.rows},
        by_column={name: np.sum([part.by_column[name] for part in parts], axis=0) for name in first.by_column},
        example_values=values,
        example_places=places,
    )


def strongest(parts: Sequence[Statistics], starts: Integers) -> tuple[Singles, Integers]:
    """The largest activations of all parts; the earlier token wins a tie.

    Args:
        parts: With the largest of each, their places counted from the part's first row.
        starts: `[parts]` the rows before each part.
    """
    values = np.concatenate([part.example_values for part in parts], axis=1)
    places = np.concatenate(
        [
            part.example_places + np.where(part.example_places[..., :1] >= 0, [start, 0], 0)
            for part, start in zip(parts, starts, strict=True)
        ],
        axis=1,
    )
    order = np.argsort(-values, axis=1, kind="stable")[:, :EXAMPLES]
    return (
        np.take_along_axis(values, order, axis=1),
        np.take_along_axis(places, order[:, :, None], axis=1),
    )
