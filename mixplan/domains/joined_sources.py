"""Joins the sources of a target into the target as a whole, each in proportion to its rows in the mixture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from mixplan.domains.domain import BY_SOURCE, Domain
from mixplan.domains.rows import Row
from mixplan.recipe import DomainSpec, SourcesSpec
from mixplan.runs import content_hash


def joined(spec: SourcesSpec, sources: Sequence[Domain]) -> Domain:
    """Join a target's sources.

    What is read of the target as a whole, its queries and demonstrations, is drawn from the sources in proportion to
    the rows that each has in the mixture; a source with fewer such rows than its share shortens the others' too.

    Args:
        spec: The recipe's section.
        sources: Opened and split, in any order.

    Returns:
        The target: every part holds the sources' rows, their ids with `NAME/` in front.
    """
    parts = sorted(sources, key=lambda part: part.name)
    graders = {part.grader for part in parts}
    dropped, changed = (
        dict(sorted(sum(map(Counter, counts), Counter[str]()).items()))
        for counts in ([part.dropped for part in parts], [part.changed for part in parts])
    )
    return Domain(
        name="target",
        spec=cast("DomainSpec", spec),
        grader=parts[0].grader if len(graders) == 1 else BY_SOURCE,
        evaluation=tuple(row for part in parts for row in named(part, part.evaluation)),
        query=in_proportion([(part, named(part, part.query)) for part in parts]),
        demonstration=in_proportion([(part, named(part, part.demonstration)) for part in parts]),
        pool=tuple(row for part in parts for row in named(part, part.pool)),
        read_rows=sum(part.read_rows for part in parts),
        source_rows=sum(part.source_rows for part in parts),
        fingerprint=content_hash({part.name: [part.fingerprint, part.amount] for part in parts}),
        sources=tuple(parts),
        dropped=dropped,
        changed=changed,
    )


def named(source: Domain, rows: Sequence[Row]) -> list[Row]:
    """A source's rows with its name in front of their ids, which tells them apart in the whole."""
    return [replace(row, id=f"{source.source}/{row.id}") for row in rows]


def scarcest(target: Domain) -> Domain:
    """The source whose query rows run out first as the target is read in proportion; itself where it has none."""
    return min(target.parts, key=lambda part: (len(part.query) / max(1, part.amount), part.name))


def in_proportion(rows: Sequence[tuple[Domain, Sequence[Row]]]) -> tuple[Row, ...]:
    """Take rows from sources in turn, so that every beginning of the result has them in proportion to their amounts.

    Args:
        rows: Sources with their rows, each's in seeded order.

    Returns:
        At least one row of each source that has any; no more of another than keeps the proportion.
    """
    total = sum(part.amount for part, _ in rows)
    shares = [(part.name, found, part.amount / total) for part, found in rows if found and part.amount]
    length = min((len(found) / share for _, found, share in shares), default=0.0)
    placed = [
        ((number + 0.5) / share, name, row)
        for name, found, share in shares
        for number, row in enumerate(found[: max(1, round(length * share))])
    ]
    return tuple(row for _, _, row in sorted(placed, key=lambda entry: entry[:2]))
