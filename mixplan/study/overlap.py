"""How many drift dimensions predicted and actual drift share in, their mean over targets against chance out."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom
from scipy.stats import t as student

from mixplan.study.table import Table

Doubles = npt.NDArray[np.float64]


def judge_overlaps(table: Table) -> dict[str, Any]:
    """Average each drift variant's overlap over targets.

    Returns:
        JSON values: by variant `value`, `low`, `high` (t interval over targets, seeds averaged first), `targets`,
        `by_target`, `features` (N), `live`, `chance` (N² / live: two sets drawn blindly) and `chance_high` (97.5 %
        quantile of one such overlap, hypergeometric). Under `differences`, each pair of variants with one N, paired by
        target.
    """
    variants = {}
    for name, shared in table.overlaps.items():
        seeds = seed_means(shared)
        count, live = table.drift_features[name], table.live[name]
        blind = hypergeom(live, count, count)
        by_target = dict(zip(table.targets, (None if math.isnan(v) else float(v) for v in seeds), strict=True))
        variants[name] = mean_over_targets(seeds) | {
            "features": count,
            "live": live,
            "chance": float(blind.mean()),
            "chance_high": float(blind.ppf(0.975)),
            "by_target": by_target,
        }
    pairs = {
        f"{one} - {other}": mean_over_targets(seed_means(table.overlaps[one]) - seed_means(table.overlaps[other]))
        for one, other in combinations(table.overlaps, 2)
        if table.drift_features[one] == table.drift_features[other]
    }
    return {"variants": variants, "differences": pairs}


def seed_means(shared: Doubles) -> Doubles:
    """`[T]` means over the seeds that were run; NaN where none was."""
    known = ~np.isnan(shared)
    number = known.sum(1)
    return np.where(number > 0, np.where(known, shared, 0).sum(1) / np.maximum(1, number), np.nan)


def mean_over_targets(values: Doubles) -> dict[str, Any]:
    """Mean of what is known with its 95 % t interval; None with no target, no interval with one."""
    known = values[~np.isnan(values)]
    number = len(known)
    if number == 0:
        return {"value": None, "low": None, "high": None, "targets": 0}
    value = float(known.mean())
    if number == 1:
        return {"value": value, "low": None, "high": None, "targets": 1}
    half = float(student.ppf(0.975, number - 1)) * float(known.std(ddof=1)) / math.sqrt(number)
    return {"value": value, "low": value - half, "high": value + half, "targets": number}
