"""Reduces a problem whose rows protect other domains, too, to one whose rows protect their own domain alone.

    loss_d = s_d / (1 / left(T) + x_d / half),   T = sum_d x_d

and `left` as `mixplan.forecast.Halving` has it. With T given this is `left s_d / (1 + x_d / (half / left))`: the
problem that the rest of this package knows, with smaller scores and a larger `half`. Where `half` is infinite no spread
is better than another, and amounts are made equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mixplan.allocate.feasibility import require_feasible
from mixplan.allocate.objectives import ideal_curve, loss_after, value, water_fill
from mixplan.allocate.problem import Array, Problem
from mixplan.allocate.solve import Solution, solve
from mixplan.errors import AllocationError
from mixplan.forecast import Halving
from mixplan.recipe import AllocateSpec

STEP = 1e-4
"""The part of the budget by which it is made larger to see what that brings."""
ALIKE = 1000.0
"""Where it takes this many times the budget to halve what a domain is left with, no spread saves a thousandth."""


@dataclass(frozen=True)
class Shared:
    """A problem at its budget, with what rows do to other domains taken out of it.

    Attributes:
        problem: With the scores that the budget leaves, however it is spread.
        spec: With the amount of its own that halves what a domain is left with; `half_rows` may be infinite.
        before: `[n]` scores without extra rows.
        halving: Amounts that halve a loss, in the budget's unit.
    """

    problem: Problem
    spec: AllocateSpec
    before: Array
    halving: Halving

    @property
    def left(self) -> float:
        """The part of every loss that rows of any domains leave."""
        return self.halving.left(self.problem.total)

    @property
    def alike(self) -> bool:
        """Whether it makes no difference how the budget is spread, by an objective that looks at losses."""
        return self.spec.objective != "alpha_fair" and self.spec.half > ALIKE * self.problem.total > 0

    def losses(self, amount: Array) -> Array:
        """`[n]` expected loss left in each domain."""
        return loss_after(self.problem.score, amount, self.spec.half)

    def saved_elsewhere(self, amount: Array) -> float:
        """Expected loss of all domains together that one more unit saves wherever it goes."""
        losses, scored = self.losses(amount), self.before > 0
        return float((losses[scored] ** 2 / self.before[scored]).sum() * self.halving.pace(self.problem.total))


def taken_out(problem: Problem, spec: AllocateSpec, halving: Halving) -> Shared:
    """Take what rows do to other domains out of a problem.

    Args:
        problem: With a budget.
        spec: Its `half_rows` is replaced.
        halving: In the budget's unit.
    """
    left = halving.left(problem.total)
    inner = spec.model_copy(update={"half_rows": halving.at(problem.total)})
    return Shared(problem.with_score(problem.score * left), inner, problem.score, halving)


def solved(found: Shared) -> Solution:
    """Solve a problem with what rows do to other domains taken out; equal amounts where no spread is better.

    Returns:
        The optimum; what a larger budget brings holds what its rows do to other domains.
    """
    problem, spec = found.problem, found.spec
    if found.alike:
        even = solve(problem.with_score(np.ones(len(problem.score))), spec.model_copy(update={"half_rows": 1.0}))
        return replace(even, value=value(problem, spec, even.amount), duals=None)
    optimum = solve(problem, spec)
    if optimum.duals is None or spec.objective == "alpha_fair" or math.isinf(found.halving.shared):
        return optimum
    step = STEP * max(problem.total, 1.0)
    more = taken_out(replace(problem, score=found.before, total=problem.total + step), spec, found.halving)
    try:
        require_feasible(more.problem)
    except AllocationError:
        return replace(optimum, duals=replace(optimum.duals, total=0.0))
    saved = optimum.value - solve(more.problem, more.spec).value
    return replace(optimum, duals=replace(optimum.duals, total=max(saved / step, 0.0)))


def words(halving: Halving, unit: str) -> str:
    """What halves a loss, for the reader."""
    a_loss = "a domain's loss"
    if math.isinf(halving.shared):
        return f"{halving.half:g} {unit} halve {a_loss}"
    part = f"what they can save of a domain's loss, {1 - halving.stays:.0%} of it"
    any_domain = f"{halving.shared:.3g} {unit} of any domains halve {part if halving.stays else a_loss}"
    if math.isinf(halving.half):
        return f"{any_domain}, its own no more than others'"
    if halving.stays:
        return f"{any_domain}, and {halving.half:.3g} of its own halve all of it"
    return f"{any_domain}, as {halving.half:.3g} more of its own do"


def pays_until(problem: Problem, spec: AllocateSpec, halving: Halving, most: Array, least: float) -> float:
    """Find the budget past which no unit, wherever it goes, saves as much as the least that pays.

    Args:
        problem: With scores as they are without extra rows.
        spec: Of the allocation.
        halving: In the budget's unit.
        most: `[n]` what each domain may have.
        least: Loss that a unit must save.
    """
    score = problem.score

    def excess(total: float) -> float:
        """What the best next unit saves at a budget, spread for the least loss, beyond what it must."""
        amount = np.zeros(len(score))
        if math.isfinite(halving.half):
            inner = spec.model_copy(update={"objective": "diminishing", "half_rows": halving.at(total)})
            amount = water_fill(*ideal_curve(score, inner), np.zeros(len(score)), most, total)
        losses = score / (1 / halving.left(total) + amount / halving.half)
        scored = score > 0
        each = losses[scored] ** 2 / score[scored]
        room = (amount < most)[scored]
        return float(each.sum() * halving.pace(total) + each[room].max(initial=0.0) / halving.half) - least

    whole = float(most.sum())
    if excess(whole) >= 0:
        return whole
    from scipy.optimize import brentq  # loaded where it is used: it takes half a second

    return float(brentq(excess, 0.0, whole))
