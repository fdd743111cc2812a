"""Rounds fractional amounts to whole rows by largest remainder, within every limit and with an exact total.

A budget in rows is met to the row. One in tokens becomes rows by each domain's mean tokens a row: rows are added by
largest remainder as long as they fit, so the total stays within the budget. Limits in tokens hold for the mean tokens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixplan.allocate.problem import Array, Problem
from mixplan.errors import AllocationError

Rows = NDArray[np.int64]
DIGITS = 6
"""Remainders that agree to so many digits are equal, and the earlier domain goes first."""

EXACT = 1e-12
"""Part by which sums of tokens may be above a bound by the rounding of sums."""


def whole_rows(problem: Problem, amount: Array, ties: Array | None = None) -> Rows:
    """Round a plan to rows.

    Args:
        problem: The limits.
        amount: `[n]` a plan that meets them, in the budget's unit.
        ties: `[n]` of equal remainders the one with the larger number goes first; None for the earlier domain.

    Returns:
        `[n]` int64 rows.

    Raises:
        AllocationError: groups that cross leave no plan in whole rows.
    """
    ties = np.zeros(len(amount)) if ties is None else ties
    return _exact_rows(problem, amount, ties) if problem.unit == "rows" else _within_tokens(problem, amount, ties)


def _exact_rows(problem: Problem, amount: Array, ties: Array) -> Rows:
    rows, remainder = _split(amount)
    wanted = round(problem.total) - int(rows.sum())
    rows[np.lexsort((-ties, -remainder))[:wanted]] += 1
    joint = problem.member @ rows
    if (joint >= problem.group_floor).all() and (joint <= problem.group_cap).all():
        return rows
    return _rows_for_groups(problem, amount)


def _split(amount: Array) -> tuple[Rows, Array]:
    """Whole rows below, and what is left; an amount that is whole but for rounding is whole."""
    rows = np.floor(amount + 10.0**-DIGITS / 2)
    return rows.astype(np.int64), np.asarray(np.round(np.maximum(amount - rows, 0.0), DIGITS), dtype=np.float64)


def _rows_for_groups(problem: Problem, amount: Array) -> Rows:
    """Find the whole rows nearest to the plan (least sum of differences) that meet the groups' bounds.

    Without groups that is the largest remainder's answer.
    """
    import cvxpy as cp  # takes a second, and groups that cross are rare

    from mixplan.allocate.convex_programs import run

    rows = cp.Variable(len(amount), integer=True)
    capped = np.flatnonzero(np.isfinite(problem.group_cap))
    member = problem.member.astype(float)
    later = 1e-5 * np.arange(len(amount)) / len(amount)
    limits = [
        cp.sum(rows) == round(problem.total),
        rows >= np.floor(problem.low + 10.0**-DIGITS),
        rows <= np.ceil(problem.high - 10.0**-DIGITS),
        member @ rows >= problem.group_floor,
        member[capped] @ rows <= problem.group_cap[capped],
    ]
    try:
        run(cp.Minimize(cp.norm1(rows - amount) + later @ rows), limits, ("HIGHS",), mip_rel_gap=0.0, mip_abs_gap=0.0)
    except AllocationError as error:
        raise AllocationError(
            f"allocate.groups: no plan of {problem.total:.12g} whole rows meets the bounds of groups that cross "
            f"({', '.join(map(repr, problem.groups))}). Loosen one of their bounds by 1."
        ) from error
    return np.round(np.asarray(rows.value)).astype(np.int64)


def _within_tokens(problem: Problem, amount: Array, ties: Array) -> Rows:
    mean = np.array([demand.mean_row_amount for demand in problem.demands])
    rows, remainder = _split(amount / mean)
    least, most = _row_bounds(problem, mean)
    rows = np.minimum(np.maximum(rows, least), most)
    _take_back(problem, rows, remainder, least, mean)
    spent, joint = float(rows @ mean), problem.member @ (rows * mean)
    # What a group lacks of its floor is added first.
    lacking = (problem.member & (joint < problem.group_floor)[:, None]).any(axis=0)
    for index in np.lexsort((-ties, -remainder, ~lacking)):
        groups = problem.member[:, index]
        fits = spent + mean[index] <= problem.total * (1 + EXACT)
        fits = fits and (joint[groups] + mean[index] <= problem.group_cap[groups] * (1 + EXACT)).all()
        if remainder[index] and fits and rows[index] < most[index]:
            rows[index] += 1
            spent += mean[index]
            joint[groups] += mean[index]
    return rows


def _take_back(problem: Problem, rows: Rows, remainder: Array, least: Rows, mean: Array) -> None:
    """Take back what rounding up overspends of the budget or of a group's cap; in place.

    Floors and amounts that are whole but for rounding were rounded up. A row at a time is taken from the smallest
    remainder (of equal ones from the later domain), first from domains above their floors: a floor for which the rest
    leaves no room is met to within one row.
    """
    # Groups first: what they give back may be all that the budget needs.
    limits = np.vstack([problem.member, np.ones(len(rows), dtype=bool)])
    bounds = np.array([*problem.group_cap, problem.total]) * (1 + EXACT)
    while (over := np.flatnonzero(limits @ (rows * mean) > bounds)).size:
        inside = limits[over[0]] & (rows > 0)
        above = inside & (rows > least)
        candidates = np.flatnonzero(above if above.any() else inside)[::-1]
        rows[candidates[np.argmin(remainder[candidates])]] -= 1


def _row_bounds(problem: Problem, mean: Array) -> tuple[Rows, Rows]:
    """Floors and caps in whole rows; a fixed share is not one, it is met to within one row."""
    floor = np.where(np.isnan(problem.share), problem.floor, 0.0)
    pool = np.array([demand.pool_rows * problem.max_repeats for demand in problem.demands])
    most = np.minimum(pool, np.floor(np.minimum(problem.cap, problem.pool) / mean + 10.0**-DIGITS)).astype(np.int64)
    return np.minimum(np.ceil(floor / mean - 10.0**-DIGITS).astype(np.int64), most), most
