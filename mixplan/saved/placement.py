"""Defines what plan.json says of how far evidence moved the rows from an even spread towards the proportional rule."""

from __future__ import annotations

from typing import Literal

from mixplan.saved.base_types import Interval, Saved


class RankingEvidence(Saved):
    """How far domains' movement follows what plans the rows, within a target.

    Attributes:
        by: What the movement is held against, such as `sts_icl`.
        learned: Whether that is a forecast by domains' own factors or on logarithms, each target's from the others.
        slope: Relative movement for one of it: 1 where movement is in proportion to it, 0 where they are unrelated.
        targets: How many were measured.
        domains: In how many different domains.
    """

    by: str
    learned: bool
    slope: Interval
    targets: int
    domains: int


class ComparisonEvidence(Saved):
    """How much less a score-led mixture lost than an even spread of as many rows, trained alike.

    Attributes:
        name: The study's title, or the run's folder.
        arm: The mixture: the run's plan, or the paper's proportional rule.
        of: Whose loss: the worst domain's of each mixture, or the mean over domains.
        unit: Of the loss.
        targets: How many were trained.
        avoided: Above 0 where the mixture lost less.
        same: Comparisons of this very target, this one with them, which together count as one.
    """

    name: str
    arm: Literal["plan", "proportional_to_sts"]
    of: Literal["worst", "mean"]
    unit: str
    targets: int
    avoided: Interval
    same: int = 1


class RowPlacement(Saved):
    """How far the rows are moved, and by which evidence: see `mixplan.forecast.placement` for the formula.

    Attributes:
        weight: From 0, an even spread, to 1, the proportional rule.
        ranking_factor: What is known of which domain moves more, 0 to 1; None where too little was measured.
        comparison_factor: What is known of where rows go, 0 to 1; None where nothing was compared.
        ranking: None where fewer than three targets were measured.
        comparisons: One for each study and run that trained an even spread and a score-led mixture.
        passed_over: Comparisons that say nothing: of a mixture that was an even spread, or without an interval.
        text: Whether it matters where rows go, in one sentence.
    """

    weight: float
    ranking_factor: float | None
    comparison_factor: float | None
    ranking: RankingEvidence | None
    comparisons: tuple[ComparisonEvidence, ...] = ()
    passed_over: int = 0
    text: str
