"""Checks that some plan meets all limits, and else names those that clash and the smallest change that helps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from mixplan.allocate.problem import Array, Problem
from mixplan.allocate.solve import CLOSE, LINEAR, run
from mixplan.errors import AllocationError

EARLIER = 1e-4
"""How much more a unit of the last limit costs than one of the first, so that equal changes fall to the first."""
NAMED = 6
"""How many clashing limits are named; the others are counted."""


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


def require_feasible(problem: Problem) -> None:
    """Check that some plan meets every limit.

    Raises:
        AllocationError: none does; the message names limits that clash, the smallest change of the recipe's own limits
            (in rows or tokens, pools left as they are), and the nearest budget that fits where there is one.
    """
    slack = CLOSE * max(problem.total, 1.0)
    problems = _beyond_pools(problem, slack)
    if problems:
        raise AllocationError("\n".join(problems))
    low, high = problem.low, problem.high
    fits = low.sum() <= problem.total + slack and high.sum() >= problem.total - slack
    fits = fits and bool((np.maximum(low, problem.floor) <= np.minimum(high, problem.cap) + slack).all())
    if fits and not problem.groups:
        return
    elastics, pool, clashing = _relax(problem)
    changes = [change for elastic in elastics for change in _changes(elastic, problem, slack)]
    if changes:
        named = [*clashing, *pool]
        more = f", and {len(named) - NAMED} more" if len(named) > NAMED else ""
        raise AllocationError(
            f"No plan of {problem.total:.12g} {problem.unit} meets all limits. "
            f"These clash: {', '.join(named[:NAMED])}{more}.\n"
            f"The smallest change that fits: {', '.join(changes)}.{_other_budget(problem)}"
        )


def _beyond_pools(problem: Problem, slack: float) -> list[str]:
    """Find a budget, floors and shares that ask for more than there is."""
    unit, repeats, have = problem.unit, problem.max_repeats, float(problem.pool.sum())
    if have < problem.total - slack:
        remedy = f"Set `budget.{unit}` to {math.floor(have)} or less{_repeats(problem.total, have / repeats)}."
        asked = f"the budget of {problem.total:.12g} {unit} cannot be spent: all pools together hold {have:.12g}"
        return [f"budget.{unit}: {asked}{_used(repeats)}.\n{remedy}"]
    problems = []
    for index, demand in enumerate(problem.demands):
        pool, floor, share = problem.pool[index], problem.floor[index], problem.share[index]
        where = f"domain {demand.name!r} has {demand.pool_amount:.12g} pool {unit}{_used(repeats)}"
        if floor > pool + slack:
            fitting = f"Lower `allocate.floors.{demand.name}` to {math.floor(pool)}"
            remedy = f"{fitting}{_repeats(floor, demand.pool_amount)}."
            problems.append(f"allocate.floors.{demand.name}: {where}, but its floor is {floor:.12g}.\n{remedy}")
        if share * problem.total > pool + slack:
            least = math.floor(pool / problem.total * 1e4) / 1e4
            asked = share * problem.total
            remedy = f"Lower `allocate.shares.{demand.name}` to {least:g}{_repeats(asked, demand.pool_amount)}."
            asks = f"its share {share:g} of the budget is {asked:.12g}"
            problems.append(f"allocate.shares.{demand.name}: {where}, but {asks}.\n{remedy}")
    return problems


def _used(repeats: int) -> str:
    return "" if repeats == 1 else f", used up to {repeats} times"


def _repeats(asked: float, have: float) -> str:
    """The other remedy: more repeats, where there is a row to repeat and the recipe allows as many."""
    needed = math.ceil(asked / have - CLOSE) if have else math.inf
    return f", or allow repeats with `budget.max_repeats: {needed}`" if needed <= 1000 else ""


def _relax(problem: Problem) -> tuple[list[Elastic], list[str], list[str]]:
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


def _changes(elastic: Elastic, problem: Problem, slack: float) -> list[str]:
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


def _other_budget(problem: Problem) -> str:
    """Name the nearest budget that the limits fit as they are."""
    ends = [_extreme_budget(problem, sign) for sign in (1, -1)]
    if ends[0] is None or ends[1] is None:
        return ""
    least, most = math.ceil(ends[0] - 1e-6), math.floor(ends[1] + 1e-6)
    if least > problem.total:
        return f" Or set `budget.{problem.unit}` to {least} or more."
    return f" Or set `budget.{problem.unit}` to {most} or less." if 0 < most < problem.total else ""


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
