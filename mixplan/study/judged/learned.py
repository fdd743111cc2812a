"""Judges, for each target left out, what a forecast that learns from the other targets' runs would have been worth.

Every target's changes of behaviour are foretold from those of the others, as a plan's forecast does it (see
`mixplan.forecast.factors`): a score times one factor, or times a factor of each domain's own. What a domain's own
factors know without any score, how movable it is, stands beside: the same with every score 1.

These figures are no part of what a study registers and nothing is chosen by them. An interval leaves targets and
domains out of what is judged, not out of what was learned. Nothing is centred here: a mean over the other targets is,
once domain means are out, the opposite of what is left of the target itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mixplan.forecast.factors import Changes, predict
from mixplan.study.files.figure import Estimated
from mixplan.study.files.judgement import Learned, LearnedDifferences, Way
from mixplan.study.judged.judge import estimate_of, part_of, pooled, scores
from mixplan.study.judged.overlap import mean_over_targets
from mixplan.study.judged.sizes import cells
from mixplan.study.judged.table import Table

Doubles = npt.NDArray[np.float64]

QUANTITY = "kl"
WAYS: Mapping[str, tuple[str | None, bool]] = {
    "sts_icl_own": ("sts_icl", True),
    "sts_icl_one": ("sts_icl", False),
    "sts_act_own": ("sts_act", True),
    "sts_act_one": ("sts_act", False),
    "movability": (None, True),
}
"""By name the score, None for none, and whether domains have factors of their own."""
AGAINST = "movability"
FEWEST = 3
"""Targets: two to learn from and one to foretell."""


def judge_learned(table: Table, *, resamples: int, seed: int) -> Learned | None:
    """Judge each way to learn by the targets left out.

    Args:
        table: The study.
        resamples: Of the pigeonhole bootstrap.
        seed: Of the bootstrap.

    Returns:
        By way its scores (see `judge.pooled`), `error` (root mean square error in a target, in the quantity's unit,
        mean over targets with a t interval) and `inside` (share of cells within the 95 % interval that was predicted
        for them); `error_none`, the error of expecting no change; and each way's correlations and error less those of
        movability alone, paired. None where behaviour was not measured on three targets, or a score is missing.
    """
    named = [score for score, _ in WAYS.values() if score is not None]
    if QUANTITY not in table.measures or not set(named) <= set(table.predictors):
        return None
    size = cells(QUANTITY, table.measures[QUANTITY], table.noise[QUANTITY]).size
    rows = [t for t in range(len(table.targets)) if not np.isnan(size[t]).all()]
    if len(rows) < FEWEST:
        return None
    foretold = {name: left_out(table, size, rows, score, own) for name, (score, own) in WAYS.items()}
    shown = replace(table, predictors={name: found[0] for name, found in foretold.items()}, competitors=(), bounds=())
    part = part_of(shown, QUANTITY, table.targets, table.domains, resamples, seed)
    found = scores(part)
    told = pooled(part, found, tuple(WAYS))
    base = list(WAYS).index(AGAINST)
    errors = {name: errors_of(change, size) for name, (change, _, _) in foretold.items()}
    others = [(p, name) for p, name in enumerate(WAYS) if name != AGAINST]

    def less(score: str) -> dict[str, Estimated]:
        differences = {name: found[score][:, p] - found[score][:, base] for p, name in others}
        return {name: estimate_of(part, one, score, difference=True).saved() for name, one in differences.items()}

    return Learned(
        quantity=QUANTITY,
        ways={
            name: Way(
                pearson=told["pearson"][name],
                spearman=told["spearman"][name],
                top3=told["top3"][name],
                error=mean_over_targets(errors[name]),
                inside=float(np.mean(within(low, high, size))),
            )
            for name, (_, low, high) in foretold.items()
        },
        error_none=mean_over_targets(errors_of(np.zeros_like(size), size)),
        differences=LearnedDifferences(
            pearson=less("pearson"),
            spearman=less("spearman"),
            error={name: mean_over_targets(errors[name] - errors[AGAINST]) for _, name in others},
        ),
    )


def left_out(
    table: Table, size: Doubles, rows: list[int], score: str | None, own: bool
) -> tuple[Doubles, Doubles, Doubles]:
    """Each target's changes as foretold from the others': `[T, D]` each with the ends of its interval."""
    values = np.ones_like(size) if score is None else table.predictors[score]
    found = tuple(np.full(size.shape, np.nan) for _ in range(3))
    known = ~np.isnan(size) & ~np.isnan(values)
    for t in rows:
        others = known.copy()
        others[t] = False
        run, domain = np.nonzero(others)
        learned = Changes(values[others], size[others], tuple(table.domains[d] for d in domain), run.astype(np.int64))
        here = np.flatnonzero(known[t])
        foretold = predict(learned, [table.domains[d] for d in here], values[t, here], own=own)
        for place, ends in zip(found, (foretold.change, foretold.low, foretold.high), strict=True):
            place[t, here] = ends
    return found[0], found[1], found[2]


def errors_of(foretold: Doubles, size: Doubles) -> Doubles:
    """`[T]` root mean square error in each target; NaN where nothing was measured."""
    squares = np.square(foretold - size)
    number = (~np.isnan(squares)).sum(1)
    return np.where(number > 0, np.sqrt(np.nansum(squares, axis=1) / np.maximum(1, number)), np.nan)


def within(low: Doubles, high: Doubles, size: Doubles) -> npt.NDArray[np.bool_]:
    """Which of the measured cells lie within their interval, one after the other."""
    known = ~np.isnan(low) & ~np.isnan(size)
    return np.asarray((low[known] <= size[known]) & (size[known] <= high[known]))
