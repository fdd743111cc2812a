"""Forecasts whether tolerances will hold under a plan, and looks for the smallest budget with which they would."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from mixplan.allocate import DomainDemand, budget_curve, require_possible
from mixplan.errors import AllocationError
from mixplan.forecast import Amount, Forecast, Halving
from mixplan.forecast.exceedance import LEARNED_IN, behind_rows, chance_beyond, loss_of
from mixplan.plan.budget import Spent
from mixplan.recipe import BudgetSpec, Recipe
from mixplan.recipe.tolerances import SHARES, UNITS, Tolerance, tolerances_of
from mixplan.saved.base_types import Expected, Interval
from mixplan.saved.evaluation import quality
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
        halving: Amounts that halve such a loss, in the budget's unit.
    """

    domain: str
    tolerance: Tolerance
    loss: Interval
    halving: Halving

    def behind(self, amounts: Mapping[str, float]) -> Interval:
        """What is expected to be lost behind extra rows, in the budget's unit."""
        return behind_rows(self.loss, amounts[self.domain], sum(amounts.values()), self.halving)

    def breaks(self, amounts: Mapping[str, float]) -> float:
        """The probability that more than the tolerance is lost behind extra rows."""
        return chance_beyond(self.behind(amounts), self.tolerance.amount)


def planned_tolerances(
    recipe: Recipe, spent: Spent, risks: Forecast, saves: Callable[[], Amount]
) -> PlannedTolerances | None:
    """Forecast the recipe's tolerances.

    Args:
        recipe: The recipe.
        spent: The planned rows, and what they were spread by.
        risks: The forecast.
        saves: Says what halves a loss, as far as anything measured teaches it; asked where a loss can be
            forecast.

    Returns:
        None where the recipe has none.
    """
    tolerances = tolerances_of(recipe)
    if not tolerances:
        return None
    losses = {
        (name, one): loss
        for name, held in tolerances.items()
        for one in held
        if (loss := foretold(one, risks, name)) is not None
    }
    saving = rows_that_halve({one.unit for _, one in losses}, recipe, spent, saves)
    known = {key: Exposed(*key, loss, saving[key[1].unit].rows) for key, loss in losses.items()}
    amounts = amounts_of(spent.rows, spent.demands)
    expected = [
        expected_loss(name, tolerance, known.get((name, tolerance)), amounts)
        for name, held in tolerances.items()
        for tolerance in held
    ]
    low, high = budget_range(recipe, spent)
    return PlannedTolerances(
        expected=expected,
        kept=budgets_that_keep(list(known.values()), recipe, spent, (low, high)) if known else [],
        most=high,
        rows_save={unit: amount.text for unit, amount in saving.items()},
        assumed=[unit for unit, amount in saving.items() if amount.unit is None],
    )


def rows_that_halve(
    units: Collection[str], recipe: Recipe, spent: Spent, saves: Callable[[], Amount]
) -> dict[str, Amount]:
    """What halves a loss in each unit, in the budget's unit: as it was learned in that very unit, or as is assumed.

    Args:
        units: Of tolerances; nothing is asked where there are none.
        recipe: For what it assumes.
        spent: For the mean length of rows.
        saves: As for `planned_tolerances`.
    """
    if not units:
        return {}
    learned, each = saves(), fmean(demand.mean_row_amount for demand in spent.demands)
    # Without a number of its own a recipe has so many rows, also of a budget in tokens.
    half = recipe.allocate.half * (each if recipe.allocate.half_rows is None else 1.0)
    found = {}
    for unit in UNITS:
        if unit in units and learned.unit == LEARNED_IN[unit]:
            found[unit] = replace(learned, rows=learned.rows.times(each))
        elif unit in units:
            text = (
                f"{half:g} {spent.allocation.unit} of its own are taken to halve a domain's loss in {unit}, as "
                "`allocate.half_rows` says: nothing that was compared earlier teaches what rows save there."
            )
            found[unit] = Amount(Halving(half), text)
    return found


def expected_loss(
    name: str, tolerance: Tolerance, exposed: Exposed | None, amounts: Mapping[str, float]
) -> ExpectedLoss:
    """What a plan says of one tolerance.

    Args:
        name: The domain's.
        tolerance: What it may lose.
        exposed: What it is expected to lose; None where nothing teaches it.
        amounts: The planned rows, in the budget's unit.
    """
    figures = {
        "loss": exposed.behind(amounts) if exposed else None,
        "breaks": exposed.breaks(amounts) if exposed else None,
        "breaks_without": exposed.breaks(dict.fromkeys(amounts, 0.0)) if exposed else None,
    }
    return ExpectedLoss.model_validate({"domain": name, **vars(tolerance), **figures})


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


def budgets_that_keep(exposed: Sequence[Exposed], recipe: Recipe, spent: Spent, between: tuple[int, int]) -> list[Kept]:
    """For each probability, the smallest budget with which every tolerance is kept; each is spread as the plan's is."""

    @functools.cache
    def breaks(budget: int) -> tuple[float, ...]:
        amount = budget_of(recipe, spent.allocation.unit, [budget])
        points = budget_curve(
            spent.demands,
            spec=recipe.allocate,
            budget=amount,
            halving=spent.halving,
            weight=spent.grounds.weight,
        )
        # A budget that the limits do not allow keeps nothing.
        amounts = [amounts_of(point.rows, spent.demands) for point in points]
        return tuple(max((one.breaks(spread) for spread in amounts), default=1.0) for one in exposed)

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
