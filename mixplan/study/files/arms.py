"""Defines results.json of a study of arms: what each mixture kept of the target's gain and avoided of losses."""

from __future__ import annotations

from pydantic import Field

from mixplan.saved.base_types import Interval, Saved
from mixplan.study.files.figure import Bounded, JudgedMark, Verdict
from mixplan.study.files.judgement import Of


class ArmFigure(Bounded):
    """A figure over targets.

    Attributes:
        verdict: By its interval; None where it has none.
        targets: Those whose own figure is defined.
        win: How many targets' own intervals lie above 0.
        tie: How many hold it.
        loss: How many lie below it.
    """

    verdict: Verdict | None
    targets: int
    win: int
    tie: int
    loss: int


ByBudget = dict[str, ArmFigure]
"""By budget, and under `both` the mean over budgets."""


class Avoided(Saved):
    """What an arm avoids of another's loss: the mean domain's and the worst domain's."""

    mean: ByBudget
    worst: ByBudget

    def parts(self) -> tuple[tuple[str, ByBudget], ...]:
        """Both by their names."""
        return ("mean", self.mean), ("worst", self.worst)


class OwnLosses(Saved):
    """One arm's mean and worst loss at one target and budget, and each domain's."""

    mean: Interval
    worst: Interval
    worst_domain: str
    domains: dict[str, float]


class OwnFigures(Saved):
    """One arm at one target and budget: its rows by domain, the target's gain, the share kept, losses by quantity."""

    rows: dict[str, int]
    gain: Interval | None
    kept: Interval | None
    loss: dict[str, OwnLosses]


class Said(Saved):
    """What a plan said of an even spread at one target and budget."""

    target: str
    budget: str
    said: bool


class Spared(Saved):
    """What an arm avoids of another's mean and worst loss at one target and budget."""

    mean: Interval
    worst: Interval


class Better(Saved):
    """Whether the plan was better than an even spread."""

    better: bool


class Foreseen(Spared, Better, Said):
    """What a plan said of an even spread, and what came of both."""


class Came(Saved):
    """In how many comparisons the plan was better, and in how many an even spread did as well."""

    better: int
    as_well: int


class ForesightCounts(Saved):
    """Comparisons where the plan had said that an even spread may do as well, and where it had not."""

    said: Came
    unsaid: Came


class Foresight(Saved):
    """What plans said of an even spread against what came of both; see `judge.foresight`."""

    quantity: str
    comparisons: list[Foreseen]
    counts: ForesightCounts


class ArmsJudgement(Saved):
    """How the arms did.

    Attributes:
        targets: Names.
        budgets: Extra rows.
        arms: Names.
        seeds: Of the trainings.
        quantities: That losses are measured in, the one that stands for the study first.
        steps: Optimiser steps by target.
        kept: By arm, the share of the target's gain.
        avoided: By base arm, arm and quantity.
        by_target: By target, budget and arm.
        foresight: None where no plan and even spread were trained.
        marks: Of the study; unset while they are looked up.
    """

    targets: list[str]
    budgets: list[str]
    arms: list[str]
    seeds: list[int]
    quantities: list[str]
    steps: dict[str, int]
    kept: dict[str, ByBudget]
    avoided: dict[str, dict[str, dict[str, Avoided]]]
    by_target: dict[str, dict[str, dict[str, OwnFigures]]]
    foresight: Foresight | None
    marks: list[JudgedMark] = Field(default_factory=list)


class RowResponse(Saved):
    """How many rows halve a loss, flat; see `forecast.response.Response`, whose infinite numbers are None here."""

    quantity: str
    assumed: float
    half: float | None
    shared: float | None
    stays: float | None
    low: float | None
    high: float | None
    shared_low: float | None
    shared_high: float | None
    stays_low: float | None
    stays_high: float | None
    error: float | None
    error_own: float | None
    error_all: float | None
    error_nothing: float | None
    error_assumed: float | None
    cases: int | None
    fewest: float | None
    most: float | None
    helps: bool
    text: str


class Halved(Saved):
    """What halves a loss by the other targets' arms, in words, and whether an even spread may do as well by it."""

    text: str
    said: bool


class OfTarget(Saved):
    """At which target and budget."""

    target: str
    budget: str


class Moved(Saved):
    """How many rows of the learned plan lie elsewhere than in the plan and in an even spread."""

    from_plan: int
    from_uniform: int


class LearnedPlan(Spared, Moved, Halved, OfTarget):
    """A plan that learned from other targets' arms, and what it avoids of the plan's loss."""


class ArmsFurther(Saved):
    """What was learned of rows, and what plans that learned it were worth; None where it was not trained."""

    response: RowResponse | None = None
    learned: list[LearnedPlan] | None = None


class ArmsResults(ArmsFurther, ArmsJudgement, Of):
    """results.json, whole."""
