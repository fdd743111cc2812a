"""Defines results.json of a study of forecasts: how well each predictor did, and what was chosen by it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mixplan.saved.base_types import Saved
from mixplan.saved.outcome import Correlations
from mixplan.saved.scores import Rollouts
from mixplan.study.files.figure import Bounded, BySet, Estimated, JudgedMark, Score, Scores, TargetMean

Grid = list[list[float | None]]
"""`[T][D]` a number of each target and domain, None where it was not measured."""


class CellChanges(Saved):
    """Each cell's mean change over seeds, its standard error, and its size, which predictors are held against."""

    change: Grid
    error: Grid
    size: Grid


class NoiseFloor(Saved):
    """The spread between domains beside what items and seeds alone would bring; see `noise_floor`."""

    between_domains: float | None
    item_error: float | None
    seed_sd: float | None
    error: float | None
    reliability: float | None
    ceiling: float | None


class TargetScores(Correlations):
    """A predictor's correlations within one target, its hits among the three that moved most, and how many domains."""

    top3: float | None
    domains: int


class Chosen(Saved):
    """What was chosen, on which set of targets, out of how many."""

    forecast: str
    chosen_on: Literal["all", "development"]
    candidates: int


class Choice(BySet[Score], Chosen):
    """The forecast with the best score, and that score by set of targets."""


class Least(Saved):
    """The competitor that the chosen forecast is least ahead of, and the lowest end of any competitor's interval."""

    competitor: str
    value: float
    low: float | None


Differences = dict[str, Estimated | Least]
"""By predictor, the chosen forecast's score less its own; under `least` the closest competitor."""


class SignScore(Saved):
    """How often a forecast of direction was right; see `judge_sign`."""

    moved: int
    improved: int
    right: Bounded
    always_loss: Bounded
    ahead: Bounded
    balanced: Bounded
    right_of_improved: Bounded
    right_of_lost: Bounded


class SignChosen(Saved):
    """The forecast of direction that was chosen, and on which set of targets."""

    forecast: str
    chosen_on: Literal["all", "development"]


class SignChoice(BySet[SignScore], SignChosen):
    """That forecast, and how it did by set of targets."""


class Signs(BySet[dict[str, dict[str, SignScore]]]):
    """By set of targets, quantity and forecast how often a direction was right; nothing where none was forecast."""

    chosen: dict[str, SignChoice] | None = None


class OverlapVariant(BySet[TargetMean]):
    """One way to predict drift dimensions: how many it shares with actual ones.

    Attributes:
        features: N.
        live: Dimensions to choose from.
        chance: N² / live.
        chance_high: The 97.5 % quantile of what two sets drawn blindly share.
        by_target: Means over seeds.
    """

    features: int
    live: int
    chance: float
    chance_high: float
    by_target: dict[str, float | None]


class OverlapChosen(Saved):
    """The variant that was chosen, on which set of targets, out of how many."""

    variant: str
    chosen_on: Literal["all", "development"]
    candidates: int


class OverlapChoice(BySet[TargetMean], OverlapChosen):
    """That variant, and how it did by set of targets."""


class Overlaps(Saved):
    """Every variant, the paired differences of each two, and the chosen one; unset where no variant has an overlap."""

    variants: dict[str, OverlapVariant]
    differences: dict[str, TargetMean]
    chosen: OverlapChoice | None = None


class Judgement(Saved):
    """How well each predictor did.

    Attributes:
        sets: Targets by set.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
        cells: By quantity.
        noise: By quantity.
        by_target: By quantity, target and predictor.
        pooled: By set and quantity.
        kinds: By set, quantity and kind of domain.
        chosen: By quantity and score.
        differences: By set, quantity and score.
        sign: Of forecasts of direction.
        overlap: Of drift dimensions.
        marks: Of the study; unset while they are looked up.
    """

    sets: dict[str, list[str]]
    resamples: int
    seed: int
    cells: dict[str, CellChanges]
    noise: dict[str, NoiseFloor]
    by_target: dict[str, dict[str, dict[str, TargetScores]]]
    pooled: dict[str, dict[str, Scores]]
    kinds: dict[str, dict[str, dict[str, Scores]]]
    chosen: dict[str, dict[str, Choice]]
    differences: dict[str, dict[str, dict[str, Differences]]]
    sign: Signs
    overlap: Overlaps
    marks: list[JudgedMark] = Field(default_factory=list)


class Way(Saved):
    """One way to learn from other targets: its scores, its error, and how often its intervals held."""

    pearson: Score
    spearman: Score
    top3: Score
    error: TargetMean
    inside: float


class LearnedDifferences(Saved):
    """Each way less how movable domains are."""

    pearson: dict[str, Estimated]
    spearman: dict[str, Estimated]
    error: dict[str, TargetMean]


class Learned(Saved):
    """What forecasts that learned from the other targets were worth; see `judge_learned`."""

    quantity: str
    ways: dict[str, Way]
    error_none: TargetMean
    differences: LearnedDifferences


class Elsewhere(Saved):
    """Dimensions that a prediction shares with other targets' drift, and how many more with its own target's."""

    elsewhere: TargetMean
    more: TargetMean


class Specific(Saved):
    """How much of an overlap is the target's own; see `judge_specific`."""

    features: int
    variants: dict[str, Elsewhere]
    between_seeds: TargetMean
    between_targets: TargetMean


class PilotCost(Saved):
    """What a pilot run cost."""

    seed: int
    steps: int
    seconds: float


class Cost(Saved):
    """What forecasts cost beside reading, by target: its pilot, and what was sampled."""

    pilots: dict[str, PilotCost]
    rollouts: dict[str, Rollouts]


class Of(Saved):
    """Of which study a file is: the hash that it was registered as."""

    version: Literal[1] = 1
    study: str


class Further(Saved):
    """What stands beside the judgement."""

    learned: Learned | None = None
    specific: Specific | None = None
    cost: Cost | None = None


class Results(Further, Judgement, Of):
    """results.json, whole."""
