"""Allocates a budget to scored domains, and returns everything that a reader should know of the allocation.

The problem, over amounts `x_d >= 0` in the budget's unit: `sum_d x_d = budget`; floors, caps, fixed shares by domain;
at most `pool * max_repeats` each; joint bounds on groups. Objectives and closed forms are in `objectives`, that of
`evidence` in `toward_scores`. The plan is
`(1 - prior_strength) * optimum + prior_strength * prior plan`, where the prior plan spreads the budget in proportion
to the prior mixture within the same limits. Both meet the limits, so what lies between them does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from mixplan.allocate import cross_protection, even_spread, explain, toward_scores
from mixplan.allocate.cross_protection import Shared
from mixplan.allocate.feasibility import require_feasible
from mixplan.allocate.problem import (
    Array,
    DomainDemand,
    Problem,
    budgets,
    build,
    prior_shares,
    size_shares,
    uniform_shares,
)
from mixplan.allocate.result import AgainstEven, Allocation, CurvePoint
from mixplan.allocate.rounding import Rows, whole_rows
from mixplan.allocate.solve import Solution, solve
from mixplan.allocate.spreads import spreads_of
from mixplan.errors import AllocationError
from mixplan.forecast import Halving
from mixplan.recipe import AllocateSpec, BudgetSpec

Value = TypeVar("Value")


def allocate(
    demands: Sequence[DomainDemand],
    *,
    spec: AllocateSpec,
    budget: BudgetSpec,
    halving: Halving | None = None,
    weight: float = 0.0,
) -> Allocation:
    """Spread a budget over domains.

    Args:
        demands: The domains; the result keeps their order. Up to some 10,000.
        spec: Objective and limits.
        budget: In rows or tokens; of a list, the last amount is spread.
        halving: Amounts that halve a domain's loss, in the budget's unit; None for `spec`'s, of its own alone.
        weight: How far evidence lets scores move an even spread, 0 to 1; for the objective `evidence`.

    Returns:
        The optimal amounts and the whole rows nearest to them. For a budget in rows the rows sum to it exactly; for
        one in tokens their mean tokens stay within it.

    Raises:
        AllocationError: a limit names an unknown domain, limits clash, or no solver reached an optimum.
    """
    unit, amounts = budgets(budget)
    halving = halving or Halving(spec.half)
    whole = build(demands, spec, unit, amounts[-1], budget.max_repeats, weight)
    found = cross_protection.taken_out(whole, spec, halving)
    problem, spec = found.problem, found.spec
    optimum, amount = optimal_amounts(found)
    pays = explain.pays_until(whole, spec, halving)
    rows = whole_rows(problem, amount, toward_scores.ties(problem, spec))
    shares = _shares(problem, rows)
    from_uniform = explain.total_variation(shares, uniform_shares(problem))
    against = even_spread.against_even(problem, spec, amount)
    return Allocation(
        unit=unit,
        budget=amounts[-1],
        rows=_named(problem, rows.tolist()),
        amounts=_named(problem, amount.tolist()),
        shares=_named(problem, shares.tolist()),
        uniform=_named(problem, uniform_shares(problem).tolist()),
        distance_from_uniform=from_uniform,
        distance_from_size=explain.total_variation(shares, size_shares(problem)),
        against_uniform=against,
        no_better_than_uniform=explain.no_better_than_uniform(problem, from_uniform, against),
        value=optimum.value,
        value_name=explain.VALUE_NAMES[spec.objective].format(unit=unit),
        expected_loss=float(found.losses(amount).sum()),
        pays_until=pays,
        duals=() if optimum.duals is None else explain.dual_texts(problem, spec, optimum.duals),
        binding=explain.binding(problem, optimum.amount),
        notes=tuple(_notes(found, optimum, rows, against, pays)),
        solver=optimum.solver,
        status=optimum.status,
        spreads=spreads_of(found, amount),
    )


def require_possible(demands: Sequence[DomainDemand], *, spec: AllocateSpec, budget: BudgetSpec) -> None:
    """Check that some plan spends the last budget within every limit; scores do not matter.

    Raises:
        AllocationError: as `allocate` raises for such a problem.
    """
    unit, amounts = budgets(budget)
    problem = build(demands, spec, unit, amounts[-1], budget.max_repeats)
    require_feasible(problem)
    if spec.prior_strength:
        prior_shares(problem, spec)


def budget_curve(
    demands: Sequence[DomainDemand],
    *,
    spec: AllocateSpec,
    budget: BudgetSpec,
    halving: Halving | None = None,
    weight: float = 0.0,
) -> tuple[CurvePoint, ...]:
    """Plan every budget of a list, smallest first.

    The expected loss is `score / (1 / left(total) + amount / half)` (see `Halving`) whatever the objective, so that
    budgets can be compared.

    Args:
        demands: The domains.
        spec: Objective and limits.
        budget: One amount or a list, in rows or tokens.
        halving: As for `allocate`.
        weight: As for `allocate`.

    Returns:
        One point for each amount that the limits fit; `left_out` names the others.

    Raises:
        AllocationError: a limit names an unknown domain, or no solver reached an optimum.
    """
    unit, amounts = budgets(budget)
    halving = halving or Halving(spec.half)
    problems = [build(demands, spec, unit, amount, budget.max_repeats, weight) for amount in sorted(set(amounts))]
    return tuple(
        _point(cross_protection.taken_out(problem, spec, halving)) for problem in problems if not _clash(problem)
    )


def optimal_amounts(found: Shared) -> tuple[Solution, Array]:
    """Solve for the objective, and pull its amounts towards the prior's plan."""
    problem, spec = found.problem, found.spec
    require_feasible(problem)
    optimum = toward_scores.moved(problem, spec) if spec.objective == "evidence" else cross_protection.solved(found)
    if not spec.prior_strength:
        return optimum, optimum.amount
    towards = problem.with_score(prior_shares(problem, spec))
    prior = solve(towards, spec.model_copy(update={"objective": "alpha_fair", "alpha": 1.0})).amount
    return optimum, np.asarray((1 - spec.prior_strength) * optimum.amount + spec.prior_strength * prior)


