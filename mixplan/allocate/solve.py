"""Finds the optimal amounts of a feasible problem and its dual values.

Where groups are disjoint or inside one another, `nested` gives the exact answer. Where they cross, cvxpy solves the
convex program as it is written (`convex_programs`). A conic solver leaves errors near 1e-5 of the mean amount; where
the groups that bind share no domain, the closed form on each of them and on the rest takes these away. It is taken
only where it meets every limit and is worth no less than the solver's answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixplan.allocate.duals import Duals, duals_of
from mixplan.allocate.nested_groups import Nest, held_at_0, least_worst, nest_of, spread
from mixplan.allocate.objectives import ideal_curve, value, water_fill
from mixplan.allocate.problem import Array, Problem
from mixplan.errors import AllocationError
from mixplan.recipe import AllocateSpec

WATER = "water-filling"
"""The solver's name where the closed forms serve alone."""
CLOSE = 1e-9
"""Exact plans meet their limits to this part of the budget."""


@dataclass(frozen=True)
class Solution:
    """What a solver found.

    Attributes:
        amount: `[n]` optimal amounts.
        value: What they are worth by the objective, see `value`.
        duals: What looser limits bring; None where that is not unique, or no solver found it.
        solver: Its name; for min_max the one that found the worst loss.
        status: What it said.
    """

    amount: Array
    value: float
    duals: Duals | None
    solver: str
    status: str


def solve(problem: Problem, spec: AllocateSpec) -> Solution:
    """Find the best plan.

    Args:
        problem: Limits that some plan meets.
        spec: The objective; the prior is not looked at.

    Returns:
        `[n]` optimal amounts that meet every limit to 1e-9 of the budget, or to the solver's tolerance where groups
        that share domains bind together.

    Raises:
        AllocationError: no solver reached an optimum.
    """
    nest = nest_of(problem.member)
    settled = _settled(problem, nest)
    problem = replace(problem, cap=np.where(settled == 0, 0.0, problem.cap))  # out of the objective: it gets nothing
    if not np.isnan(settled).any():
        unique = problem.total and not problem.groups
        duals = duals_of(problem, spec, settled, _outside(problem)) if unique else None
        return Solution(settled, value(problem, spec, settled), duals, "none needed", "settled by the limits")
    if spec.objective == "min_max" and problem.score.any():
        amount, duals, solver = _min_max(problem, spec, settled, nest)
    elif nest is not None:
        problem = replace(problem, cap=np.where(held_at_0(problem, nest), 0.0, problem.cap))
        amount, block = spread(problem, spec, nest)
        duals, solver = duals_of(problem, spec, amount, block), WATER
    else:
        from mixplan.allocate import convex_programs as programs  # loads cvxpy

        rough, duals, solver = programs.separable(problem, spec, programs.program_of(problem, settled))
        amount, blocks = _exact(problem, spec, rough)
        duals = duals if blocks is None else duals_of(problem, spec, amount, blocks)
    return Solution(amount, value(problem, spec, amount), duals, solver, "optimal")


def _settled(problem: Problem, nest: Nest | None) -> Array:
    """`[n]` amounts that the limits leave no choice about, NaN elsewhere; a conic solver needs room around those."""
    low, high, slack = problem.low, problem.high, CLOSE * problem.total
    if problem.total == 0:
        return np.zeros(len(low))
    if len(low) == 1:
        return np.array([problem.total])
    if problem.total - low.sum() <= slack:
        return low
    if high.sum() - problem.total <= slack:
        return high
    settled = np.where(high - low <= slack, low, np.nan)
    if nest is not None:
        return settled
    from mixplan.allocate import convex_programs as programs  # loads cvxpy

    return programs.settled_by_groups(problem, settled)


def _min_max(
    problem: Problem, spec: AllocateSpec, settled: Array, nest: Nest | None
) -> tuple[Array, Duals | None, str]:
    """Minimise the worst loss, then the sum of losses among the plans that have it."""
    from mixplan.allocate import convex_programs as programs  # loads cvxpy

    second = spec.model_copy(update={"objective": "diminishing"})
    duals: Duals | None = None
    try:
        raised, duals, solver = programs.least_worst_loss(problem, spec, programs.program_of(problem, settled))
    except AllocationError:
        if nest is None:
            raise
        solver = WATER
    if nest is not None:
        raised = least_worst(problem, spec, nest)
    narrowed = replace(problem, floor=np.where(np.isnan(problem.share), raised, problem.floor))
    if nest is None:
        return solve(narrowed, second).amount, duals, solver
    return spread(narrowed, second, nest)[0], duals, solver


def _exact(problem: Problem, spec: AllocateSpec, rough: Array) -> tuple[Array, NDArray[np.int64] | None]:
    """Replace a solver's amounts by the closed form on each binding group and on the domains outside them.

    Returns:
        `[n]` amounts, and `[n]` the binding group of each domain, -1 for none; None where no closed form holds.
    """
    near, joint = 1e-3 * problem.total, problem.member @ rough
    bounds: dict[int, float] = {}
    for _ in range(len(problem.groups) + 1):
        amount = _filled(problem, spec, bounds)
        over, under = _violations(problem, amount)
        new = {int(g): float(problem.group_cap[g]) for g in over if problem.group_cap[g] - joint[g] <= near}
        new |= {int(g): float(problem.group_floor[g]) for g in under if joint[g] - problem.group_floor[g] <= near}
        if not new or problem.member[[*bounds, *new]].sum(axis=0).max() > 1:
            break
        bounds |= new
    sign = 1 if spec.objective == "alpha_fair" else -1
    gap = sign * (value(problem, spec, amount) - value(problem, spec, rough))
    met = not over.size and not under.size and abs(amount.sum() - problem.total) <= CLOSE * problem.total
    if not met or gap < -1e-5 * abs(value(problem, spec, rough)):
        return rough, None
    block = _outside(problem)
    for group in bounds:
        block[problem.member[group]] = group
    return amount, block


def _outside(problem: Problem) -> NDArray[np.int64]:
    return np.full(len(problem.demands), -1, dtype=np.int64)


def _filled(problem: Problem, spec: AllocateSpec, bounds: dict[int, float]) -> Array:
    """Water-fill each of the disjoint groups to its bound, and the other domains with what is left."""
    tier, curve, offset = ideal_curve(problem.score, spec)
    low, high = problem.low, problem.high
    amount = np.zeros(len(low))
    blocks = [(problem.member[group], bound) for group, bound in bounds.items()]
    rest = ~problem.member[list(bounds)].any(axis=0)
    for domains, total in [*blocks, (rest, problem.total - sum(bounds.values()))]:
        if domains.any():
            amount[domains] = water_fill(tier[domains], curve[domains], offset, low[domains], high[domains], total)
    return amount


def _violations(problem: Problem, amount: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    joint, slack = problem.member @ amount, CLOSE * problem.total
    return np.flatnonzero(joint > problem.group_cap + slack), np.flatnonzero(joint < problem.group_floor - slack)
