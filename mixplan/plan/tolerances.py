"""Forecasts whether tolerances will hold under a plan, and looks for the smallest budget with which they would."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from mixplan.allocate import DomainDemand, budget_curve, require_possible
from mixplan.errors import AllocationError
from mixplan.forecast import Amount, Forecast, Halving
from mixplan.forecast.breaking import behind_rows, chance_beyond, loss_of
from mixplan.plan.spend import Spent
from mixplan.recipe import BudgetSpec, Recipe
from mixplan.recipe.tolerances import SHARES, UNITS, Tolerance, tolerances_of
from mixplan.saved.evaluation import quality
from mixplan.saved.part import Expected, Interval
from mixplan.saved.tolerances import ExpectedLoss, Kept, PlannedTolerances

PROBABILITIES = (0.5, 0.9)
"""With which each tolerance is to be kept: as expected, and more likely than that."""


@dataclass(frozen=True)
class Exposed:
    """A tolerance whose loss can be forecast.

    Attributes:
        domain: Its name.
        tolerance: What it may lose.
        loss: Expected without extra rows, in the tolerance's unit.
    """

    domain: str
    tolerance: Tolerance
    loss: Interval

    def behind(self, amounts: Mapping[str, float], halving: Halving) -> Interval:
        """What is expected to be lost behind extra rows, in the budget's unit."""
        return behind_rows(self.loss, amounts[self.domain], sum(amounts.values()), halving)

    def breaks(self, amounts: Mapping[str, float], halving: Halving) -> float:
        """The probability that more than the tolerance is lost behind extra rows."""
        return chance_beyond(self.behind(amounts, halving), self.tolerance.amount)


def planned_tolerances(
    recipe: Recipe, spent: Spent, risks: Forecast, saves: Callable[[], Amount]
) -> PlannedTolerances | None:
    """Forecast the recipe's tolerances.

    Args:
        recipe: The recipe.
        spent: The planned rows, and what they were spread by.
        risks: The forecast.
        saves: Says what halves a loss, as far as anything measured teaches it; asked where a loss can be forecast.

    Returns:
        None where the recipe has none.
    """
    tolerances = tolerances_of(recipe)
    if not tolerances:
        return None
    exposed = [
        Exposed(name, one, loss)
        for name, held in tolerances.items()
        for one in held
        if (loss := foretold(one, risks, name)) is not None
    ]
    save = saves() if exposed else Amount(Halving(recipe.allocate.half), "")
    halving = save.rows.times(fmean(demand.mean_row_amount for demand in spent.demands))
    amounts = amounts_of(spent.rows, spent.demands)
    none = dict.fromkeys(amounts, 0.0)
    known = {(one.domain, one.tolerance.unit): one for one in exposed}
    expected = []
    for name, held in tolerances.items():
        for tolerance in held:
            one = known.get((name, tolerance.unit))
            figures = {
                "loss": one.behind(amounts, halving) if one else None,
                "breaks": one.breaks(amounts, halving) if one else None,
                "breaks_without": one.breaks(none, halving) if one else None,
            }
            expected.append(ExpectedLoss.model_validate({"domain": name, **vars(tolerance), **figures}))
    low, high = budget_range(recipe, spent)
    kept = budgets_that_keep(exposed, recipe, spent, halving, (low, high)) if exposed else []
    return PlannedTolerances(expected=expected, kept=kept, most=high, rows_save=save.text)


def foretold(tolerance: Tolerance, risks: Forecast, name: str) -> Interval | None:
    """What a domain is expected to lose without extra rows, in the tolerance's unit; None where nothing teaches it."""
    found = risks.learned.expected[name] if risks.learned else {}
    for expected in found.values():
        if expected.measure == tolerance.measure and in_unit(expected, tolerance):
            return loss_of(expected, quality=quality(expected.quantity), scale=UNITS[tolerance.unit].scale)
    return None


def in_unit(expected: Expected, tolerance: Tolerance) -> bool:
    """Whether an expectation is of a quantity with a tolerance's unit: a task's metric may be none."""
    return tolerance.unit != "pp" or expected.quantity in SHARES


def amounts_of(rows: Mapping[str, int], demands: Sequence[DomainDemand]) -> dict[str, float]:
    """Rows by domain in the budget's unit."""
    return {demand.name: rows[demand.name] * demand.mean_row_amount for demand in demands}


def budget_range(recipe: Recipe, spent: Spent) -> tuple[int, int]:
    """The smallest and the largest budget that the recipe's limits and the pools allow."""
    unit, planned = spent.allocation.unit, spent.allocation.budget
    pools = int(sum(demand.pool_amount for demand in spent.demands) * recipe.budget.max_repeats)

    def possible(budget: int) -> bool:
        try:
            require_possible(spent.demands, spec=recipe.allocate, budget=budget_of(recipe, unit, [budget]))
        except AllocationError:
            return False
        return True

    # What the limits allow is one range, and the planned budget lies in it.
    low = 0 if possible(0) else last(lambda budget: not possible(budget), 0, planned) + 1
    return low, pools if pools <= planned or possible(pools) else last(possible, planned, pools)


def last(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The last whole number below `high` for which something holds that holds for `low` and not for `high`."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def budget_of(recipe: Recipe, unit: str, amounts: list[int]) -> BudgetSpec:
    """The recipe's budget with other amounts."""
    return BudgetSpec.model_validate({unit: amounts, "max_repeats": recipe.budget.max_repeats})


def budgets_that_keep(
    exposed: Sequence[Exposed], recipe: Recipe, spent: Spent, halving: Halving, between: tuple[int, int]
) -> list[Kept]:
    """For each probability, the smallest budget with which every tolerance is kept; each is spread as the plan's is."""

    @functools.cache
    def breaks(budget: int) -> tuple[float, ...]:
        amount = budget_of(recipe, spent.allocation.unit, [budget])
        points = budget_curve(spent.demands, spec=recipe.allocate, budget=amount, halving=spent.halving)
        # A budget that the limits do not allow keeps nothing.
        amounts = [amounts_of(point.rows, spent.demands) for point in points]
        return tuple(max((one.breaks(spread, halving) for spread in amounts), default=1.0) for one in exposed)

    found = []
    for probability in PROBABILITIES:

        def broken(budget: int, most: float = 1 - probability) -> bool:
            return max(breaks(budget)) > most + 1e-12

        budget = smallest(broken, *between)
        chances = sorted(zip(breaks(between[1]), [one.domain for one in exposed], strict=True), key=lambda one: -one[0])
        short = [name for chance, name in chances if chance > 1 - probability + 1e-12]
        short = list(dict.fromkeys(short)) if budget is None else []
        found.append(Kept(probability=probability, budget=budget, short=short))
    return found


def smallest(broken: Callable[[int], bool], low: int, high: int) -> int | None:
    """The smallest number for which something does not hold, which may hold below it; None where it holds throughout.

    Steps grow from the lower end, so that few and small problems are solved where little is enough.
    """
    if not broken(low):
        return low
    step = 1
    while (upper := min(low + step, high)) > low:
        if not broken(upper):
            return last(broken, low, upper) + 1
        low, step = upper, 2 * step
    return None
