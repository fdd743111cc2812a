"""Scores domains by their feature statistics (STS): by activation and by in-context learning, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixplan.features.statistics import Statistics

Doubles = npt.NDArray[np.float64]

SCORES = {
    "sts_icl": "drift_shift",
    "sts_act": "drift_act",
    "low_shift": "low_shift",
    "raw_icl": "raw_icl",
    "raw_act": "raw_act",
    "total_shift": "total_shift",
}
"""Score names and the row sums they are means of."""


@dataclass(frozen=True)
class Score:
    """A score with its 95 % interval, a mean over query tokens.

    Attributes:
        value: The score, in squared SAE units (`sts_act`: SAE units; `raw_…`: the stream's).
        low: Lower end of the interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class DomainScores:
    """All scores of one domain.

    Attributes:
        scores: By name: `sts_icl`, `sts_act`, the comparisons `low_shift`, `raw_icl`, `raw_act`, and, where all
            features were read, `total_shift` and `outside_shift` (total less drift dimensions).
        resampled: By name, `[resamples]` float64, the score in each resample.
        shift_by_column: `[N]` float64, each drift dimension's part of STS_ICL; they add up to it.
        act_by_column: `[N]` float64, the same for STS_act.
        tokens: Query tokens read.
    """

    scores: dict[str, Score]
    resampled: dict[str, Doubles]
    shift_by_column: Doubles
    act_by_column: Doubles
    tokens: int


def score_domain(units: Sequence[Statistics], *, resamples: int, seed: int, widen: float = 1.0) -> DomainScores:
    """Score a domain from its units, one a demonstration draw.

    STS_ICL is the mean over query tokens of the squared change that domain demonstrations bring, summed over the drift
    dimensions; STS_act the mean of their activations without demonstrations. Intervals resample demonstration draws
    and, within each, rows; the drift dimensions stay as they are.

    Args:
        units: Statistics with row sums.
        resamples: Bootstrap resamples.
        seed: Of the resampling.
        widen: How many times as far from the value the ends of the intervals are; more than once where reading might
            have stopped earlier.

    Source: arXiv 2603.02908, section 4.2; the intervals are mixplan's.
    """
    weights = resample([len(part.tokens) for part in units], resamples, seed)
    tokens = np.concatenate([part.tokens for part in units]).astype(np.float64)
    present = {name: key for name, key in SCORES.items() if key in units[0].rows}
    sums = {name: np.concatenate([part.rows[key] for part in units]) for name, key in present.items()}
    if "total_shift" in sums:
        sums["outside_shift"] = np.maximum(sums["total_shift"] - sums["sts_icl"], 0.0)
    resampled = {name: (weights @ value) / (weights @ tokens) for name, value in sums.items()}
    total = max(1.0, float(tokens.sum()))
    return DomainScores(
        scores={name: interval(float(value.sum()) / total, resampled[name], widen) for name, value in sums.items()},
        resampled=resampled,
        shift_by_column=np.sum([part.by_column["drift_shift"] for part in units], axis=0) / total,
        act_by_column=np.sum([part.by_column["drift_act"] for part in units], axis=0) / total,
        tokens=int(tokens.sum()),
    )


def score_rows(draws: Mapping[str, Sequence[tuple[Doubles, Doubles]]], *, resamples: int, seed: int) -> DomainScores:
    """Score a domain by means over its rows where no SAE is read; nothing of it is an STS.

    Args:
        draws: By score, for each demonstration draw, `[rows]` each row's sum and `[rows]` what it is a sum over:
            tokens, or 1 for a row's own mean. A draw without rows is passed over.
        resamples: Bootstrap resamples, of draws and, within each, of rows, as `score_domain` has them.
        seed: Of the resampling.

    Returns:
        The scores without parts by feature; `tokens` is 0.
    """
    scores, resampled = {}, {}
    for name, parts in draws.items():
        held = [part for part in parts if len(part[0])]
        sums, sizes = (np.concatenate([part[place] for part in held]) for place in (0, 1))
        weights = resample([len(part[0]) for part in held], resamples, seed)
        resampled[name] = (weights @ sums) / (weights @ sizes)
        scores[name] = interval(float(sums.sum() / sizes.sum()), resampled[name])
    return DomainScores(scores, resampled, np.zeros(0), np.zeros(0), 0)


def resample(rows_by_draw: Sequence[int], resamples: int, seed: int) -> Doubles:
    """How often each row stands in each resample of draws and of rows within each draw.

    Args:
        rows_by_draw: Rows of each demonstration draw.
        resamples: How many resamples.
        seed: Of the resampling.

    Returns:
        `[resamples, rows]`, rows of all draws one after another.
    """
    rng = np.random.default_rng([seed, 2])
    count = len(rows_by_draw)
    draws = rng.multinomial(count, np.full(count, 1 / count), resamples)
    parts = []
    for number, rows in enumerate(rows_by_draw):
        parts.append(draws[:, number, None] * rng.multinomial(rows, np.full(rows, 1 / rows), resamples))
    return np.concatenate(parts, axis=1).astype(np.float64)


def interval(value: float, resampled: Doubles, widen: float = 1.0) -> Score:
    """A value with the 2.5 % and 97.5 % quantiles of its resamples, widened to hold the value itself.

    Args:
        value: 0 or more.
        resampled: `[resamples]`.
        widen: How many times as far from the value the ends are, down to 0.
    """
    low, high = np.quantile(resampled, (0.025, 0.975))
    if widen == 1.0:  # as it is: a product would move the last digit
        return Score(value, min(value, float(low)), max(value, float(high)))
    below, above = (widen * max(0.0, distance) for distance in (value - float(low), float(high) - value))
    return Score(value, max(0.0, value - below), value + above)


def ranking_stability(domains: Mapping[str, DomainScores], score: str) -> float | None:
    """How stable the order of the domains is.

    Args:
        domains: Scores by domain.
        score: Which one ranks them.

    Returns:
        Mean Spearman correlation of the resampled scores with the reported ones; None with fewer than three domains
        or when all scores are equal.
    """
    values = np.array([entry.scores[score].value for entry in domains.values()])
    if len(values) < 3 or np.ptp(values) == 0:
        return None
    resampled = np.stack([entry.resampled[score] for entry in domains.values()], axis=1)
    resampled = resampled[np.ptp(resampled, axis=1) > 0]
    if not len(resampled):
        return None
    # Spearman's correlation is Pearson's of the ranks; all resamples at once, a thousand calls take a second.
    reported, ranks = average_ranks(values), average_ranks(resampled)
    centred, of_mean = reported - reported.mean(), ranks - ranks.mean(axis=1, keepdims=True)
    found = of_mean @ centred / np.sqrt((of_mean**2).sum(axis=1) * (centred**2).sum())
    return float(found.mean())


def average_ranks(values: Doubles) -> Doubles:
    """Rank values along the last axis from 1; equal ones share the mean of their places.

    The same as `scipy.stats.rankdata`, whose import takes longer than a plan of kept scores does.

    Args:
        values: `[..., n]`; a row with one that is not a number has no ranks.

    Returns:
        `[..., n]` ranks, NaN throughout such a row.
    """
    order = np.argsort(values, axis=-1, kind="stable")
    ascending = np.take_along_axis(values, order, axis=-1)
    place = np.broadcast_to(np.arange(1.0, values.shape[-1] + 1), values.shape)
    edge = ascending[..., 1:] != ascending[..., :-1]
    ends = np.ones((*values.shape[:-1], 1), dtype=bool)
    first = np.maximum.accumulate(np.where(np.concatenate([ends, edge], axis=-1), place, 0.0), axis=-1)
    last = np.where(np.concatenate([edge, ends], axis=-1), place, np.inf)[..., ::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + np.minimum.accumulate(last, axis=-1)[..., ::-1]) / 2, axis=-1)
    return np.where(np.isnan(values).any(axis=-1, keepdims=True), np.nan, ranks)
