"""Checks that some plan meets all limits, and else names those that clash and the smallest change that helps."""

from __future__ import annotations

import math

import numpy as np

from mixplan.allocate.problem import Problem
from mixplan.allocate.solve import CLOSE
from mixplan.errors import AllocationError

NAMED = 6
"""How many clashing limits are named; the others are counted."""


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
    from mixplan.allocate.clashes import changes_of, other_budget, relax  # loads cvxpy

    elastics, pool, clashing = relax(problem)
    changes = [change for elastic in elastics for change in changes_of(elastic, problem, slack)]
    if changes:
        named = [*clashing, *pool]
        more = f", and {len(named) - NAMED} more" if len(named) > NAMED else ""
        raise AllocationError(
            f"No plan of {problem.total:.12g} {problem.unit} meets all limits. "
            f"These clash: {', '.join(named[:NAMED])}{more}.\n"
            f"The smallest change that fits: {', '.join(changes)}.{other_budget(problem)}"
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
