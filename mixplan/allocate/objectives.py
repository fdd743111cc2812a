"""Computes the exact closed-form optima of the objectives, one family, by water-filling between floors and caps.

Without groups every objective has the same answer: a water-fill of an ideal curve,

    x_d = clip(kappa * s_d^p - o, low_d, high_d),    kappa set by  sum_d x_d = budget,

with `s_d` the domain's score, and

    objective     it optimises                               p      o      first-order condition between the bounds
    alpha_fair    max  sum s_d U(x_d), U' (x) = x^-alpha     1/alpha 0     s_d x_d^-alpha          = lambda
    diminishing   min  sum s_d / (1 + x_d/half)              1/2    half   s_d/half (1+x_d/half)^-2 = lambda
    min_max       min  max s_d / (1 + x_d/half)              1      half   s_d / (1 + x_d/half)     = t

At a cap the left side may be larger than lambda, at a floor smaller (KKT). alpha = 1 is the paper's rule, `x_d` in
proportion to `s_d`; alpha -> 0 fills the largest score first; alpha -> infinity gives equal amounts. `half` is the
amount that halves a domain's expected loss. Where min_max leaves a choice (the worst domain's cap holds it up), the
choice is made by `diminishing`. Domains with score 0 get what is left when all others are full, in equal amounts;
so do domains with equal scores under alpha = 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mixplan.allocate.problem import Array, Problem
from mixplan.recipe import AllocateSpec


def ideal_curve(score: Array, spec: AllocateSpec) -> tuple[NDArray[np.int64], Array, float]:
    """Describe the curve that is water-filled.

    Args:
        score: `[n]` 0 or more.
        spec: The objective; min_max gives its second stage, the curve of diminishing.

    Returns:
        `[n]` tiers (a tier gets nothing above its floors before the tiers below it are full), `[n]` log of `s_d^p`
        within the tier, and the offset `o`.

    Raises:
        ValueError: the objective is a mixture of two spreads.
    """
    if spec.objective == "evidence":
        raise ValueError("the objective evidence has no curve of its own: see `toward_scores`")
    positive = score > 0
    if spec.objective == "alpha_fair" and spec.alpha == 0:
        return np.unique(-score, return_inverse=True)[1].astype(np.int64), np.zeros_like(score), 0.0
    power, offset = (1 / spec.alpha, 0.0) if spec.objective == "alpha_fair" else (0.5, spec.half)
    log_curve = np.zeros_like(score)
    if positive.any():
        log_curve[positive] = power * (np.log(score[positive]) - np.log(score.max()))
    return (~positive).astype(np.int64), log_curve, offset


def water_fill(
    tier: NDArray[np.int64], log_curve: Array, offset: float, low: Array, high: Array, total: float
) -> Array:
    """Spread a total over domains in tiers, each tier along its ideal curve.

    Args:
        tier: `[n]` 0 is served first.
        log_curve: `[n]` log of the ideal curve, finite.
        offset: What is taken off the curve.
        low: `[n]` the least of each.
        high: `[n]` the most of each, no less than `low`.
        total: Between `low.sum()` and `high.sum()`.

    Returns:
        `[n]` amounts that sum to the total up to rounding.
    """
    left = total - low.sum()
    room = np.bincount(tier, weights=high - low)
    before = np.concatenate([[0.0], np.cumsum(room)])
    marginal = min(int(np.searchsorted(before[1:], left)), len(room) - 1)
    amount = np.where(tier < marginal, high, low)
    here = tier == marginal
    share = min(max(left - before[marginal], 0.0), room[marginal])
    amount[here] = _fill(log_curve[here], offset, low[here], high[here], low[here].sum() + share)
    return np.asarray(amount)


def _fill(log_curve: Array, offset: float, low: Array, high: Array, total: float) -> Array:
    """Find the level at which `clip(level * curve - offset, low, high)` sums to the total, exactly, by breakpoints."""
    with np.errstate(divide="ignore"):
        enters, leaves = np.log(low + offset) - log_curve, np.log(high + offset) - log_curve
    levels = np.unique(np.concatenate([enters, leaves]))

    def at(level: float) -> Array:
        return np.clip(np.exp(np.minimum(level + log_curve, 700.0)) - offset, low, high)

    under, over = 0, len(levels) - 1
    while over - under > 1:
        middle = (under + over) // 2
        under, over = (middle, over) if at(levels[middle]).sum() <= total else (under, middle)
    between = (enters <= levels[under]) & (leaves >= levels[over]) & (enters < leaves)
    amount = at(levels[under])
    if not between.any():
        return np.asarray(amount)
    curve = np.exp(log_curve[between] - log_curve[between].max())
    spread = total - amount[~between].sum() + offset * between.sum()
    amount[between] = np.clip(spread * curve / curve.sum() - offset, low[between], high[between])
    return np.asarray(amount)


def loss_after(score: Array, amount: Array, half: float) -> Array:
    """`[n]` expected loss left in each domain, in the score's unit: `s / (1 + x/half)`."""
    return np.asarray(score / (1 + amount / half))


def loss_saved_by_next(score: Array, amount: Array, half: float) -> Array:
    """`[n]` expected loss that the next unit saves in each domain: `s/half / (1 + x/half)^2`."""
    return np.asarray(score / half / (1 + amount / half) ** 2)


def effective_amount(score: Array, amount: Array, alpha: float) -> float:
    """Say what an alpha-fair plan is worth, in the budget's unit.

    It is the score-weighted power mean of the amounts, of order 1 - alpha: the even amount that would be worth as much.
    Maximising it and maximising the alpha-fair utility are the same; unlike the utility it does not depend on the
    scores' scale, and doubles with the budget. alpha = 0 is the weighted mean, 1 the weighted geometric mean,
    infinity the least amount.

    Args:
        score: `[n]` 0 or more; domains with 0 do not count.
        amount: `[n]` 0 or more.
        alpha: 0 or more.

    Returns:
        The effective amount; 0 where alpha is at least 1 and a scored domain has nothing.
    """
    counted = score > 0
    if not counted.any():
        return 0.0
    weights, values = score[counted] / score[counted].sum(), amount[counted]
    if not values.all() and alpha >= 1:
        return 0.0
    with np.errstate(divide="ignore"):
        logs = np.log(values)
    if alpha == 1:
        return float(np.exp(weights @ logs))
    terms = np.log(score[counted]) - np.log(score[counted].sum()) + (1 - alpha) * logs
    if np.isneginf(terms).all():
        return 0.0
    top = terms.max()
    return float(np.exp((top + np.log(np.exp(terms - top).sum())) / (1 - alpha)))


def value(problem: Problem, spec: AllocateSpec, amount: Array) -> float:
    """Say what a plan is worth by its objective: effective amount, worst expected loss, or total expected loss."""
    if spec.objective == "alpha_fair":
        return effective_amount(np.where(problem.high > 0, problem.score, 0.0), amount, spec.alpha)
    losses = loss_after(problem.score, amount, spec.half)
    return float(losses.max() if spec.objective == "min_max" else losses.sum())
