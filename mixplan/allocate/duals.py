"""Computes dual values at optimal amounts: how much the objective gains when one limit is loosened by one unit."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixplan.allocate.objectives import effective_amount, loss_after, loss_saved_by_next
from mixplan.allocate.problem import Array, Problem
from mixplan.recipe import AllocateSpec

NEAR = 1e-9
"""An amount this part of the budget from a bound is at the bound."""


@dataclass(frozen=True)
class Duals:
    """What one unit looser brings, in the objective's value and as an improvement; 0 where a limit does not bind.

    Attributes:
        total: One more unit of budget.
        floor, cap, share: `[n]` one unit lower floor, higher cap, higher fixed amount (the last of either sign).
        group_floor, group_cap: `[k]` the same for groups.
    """

    total: float
    floor: Array
    cap: Array
    share: Array
    group_floor: Array
    group_cap: Array


def no_duals(problem: Problem) -> Duals:
    """Duals that are all 0."""
    domains, groups = np.zeros(len(problem.demands)), np.zeros(len(problem.groups))
    return Duals(0.0, domains, domains, domains, groups, groups)


def duals_of(problem: Problem, spec: AllocateSpec, amount: Array, block: NDArray[np.int64]) -> Duals:
    """Read the duals of a separable objective off its optimal amounts.

    Args:
        problem: The limits.
        spec: The objective; min_max is served for amounts that the limits settle, without groups.
        amount: `[n]` optimal.
        block: `[n]` the innermost binding group that a domain is in, -1 for none.

    Returns:
        One-sided derivatives of the optimal value: a further unit goes where it brings most, and a looser cap or a
        lower floor moves one from or to where it counts least or most.
    """
    slack = NEAR * max(problem.total, 1.0)
    above, below = amount > problem.low + slack, amount < problem.high - slack
    if spec.objective == "min_max":
        return _worst_duals(problem, spec, amount, below)
    worth = marginal_value(problem, spec, amount)
    most, least = np.zeros_like(worth), np.zeros_like(worth)
    levels = {int(label): _levels(worth, block == label, above, below) for label in {-1, *block.tolist()}}
    for label, (highest, lowest) in levels.items():
        most[block == label], least[block == label] = highest, lowest
    free, joint = np.isnan(problem.share), problem.member @ amount
    group_floor, group_cap = np.zeros(len(problem.groups)), np.zeros(len(problem.groups))
    around = _around(problem, levels.keys() - {-1})
    for group, outer in around.items():
        if joint[group] >= problem.group_cap[group] - slack:
            group_cap[group] = max(levels[group][0] - levels[outer][1], 0.0)
        if joint[group] <= problem.group_floor[group] + slack:
            group_floor[group] = max(levels[outer][0] - levels[group][1], 0.0)
    return Duals(
        total=levels[-1][0],
        floor=np.where(free & ~above & (problem.floor > 0), np.maximum(most - worth, 0), 0.0),
        cap=np.where(free & ~below, np.maximum(worth - least, 0), 0.0),
        share=np.where(free, 0.0, worth - (most + least) / 2),
        group_floor=group_floor,
        group_cap=group_cap,
    )


def _around(problem: Problem, binding: Set[int]) -> dict[int, int]:
    """For each binding group the smallest binding one that it lies in, -1 where there is none."""
    found = {}
    for group in binding:
        members = problem.member[group]
        outer = [other for other in binding if (problem.member[other] >= members).all() and other != group]
        larger = [other for other in outer if problem.member[other].sum() > members.sum()]
        found[group] = min(larger, key=lambda other: int(problem.member[other].sum()), default=-1)
    return found


def _levels(
    worth: Array, inside: NDArray[np.bool_], above: NDArray[np.bool_], below: NDArray[np.bool_]
) -> tuple[float, float]:
    """What one more unit brings in a block, and what one less costs; equal where a domain is between its bounds."""
    taking, giving = worth[inside & below], worth[inside & above]
    most = float(taking.max()) if taking.size else 0.0
    return most, float(giving.min()) if giving.size else most


def marginal_value(problem: Problem, spec: AllocateSpec, amount: Array) -> Array:
    """`[n]` what one more unit brings in each domain by itself; 0 where an alpha-fair amount is 0."""
    if spec.objective != "alpha_fair":
        return loss_saved_by_next(problem.score, amount, spec.half)
    score = np.where(problem.high > 0, problem.score, 0.0)
    counted = (score > 0) & ((amount > 0) | (spec.alpha == 0))
    worth = np.zeros_like(score)
    if not counted.any():
        return worth
    weights = score[counted] / score.sum()
    if spec.alpha == 0:
        worth[counted] = weights
        return worth
    whole = effective_amount(score, amount, spec.alpha)
    if whole > 0:
        worth[counted] = np.exp(
            np.log(score[counted]) - np.log(score.sum()) + spec.alpha * (np.log(whole) - np.log(amount[counted]))
        )
    return worth


def _worst_duals(problem: Problem, spec: AllocateSpec, amount: Array, below: NDArray[np.bool_]) -> Duals:
    losses = loss_after(problem.score, amount, spec.half)
    worst = losses >= losses.max() * (1 - NEAR)
    total = 0.0
    if losses.max() > 0 and below[worst].all():
        total = float(1 / (1 / loss_saved_by_next(problem.score, amount, spec.half)[worst]).sum())
    return Duals(**{**vars(no_duals(problem)), "total": total})
