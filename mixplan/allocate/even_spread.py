"""Estimates, with an interval, what part of an even spread's expected loss a plan of the same budget avoids.

Expected losses are `score / (1 + amount / half)`, whatever the objective. Scores are drawn within their intervals, each
domain's apart from the others', from two halves of normal distributions that meet at the score and reach the interval's
ends at 1.96 standard deviations; a draw below 0 counts as 0. With L the losses under one draw,

    saved = 1 - L(plan) / L(even)

for the worst domain's loss (each mixture's own worst) and for all domains' together. The interval is from the 2.5 % to
the 97.5 % quantile over the draws. It holds what is not known of the scores alone: whether rows save so much, and
whether a score tells a loss, is in it only as far as the forecast put it into the scores' intervals.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mixplan.allocate.objectives import loss_after, water_fill
from mixplan.allocate.problem import Array, Problem
from mixplan.allocate.result import AgainstEven, Saved
from mixplan.allocate.toward_scores import even_within
from mixplan.recipe import AllocateSpec

DRAWS, FEWEST_DRAWS, NUMBERS = 4000, 400, 4_000_000
"""Of all scores; fewer for many domains, so that no more numbers are drawn, but not too few for a quantile."""
AT_ONCE = 50
"""Draws in memory."""
NORMAL = 1.959964
"""The normal distribution's 97.5 % quantile."""


def even_amounts(problem: Problem, spec: AllocateSpec) -> Array:
    """`[n]` equal amounts for all domains, as far as floors, caps, fixed shares, pools and groups let them.

    Raises:
        AllocationError: groups cross, and no solver reached an optimum.
    """
    if problem.groups:
        return even_within(problem, spec).amount
    alike = np.zeros(len(problem.demands))
    return water_fill(alike.astype(np.int64), alike, 0.0, problem.low, problem.high, problem.total)


def against_even(problem: Problem, spec: AllocateSpec, amount: Array) -> AgainstEven | None:
    """Hold a plan against an even spread of the same budget.

    Args:
        problem: Its domains' intervals and limits.
        spec: For the amount that halves a loss.
        amount: `[n]` the plan's amounts.

    Returns:
        None where there is nothing to compare: one domain, no budget, or every score 0.
    """
    middle = np.array([demand.score for demand in problem.demands])
    if len(middle) == 1 or not problem.total or not middle.any():
        return None
    even = even_amounts(problem, spec)
    worst, together = [], []
    for draws in drawn(problem, middle):
        planned, spread = loss_after(draws, amount, spec.half), loss_after(draws, even, spec.half)
        worst.append(saved(planned.max(axis=-1), spread.max(axis=-1)))
        together.append(saved(planned.sum(axis=-1), spread.sum(axis=-1)))
    own = loss_after(middle, amount, spec.half), loss_after(middle, even, spec.half)
    return AgainstEven(
        worst=between(float(saved(own[0].max(), own[1].max())), np.concatenate(worst)),
        together=between(float(saved(own[0].sum(), own[1].sum())), np.concatenate(together)),
    )


def drawn(problem: Problem, middle: Array) -> Iterator[Array]:
    """Scores within their intervals, `[AT_ONCE, n]` at a time; the same for the same domains."""
    up = np.array([demand.high for demand in problem.demands]) - middle
    down = middle - np.array([demand.low for demand in problem.demands])
    generator = np.random.default_rng(len(middle))
    draws = max(FEWEST_DRAWS, min(DRAWS, NUMBERS // len(middle)))
    for _ in range(draws // AT_ONCE):
        z = generator.standard_normal((AT_ONCE, len(middle))) / NORMAL
        yield np.maximum(middle + np.where(z > 0, z * up, z * down), 0.0)


def saved(plan: Array, even: Array) -> Array:
    """Part of the even spread's loss that the plan does not have; 0 where there is no loss."""
    return np.asarray(np.where(even > 0, 1 - plan / np.where(even > 0, even, 1), 0.0))


def between(value: float, draws: Array) -> Saved:
    """A part with its interval."""
    low, high = np.quantile(draws, (0.025, 0.975))
    return Saved(value, float(low), float(high))


def told(found: AgainstEven, rule: str) -> str:
    """What is saved, for the reader, by what halves a loss."""
    return (
        f"If {rule} and scores lie in their intervals, the plan's worst expected loss is {part(found.worst)} an even "
        f"spread's, all domains' together {part(found.together)}."
    )


def part(found: Saved) -> str:
    """A part with its interval in words, such as `12% [3%, 20%] below`; less than none is above."""
    turned = found if found.value >= 0 else Saved(-found.value, -found.high, -found.low)
    side = "below" if found.value >= 0 else "above"
    return f"{turned.value:.0%} [{turned.low:.0%}, {turned.high:.0%}] {side}"
