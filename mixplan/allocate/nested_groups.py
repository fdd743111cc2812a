"""Solves a separable objective exactly where groups are disjoint or inside one another, at any scale, without a solver.

Every domain follows one curve of a common level, clipped to its own bounds. So does a group: the sum of its members,
clipped to the group's bounds, grows with the level. The budget sets the level of what is in no group; a group that a
bound holds has a level of its own, which that bound sets, and so on inwards. These are the KKT conditions: a binding
group's dual is the difference between its level and that around it.

Domains stand in tiers (see `family`): all of one tier are full, as far as groups let them, before the next gets
anything above its floors.

Source: decomposition of resource allocation over nested constraints, Groenevelt, European Journal of Operational
Research 54 (1991) 227.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mixplan.allocate.objectives import ideal_curve
from mixplan.allocate.problem import Array, Problem
from mixplan.recipe import AllocateSpec

ALMOST_NOTHING = 1e-25
"""The part of the budget that an amount begins at where its curve begins at 0."""
HALVINGS = 200
"""Enough for any level to be known to the last digit."""


@dataclass(frozen=True)
class Nest:
    """How k groups lie in one another; group k stands for all domains.

    Attributes:
        order: Groups, each after those inside it.
        parent: `[k]` the group around each, k where there is none.
        owner: `[n]` the innermost group of each domain, k where there is none.
    """

    order: tuple[int, ...]
    parent: NDArray[np.int64]
    owner: NDArray[np.int64]

    def sums(self, amount: Array, floor: Array, cap: Array) -> Array:
        """`[k + 1]` what each group's members sum to, when the groups inside it are held to their bounds."""
        found = np.bincount(self.owner, weights=amount, minlength=len(self.order) + 1)
        for group in self.order:
            found[self.parent[group]] += min(max(found[group], floor[group]), cap[group])
        return np.asarray(found, dtype=np.float64)


def nest_of(member: NDArray[np.bool_]) -> Nest | None:
    """Order groups from the inside out.

    Args:
        member: `[k, n]` whether a domain is in a group.

    Returns:
        None where two groups share domains and neither is inside the other.
    """
    count, domains = member.shape
    sizes = member.sum(axis=1)
    common = member.astype(np.int64) @ member.astype(np.int64).T
    if ((common > 0) & (common < np.minimum.outer(sizes, sizes))).any():
        return None
    order = sorted(range(count), key=lambda group: (sizes[group], group))
    parent, owner = np.full(count, count, dtype=np.int64), np.full(domains, count, dtype=np.int64)
    for place, group in enumerate(order):
        around = [other for other in order[place + 1 :] if common[group, other] > 0]
        parent[group] = around[0] if around else count
    for group in reversed(order):
        owner[member[group]] = group
    return Nest(tuple(order), parent, owner)


@dataclass(frozen=True)
class Curves:
    """Each domain's amount as a function of tier and level.

    Attributes:
        tier: `[n]` 0 is served first.
        log_curve: `[n]` log of the ideal curve, finite.
        offset: What is taken off the curve.
        low, high: `[n]` bounds.
        total: The budget.
    """

    tier: NDArray[np.int64]
    log_curve: Array
    offset: float
    low: Array
    high: Array
    total: float

    def at(self, tier: int, level: float) -> Array:
        """`[n]` amounts; tiers before this one are full, those behind it at their floors."""
        with np.errstate(over="ignore"):
            if self.offset:  # precise where amounts are a small part of the offset
                curve = self.offset * np.expm1(np.minimum(level + self.log_curve, 700.0))
            else:
                curve = np.exp(np.minimum(level + self.log_curve, 700.0))
        here = np.clip(curve, self.low, self.high)
        return np.where(self.tier < tier, self.high, np.where(self.tier > tier, self.low, here))

    @cached_property
    def ends(self) -> tuple[Array, Array]:
        """`[n]` the levels at which each domain leaves its least and reaches its most."""
        least = np.maximum(self.low, 0.0 if self.offset else ALMOST_NOTHING * self.total)
        most = np.maximum(self.high, least)
        if self.offset:
            return np.log1p(least / self.offset) - self.log_curve, np.log1p(most / self.offset) - self.log_curve
        return np.log(least) - self.log_curve, np.log(most) - self.log_curve


def spread(problem: Problem, spec: AllocateSpec, nest: Nest) -> tuple[Array, NDArray[np.int64]]:
    """Spread the budget by a separable objective (min_max: its second stage).

    Args:
        problem: Limits that some plan meets; more than no budget.
        spec: The objective.
        nest: How the groups lie in one another.

    Returns:
        `[n]` amounts, and `[n]` the innermost group with a binding bound of each domain, -1 for none. A domain that its
        group leaves no choice but 0 has 0.
    """
    tier, log_curve, offset = ideal_curve(problem.score, spec)
    curves = Curves(tier, log_curve, offset, problem.low, problem.high, problem.total)
    count = len(nest.order)
    amount, block = np.zeros(len(tier)), np.full(len(tier), -1, dtype=np.int64)
    around = np.array([*nest.parent, -1])
    waiting = [(count, problem.total)]
    while waiting:
        node, wanted = waiting.pop()
        under = inside(nest, node, count)
        here, sums = at_sum(problem, nest, curves, node, wanted, under)
        own = np.zeros(count + 1, dtype=bool)
        own[node] = True
        for group in reversed(nest.order):
            if not own[around[group]] or group == node:
                continue
            if sums[group] > problem.group_cap[group]:
                waiting.append((group, float(problem.group_cap[group])))
            elif sums[group] < problem.group_floor[group]:
                waiting.append((group, float(problem.group_floor[group])))
            else:
                own[group] = True
        direct = own[nest.owner] & under
        amount[direct], block[direct] = here[direct], -1 if node == count else node
    return amount, block


