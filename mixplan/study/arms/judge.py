"""Judges every target's arms: what each keeps of the target's gain and avoids of the domains' loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from mixplan.outcome.units import main_quantity
from mixplan.saved.evaluation import Evaluation, quality
from mixplan.study.arms.figures import Figure, if_defined, mean_of, one_target, over_targets, ratio
from mixplan.study.asked.arms import LEARNED
from mixplan.study.files.arms import (
    ArmsJudgement,
    Avoided,
    ByBudget,
    Came,
    Foreseen,
    Foresight,
    ForesightCounts,
    Halved,
    OwnFigures,
    OwnLosses,
)
from mixplan.study.judged.pass_marks import Mark, judge_marks

Doubles = npt.NDArray[np.float64]

BASES = ("none", "uniform", "proportional_to_sts")
"""Arms that the others are held against, where they were trained."""
QUANTITIES = {
    "bits_per_byte": "likelihood",
    "kl": "behaviour",
    "gold_probability": "choice",
    "correct": "choice",
    "score": "exact",
}
"""Quantities that loss is told in, each with its measure; see `quantities_of` for which stands for a study."""
BOTH = "both"
"""The mean over budgets."""


@dataclass(frozen=True)
class Measured:
    """One target at one budget.

    Attributes:
        target: Its name.
        before: The untrained model's evaluation.
        after: By arm and seed, the trained models'.
        rows: By arm and domain, extra rows; of the first seed where seeds draw different ones.
        steps: Optimiser steps of each training.
        even_as_good: Whether the plan said that an even spread may do as well.
        learned: What the arm `plan_learned` said; None where it was not trained.
    """

    target: str
    before: Evaluation
    after: Mapping[str, Mapping[int, Evaluation]]
    rows: Mapping[str, Mapping[str, int]]
    steps: int
    even_as_good: bool = False
    learned: Halved | None = None


Study = Mapping[str, Mapping[int, Measured]]
"""By target and budget."""


def judge_arms(study: Study, *, marks: Sequence[Mark] = ()) -> ArmsJudgement:
    """Hold the arms against each other over targets.

    Losses are positive where a domain got worse (for behaviour: by how far it moved), so what is avoided is the base
    arm's loss less the arm's own. `worst` compares each arm's own worst domain. All is paired by target, seed and item.

    Args:
        study: What was measured; every target with the same budgets, arms and seeds.
        marks: Pass marks.

    Returns:
        What was kept by arm and budget (share of the arm `none`'s target gain); what was avoided by base, arm,
        quantity, mean or worst domain, and budget (against `plan`, what `plan_learned` does alone); every target's own
        figures; `foresight`; and the marks.

    Raises:
        RunError: a mark names a figure that there is not.
    """
    first = next(iter(next(iter(study.values())).values()))
    budgets = [str(budget) for budget in next(iter(study.values()))]
    arms = list(first.after)
    quantities = quantities_of(study)
    judged = ArmsJudgement(
        targets=list(study),
        budgets=budgets,
        arms=arms,
        seeds=sorted(first.after["none"]),
        quantities=quantities,
        steps={target: one.steps for target, found in study.items() for one in found.values()},
        kept={arm: pooled(study, partial(kept, arm=arm)) for arm in arms},
        avoided={
            base: {arm: avoided(study, base, arm, quantities) for arm in arms if arm != base}
            for base in BASES
            if base in arms
        }
        | ({"plan": {LEARNED: avoided(study, "plan", LEARNED, quantities)}} if LEARNED in arms else {}),
        by_target={
            target: {str(budget): own_figures(one, quantities) for budget, one in found.items()}
            for target, found in study.items()
        },
        foresight=foresight(study, quantities[0]) if quantities and {"uniform", "plan"} <= set(arms) else None,
    )
    return judged.model_copy(update={"marks": judge_marks(judged.values(), marks)})


def every(study: Study) -> list[Measured]:
    """All comparisons."""
    return [one for found in study.values() for one in found.values()]


def quantities_of(study: Study) -> list[str]:
    """What every comparison measured domains in; first what is the headline of them all, which stands for the study."""
    found = [quantity for quantity in QUANTITIES if all(domains_of(one, quantity) for one in every(study))]

    def headline(quantity: str) -> bool:
        names = {measure for one in every(study) for name, measure in one.before.headlines.items() if name != "target"}
        return names == {QUANTITIES[quantity]}

    return sorted(found, key=lambda quantity: not headline(quantity))


def foresight(study: Study, quantity: str) -> Foresight:
    """Hold what each plan said of an even spread against what came of both.

    Args:
        study: What was measured.
        quantity: Loss is told in it.

    Returns:
        Each target and budget with what the plan said (that an even spread may do as well), what it avoids of the even
        spread's mean and worst loss, each with its interval over seeds and items, and whether one of these lies above
        0; and how many of these there are.
    """
    comparisons: list[Foreseen] = []
    for budget, one in ((budget, one) for found in study.values() for budget, one in found.items()):
        mean, worst = (one_target(figure) for figure in spared(one, "uniform", "plan", quantity).values())
        comparisons.append(
            Foreseen(
                target=one.target,
                budget=str(budget),
                said=one.even_as_good,
                better=mean.low > 0 or worst.low > 0,
                mean=mean,
                worst=worst,
            )
        )

    def came(said: bool) -> Came:
        better = [one.better for one in comparisons if one.said is said]
        return Came(better=sum(better), as_well=len(better) - sum(better))

    counts = ForesightCounts(said=came(True), unsaid=came(False))
    return Foresight(quantity=quantity, comparisons=comparisons, counts=counts)


def avoided(study: Study, base: str, arm: str, quantities: Sequence[str]) -> dict[str, Avoided]:
    """What an arm avoids of a base arm's loss, by quantity: the mean domain's and the worst domain's."""

    def over_study(part: str, quantity: str) -> ByBudget:
        return pooled(study, lambda one: spared(one, base, arm, quantity)[part])

    return {
        quantity: Avoided(mean=over_study("mean", quantity), worst=over_study("worst", quantity))
        for quantity in quantities
    }


def spared(one: Measured, base: str, arm: str, quantity: str) -> dict[str, Figure]:
    """What an arm avoids of a base arm's loss in one comparison: the `mean` domain's and the `worst` domain's."""
    return {
        part: loss(one, base, quantity).less(loss(one, arm, quantity))
        for part, loss in (("mean", mean_loss), ("worst", worst_loss))
    }


def pooled(study: Study, figure: Callable[[Measured], Figure | None]) -> ByBudget:
    """A figure over targets, at each budget and on the mean over budgets.

    Args:
        study: What was measured.
        figure: Gives one comparison's `Figure`, or None where it is not defined.
    """
    found = {target: [figure(one) for one in by_budget.values()] for target, by_budget in study.items()}
    names = [str(budget) for budget in next(iter(study.values()))]
    told = {name: over_targets([own[number] for own in found.values()]) for number, name in enumerate(names)}
    together: list[Figure | None] = []
    for own in found.values():
        known = [one for one in own if one is not None]
        together.append(mean_of(known) if len(known) == len(own) else None)
    return {**told, BOTH: over_targets(together)}


def kept(one: Measured, arm: str) -> Figure | None:
    """The share of the arm `none`'s target gain that an arm keeps; None where `none` did not surely gain."""
    whole = gain(one, "none")
    if whole is None or one_target(whole).low <= 0:
        return None
    if arm == "none":
        return Figure(1.0, {name: 0 * part for name, part in whole.parts.items()})
    part = gain(one, arm)
    return None if part is None else ratio(part, whole)


def gain(one: Measured, arm: str) -> Figure | None:
    """How much better the target got, in its headline measure's main quantity; None where it was not measured."""
    measure = one.before.headlines.get("target")
    if measure is None:
        return None
    measured = one.before.domains["target"][measure]
    quantity = main_quantity(measured.values)
    return changed(one, arm, "target", measure, quantity).scaled(measured.quality(quantity) or 1)


def changed(one: Measured, arm: str, name: str, measure: str, quantity: str) -> Figure:
    """One domain's change in an arm, over seeds and items."""

    def values(evaluation: Evaluation) -> Doubles:
        return np.array(evaluation.domains[name][measure].values[quantity], dtype=np.float64)

    found = np.array([values(after) for _, after in sorted(one.after[arm].items())]) - values(one.before)
    # Two targets' rows may have the same ids, but a domain's are the same rows for every target.
    own = (f"{name} {one.target}" if name == "target" else name, *one.before.domains[name][measure].rows)
    return Figure(float(found.mean()), {own: found})


def losses(one: Measured, arm: str, quantity: str) -> dict[str, Figure]:
    """Every domain's loss in an arm."""
    better = quality(quantity)
    return {
        name: changed(one, arm, name, QUANTITIES[quantity], quantity).scaled(-better if better else 1)
        for name in domains_of(one, quantity)
    }


def domains_of(one: Measured, quantity: str) -> list[str]:
    """The domains that a quantity was measured on, in every evaluation."""
    measure = QUANTITIES[quantity]
    evaluations = [one.before, *(after for found in one.after.values() for after in found.values())]

    def has(evaluation: Evaluation, name: str) -> bool:
        measured = evaluation.domains.get(name, {}).get(measure)
        return measured is not None and quantity in measured.values

    return [name for name in one.before.domains if name != "target" and all(has(each, name) for each in evaluations)]


def mean_loss(one: Measured, arm: str, quantity: str) -> Figure:
    """The mean over domains of their loss."""
    return mean_of(list(losses(one, arm, quantity).values()))


def worst_loss(one: Measured, arm: str, quantity: str) -> Figure:
    """The loss of the domain that lost most in this arm, on the mean over seeds."""
    found = losses(one, arm, quantity)
    return found[worst_domain(found)]


def worst_domain(found: Mapping[str, Figure]) -> str:
    """The domain that lost most; the first by name among equals."""
    return min(found, key=lambda name: (-found[name].value, name))


def own_figures(one: Measured, quantities: Sequence[str]) -> dict[str, OwnFigures]:
    """Every arm's own figures at one target and budget."""
    return {
        arm: OwnFigures(
            rows=dict(one.rows[arm]),
            gain=if_defined(gain(one, arm)),
            kept=if_defined(kept(one, arm)),
            loss={quantity: own_losses(one, arm, quantity) for quantity in quantities},
        )
        for arm in one.after
    }


def own_losses(one: Measured, arm: str, quantity: str) -> OwnLosses:
    """One arm's mean and worst loss, and each domain's."""
    found = losses(one, arm, quantity)
    worst = worst_domain(found)
    return OwnLosses(
        mean=one_target(mean_of(list(found.values()))),
        worst=one_target(found[worst]),
        worst_domain=worst,
        domains={name: figure.value for name, figure in found.items()},
    )
