"""Explains optimal amounts: which limits bind, what looser ones would bring, and whether scores justify the plan."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from mixplan.allocate import cross_protection
from mixplan.allocate.duals import NEAR, Duals
from mixplan.allocate.even_spread import part
from mixplan.allocate.objectives import loss_saved_by_next
from mixplan.allocate.problem import Array, Problem
from mixplan.allocate.result import AgainstEven, Dual
from mixplan.forecast import Halving
from mixplan.recipe import AllocateSpec

PAYING = 0.1
"""A row pays while it saves at least this part of what the best first row saves."""
ABOUT_UNIFORM = 0.05
"""A plan nearer to uniform than this (total variation) is said to be hardly different from it."""
VALUE_NAMES = {
    "evidence": "expected loss",
    "alpha_fair": "effective {unit}",
    "diminishing": "expected loss",
    "min_max": "worst expected loss",
}


def total_variation(first: Array, second: Array) -> float:
    """Half the sum of absolute differences of two mixtures `[n]`: 0 is equal, 1 disjoint."""
    return float(np.abs(first - second).sum() / 2)


def no_better_than_uniform(problem: Problem, distance: float, against: AgainstEven | None) -> str | None:
    """Say when the scores give no better reason for this plan than for equal shares.

    Args:
        problem: Its domains' intervals. Where all have a value in common, equal scores contradict none of them.
        distance: Total variation of the plan from uniform.
        against: What the plan saves beyond an even spread.

    Returns:
        A sentence, or None where some intervals are apart and the plan is not near uniform and surely better.
    """
    count = len(problem.demands)
    if count == 1 or not problem.total:
        return None
    lowest = max(demand.low for demand in problem.demands)
    if lowest <= min(demand.high for demand in problem.demands):
        both = "Both" if count == 2 else f"All {count}"
        return (
            f"{both} domains could be equally at risk ({lowest:.3g} lies in every 95 % interval), so this plan is no "
            "better founded than spreading the budget evenly. Reading more (`split.query` and `sts.query_tokens`, or "
            "`sts.preview.rows` without an SAE) narrows the intervals of scores, and measured runs those of expected "
            "changes."
        )
    if distance < ABOUT_UNIFORM:
        return (
            f"The plan is {distance:.1%} away from an even spread, so it hardly differs from one: "
            "expect no more of it than of spreading the budget evenly."
        )
    if against is not None and not against.surely:
        return (
            "With the scores anywhere in their 95 % intervals, spreading the budget evenly may do as well: the plan's "
            f"worst expected loss is {part(against.worst)} an even spread's, all domains' together "
            f"{part(against.together)}."
        )
    return None


def pairs_apart(problem: Problem) -> str:
    """Say how many pairs of domains have intervals that do not overlap."""
    lows = np.array([demand.low for demand in problem.demands])
    highs = np.sort([demand.high for demand in problem.demands])
    count = len(lows)
    apart = int(np.searchsorted(highs, lows, side="left").sum())
    return f"The 95 % intervals tell {apart} of {count * (count - 1) // 2} pairs of domains apart."


def first_saves(problem: Problem, score: Array, halving: Halving) -> float:
    """Expected loss that the best placed first unit saves: `max s / half + sum s pace(0)`.

    Args:
        problem: For its limits: the maximum is over domains that may have any.
        score: `[n]` scores without extra rows.
        halving: In the budget's unit.
    """
    return float(_best(problem, score) / halving.half + score.sum() * halving.pace(0.0))


def _best(problem: Problem, score: Array) -> float:
    """The largest of scores `[n]` of domains that may have any."""
    return float(score[_most(problem) > 0].max(initial=0.0))


def next_saves(problem: Problem, spec: AllocateSpec, amount: Array) -> float:
    """Expected loss that one more unit saves in the domain with room where it saves most; 0 where there is no room."""
    room = amount < _most(problem) - NEAR * max(problem.total, 1.0)
    saved = loss_saved_by_next(problem.score, amount, spec.half)[room]
    return float(saved.max()) if saved.size else 0.0


def pays_until(problem: Problem, spec: AllocateSpec, halving: Halving) -> float:
    """Find the budget past which no row, wherever it goes, saves a tenth of what the best first row saves.

    In closed form where rows protect their own domain alone: `s_d/half (1 + x_d/half)^-2` falls to a tenth of
    `max s / half` at `x_d = half (sqrt(10 s_d / max s) - 1)`, between 0 and what the domain may have, the maximum over
    domains that may have any; the budget is their sum. Otherwise see `cross_protection.pays_until`.

    Args:
        problem: With scores as they are without extra rows.
        spec: Of the allocation.
        halving: In the budget's unit.
    """
    best = _best(problem, problem.score)
    if not problem.score.any() or not _most(problem).any():
        return 0.0
    if math.isfinite(halving.shared):
        least = PAYING * first_saves(problem, problem.score, halving)
        return cross_protection.pays_until(problem, spec, halving, _most(problem), least)
    if not best:
        return 0.0
    ends = halving.half * (np.sqrt(problem.score / best / PAYING) - 1)
    return float(np.clip(ends, 0.0, _most(problem)).sum())


def _most(problem: Problem) -> Array:
    """`[n]` the most each domain may have at any budget; a fixed share grows with the budget."""
    return np.where(np.isnan(problem.share), np.minimum(problem.cap, problem.pool), problem.pool)


def binding(problem: Problem, amount: Array) -> tuple[str, ...]:
    """Name the limits that hold amounts `[n]` where they are: recipe keys, or pools."""
    slack = NEAR * max(problem.total, 1.0)
    found = []
    for index, demand in enumerate(problem.demands):
        if not np.isnan(problem.share[index]):
            found.append(f"allocate.shares.{demand.name}")
        elif amount[index] >= problem.high[index] - slack:
            found.append(_upper(problem, index))
        elif problem.floor[index] and amount[index] <= problem.floor[index] + slack:
            found.append(f"allocate.floors.{demand.name}")
    joint = problem.member @ amount
    for index, group in enumerate(problem.groups):
        if joint[index] >= problem.group_cap[index] - 1e3 * slack:
            found.append(f"allocate.groups.{group}.cap")
        elif problem.group_floor[index] and joint[index] <= problem.group_floor[index] + 1e3 * slack:
            found.append(f"allocate.groups.{group}.floor")
    return tuple(found)


def _upper(problem: Problem, index: int) -> str:
    """What bounds a domain from above: its cap, or its pool."""
    name = problem.demands[index].name
    return f"allocate.caps.{name}" if problem.cap[index] <= problem.pool[index] else f"the pool of {name!r}"


def dual_texts(problem: Problem, spec: AllocateSpec, duals: Duals) -> tuple[Dual, ...]:
    """Put duals, in the objective's value per unit, into words: the budget first, then those that would bring most."""
    threshold = 1e-6 * max(duals.total, *np.abs(duals.cap), *np.abs(duals.share), *duals.group_cap, *duals.group_floor)
    others = [
        Dual(limit, 1.0, brings, _sentence(problem, spec, looser, brings))
        for limit, looser, brings in _looser(problem, duals)
        if abs(brings) > threshold
    ]
    limit = f"budget.{problem.unit}"
    looser = f"1 {problem.unit.removesuffix('s')} more in {limit}"
    first = Dual(limit, 1.0, duals.total, _sentence(problem, spec, looser, duals.total))
    return (first, *sorted(others, key=lambda dual: -abs(dual.brings)))


