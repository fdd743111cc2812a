"""Pools what was measured of a target's sources into one measurement of the target as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mixplan.saved.evaluation import Measured, quality


def pooled(
    measured: Mapping[str, Mapping[str, Measured]], headlines: Mapping[str, str], names: Sequence[str]
) -> tuple[dict[str, Measured], str] | None:
    """Pool sources' items, each item counting once, in the measures that all sources have.

    Args:
        measured: By what was measured, its measures.
        headlines: By what was measured, its headline measure.
        names: The sources; those that were not measured are passed over.

    Returns:
        The pooled measures and their headline; None where the sources have no headline in common, or no quantity of
        it.
    """
    sources = {name: measured[name] for name in names if name in measured}
    common = {headlines[name] for name in sources}
    if len(common) != 1:
        return None
    headline = common.pop()
    first = next(iter(sources.values()))
    shared = [measure for measure in first if all(measure in measures for measures in sources.values())]
    found = {
        measure: one
        for measure in shared
        if (one := pooled_measure([(name, measures[measure]) for name, measures in sources.items()])).values
    }
    return (found, headline) if headline in found else None


def pooled_measure(parts: Sequence[tuple[str, Measured]]) -> Measured:
    """One measure over all sources' items, their ids with the source's name in front.

    Args:
        parts: Sources by name, with the same measure of each.
    """
    first = parts[0][1]
    values = [name for name in first.values if all(name in part.values for _, part in parts)]
    # Tasks that disagree on which way is better have none in common; one that says nothing follows the others.
    ways = {name: {part.quality(name) for _, part in parts} - {0} for name in values}
    better = {name: next(iter(ways[name])) if len(ways[name]) == 1 else 0 for name in values}
    texts = [name for name in first.texts if all(name in part.texts for _, part in parts)]
    return Measured(
        measure=first.measure,
        rows=tuple(f"{source}/{row}" for source, part in parts for row in part.rows),
        values={name: tuple(value for _, part in parts for value in part.values[name]) for name in values},
        texts={name: tuple(text for _, part in parts for text in part.texts[name]) for name in texts},
        better={name: way for name, way in better.items() if way != quality(name)},
    )
