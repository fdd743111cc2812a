"""Builds units of work that read each query behind one set of demonstrations and behind another."""

from __future__ import annotations

from collections.abc import Sequence

from mixplan.domains import Row
from mixplan.features.queries import (
    Cut,
    Query,
    Reading,
    Unit,
    aligned,
    cut_queries,
    deal,
    read_tokens,
    shared_prefix,
)
from mixplan.model import Model

Fronts = tuple[tuple[Row, ...], tuple[Row, ...]]
"""What stands in front of a draw's queries in the first reading and in the second; either may be empty."""


def plan_contrast(model: Model, queries: Sequence[Row], fronts: Sequence[Fronts], *, tokens: int) -> Reading:
    """Decide what is read: which query tokens, behind which two sets of demonstrations.

    The queries are those of `plan_reading` with as many draws, cut and dealt alike. A unit's `alone` is the query
    behind the first set and its `context` the query behind the second, so that a feature's shift is the mean over
    query tokens of (h_j behind the second − h_j behind the first)². With an empty first set that is the shift which
    the second brings to the bare question.

    Args:
        model: For its tokenizer, template and window.
        queries: Query rows in seeded order.
        fronts: The two sets of each draw; none of their rows a query row. One draw a query row at most.
        tokens: Query-token budget.

    Raises:
        ModelError: the chat template hides or alters the question.
    """
    kept, too_long = cut_queries(model, queries, tokens=tokens, answers=False)
    units = [
        contrast_unit(model, queries, part, pair, draw=number)
        for number, (part, pair) in enumerate(zip(deal(kept, len(fronts)), fronts, strict=True))
        if part
    ]
    return Reading(tuple(units), tuple(queries), tokens, too_long)


def contrast_unit(model: Model, rows: Sequence[Row], cuts: Sequence[Cut], fronts: Fronts, *, draw: int) -> Unit:
    """Put a draw's two sets in front of its queries, dropping each one's last row until every sequence fits."""
    first, second = fronts
    dropped = 0
    while True:
        queries = [contrast_query(model, rows[cut.row], cut, first, second) for cut in cuts]
        longest = max(max(len(query.alone), len(query.context)) for query in queries)
        if not (first or second) or longest <= model.window:
            break
        first, second, dropped = first[:-1], second[:-1], dropped + 1
    return Unit(
        draw=draw,
        demonstrations=tuple(row.id for row in second),
        dropped_demonstrations=dropped,
        queries=tuple(queries),
        alone_prefix=shared_prefix([(query.alone, query.count) for query in queries]),
        context_prefix=shared_prefix([(query.context, query.count) for query in queries]),
    )


def contrast_query(model: Model, row: Row, cut: Cut, first: tuple[Row, ...], second: tuple[Row, ...]) -> Query:
    """One query behind each set; tokens that a tokenizer merges with what stands before them are left out."""
    behind = [read_tokens(model, front, row, answers=False)[0] for front in (first, second)]
    alone, context = (ids[: len(ids) - cut.extra] for ids in behind)
    # A token that differs from the bare question's own is one that is merged, though both sets may merge it alike.
    count = min(aligned(cut.alone, alone, cut.count), aligned(alone, context, cut.count))
    return Query(cut.row, alone, context, count)
