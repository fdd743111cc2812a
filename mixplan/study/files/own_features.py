"""Defines labelled.json: how many of a target's own features are among those that move most."""

from __future__ import annotations

from mixplan.saved.base_types import Saved
from mixplan.study.files.figure import TargetMean
from mixplan.study.files.judgement import Of


class Recall(Saved):
    """A target's recall: None with no feature of its own.

    Attributes:
        recall: Share of its own features among those that move most.
        chance: The same of features drawn blindly.
        chance_high: The 97.5 % quantile of that.
        matched: The same of features of like activity.
        live: Live features.
    """

    recall: float | None
    chance: float | None
    chance_high: float | None
    matched: float | None
    live: int | float | None


class OwnFeatures(Saved):
    """A target's own features, most its own first, and their recall among those predicted to move and that moved."""

    labelled: int
    features: list[int]
    predicted: Recall
    actual: Recall


class MeanRecall(Saved):
    """Means over targets."""

    recall: TargetMean
    matched: TargetMean
    difference: TargetMean
    chance: float | None


class Labelled(Saved):
    """What was found; see `judge_labels`.

    Attributes:
        labelled: The most features that are a target's own.
        movers: How many move most.
        least_firing: Share of the target's tokens on which one of its own fires at least.
        targets: By name.
        predicted: Among features predicted to move.
        actual: Among features that moved.
    """

    labelled: int
    movers: int
    least_firing: float
    targets: dict[str, OwnFeatures]
    predicted: MeanRecall
    actual: MeanRecall


class LabelledSeeds(Of):
    """Of which study it is, and of which training seeds."""

    seeds: list[int]


class LabelledFile(Labelled, LabelledSeeds):
    """labelled.json, whole."""
