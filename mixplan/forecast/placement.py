"""Says how far rows should move from an even spread towards the proportional rule, by what was measured with a model.

The proportional rule gives domain d rows in proportion to what plans them, s_d. It is right where movement y_d is in
proportion to s_d, and an even spread where the two are unrelated. In between, with relative values (each over its mean
within a target),

    y_d / mean y = 1 + slope (s_d / mean s - 1) + noise,

the expected movement is the same mixture of both, slope times the rule and 1 - slope times the even spread. So

    weight     = ranking x comparison
    ranking    = min(1, slope) kept(slope)        least squares over all targets and domains
    comparison = kept(Z)                          Z = sum of z_i / sqrt(k) over k comparisons of score-led mixtures with
                                                  an even spread, z_i what one avoided over its standard error; those
                                                  of one target count as one, by their mean z
    kept(x)    = max(0, 1 - (reach / x)^2) for x > 0, else 0,

where `reach` is how far the 95 % interval goes below x (1.96 for Z). An estimate whose interval holds 0 counts for
nothing, one far from it for all; in between it is shrunk without a jump. This is the positive part of James and Stein's
estimator, with the interval's reach in the place of the standard error: the nonnegative garrote.

A factor that nothing was measured for is left out (counts as 1) where the other one is known; with neither, the weight
is 0. Assumed are that targets are alike, that comparisons are independent of each other, and that the rule that was
compared stands for this plan's. The slope's interval is by the jackknife over targets and over domains, their variances
added, with Student's t on the smaller count less one.

Sources: L. Breiman (1995), Better subset regression using the nonnegative garrote, Technometrics 37; W. James and
C. Stein (1961), Estimation with quadratic loss, Proc. 4th Berkeley Symposium; B. Efron and C. Stein (1981), The
jackknife estimate of variance, Annals of Statistics 9.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mixplan.forecast.earlier_runs import UNIT_NAMES
from mixplan.forecast.evidence import SCORE_NAMES
from mixplan.forecast.expected_change import Learned, gathered
from mixplan.forecast.factors import Changes, numeric_libraries
from mixplan.forecast.target_only import Known
from mixplan.runs import cached, content_hash
from mixplan.saved.base_types import Interval
from mixplan.saved.placement import ComparisonEvidence, RankingEvidence, RowPlacement

Doubles = npt.NDArray[np.float64]

NORMAL = 1.959964
"""The normal distribution's 97.5 % quantile."""
FEWEST_TARGETS = 3
"""Below these there is no interval over targets."""
MEASURE = "`mixplan compare` measures it"
"""What a person can do; of a plan that is an even spread itself it trains the arm that follows the scores."""
WORSE = "Mixtures that follow the scores lost more than an even spread of the rows"
TURNED = "domains that were to move more moved less, so rows are spread evenly"
"""What is said where the interval lies below 0: evidence, and against the scores."""
SHOWN = 3
"""Comparisons that the sentence gives one by one; more are counted."""


def kept(value: float, low: float) -> float:
    """The part of an estimate that is kept.

    Args:
        value: The estimate.
        low: Lower end of its 95 % interval.

    Returns:
        0 where the interval holds 0 or the estimate is below it, near 1 where it is far from 0.
    """
    return max(0.0, 1 - ((value - low) / value) ** 2) if value > 0 else 0.0


def ranking_of(known: Known | None, learned: Learned | None, score: str) -> RankingEvidence | None:
    """Measure how far movement follows what plans the rows, within targets.

    Args:
        known: Earlier runs and studies' targets of the plan's kind; None where nothing may be learned from.
        learned: What they taught. Where it plans the rows by domains' own factors, or on logarithms, so are the
            forecasts that movement is held against, each target's made from the other targets; else it is the score.
        score: The planning score's name in the runs.

    Returns:
        None with fewer than three targets, or where what plans the rows is alike in all domains.
    """
    changes = None if known is None else informative(gathered(known, "kl", score))
    if changes is None or len(np.unique(changes.groups)) < FEWEST_TARGETS:
        return None
    if learned is not None and learned.planning is not None and "kl" not in learned.ways:
        return None  # rows go by a forecast that no target left out has tried, such as a pilot's
    way = None if learned is None or learned.planning is None else learned.ways.get("kl")
    led = way is not None and way.own
    by = way.left_out_of(changes) if way is not None and led else changes.scores
    found = slope_between(by, changes)
    if found is None:
        return None
    return RankingEvidence(
        by=score,
        learned=led,
        slope=found,
        targets=len(np.unique(changes.groups)),
        domains=len(set(changes.domains)),
    )


