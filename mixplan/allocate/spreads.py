"""Holds a plan beside an even spread and the proportional rule: rows, and what each is expected to leave."""

from __future__ import annotations

from mixplan.allocate.cross_protection import Shared
from mixplan.allocate.problem import Array
from mixplan.allocate.result import Spread, Spreads
from mixplan.allocate.rounding import whole_rows
from mixplan.allocate.toward_scores import even_within, proportional_within, ties


def spreads_of(found: Shared, amount: Array) -> Spreads | None:
    """Hold a plan beside the two others of the same budget and limits.

    Args:
        found: The problem, with what rows do to other domains taken out.
        amount: `[n]` the plan's amounts.

    Returns:
        None where there is nothing to compare: one domain, no budget, or every score 0.

    Raises:
        AllocationError: no solver reached an optimum.
    """
    problem, spec = found.problem, found.spec
    if len(problem.demands) == 1 or not problem.total or not found.before.any():
        return None
    return Spreads(
        even=spread_of(found, even_within(problem, spec).amount),
        planned=spread_of(found, amount),
        proportional=spread_of(found, proportional_within(problem, spec).amount),
    )


def spread_of(found: Shared, amount: Array) -> Spread:
    """One spread, rounded to rows, with what its amounts are expected to leave."""
    losses, before = found.losses(amount), found.before
    rows = whole_rows(found.problem, amount, ties(found.problem, found.spec))
    names = [demand.name for demand in found.problem.demands]
    return Spread(
        rows=dict(zip(names, rows.tolist(), strict=True)),
        left=float(losses.sum() / before.sum()),
        worst_left=float(losses.max() / before.max()),
    )
