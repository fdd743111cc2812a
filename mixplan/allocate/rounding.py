"""Fractional amounts in, whole rows out: by largest remainder, within every limit, the total exact.

A budget in rows is met to the row. One in tokens becomes rows by each domain's mean tokens a row: rows are added by
largest remainder as long as they fit, so the total stays within the budget. Limits in tokens hold for the mean tokens.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from mixplan.allocate.problem import Array, Problem
from mixplan.allocate.solve import run
from mixplan.errors import AllocationError

Rows = NDArray[np.int64]
DIGITS = 6
"""Remainders that agree to so many digits are equal, and the earlier domain goes first."""


def whole_rows(problem: Problem, amount: Array) -> Rows:
    """Round a plan to rows.

    Args:
        problem: The limits.
        amount: `[n]` a plan that meets them, in the budget's unit.

    Returns:
        `[n]` int64 rows.

    Raises:
        AllocationError: groups that cross leave no plan in whole rows.
    """
    return _exact_rows(problem, amount) if problem.unit == "rows" else _within_tokens(problem, amount)


def _exact_rows(problem: Problem, amount: Array) -> Rows:
    rows, remainder = _split(amount)
    wanted = round(problem.total) - int(rows.sum())
    rows[np.argsort(-remainder, kind="stable")[:wanted]] += 1
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


def _within_tokens(problem: Problem, amount: Array) -> Rows:
    mean = np.array([demand.mean_row_amount for demand in problem.demands])
    budget = problem.total * (1 + 1e-12)
    rows, remainder = _split(amount / mean)
    least, most = _row_bounds(problem, mean)
    rows = np.minimum(np.maximum(rows, least), most)
    spent, joint = _afford(rows, remainder, least, mean, budget), problem.member @ (rows * mean)
    if spent > budget:  # floors that ask for the whole budget are met to within one row
        return np.asarray(np.floor(amount / mean + 10.0**-DIGITS), dtype=np.int64)
    for index in np.argsort(-remainder, kind="stable"):
        groups = problem.member[:, index]
        fits = spent + mean[index] <= budget and (joint[groups] + mean[index] <= problem.group_cap[groups]).all()
        if remainder[index] and fits and rows[index] < most[index]:
            rows[index] += 1
            spent += mean[index]
            joint[groups] += mean[index]
    return rows


def _afford(rows: Rows, remainder: Array, least: Rows, mean: Array, budget: float) -> float:
    """Take back what floors that were rounded up overspend, a row at a time from the smallest remainder; in place.

    Returns:
        What the rows then amount to.
    """
    spent = float(rows @ mean)
    while spent > budget and (rows > least).any():
        for index in np.argsort(remainder, kind="stable"):
            if spent > budget and rows[index] > least[index]:
                rows[index] -= 1
                spent -= mean[index]
    return spent


def _row_bounds(problem: Problem, mean: Array) -> tuple[Rows, Rows]:
    """Floors and caps in whole rows; a fixed share is not one, it is met to within one row."""
    floor = np.where(np.isnan(problem.share), problem.floor, 0.0)
    pool = np.array([demand.pool_rows * problem.max_repeats for demand in problem.demands])
    most = np.minimum(pool, np.floor(np.minimum(problem.cap, problem.pool) / mean + 10.0**-DIGITS)).astype(np.int64)
    return np.minimum(np.ceil(floor / mean - 10.0**-DIGITS).astype(np.int64), most), most
