"""Plans a target again by what halves a loss in the other targets' measured arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mixplan.forecast.earlier_runs import unit_of
from mixplan.forecast.halving import Amount, chosen
from mixplan.forecast.response import Halving, respond
from mixplan.plan.make import spread_again
from mixplan.reading import Watcher
from mixplan.recipe import load_recipe
from mixplan.study.arms.figures import one_target
from mixplan.study.arms.judge import Measured, Study, spared
from mixplan.study.arms.response import common_quantity, losses_of
from mixplan.study.asked.arms import LEARNED
from mixplan.study.files.arms import LearnedPlan


@dataclass(frozen=True)
class Relearned:
    """A plan made again.

    Attributes:
        rows: By domain.
        text: What halves a loss, and by what that is known.
        even_as_good: Whether this plan says that an even spread may do as well.
    """

    rows: dict[str, int]
    text: str
    even_as_good: bool


def relearned(folder: Path, others: Study, watcher: Watcher) -> Relearned:
    """Spread a planned run's budget by what halves a loss in the arms of other targets.

    Args:
        folder: The run folder.
        others: The other targets as they were measured.
        watcher: Told of progress.

    Raises:
        MixplanError: the run cannot be planned any more.
    """
    amount = amount_of(others, usual=load_recipe(folder / "recipe.yaml").recipe.allocate.half)
    spent = spread_again(folder, amount, watcher)
    return Relearned(spent.rows, amount.text, spent.allocation.no_better_than_uniform is not None)


def amount_of(others: Study, *, usual: float) -> Amount:
    """What halves a loss by the arms of other targets, where that foretells their losses better than the usual number.

    Args:
        others: At least two targets.
        usual: Rows of its own that halve a domain's loss where nothing better is learned.
    """
    quantity = common_quantity(others)
    found = None
    if quantity is not None:
        found = respond([losses_of(budgets, quantity) for budgets in others.values()], assumed=usual)
    if found is None or quantity is None:
        return Amount(Halving(usual), f"{usual:g} rows are taken to halve a domain's loss: nothing was learned.")
    return chosen(found, len(others), usual, unit_of(quantity))


def judge_relearned(study: Study, quantity: str) -> list[LearnedPlan]:
    """Hold the learned plans against the plans, target by target.

    Args:
        study: What was measured, the arm `plan_learned` with it.
        quantity: Loss is told in it.

    Returns:
        For each target and budget what halves a loss in words, whether an even spread may do as well by it, how many
        rows lie elsewhere than in the `plan` and in an even spread, and what it avoids of the plan's mean and worst
        loss, with intervals over seeds and items.
    """
    plans: list[LearnedPlan] = []
    for budget, one in ((budget, one) for found in study.values() for budget, one in found.items()):
        assert one.learned is not None  # what was measured of the arm comes with what it said
        mean, worst = (one_target(figure) for figure in spared(one, "plan", LEARNED, quantity).values())
        plans.append(
            LearnedPlan(
                target=one.target,
                budget=str(budget),
                text=one.learned.text,
                said=one.learned.said,
                from_plan=elsewhere(one, "plan"),
                from_uniform=elsewhere(one, "uniform"),
                mean=mean,
                worst=worst,
            )
        )
    return plans


def elsewhere(one: Measured, arm: str) -> int:
    """Rows of the learned plan that another arm gives to other domains."""
    here: Mapping[str, int] = one.rows[LEARNED]
    return sum(max(0, count - one.rows[arm].get(name, 0)) for name, count in here.items())