def _point(found: Shared) -> CurvePoint:
    amount, problem = optimal_amounts(found)[1], found.problem
    without = found.before.sum() or 1.0
    saves = explain.next_saves(problem, found.spec, amount) + found.saved_elsewhere(amount)
    return CurvePoint(
        budget=round(problem.total),
        rows=_named(problem, whole_rows(problem, amount, toward_scores.ties(problem, found.spec)).tolist()),
        remaining_loss=float(found.losses(amount).sum() / without),
        next_saves=float(saves / without),
        pays=saves > 0 and saves >= explain.PAYING * explain.first_saves(problem, found.before, found.halving),
    )


def _clash(problem: Problem) -> str | None:
    try:
        require_feasible(problem)
    except AllocationError as error:
        return str(error)
    return None


def left_out(demands: Sequence[DomainDemand], *, spec: AllocateSpec, budget: BudgetSpec) -> Iterator[str]:
    """Say which budgets of a list `budget_curve` leaves out, and why; scores do not matter."""
    unit, amounts = budgets(budget)
    for amount in sorted(set(amounts[:-1])):
        if clash := _clash(build(demands, spec, unit, amount, budget.max_repeats)):
            yield f"The curve leaves out {amount} {unit}: {clash.splitlines()[0]}"


def _notes(
    found: Shared, optimum: Solution, rows: Rows, against: AgainstEven | None, pays_until: float
) -> Iterator[str]:
    """Say what the figures alone do not."""
    problem, spec, unit = found.problem, found.spec, found.problem.unit
    if not problem.total:
        yield "The budget is 0: there is nothing to spread."
    elif not problem.score.any():
        yield "Every score is 0, so the scores ask for nothing: the budget is spread equally within the limits."
    if len(problem.demands) > 1:
        yield explain.pairs_apart(problem)
    if spec.cautious:
        yield "Cautious: planned by the upper end of each score's interval."
    if spec.prior_strength:
        yield f"Pulled {spec.prior_strength:.0%} of the way to the prior; what limits bring is from before the pull."
    if optimum.duals is None and problem.total and spec.objective != "evidence":
        yield "What looser limits would bring has no single answer here, so it is not given."
    if unit == "tokens" and (left := problem.total - float(_amounts(problem, rows).sum())) >= 1:
        yield f"{left:.0f} tokens are left, as amounts are rounded to whole rows of each domain's mean length."
    if against is not None and not (spec.objective == "evidence" and not problem.weight):
        yield even_spread.told(against, cross_protection.words(found.halving, unit))
    if problem.total and found.left < 1:
        yield (
            f"Rows protect domains that they are not from: however they are spread, {problem.total:.0f} {unit} leave "
            f"{found.left:.0%} of every expected loss."
        )
    if pays_until:
        yield (
            f"Past {pays_until:.0f} {unit} even the best placed row saves less than a tenth of what the best first "
            f"row saves, if {cross_protection.words(found.halving, unit)}."
        )


def _amounts(problem: Problem, rows: Rows) -> Array:
    """`[n]` what whole rows amount to in the budget's unit."""
    return np.asarray(rows * np.array([demand.mean_row_amount for demand in problem.demands]))


def _shares(problem: Problem, rows: Rows) -> Array:
    amounts = _amounts(problem, rows)
    return np.asarray(amounts / amounts.sum()) if amounts.any() else uniform_shares(problem)


def _named(problem: Problem, values: Sequence[Value]) -> dict[str, Value]:
    return {demand.name: value for demand, value in zip(problem.demands, values, strict=True)}
