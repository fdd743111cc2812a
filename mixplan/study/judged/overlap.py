"""Averages over targets how many drift dimensions predicted and actual drift share, against chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit
from scipy.stats import hypergeom

from mixplan.study.files.figure import TargetMean
from mixplan.study.files.judgement import OverlapChoice, Overlaps, OverlapVariant
from mixplan.study.judged.table import Table

Doubles = npt.NDArray[np.float64]

RAW = "raw"
"""A part of the names of variants in the stream's own dimensions, which stand beside for comparison."""


def judge_overlaps(table: Table) -> Overlaps:
    """Average each drift variant's overlap over targets.

    Returns:
        Each variant's mean over targets by set, seeds averaged first, with its chance (N² / live: two sets drawn
        blindly, its upper end hypergeometric); each pair of variants with one N, paired by target; and as `chosen`, of
        the variants in the SAE's dimensions, the one furthest above chance on the development targets (on all, without
        any).
    """
    sets = {"all": table.targets, "development": table.development, "held_out": table.held_out}
    sets = {name: targets for name, targets in sets.items() if targets}
    variants: dict[str, OverlapVariant] = {}
    for name, shared in table.overlaps.items():
        seeds = seed_means(shared)
        count, live = table.drift_features[name], table.live[name]
        blind = hypergeom(live, count, count)
        by_target = dict(zip(table.targets, (None if math.isnan(v) else float(v) for v in seeds), strict=True))
        variants[name] = OverlapVariant(
            **{part: mean_over_targets(seeds[among(table, targets)]) for part, targets in sets.items()},
            features=count,
            live=live,
            chance=float(blind.mean()),
            chance_high=float(blind.ppf(0.975)),
            by_target=by_target,
        )
    pairs = {
        f"{one} - {other}": mean_over_targets(seed_means(table.overlaps[one]) - seed_means(table.overlaps[other]))
        for one, other in combinations(table.overlaps, 2)
        if table.drift_features[one] == table.drift_features[other]
    }
    best = choice(variants, tuple(sets))
    if best is None:
        return Overlaps(variants=variants, differences=pairs)
    return Overlaps(variants=variants, differences=pairs, chosen=best)


def choice(variants: Mapping[str, OverlapVariant], sets: Sequence[str]) -> OverlapChoice | None:
    """The chosen variant and how it did; None where no variant has an overlap."""
    chosen_on: Literal["all", "development"] = "development" if "development" in sets else "all"
    above: dict[str, float] = {}
    for name, found in variants.items():
        shared = found.of(chosen_on)
        if RAW not in name.split("_") and shared is not None and shared.value is not None:
            above[name] = (shared.value - found.chance) / max(1, found.features)
    if not above:
        return None
    best = max(above, key=lambda name: above[name])
    where = {part: variants[best].of(part) for part in sets}
    return OverlapChoice(variant=best, chosen_on=chosen_on, candidates=len(above), **where)


def among(table: Table, targets: Sequence[str]) -> npt.NDArray[np.bool_]:
    """`[T]` which targets are among these."""
    return np.array([name in targets for name in table.targets])


def seed_means(shared: Doubles) -> Doubles:
    """`[T]` means over the seeds that were run; NaN where none was."""
    known = ~np.isnan(shared)
    number = known.sum(1)
    return np.where(number > 0, np.where(known, shared, 0).sum(1) / np.maximum(1, number), np.nan)


def mean_over_targets(values: Doubles) -> TargetMean:
    """Mean of what is known with its 95 % t interval; None with no target, no interval with one."""
    known = values[~np.isnan(values)]
    number = len(known)
    if number == 0:
        return TargetMean(value=None, low=None, high=None, targets=0)
    value = float(known.mean())
    if number == 1:
        return TargetMean(value=value, low=None, high=None, targets=1)
    half = float(stdtrit(number - 1, 0.975)) * float(known.std(ddof=1)) / math.sqrt(number)
    return TargetMean(value=value, low=value - half, high=value + half, targets=number)