def informative(changes: Changes) -> Changes:
    """The changes of runs in which anything moved and was scored, in at least two domains."""
    runs = [
        run
        for run in np.unique(changes.runs)
        if (at := changes.runs == run).sum() > 1 and changes.scores[at].sum() > 0 and changes.changes[at].sum() > 0
    ]
    return changes.part(np.isin(changes.runs, runs))


def slope_between(by: Doubles, changes: Changes) -> Interval | None:
    """The slope of relative movement on relative values of what is held against it, with its 95 % interval.

    Args:
        by: `[n]` at least 0, an entry for each change.
        changes: Of at least three targets, every run's mean above 0.

    Returns:
        None where `by` does not differ between domains, or does not once some target or domain is left out.
    """
    value = slope(by, changes)
    over_targets = left_out_slopes(by, changes, changes.groups)
    over_domains = left_out_slopes(by, changes, np.array(changes.domains))
    if value is None or over_targets is None or over_domains is None:
        return None
    variance = jackknife_variance(over_targets) + jackknife_variance(over_domains)
    fewest = min(len(over_targets), len(over_domains))
    reach = student_quantile(fewest - 1) * math.sqrt(variance)
    return Interval(value=value, low=value - reach, high=value + reach)


def student_quantile(freedom: int) -> float:
    """Student's 97.5 % quantile for so many degrees of freedom, kept, so that a plan made again loads no SciPy."""

    def made() -> float:
        from scipy.special import stdtrit

        return float(stdtrit(freedom, 0.975))

    return float(cached("quantiles", content_hash("student", freedom, numeric_libraries()), made))


def left_out_slopes(by: Doubles, changes: Changes, labels: npt.NDArray[Any]) -> Doubles | None:
    """The slope without each label in turn; None where some of them is not defined."""
    kept = (labels != label for label in np.unique(labels))
    slopes = [slope(by[keep], changes.part(keep)) for keep in kept]
    found = [one for one in slopes if one is not None]
    return np.array(found) if len(found) == len(slopes) else None


def jackknife_variance(values: Doubles) -> float:
    """The variance of an estimate by its values with each group left out."""
    return float((len(values) - 1) / len(values) * np.square(values - values.mean()).sum())


def slope(by: Doubles, changes: Changes) -> float | None:
    """The slope by least squares over all runs, every value over its run's mean; None where it is not defined."""
    across = along = 0.0
    for run in np.unique(changes.runs):
        at = changes.runs == run
        x, y = by[at], changes.changes[at]
        if x.mean() > 0 and y.mean() > 0:
            centred = x / x.mean() - 1
            across += float(centred @ (y / y.mean() - 1))
            along += float(centred @ centred)
    return across / along if along > 0 else None


def placement_of(
    ranking: RankingEvidence | None, comparisons: Sequence[ComparisonEvidence], passed_over: int = 0
) -> RowPlacement:
    """Say how far rows should move, and why.

    Args:
        ranking: Which domain moves more.
        comparisons: Whether it matters where rows go; their intervals have a width.
        passed_over: How many comparisons say nothing.
    """
    first = None if ranking is None else min(1.0, ranking.slope.value) * kept(ranking.slope.value, ranking.slope.low)
    second = None if not comparisons else kept(pooled := standardised(comparisons), pooled - NORMAL)
    factors = [factor for factor in (first, second) if factor is not None]
    weight = math.prod(factors) if factors else 0.0
    return RowPlacement(
        weight=weight,
        ranking_factor=first,
        comparison_factor=second,
        ranking=ranking,
        comparisons=tuple(comparisons),
        passed_over=passed_over,
        text=sentence(weight, ranking, first, comparisons, second),
    )


