"""Averages over targets how many drift dimensions predicted and actual drift share, against chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom
from scipy.stats import t as student

from mixplan.study.judged.table import Table

Doubles = npt.NDArray[np.float64]

RAW = "raw"
"""A part of the names of variants in the stream's own dimensions, which stand beside for comparison."""


def judge_overlaps(table: Table) -> dict[str, Any]:
    """Average each drift variant's overlap over targets.

    Returns:
        JSON values. By variant under `variants`: `all`, `development` and `held_out` with `value`, `low`, `high` (t
        interval over targets, seeds averaged first) and `targets`; `by_target`, `features` (N), `live`, `chance`
        (N² / live: two sets drawn blindly) and `chance_high` (97.5 % quantile of one such overlap, hypergeometric).
        Under `differences`, each pair of variants with one N, paired by target. Under `chosen`, of the variants in the
        SAE's dimensions the one furthest above chance on the development targets (on all, without any).
    """
    sets = {"all": table.targets, "development": table.development, "held_out": table.held_out}
    sets = {name: targets for name, targets in sets.items() if targets}
    variants: dict[str, Any] = {}
    for name, shared in table.overlaps.items():
        seeds = seed_means(shared)
        count, live = table.drift_features[name], table.live[name]
        blind = hypergeom(live, count, count)
        by_target = dict(zip(table.targets, (None if math.isnan(v) else float(v) for v in seeds), strict=True))
        variants[name] = {
            **{part: mean_over_targets(seeds[among(table, targets)]) for part, targets in sets.items()},
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
    return {"variants": variants, "differences": pairs} | choice(variants, tuple(sets))


def choice(variants: Mapping[str, Any], sets: Sequence[str]) -> dict[str, Any]:
    """The chosen variant and how it did, under `chosen`; nothing where no variant has an overlap."""
    chosen_on = "development" if "development" in sets else "all"
    above = {
        name: (found[chosen_on]["value"] - found["chance"]) / max(1, found["features"])
        for name, found in variants.items()
        if RAW not in name.split("_") and found[chosen_on]["value"] is not None
    }
    if not above:
        return {}
    best = max(above, key=lambda name: above[name])
    where = {part: variants[best][part] for part in sets}
    return {"chosen": {"variant": best, "chosen_on": chosen_on, "candidates": len(above), **where}}


def among(table: Table, targets: Sequence[str]) -> npt.NDArray[np.bool_]:
    """`[T]` which targets are among these."""
    return np.array([name in targets for name in table.targets])


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
