"""Lists the stages of a study of arms in the order in which they are worked on."""

from __future__ import annotations

from typing import NamedTuple

from mixplan.study.asked.arms import LEARNED
from mixplan.study.asked.spec import LoadedStudy


class Stage(NamedTuple):
    """A target at a budget, and the number of seeds that its arms are trained with.

    Attributes:
        learned: With the arm `plan_learned`, which takes every other target's other arms, measured.
    """

    target: str
    budget: int
    seeds: int
    learned: bool = False


def comparisons(study: LoadedStudy) -> list[tuple[str, int]]:
    """Targets with their budgets, every target's first budget before any second one."""
    assert study.spec.arms is not None  # what makes it a study of arms
    return [(target, budget) for budget in study.spec.arms.budgets for target in study.spec.targets]


def stages(study: LoadedStudy) -> list[Stage]:
    """What is worked on, in this order.

    Every target's first seed comes before any second one, all seeds of a budget before the next budget, and what is
    learned from other targets' arms after these, with all seeds at once. So a target at a budget only ever gains seeds
    and arms: a stage that is done stays so.
    """
    assert study.spec.arms is not None  # what makes it a study of arms
    whole, budgets = len(study.spec.seeds), study.spec.arms.budgets
    found = [
        Stage(target, budget, count)
        for budget in budgets
        for count in range(1, whole + 1)
        for target in study.spec.targets
    ]
    if LEARNED in study.spec.arms.names:
        found += [Stage(target, budget, whole, learned=True) for budget in budgets for target in study.spec.targets]
    return found


def arms_of(study: LoadedStudy, one: Stage) -> tuple[str, ...]:
    """The arms that a stage compares."""
    assert study.spec.arms is not None  # what makes it a study of arms
    return tuple(arm for arm in study.spec.arms.names if one.learned or arm != LEARNED)
