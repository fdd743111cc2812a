"""Holds what `mixplan compare` was asked, and refuses what cannot be compared before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from mixplan.errors import RunError
from mixplan.outcome.arms import known_arms, usual_arms
from mixplan.outcome.make import OutcomeRequest
from mixplan.reading import Watcher
from mixplan.recipe import load_recipe
from mixplan.saved import Plan
from mixplan.saved.evaluation import Evaluation
from mixplan.train.machine_share import Part


class Known(Protocol):
    """What trainings have measured, here or elsewhere, by the key of the job."""

    def get(self, job: str) -> Evaluation | None:
        """What a job's training measured; None where that is not known."""

    def keep(self, job: str, arm: str, seed: int, after: Evaluation) -> None:
        """Keep what the training of an arm with a seed measured."""


@dataclass(frozen=True)
class CompareRequest:
    """What `mixplan compare` was asked.

    Attributes:
        outcome: The run that is the plan's arm.
        arms: Which mixtures to train, of `mixplan.outcome.arms.ARMS` and `given`; the usual ones when empty.
        seeds: How many trainings of each arm, the recipe's seed the first; or the training seeds themselves.
        jobs: How many may train at once.
        shared: Where the trainings of the arm `none` are kept, for comparisons that differ in their budgets alone;
            in the run folder when None.
        none_seeds: Training seeds of the arm `none`, whose mean the oracle spreads its rows by; `seeds` when None.
        known: What needs no training again.
        given: Rows by domain of further arms, by their names.
    """

    outcome: OutcomeRequest
    arms: tuple[str, ...]
    seeds: int | tuple[int, ...] = 1
    jobs: int = 1
    shared: Path | None = None
    none_seeds: tuple[int, ...] | None = None
    known: Known | None = None
    given: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def parts(self) -> list[Part]:
        """What each training may use of the machine, of those that run at once."""
        if self.jobs == 1:
            return [self.outcome.launch.part]
        return [Part(number, self.jobs) for number in range(self.jobs)]


def with_usual(request: CompareRequest, plan: Plan, watcher: Watcher) -> CompareRequest:
    """A request with the usual arms where it names none."""
    arms, why = (request.arms, None) if request.arms else usual_arms(plan)
    if why:
        watcher.say(why)
    return replace(request, arms=arms)


def expect_arms(arms: tuple[str, ...]) -> None:
    """Refuse arms that there are not, or that cannot be trained without another one.

    Raises:
        RunError: there is no such arm, or the oracle stands without the arm `none`.
    """
    known_arms(arms)
    if "oracle" in arms and "none" not in arms:
        raise RunError("--arms: oracle spreads the rows by what the arm none has lost. Add none.")


def expect_sts(request: CompareRequest) -> None:
    """Refuse the arm that spreads rows by STS where there is none, before anything is trained.

    Raises:
        RunError: the recipe has no SAE.
    """
    asked = request.outcome
    recipe, given = (asked.place / "recipe.yaml", ()) if asked.place.is_dir() else (asked.place, asked.overrides)
    if "proportional_to_sts" not in request.arms or not recipe.is_file():
        return
    if load_recipe(recipe, given).recipe.model.sae_spec is None:
        raise RunError(
            "--arms: proportional_to_sts spreads the rows by STS, and this recipe has no SAE (`model.sae: none`). "
            "Leave it out; `uniform` and `proportional_to_size` need none."
        )


def seeds_of(request: CompareRequest, first: int) -> list[int]:
    """The training seeds, the plan's own first.

    Raises:
        RunError: the first of given seeds is not the plan's, whose training it is.
    """
    if isinstance(request.seeds, int):
        return [first + number for number in range(request.seeds)]
    if request.seeds[0] != first:
        raise RunError(
            f"seeds: the first is {request.seeds[0]}, but the plan's own training has {first}. Begin with it."
        )
    return list(request.seeds)