def inside(nest: Nest, node: int, count: int) -> NDArray[np.bool_]:
    """`[n]` whether a domain is in a group, `count` being all domains."""
    within = np.zeros(count + 1, dtype=bool)
    within[node] = True
    for group in reversed(nest.order):
        within[group] |= within[nest.parent[group]]
    found: NDArray[np.bool_] = within[nest.owner]
    return found


def at_sum(
    problem: Problem, nest: Nest, curves: Curves, node: int, wanted: float, under: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Find the level at which a group's members sum to an amount.

    Args:
        problem: For the groups' bounds.
        nest: Of its groups.
        curves: Of its domains.
        node: The group.
        wanted: What its members are to sum to.
        under: `[n]` its members.

    Returns:
        `[n]` amounts at that level, and `[k + 1]` the sums of the groups inside.
    """

    def sums(tier: int, level: float) -> tuple[Array, Array]:
        amount = curves.at(tier, level)
        return amount, nest.sums(amount, problem.group_floor, problem.group_cap)

    least = sums(-1, 0.0)
    if least[1][node] >= wanted:
        return least
    tiers = np.unique(curves.tier[under])
    first, last = 0, len(tiers) - 1
    while first < last:  # the first tier with which, once full, enough is spread
        middle = (first + last) // 2
        enough = sums(int(tiers[middle]), np.inf)[1][node] >= wanted
        first, last = (first, middle) if enough else (middle + 1, last)
    tier = int(tiers[first])
    members = under & (curves.tier == tier)
    enters, leaves = curves.ends
    low, high = float(enters[members].min()) - 1.0, float(leaves[members].max()) + 1.0
    for _ in range(HALVINGS):
        middle_level = (low + high) / 2
        if not low < middle_level < high:
            break
        low, high = (middle_level, high) if sums(tier, middle_level)[1][node] <= wanted else (low, middle_level)
    (less, less_sums), (more, more_sums) = sums(tier, low), sums(tier, high)
    between = more_sums[node] - less_sums[node]
    part = min(max((wanted - less_sums[node]) / between, 0.0), 1.0) if between > 0 else 0.0
    return less + part * (more - less), less_sums + part * (more_sums - less_sums)


def least_sum(nest: Nest, low: Array, problem: Problem) -> float:
    """The least that amounts of at least `low` can sum to; infinite where they are too much for a domain or group."""
    if (low > problem.high * (1 + 1e-12)).any():
        return np.inf
    found = np.bincount(nest.owner, weights=low, minlength=len(nest.order) + 1)
    for group in nest.order:
        if found[group] > problem.group_cap[group] * (1 + 1e-12):
            return np.inf
        found[nest.parent[group]] += max(found[group], problem.group_floor[group])
    return float(found[-1])


def most_sum(nest: Nest, problem: Problem) -> float:
    """The most that amounts within the limits can sum to; -infinite where a group's floor is beyond it."""
    found = np.bincount(nest.owner, weights=problem.high, minlength=len(nest.order) + 1)
    for group in nest.order:
        if found[group] < problem.group_floor[group] * (1 - 1e-12):
            return -np.inf
        found[nest.parent[group]] += min(found[group], problem.group_cap[group])
    return float(found[-1])


def least_worst(problem: Problem, spec: AllocateSpec, nest: Nest) -> Array:
    """Find the amounts that the least possible worst loss asks for.

    `s_d / (1 + x_d/half) <= t` is `x_d >= half (s_d/t - 1)`; the least t for which some plan has as much is found by
    halving the range of log t.

    Returns:
        `[n]` amounts, within the domains' bounds, that leave a plan.
    """
    scored = problem.score > 0
    log_score = np.log(problem.score[scored]) - np.log(problem.score.max())

    def needed(log_worst: float) -> Array:
        found = problem.low.copy()
        found[scored] = np.maximum(found[scored], spec.half * np.expm1(np.minimum(log_score - log_worst, 700.0)))
        return found

    low, high = -float(np.log1p(problem.total / spec.half)) - 1.0, 0.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (low, middle) if least_sum(nest, needed(middle), problem) <= problem.total else (middle, high)
    return np.clip(needed(high), problem.low, problem.high)


def held_at_0(problem: Problem, nest: Nest) -> NDArray[np.bool_]:
    """`[n]` whether the limits leave a domain nothing, whatever the objective."""
    count = len(nest.order)
    least = np.bincount(nest.owner, weights=problem.low, minlength=count + 1)
    bound = np.array([*problem.group_cap, problem.total])
    for group in nest.order:
        least[nest.parent[group]] += max(least[group], problem.group_floor[group])
    full = least >= bound * (1 - 1e-12)
    for group in reversed(nest.order):
        # What is around a group may leave it no more than its floor.
        around = full[nest.parent[group]]
        full[group] |= around and least[group] >= problem.group_floor[group] * (1 - 1e-12)
    return np.asarray((problem.high <= 0) | (full[nest.owner] & (problem.low <= 0)), dtype=np.bool_)
