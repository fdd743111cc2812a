"""Defines ablations.json and concentration.json: a study judged again with one setting changed at a time."""

from __future__ import annotations

from pydantic import Field

from mixplan.saved.base_types import AsGiven, JsonObject, Saved
from mixplan.study.files.figure import Scores, TargetMean
from mixplan.study.files.judgement import Of


class ViewOverlap(TargetMean):
    """The share of N that predicted and actual drift dimensions have in common.

    Attributes:
        by_target: Means over seeds.
        live: The fewest live features of any cell.
        chance: What N live features drawn blindly would share.
        chance_high: The 97.5 % quantile of that.
    """

    by_target: dict[str, float | None]
    live: int
    chance: float
    chance_high: float


class JudgedView(Saved):
    """What one way to read a study gives; see `judge_view`.

    Attributes:
        features: N.
        dropped: Demonstrations that did not fit the model's window.
        overlap: Of predicted and actual drift dimensions.
        captured: Part of everything training changed that lies in the predicted ones.
        concentration: Part that lies in the actual ones.
        correlations: By set of targets.
    """

    features: int
    dropped: int
    overlap: ViewOverlap
    captured: TargetMean
    concentration: TargetMean
    correlations: dict[str, Scores]


class DemonstrationsSetting(Saved):
    """Rows in front of a question."""

    demonstrations: int


class DemonstrationsView(JudgedView, DemonstrationsSetting):
    """The same with another number of demonstrations."""


class TokensSetting(Saved):
    """The part of the study's tokens that is read."""

    tokens: float


class TokensView(JudgedView, TokensSetting):
    """The same with fewer tokens read."""


class SaeSetting(Saved):
    """An SAE: its name, None for the study's own; where it reads, how wide it is, how many features fire on a token."""

    sae: str | None
    hook_name: str
    d_sae: int
    active: float


class SaeView(JudgedView, SaeSetting):
    """The same through another SAE."""


class Kept(Saved):
    """The study's own settings."""

    features: int
    query_tokens: int
    target_tokens: int
    demonstrations: int


class AskedAblations(AsGiven):
    """What a study's file asks to be looked into further."""

    demonstrations: list[int] = Field(default_factory=list)
    tokens: list[float] = Field(default_factory=list)
    saes: dict[str, JsonObject] = Field(default_factory=dict)
    trained: dict[str, JsonObject] = Field(default_factory=dict)


class Ablations(Saved):
    """Everything that was judged again so far; the first of `saes` is the study's own.

    Attributes:
        quantity: What scores are correlated with.
        kept: The study's own settings.
        seeds: Those judged.
        features: By number of drift dimensions.
        demonstrations: By number of demonstrations.
        tokens: By part of the tokens.
        saes: By SAE.
        concentration: By cell, (leading features, their part of the whole actual change).
    """

    quantity: str
    kept: Kept
    seeds: list[int]
    features: list[JudgedView]
    demonstrations: list[DemonstrationsView]
    tokens: list[TokensView]
    saes: list[SaeView]
    concentration: dict[str, list[tuple[int, float]]]


class AblationsAsked(Of):
    """Of which study it is, and what its file asks."""

    asked: AskedAblations


class AblationsFile(Ablations, AblationsAsked):
    """ablations.json, whole."""


class Concentration(Saved):
    """concentration.json: by cell, the part of the target's whole change that its drift dimensions hold."""

    features: int
    share: dict[str, float]
