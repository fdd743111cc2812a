"""Finds which limits clash and the smallest change that helps, by linear programs of cvxpy, loaded where limits do."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from mixplan.allocate.convex_programs import LINEAR, run
from mixplan.allocate.problem import Array, Problem

EARLIER = 1e-4
"""How much more a unit of the last limit costs than one of the first, so that equal changes fall to the first."""


@dataclass(frozen=True)
class Elastic:
    """Limits of one kind that may give way, in a linear program that lets them give way least.

    Attributes:
        keys: Their recipe keys.
        bounds: What they ask, in the budget's unit.
        lower, higher: How far each is lowered or raised.
        constraint: The limits with that slack.
    """

    keys: list[str]
    bounds: Array
    lower: cp.Variable
    higher: cp.Variable
    constraint: cp.Constraint


def relax(problem: Problem) -> tuple[list[Elastic], list[str], list[str]]:
    """Let limits give way as little as possible in all.

    Returns:
        The limits with their slack, the pools and the limits that are part of the clash (those with a dual).
    """
    amount = cp.Variable(len(problem.demands), nonneg=True)
    names = [demand.name for demand in problem.demands]
    member = problem.member.astype(float)
    floors, caps = np.flatnonzero(problem.floor > 0), np.flatnonzero(np.isfinite(problem.cap))
    shares = np.flatnonzero(~np.isnan(problem.share))
    least, most = np.flatnonzero(problem.group_floor > 0), np.flatnonzero(np.isfinite(problem.group_cap))
    asked = problem.share[shares] * problem.total
    elastics = [
        _elastic([f"allocate.floors.{names[i]}" for i in floors], amount[floors], ">=", problem.floor[floors]),
        _elastic([f"allocate.caps.{names[i]}" for i in caps], amount[caps], "<=", problem.cap[caps]),
        _elastic([f"allocate.shares.{names[i]}" for i in shares], amount[shares], "==", asked),
    ]
    if problem.groups:
        floor_keys = [f"allocate.groups.{problem.groups[i]}.floor" for i in least]
        cap_keys = [f"allocate.groups.{problem.groups[i]}.cap" for i in most]
        elastics.append(_elastic(floor_keys, member[least] @ amount, ">=", problem.group_floor[least]))
        elastics.append(_elastic(cap_keys, member[most] @ amount, "<=", problem.group_cap[most]))
    elastics = [elastic for elastic in elastics if elastic.keys]
    pool = amount <= problem.pool
    count = sum(len(elastic.keys) for elastic in elastics)
    prices = np.split(1 + EARLIER * np.arange(count) / count, np.cumsum([len(elastic.keys) for elastic in elastics]))
    changes = [price @ (elastic.lower + elastic.higher) for price, elastic in zip(prices, elastics, strict=False)]
    limits = [elastic.constraint for elastic in elastics]
    run(cp.Minimize(sum(changes)), [*limits, pool, cp.sum(amount) == problem.total], LINEAR)
    pools = [f"the pool of {names[i]!r} ({problem.pool[i]:.12g})" for i in _counting(pool)]
    clashing = [
        f"`{elastic.keys[i]}` ({_asked(elastic.keys[i], elastic.bounds[i], problem)})"
        for elastic in elastics
        for i in _counting(elastic.constraint)
    ]
    return elastics, pools, clashing


def _elastic(keys: list[str], amount: cp.Expression, sense: str, bounds: Array) -> Elastic:
    lower, higher = cp.Variable(len(keys), nonneg=True), cp.Variable(len(keys), nonneg=True)
    given = amount + lower - higher
    constraint = {">=": given >= bounds, "<=": given <= bounds, "==": given == bounds}[sense]
    return Elastic(keys, bounds, lower, higher, constraint)


def _counting(constraint: cp.Constraint) -> NDArray[np.int64]:
    return np.flatnonzero(np.abs(constraint.dual_value) > 10 * EARLIER)


def _asked(key: str, amount: float, problem: Problem) -> str:
    """A limit as the recipe writes it: shares as shares, others in the budget's unit."""
    return f"{round(amount / problem.total, 9):g}" if key.startswith("allocate.shares.") else f"{amount:.12g}"


def changes_of(elastic: Elastic, problem: Problem, slack: float) -> list[str]:
    """The changes of one kind of limits that are larger than a slack, in words."""
    changes = []
    for key, bound, lower, higher in zip(
        elastic.keys, elastic.bounds, elastic.lower.value, elastic.higher.value, strict=True
    ):
        by = higher - lower
        if abs(by) <= slack:
            continue
        to = bound + by
        if not key.startswith("allocate.shares."):
            to = math.floor(to + slack) if by < 0 else math.ceil(to - slack)
        changes.append(f"{'lower' if by < 0 else 'raise'} `{key}` to {_asked(key, to, problem)}")
    return changes


def _extreme_budget(problem: Problem, sign: int) -> float | None:
    """The least (sign 1) or largest (sign -1) budget that fits; None where none does."""
    amount, total = cp.Variable(len(problem.demands), nonneg=True), cp.Variable(nonneg=True)
    shares, capped = np.flatnonzero(~np.isnan(problem.share)), np.flatnonzero(np.isfinite(problem.group_cap))
    member = problem.member.astype(float)
    limits = [cp.sum(amount) == total, amount >= problem.floor, amount <= np.minimum(problem.cap, problem.pool)]
    if shares.size:
        limits.append(amount[shares] == problem.share[shares] * total)
    if problem.groups:
        limits += [member @ amount >= problem.group_floor, member[capped] @ amount <= problem.group_cap[capped]]
    program = cp.Problem(cp.Minimize(sign * total), limits)
    program.solve(solver=LINEAR[0])
    return float(total.value) if program.status == cp.OPTIMAL else None


def other_budget(problem: Problem) -> str:
    """Name the nearest budget that the limits fit as they are."""
    ends = [_extreme_budget(problem, sign) for sign in (1, -1)]
    if ends[0] is None or ends[1] is None:
        return ""
    least, most = math.ceil(ends[0] - 1e-6), math.floor(ends[1] + 1e-6)
    if least > problem.total:
        return f" Or set `budget.{problem.unit}` to {least} or more."
    return f" Or set `budget.{problem.unit}` to {most} or less." if 0 < most < problem.total else ""
