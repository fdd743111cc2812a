"""Spreads one budget again for other scores of the same domains, to see which rows hang on what scores leave open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixplan.allocate import cross_protection, toward_scores
from mixplan.allocate.plan import optimal_amounts
from mixplan.allocate.problem import Array, DomainDemand, budgets, build
from mixplan.allocate.rounding import Rows, whole_rows
from mixplan.forecast import Halving
from mixplan.recipe import AllocateSpec, BudgetSpec


def rows_again(
    demands: Sequence[DomainDemand],
    ratios: Array,
    *,
    spec: AllocateSpec,
    budget: BudgetSpec,
    halving: Halving | None = None,
    weight: float = 0.0,
) -> Rows:
    """Spread a budget as `allocate` does, once for each set of scores.

    Args:
        demands: The domains.
        ratios: `[times, n]` what each domain's score, and its interval, is multiplied by.
        spec: Objective and limits.
        budget: Of a list, the last amount is spread.
        halving: As for `allocate`.
        weight: As for `allocate`.

    Returns:
        `[times, n]` whole rows.

    Raises:
        AllocationError: as `allocate`.
    """
    unit, amounts = budgets(budget)
    problem = build(demands, spec, unit, amounts[-1], budget.max_repeats, weight)
    found = []
    for ratio in ratios:
        shared = cross_protection.taken_out(
            problem.with_score(problem.score * ratio), spec, halving or Halving(spec.half)
        )
        found.append(
            whole_rows(shared.problem, optimal_amounts(shared)[1], toward_scores.ties(shared.problem, shared.spec))
        )
    return np.stack(found)