def _looser(problem: Problem, duals: Duals) -> Iterator[tuple[str, str, float]]:
    """Each limit's key, the looser limit in words, and what it brings."""
    one = f"1 {problem.unit.removesuffix('s')}"
    for index, demand in enumerate(problem.demands):
        cap, floor, share = _upper(problem, index), f"allocate.floors.{demand.name}", f"allocate.shares.{demand.name}"
        yield cap, f"{one} more in {cap}", float(duals.cap[index])
        yield floor, f"{one} less in {floor}", float(duals.floor[index])
        yield share, f"{one} more by {share}", float(duals.share[index])
    for index, group in enumerate(problem.groups):
        cap, floor = f"allocate.groups.{group}.cap", f"allocate.groups.{group}.floor"
        yield cap, f"{one} more in {cap}", float(duals.group_cap[index])
        yield floor, f"{one} less in {floor}", float(duals.group_floor[index])


def _sentence(problem: Problem, spec: AllocateSpec, looser: str, brings: float) -> str:
    if not brings:
        return f"{looser} would bring nothing."
    name = VALUE_NAMES[spec.objective].format(unit=problem.unit)
    if spec.objective == "alpha_fair":
        return f"{looser} would {'bring' if brings > 0 else 'cost'} {abs(brings):.3g} {name}."
    return f"{looser} would {'lower' if brings > 0 else 'raise'} the {name} by {abs(brings):.3g}."
