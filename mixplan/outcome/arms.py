"""Spreads as much as a plan adds another way, as the rows by domain of each control mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mixplan.errors import RunError
from mixplan.forecast.comparisons import ALIKE, spread_evenly
from mixplan.recipe.suggest import did_you_mean
from mixplan.saved import Plan

ARMS = ("none", "uniform", "proportional_to_size", "proportional_to_sts", "random", "oracle", "plan")
BASELINE = "uniform"
USUAL = ("none", "uniform", "proportional_to_size", "random", "plan")
"""Those that are compared where none are named."""
LED = (
    "The plan is an even spread itself, so proportional_to_sts is trained in place of random: it measures whether rows "
    "that follow the scores do more."
)

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def arm_rows(arm: str, plan: Plan, *, seed: int, losses: Mapping[str, float] | None = None) -> dict[str, int]:
    """Give one arm's rows by domain.

    Every arm but `none` adds as much as the plan does, in the budget's unit: to the row, or for a budget in tokens to
    less than one row. `uniform` gives each domain the same, `proportional_to_size` by its pool, `proportional_to_sts`
    by its planning score (the rule of arXiv 2603.02908, whatever the recipe's objective), `random` by shares drawn
    uniformly from all that sum to one (Dirichlet with every parameter 1), and `oracle`, which no one can have before
    training, by what the domain lost in the arm `none`. What a pool, `max_repeats` counted, or the recipe's cap
    does not give goes to the other domains in the same proportions; floors, other shares than 0 and groups bind the
    plan alone.

    Args:
        arm: One of `ARMS`.
        plan: The plan.
        seed: Of the random shares; the other arms do not depend on it.
        losses: For `oracle`, each domain's measured loss, at least 0, all in one unit or over their unit's mean; all
            alike when none lost anything.

    Returns:
        Rows by domain, in the plan's order.

    Raises:
        RunError: there is no such arm.
    """
    known_arms([arm])
    domains, allocation = plan.domains, plan.allocation
    names = list(domains)
    planned = np.array([allocation.rows[name] for name in names], dtype=np.int64)
    if arm == "plan":
        return dict(zip(names, planned.tolist(), strict=True))
    if arm == "none":
        return dict.fromkeys(names, 0)
    pool = np.array([domains[name].rows.pool for name in names], dtype=np.float64)
    each = np.ones(len(names))
    if allocation.unit == "tokens":
        each = np.array([domains[name].row_tokens_mean for name in names], dtype=np.float64)
    most = np.minimum(pool * allocation.max_repeats, np.floor(capped(plan) / each + 1e-9))
    total = float(planned @ each)
    if arm == "proportional_to_sts":
        wanted = np.array([plan.score_of(name).value for name in names], dtype=np.float64)
    elif arm == "oracle":
        wanted = np.array([(losses or {}).get(name, 0.0) for name in names], dtype=np.float64)
    else:
        wanted = proportions(arm, pool, seed)
    rows = whole_rows(filled(wanted, total, most * each), each, total, most)
    return dict(zip(names, rows.tolist(), strict=True))


def capped(plan: Plan) -> Doubles:
    """How much of each domain the recipe lets in at most, `[n]` in the budget's unit; infinite where it does not say.

    A cap or a share of 0 keeps a domain watched and out of every mixture.
    """
    if plan.recipe is None:
        return np.full(len(plan.domains), np.inf)
    caps, shares = plan.recipe.allocate.caps, plan.recipe.allocate.shares
    return np.array([0.0 if shares.get(name) == 0 else caps.get(name, np.inf) for name in plan.domains])


def usual_arms(plan: Plan) -> tuple[tuple[str, ...], str | None]:
    """Choose what to compare where nothing is named, so that every comparison measures what placing rows is worth.

    Args:
        plan: The plan.

    Returns:
        The arms; and, where they are not the usual ones, why.
    """
    even = arm_rows(BASELINE, plan, seed=0)
    if plan.drift is None or not (alike(plan.allocation.rows, even) or spread_evenly(plan.allocation.rows)):
        return USUAL, None
    return tuple("proportional_to_sts" if arm == "random" else arm for arm in USUAL), LED


def alike(rows: Mapping[str, int], even: Mapping[str, int]) -> bool:
    """Whether two mixtures' shares of rows are as good as the same."""
    mine, other = max(1, sum(rows.values())), max(1, sum(even.values()))
    return sum(abs(rows[name] / mine - even[name] / other) for name in even) / 2 < ALIKE


def proportions(arm: str, pool: Doubles, seed: int) -> Doubles:
    """In what proportions an arm spreads its amount, `[n]`."""
    if arm == "random":
        return np.random.default_rng([seed, len(pool)]).dirichlet(np.ones(len(pool)))
    return pool if arm == "proportional_to_size" else np.ones(len(pool))


def known_arms(arms: Sequence[str]) -> None:
    """Refuse an arm of an unknown name, before anything is trained.

    Raises:
        RunError: there is no such arm.
    """
    for arm in arms:
        if arm not in ARMS:
            raise RunError(f"--arms: found '{arm}', expected one of {', '.join(ARMS)}.{did_you_mean(arm, ARMS)}")


def filled(proportions: Doubles, total: float, caps: Doubles) -> Doubles:
    """Spread a total in proportion, each domain up to its cap; what is cut off goes to the rest in proportion.

    The amounts are min(cap, level x proportion) with the one level at which they sum to the total (or to all caps,
    where these are less).

    Args:
        proportions: `[n]`, at least 0; a domain with 0 gets something only once the others are full.
        total: To spread.
        caps: `[n]`, at least 0.

    Returns:
        `[n]` amounts.
    """
    amounts = np.zeros(len(caps))
    for group in (proportions > 0, proportions <= 0):
        parts = np.where(proportions > 0, proportions, 1.0)
        free, left = group.copy(), total - float(amounts.sum())
        while free.any() and left > 0:
            level = left / float(parts[free].sum())
            over = free & (level * parts >= caps)
            if not over.any():
                amounts[free] = level * parts[free]
                break
            amounts[over] = caps[over]
            left -= float(caps[over].sum())
            free &= ~over
    return amounts


def whole_rows(amounts: Doubles, each: Doubles, total: float, most: Doubles) -> Integers:
    """Round amounts to rows by largest remainder; equal remainders go to the earlier domain.

    Args:
        amounts: `[n]`, in the budget's unit.
        each: `[n]`, a row's mean amount.
        total: What the rows' amounts may sum to.
        most: `[n]`, rows that the pool gives.

    Returns:
        `[n]` int64 rows.
    """
    exact = amounts / each
    rows = np.floor(exact + 1e-9)
    for index in np.argsort(-np.round(exact - rows, 9), kind="stable"):
        if rows[index] < most[index] and float(rows @ each) + each[index] <= total * (1 + 1e-12):
            rows[index] += 1
    return rows.astype(np.int64)
