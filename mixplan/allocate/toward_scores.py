"""Spreads a budget evenly, and as far from that towards the proportional rule as evidence lets the scores move it.

    amount = (1 - weight) even + weight proportional

`even` maximises the sum of the amounts' logarithms within every limit: equal amounts where the limits let them be.
`proportional` maximises the same sum weighted by the scores, the rule of arXiv 2603.02908. Both meet every limit, and
all limits are linear, so what lies between them does too. Where no limit binds, the amounts are in proportion to
(1 - weight) mean score + weight score: scores that are shrunk towards their mean.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixplan.allocate.objectives import value
from mixplan.allocate.problem import Array, Problem
from mixplan.allocate.solve import Solution, solve
from mixplan.recipe import AllocateSpec


def even_within(problem: Problem, spec: AllocateSpec) -> Solution:
    """The amounts that are nearest to equal within every limit, groups among them.

    Raises:
        AllocationError: no solver reached an optimum.
    """
    return solve(problem.with_score(np.ones(len(problem.score))), rule_of(spec))


def proportional_within(problem: Problem, spec: AllocateSpec) -> Solution:
    """The amounts of the proportional rule within every limit.

    Raises:
        AllocationError: no solver reached an optimum.
    """
    return solve(problem, rule_of(spec))


def ties(problem: Problem, spec: AllocateSpec) -> Array | None:
    """`[n]` by what equal remainders of rows are given out: the scores, which rank risk; None for other objectives."""
    return problem.score if spec.objective == "evidence" else None


def rule_of(spec: AllocateSpec) -> AllocateSpec:
    """The same limits with the proportional rule as the objective."""
    return spec.model_copy(update={"objective": "alpha_fair", "alpha": 1.0})


def moved(problem: Problem, spec: AllocateSpec) -> Solution:
    """Move an even spread towards the proportional rule by the problem's weight.

    Returns:
        The amounts and the expected loss of all domains together; nothing is optimised between the two spreads, so
        there are no duals.

    Raises:
        AllocationError: no solver reached an optimum.
    """
    even = even_within(problem, spec)
    amount = even.amount
    if problem.weight:
        amount = (1 - problem.weight) * amount + problem.weight * proportional_within(problem, spec).amount
    return replace(even, amount=amount, value=value(problem, spec, amount), duals=None)
