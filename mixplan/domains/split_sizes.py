"""Decides how many rows each part of a split has, and which smaller split would fit where the rows do not suffice."""

from __future__ import annotations

from collections.abc import Mapping

from mixplan.recipe import SplitSpec

EVALUATION_SHARE, EVALUATION_ROWS = 0.15, 100
"""Evaluation rows where the recipe does not say: a share of the rows, up to a number that measures well enough."""
DEMONSTRATION_SHARE, DEMONSTRATION_ROWS = 0.2, 40
"""Demonstration rows, of what evaluation leaves: some for each draw, while most rows stay questions."""
QUERY_ROWS = 1000
"""Query rows: what is left, up to a number that holds most budgets of query tokens."""
POOL_SHARE = 0.3
"""Of a domain whose read rows are kept out of its pool, what is left to that."""


def evaluation_rows(split: SplitSpec, rows: int, *, shown: int, elsewhere: bool) -> int:
    """How many of a domain's rows are held out.

    Args:
        split: The recipe's section.
        rows: All different rows.
        shown: Demonstrations in front of a query.
        elsewhere: Demonstrations come from data of their own.
    """
    if split.evaluation is not None:
        return split.evaluation
    others = (1 if split.query is None else split.query) + (
        0 if elsewhere else shown if split.demonstration is None else split.demonstration
    )
    share = min(EVALUATION_ROWS, max(1, int(EVALUATION_SHARE * rows)))
    return max(0, min(share, rows - others))


def demonstration_rows(split: SplitSpec, rows: int, *, shown: int) -> int:
    """How many of the rows that evaluation leaves are demonstrations.

    Args:
        split: The recipe's section.
        rows: Rows that are left.
        shown: Demonstrations in front of a query.
    """
    if split.demonstration is not None:
        return split.demonstration
    queries = 1 if split.query is None else split.query
    return max(shown, min(DEMONSTRATION_ROWS, int(DEMONSTRATION_SHARE * rows), rows - queries))


def query_rows(split: SplitSpec, rows: int) -> int:
    """How many of the rows that evaluation and demonstrations leave are read; at least one where there is none."""
    if split.query is not None:
        return split.query
    most = int(rows * (1 - POOL_SHARE)) if split.apart else rows
    return max(1, min(QUERY_ROWS, most))


def smaller(inside: Mapping[str, int], least: Mapping[str, int], usable: int, *, pool: bool) -> dict[str, int] | int:
    """A split in the same proportions that the rows can fill.

    Args:
        inside: Rows asked for, by part.
        least: The fewest that a part may have.
        usable: Rows there are.
        pool: Whether a part of the rows must be left over for the pool.

    Returns:
        Rows by part; where even the fewest are too many, the rows that these need.
    """
    share = 1 - POOL_SHARE if pool else 1.0
    room = int(usable * share)
    if room < sum(least.values()):
        return next(rows for rows in range(usable, usable + 10**6) if int(rows * share) >= sum(least.values()))
    spare = room - sum(least.values())
    over = sum(inside.values()) - sum(least.values())
    return {part: least[part] + spare * (inside[part] - least[part]) // max(1, over) for part in inside}
