"""Solves the convex program of a problem as it is written, by cvxpy, whose import takes a second: where it is needed.

Programs are in units of the mean amount and go to the first solver that says `optimal`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from mixplan.allocate.duals import Duals
from mixplan.allocate.objectives import value
from mixplan.allocate.problem import Array, Problem
from mixplan.errors import AllocationError
from mixplan.recipe import AllocateSpec

CONIC = ("CLARABEL", "SCS")
LINEAR = ("HIGHS", "CLARABEL")
AS_WRITTEN = (0.5, 2.0)
"""Between these alpha the utility is solved as written, see `_refuse_crossing`."""
TIE_BREAK = 1e-6
"""How little the sum of squares counts that makes equal what the objective leaves open."""


@dataclass(frozen=True)
class Program:
    """The limits as cvxpy constraints on `[n]` amounts in units of the mean amount, `scale`."""

    amount: cp.Variable
    scale: float
    free: NDArray[np.int64]
    settled: NDArray[np.int64]
    floored: NDArray[np.int64]
    capped: NDArray[np.int64]
    total: cp.Constraint
    floor: cp.Constraint
    cap: cp.Constraint
    share: cp.Constraint
    group_floor: cp.Constraint
    group_cap: cp.Constraint

    def constraints(self) -> list[cp.Constraint]:
        """All limits; those that hold no domain are left out."""
        limits = [self.total, self.floor, self.cap, self.share, self.group_floor, self.group_cap]
        return [limit for limit in limits if limit.size]


def run(objective: cp.Minimize, constraints: Sequence[cp.Constraint], solvers: Sequence[str], **options: float) -> str:
    """Solve a program by the first solver that reaches its optimum.

    Args:
        objective: What to minimise.
        constraints: The limits.
        solvers: Names in cvxpy, the first to try first.
        options: The solvers' own.

    Returns:
        The solver's name.

    Raises:
        AllocationError: none did; each one's status is given.
    """
    found = []
    for solver in solvers:
        program = cp.Problem(objective, list(constraints))
        try:
            with warnings.catch_warnings():  # cvxpy also warns of an inaccurate answer; its status is read below
                warnings.simplefilter("ignore")
                program.solve(solver=solver, **options)
        except (cp.error.SolverError, ArithmeticError):
            found.append(f"{solver} failed")
            continue
        if program.status == cp.OPTIMAL:
            return solver
        found.append(f"{solver} says {program.status}")
    raise AllocationError(
        f"allocate: no solver reached an optimum ({', '.join(found)}). Check that scores and limits are of similar "
        "sizes, or set `allocate.objective: alpha_fair` with `allocate.alpha: 1`."
    )


def settled_by_groups(problem: Problem, settled: Array) -> Array:
    """Find the domains that groups hold at a bound: those that no plan moves away from it."""
    program = program_of(problem, settled)
    distance = cp.Variable(len(program.free))
    low, high = problem.low / program.scale, problem.high / program.scale
    here = program.amount[program.free]
    room = [distance <= here - low[program.free], distance <= high[program.free] - here, distance <= 1e-4]
    run(cp.Minimize(-cp.sum(distance)), [*program.constraints(), *room], LINEAR)
    held = program.free[distance.value < 1e-8]
    nearest = np.where(program.amount.value - low < high - program.amount.value, problem.low, problem.high)
    settled = settled.copy()
    settled[held] = nearest[held]
    return settled


def program_of(problem: Problem, settled: Array) -> Program:
    """The limits around `[n]` amounts that are settled, NaN where they are not."""
    count = len(settled)
    scale = problem.total / count
    amount = cp.Variable(count)
    free, fixed = np.flatnonzero(np.isnan(settled)), np.flatnonzero(~np.isnan(settled))
    floored = np.flatnonzero(problem.group_floor > 0)
    capped = np.flatnonzero(np.isfinite(problem.group_cap))
    member = problem.member.astype(float)
    return Program(
        amount=amount,
        scale=scale,
        free=free,
        settled=fixed,
        floored=floored,
        capped=capped,
        total=cp.sum(amount) == count,
        floor=amount[free] >= problem.low[free] / scale,
        cap=amount[free] <= problem.high[free] / scale,
        share=amount[fixed] == settled[fixed] / scale,
        group_floor=member[floored] @ amount >= problem.group_floor[floored] / scale,
        group_cap=member[capped] @ amount <= problem.group_cap[capped] / scale,
    )


def separable(problem: Problem, spec: AllocateSpec, program: Program) -> tuple[Array, Duals, str]:
    """Solve alpha_fair or diminishing as written, then make equal what that leaves open."""
    score, amount = problem.score[program.free], program.amount[program.free]
    scored, top = np.flatnonzero(score), problem.score.max() or 1.0
    weights, level = score[scored] / top, np.flatnonzero(score == 0)
    if spec.objective == "diminishing":
        halves = program.scale / spec.half
        whole = 1 + halves
        loss = weights @ cp.inv_pos(1 / whole + halves / whole * amount[scored])
    elif spec.alpha == 0:
        loss, level = -weights @ amount[scored], np.arange(len(score))
    elif spec.alpha == 1:
        loss = -weights @ cp.log(amount[scored])
    else:
        _refuse_crossing(problem, spec)
        loss = weights @ cp.power(amount[scored], 1 - spec.alpha, approx=False) / (spec.alpha - 1)
    solver = run(cp.Minimize(loss), program.constraints(), CONIC)
    found = np.clip(program.amount.value * program.scale, problem.low, problem.high)
    duals = _duals(problem, program, _unit_value(problem, spec, program, found, top))
    if level.size > 1:
        found = _evened(problem, program, level, loss, scored, found)
    return found, duals, solver


def _evened(
    problem: Problem,
    program: Program,
    level: NDArray[np.int64],
    loss: cp.Expression,
    scored: NDArray[np.int64],
    found: Array,
) -> Array:
    """Make equal what the objective leaves open, at no more loss; as it was where no solver can."""
    amount = program.amount[program.free]
    kept = found[program.free[scored]] / program.scale
    same = (
        loss <= loss.value + TIE_BREAK * abs(loss.value) if len(level) == len(program.free) else amount[scored] == kept
    )
    try:
        run(cp.Minimize(cp.sum_squares(amount[level])), [*program.constraints(), same], CONIC)
    except AllocationError:
        return found
    return np.asarray(np.clip(program.amount.value * program.scale, problem.low, problem.high))


def _refuse_crossing(problem: Problem, spec: AllocateSpec) -> None:
    """Refuse groups that cross under an extreme alpha.

    A utility with alpha = 1000 spans hundreds of orders of magnitude, one with alpha = 0.01 is next to flat; no solver
    takes them as written.
    """
    if AS_WRITTEN[0] <= spec.alpha <= AS_WRITTEN[1]:
        return
    common = problem.member.astype(int) @ problem.member.astype(int).T
    sizes = np.diag(common)
    for first, second in np.argwhere((common > 0) & (common < np.minimum.outer(sizes, sizes))):
        domain = problem.demands[int(np.flatnonzero(problem.member[first] & problem.member[second])[0])].name
        raise AllocationError(
            f"allocate.alpha: {spec.alpha:g} cannot be solved with groups that cross: {problem.groups[first]!r} and "
            f"{problem.groups[second]!r} share {domain!r}, and neither is inside the other. "
            f"Set `allocate.alpha` between {AS_WRITTEN[0]:g} and {AS_WRITTEN[1]:g}, or to 0."
        )


def _unit_value(problem: Problem, spec: AllocateSpec, program: Program, amount: Array, top: float) -> float:
    """What one unit of the solver's duals is in the objective's value per unit of budget."""
    if spec.objective == "diminishing":
        return float(top / program.scale / (1 + program.scale / spec.half))
    counted = problem.score[problem.high > 0].sum() / top
    effective = value(problem, spec, amount)
    return float((effective / program.scale) ** spec.alpha / counted) if effective and counted else 0.0


def least_worst_loss(problem: Problem, spec: AllocateSpec, program: Program) -> tuple[Array, Duals, str]:
    """Minimise the worst expected loss: a linear program in its inverse.

    `s_d / (1 + x_d/half) <= t` is `x_d >= half (s_d/t - 1)`; with `s' = s/max s`, `1/t = (1 + v/half)/max s` and v the
    variable it is `x_d >= s'_d v + half (s'_d - 1)`.

    Returns:
        `[n]` the amounts that the worst loss asks for at least, the duals, and the solver.
    """
    top = problem.score.max()
    relative, half = problem.score / top, spec.half / program.scale
    level = cp.Variable(nonneg=True)
    scored = np.flatnonzero(relative)
    bounds = program.amount[scored] >= relative[scored] * level + half * (relative[scored] - 1)
    solver = run(cp.Minimize(-level), [*program.constraints(), bounds], LINEAR)
    needed = (relative * float(level.value) + half * (relative - 1)) * program.scale
    inverse = 1 + float(level.value) / half
    duals = _duals(problem, program, float(top / inverse**2 / spec.half))
    return np.clip(needed, problem.low, problem.high), duals, solver


def _duals(problem: Problem, program: Program, unit: float) -> Duals:
    """Read the solver's duals, each at its own limit."""

    def placed(limit: cp.Constraint, places: NDArray[np.int64], count: int) -> Array:
        full = np.zeros(count)
        if limit.size:
            full[places] = limit.dual_value * unit
        return full

    domains, groups = len(problem.demands), len(problem.groups)
    return Duals(
        total=max(float(program.total.dual_value) * unit, 0.0),
        floor=placed(program.floor, program.free, domains) * (problem.floor > 0),
        cap=placed(program.cap, program.free, domains),
        share=-placed(program.share, program.settled, domains) * ~np.isnan(problem.share),
        group_floor=placed(program.group_floor, program.floored, groups),
        group_cap=placed(program.group_cap, program.capped, groups),
    )