def standardised(comparisons: Sequence[ComparisonEvidence]) -> float:
    """What all comparisons avoided together, in standard errors; those of one target as sure as a single one."""
    shares = [1 / one.same for one in comparisons]
    scores = [2 * NORMAL * one.avoided.value / (one.avoided.high - one.avoided.low) for one in comparisons]
    return math.fsum(s * z for s, z in zip(shares, scores, strict=True)) / math.sqrt(math.fsum(shares))


def sentence(
    weight: float,
    ranking: RankingEvidence | None,
    first: float | None,
    comparisons: Sequence[ComparisonEvidence],
    second: float | None,
) -> str:
    """Say in one sentence whether it matters where rows go, for the reader."""
    moved = f"rows go {weight:.0%} of the way from an even spread to the proportional rule"
    evenly, turned = "so they are spread evenly", ranking is not None and ranking.slope.high < 0
    if comparisons and not second:
        worse = standardised(comparisons) < -NORMAL
        why = WORSE if worse else "There is no evidence that it matters where rows go"
        return f"{why}, {evenly}: {avoided(comparisons)}."
    if comparisons and first == 0 and ranking is not None:
        matters = f"It matters where rows go ({avoided(comparisons)})"
        unranked = f"there is no evidence of which domain needs them more, {evenly}"
        return f"{matters}, but {TURNED if turned else unranked}: {followed(ranking)}."
    if comparisons:
        beside = "" if ranking is None else f", and {followed(ranking)}"
        return f"It matters where rows go, so {moved}: {avoided(comparisons)}{beside}."
    if ranking is None:
        return (
            "Nothing measured with this model says whether it matters where rows go, so they are spread evenly; "
            f"{MEASURE}."
        )
    if not first:
        unranked = f"There is no evidence of which domain needs rows more, {evenly}"
        return f"{TURNED.capitalize() if turned else unranked}: {followed(ranking)}."
    return (
        f"Which domain moves more is known in part, so {moved}: {followed(ranking)}; whether that protects more than "
        f"an even spread was not measured with this model, and {MEASURE}."
    )


def against_scores(placement: RowPlacement) -> str | None:
    """Say that what was measured speaks against following the scores, as a clause; None where nothing does."""
    if placement.comparisons and not placement.comparison_factor:
        worse = standardised(placement.comparisons) < -NORMAL
        lacking = "that lost more than an even spread" if worse else "there is no evidence that this helps"
        return f"{lacking}: {avoided(placement.comparisons)}"
    if placement.ranking is not None and not placement.ranking_factor:
        return f"there is no evidence of which domain needs them more: {followed(placement.ranking)}"
    return None


def avoided(comparisons: Sequence[ComparisonEvidence]) -> str:
    """What score-led mixtures avoided, in words."""
    again = " (those of one target count as one)" if any(one.same > 1 for one in comparisons) else ""
    if len(comparisons) > SHOWN:
        pooled = standardised(comparisons)
        return (
            f"in {len(comparisons)} comparisons with this model{again}, score-led mixtures avoided {pooled:+.2f} "
            f"standard errors [{pooled - NORMAL:.2f}, {pooled + NORMAL:.2f}] more loss than an even spread"
        )
    parts = []
    for one in comparisons:
        ends = f"[{one.avoided.low:.3g}, {one.avoided.high:.3g}]{UNIT_NAMES.get(one.unit, '')}"
        what = "plans" if one.arm == "plan" else "the proportional rule"
        whose = "the worst domain's loss" if one.of == "worst" else "the mean domain's loss"
        targets = f"{one.targets} target" + ("s" if one.targets > 1 else "")
        parts.append(f"on {targets} with this model {what} avoided {one.avoided.value:+.3g} {ends} more of {whose}")
    return f"{', '.join(parts)} than an even spread{again}"


def followed(ranking: RankingEvidence) -> str:
    """How far movement followed what plans the rows, in words."""
    what = "the forecast" if ranking.learned else SCORE_NAMES.get(ranking.by, ranking.by)
    found = ranking.slope
    return (
        f"over {ranking.targets} targets a domain's movement follows {what} with a slope of {found.value:.2f} "
        f"[{found.low:.2f}, {found.high:.2f}], where 1 is in proportion and 0 unrelated"
    )
