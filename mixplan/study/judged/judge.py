"""Judges how well each predictor of a study did: by target, pooled with intervals, and against its pass marks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mixplan.outcome.judge import correlations
from mixplan.study.judged.correlate import hits_within_targets, mean_over_targets, over_cells, within_targets
from mixplan.study.judged.marks import Mark, judge_marks
from mixplan.study.judged.overlap import judge_overlaps
from mixplan.study.judged.resample import Estimate, Weights, estimate, over_targets, weights
from mixplan.study.judged.sign import judge_sign
from mixplan.study.judged.sizes import UNSIGNED, cells, noise_floor
from mixplan.study.judged.table import Table

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

TOP = 3
FEWEST_OF_A_KIND = 4
CORRELATIONS = ("pearson", "spearman", "log_pearson", "centred")
"""Scores that a forecast may be chosen by; `r2` and `top3` stand beside them."""


@dataclass(frozen=True)
class Part:
    """One quantity over some targets and domains, those without any measured cell left out.

    Attributes:
        targets: `[T]` names.
        domains: `[D]` names.
        predicted: `[P, T, D]`.
        logged: `[P, T, D]` its logarithms; one that is somewhere below 0 stays as it is.
        size: `[T, D]` size of change.
        log_size: `[T, D]` its logarithm.
        weights: Of its cells.
    """

    targets: tuple[str, ...]
    domains: tuple[str, ...]
    predicted: Doubles
    logged: Doubles
    size: Doubles
    log_size: Doubles
    weights: Weights


def judge(table: Table, *, marks: Sequence[Mark], resamples: int, seed: int) -> dict[str, Any]:
    """Judge every predictor of a study.

    Sizes of change are |mean over seeds|, of `kl` the mean. A score over several targets is the mean of its values
    within each, with an interval over targets and domains (see `resample`); `centred` is one correlation over all cells
    of the logarithms, target and domain means taken out. Of the forecasts, the one with the best score on the
    development targets is chosen, for each quantity and score; the held-out targets then judge it.

    Args:
        table: The study.
        marks: What was promised before the first training.
        resamples: Of the pigeonhole bootstrap.
        seed: Of the bootstrap.

    Returns:
        JSON values: `sets`, `cells`, `noise`, `by_target`, `pooled`, `kinds`, `chosen`, `differences`, `sign`,
        `overlap` and `marks`. `pooled`, `kinds` and `differences` are by set (`all`, `development`, `held_out`),
        quantity and score.

    Raises:
        RunError: a mark names a figure that there is not.
    """
    sets = {"all": table.targets, "development": table.development, "held_out": table.held_out}
    judged: dict[str, Any] = {
        "sets": {name: list(targets) for name, targets in sets.items() if targets},
        "resamples": resamples,
        "seed": seed,
        "cells": {q: changes(table, q) for q in table.measures},
        "noise": {q: noise_floor(q, table.measures[q], table.noise[q]) for q in table.measures},
        "by_target": {quantity: by_target(table, quantity) for quantity in table.measures},
        **{part: {} for part in ("pooled", "kinds", "chosen", "differences")},
    }
    values = {}
    for name in judged["sets"]:
        for told in ("pooled", "kinds", "differences"):
            judged[told][name] = {}
        for quantity in table.measures:
            if not measured_domains(table, quantity, sets[name]):
                continue
            part = part_of(table, quantity, sets[name], table.domains, resamples, seed)
            values[name, quantity] = part, scores(part)
            judged["pooled"][name][quantity] = pooled(part, values[name, quantity][1], tuple(table.predictors))
            judged["kinds"][name][quantity] = of_kinds(table, quantity, sets[name])
    for quantity in table.measures:
        judged["chosen"][quantity] = choices(table, judged["pooled"], quantity)
    for (name, quantity), (part, found) in values.items():
        judged["differences"][name][quantity] = differences(table, part, found, judged["chosen"][quantity])
    judged["sign"] = signs(table)
    judged["overlap"] = judge_overlaps(table)
    judged["marks"] = judge_marks(judged, marks)
    return judged


def part_of(
    table: Table, quantity: str, targets: Sequence[str], domains: Sequence[str], resamples: int, seed: int
) -> Part:
    """Cut one quantity over some targets and domains out of a table."""
    found = cells(quantity, table.measures[quantity], table.noise[quantity])
    rows = np.array([t in targets for t in table.targets]) & (~np.isnan(found.size)).any(1)
    wanted = np.array([d in domains for d in table.domains])
    columns = wanted & (~np.isnan(found.size[rows])).any(0)
    where = np.ix_(rows, columns)
    shape = (int(rows.sum()), int(columns.sum()))
    predicted = np.array([values[where] for values in table.predictors.values()]).reshape(len(table.predictors), *shape)
    return Part(
        targets=tuple(name for name, there in zip(table.targets, rows, strict=True) if there),
        domains=tuple(name for name, there in zip(table.domains, columns, strict=True) if there),
        predicted=predicted,
        logged=np.array([logarithms(values) for values in predicted]).reshape(predicted.shape),
        size=found.size[where],
        log_size=found.log_size[where],
        weights=kept_weights(*shape, resamples, seed),
    )


def measured_domains(table: Table, quantity: str, targets: Sequence[str]) -> list[str]:
    """The domains that have a measured cell under some of these targets."""
    measured = ~np.isnan(table.measures[quantity][rows(table, targets)])
    return [name for d, name in enumerate(table.domains) if measured[:, d].any()]


@cache
def kept_weights(targets: int, domains: int, resamples: int, seed: int) -> Weights:
    """Weights of a shape, made once."""
    return weights(targets, domains, resamples=resamples, seed=seed)


def logarithms(values: Doubles) -> Doubles:
    """Logarithms of a predictor, 0 counting as its least value above; itself where it is somewhere below 0."""
    above = values[values > 0]
    return values if (values < 0).any() or not len(above) else np.log(np.maximum(values, above.min()))


def scores(part: Part) -> dict[str, Doubles]:
    """Every score of every predictor under all weights, `[R, P]` by score; ranks without the bootstrap."""
    counted, fewer = part.weights, part.weights.without_resamples()
    straight = within_targets(counted, part.predicted, part.size)
    curved = within_targets(counted, part.logged, part.log_size)
    ranked = within_targets(fewer, part.predicted, part.size, ranks=True)
    return {
        "pearson": mean_over_targets(counted, straight),
        "spearman": mean_over_targets(fewer, ranked),
        "log_pearson": mean_over_targets(counted, curved),
        "centred": over_cells(counted, part.logged, part.log_size),
        "r2": mean_over_targets(counted, straight**2)[:1],
        "top3": mean_over_targets(fewer, hits_within_targets(fewer, part.predicted, part.size, top=TOP)),
    }


def pooled(part: Part, found: Mapping[str, Doubles], names: Sequence[str]) -> dict[str, Any]:
    """Each score of each predictor with its intervals.

    R² has none: squares of noisy correlations are too large on average, in resamples twice so. That of the hits is over
    targets alone: who is among three jumps when a domain is left out, which no jackknife bears.
    """
    told: dict[str, Any] = {}
    for score, values in found.items():
        told[score] = {}
        for p, name in enumerate(names):
            counted = (~np.isnan(part.predicted[p]) & ~np.isnan(part.size)).sum(1)
            one = estimate_of(part, values[:, p], score)
            domains = [int(counted.min()), int(counted.max())] if len(counted) else [0, 0]
            told[score][name] = one.as_json() | {"targets": int((counted > 2).sum()), "domains": domains}
    return told


def estimate_of(part: Part, values: Doubles, score: str, *, difference: bool = False) -> Estimate:
    """A score's value with its intervals."""
    if score == "r2":
        return Estimate(float(values[0]), None, None, None)
    if score == "top3":
        return over_targets(values, len(part.targets))
    correlation = score in CORRELATIONS and not difference
    return estimate(values, len(part.targets), len(part.domains), correlation=correlation)


def of_kinds(table: Table, quantity: str, targets: Sequence[str]) -> dict[str, Any]:
    """The pooled scores over domains of one kind only, for each kind of at least four; without the bootstrap."""
    found = {}
    for kind in dict.fromkeys(table.kinds[name] for name in table.domains):
        measured = measured_domains(table, quantity, targets)
        domains = [name for name in measured if table.kinds[name] == kind]
        if len(domains) >= FEWEST_OF_A_KIND:
            part = part_of(table, quantity, targets, domains, 0, 0)
            found[kind] = pooled(part, scores(part), tuple(table.predictors))
    return found


def changes(table: Table, quantity: str) -> dict[str, list[list[float | None]]]:
    """Each cell's mean `change` over seeds, its standard `error` and its `size`, `[T][D]`, None where not measured."""
    found = cells(quantity, table.measures[quantity], table.noise[quantity])
    parts = {"change": found.change, "error": found.error, "size": found.size}
    return {
        name: [[None if math.isnan(value) else float(value) for value in row] for row in part]
        for name, part in parts.items()
    }


def by_target(table: Table, quantity: str) -> dict[str, Any]:
    """Each target's correlations (see `outcome.judge`) and hits of each predictor."""
    found = cells(quantity, table.measures[quantity], table.noise[quantity])
    one = Weights(np.ones((1, len(table.targets))), np.ones((1, *found.size.shape)))
    told: dict[str, Any] = {target: {} for target in table.targets}
    for name, predicted in table.predictors.items():
        hits = hits_within_targets(one, predicted[None], found.size, top=TOP)[0, 0]
        for t, target in enumerate(table.targets):
            known = ~np.isnan(predicted[t]) & ~np.isnan(found.size[t])
            entry = correlations(predicted[t][known], found.size[t][known]).values()
            share = None if math.isnan(hits[t]) else float(hits[t])
            told[target][name] = entry | {"top3": share, "domains": int(known.sum())}
    return told


def choices(table: Table, told: Mapping[str, Any], quantity: str) -> dict[str, Any]:
    """By score, the forecast with the best value on the development targets, and what it then did.

    Without development targets it is chosen on all of them, which `chosen_on` says: its score is then flattered.
    """
    chosen_on = "development" if quantity in told.get("development", {}) else "all"
    found: dict[str, Any] = {}
    if quantity not in told[chosen_on]:
        return found
    for score in CORRELATIONS:
        known = {name: told[chosen_on][quantity][score][name]["value"] for name in table.forecasts}
        values = {name: value for name, value in known.items() if value is not None}
        if not values:
            continue
        best = max(values, key=lambda name: values[name])
        where = {name: told[name][quantity][score][best] for name in told if quantity in told[name]}
        found[score] = {"forecast": best, "chosen_on": chosen_on, "candidates": len(values), **where}
    return found


def differences(
    table: Table, part: Part, found: Mapping[str, Doubles], chosen: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """By score, the chosen forecast less each competitor and bound; `least` is the competitor it is least ahead of."""
    names = list(table.predictors)
    told: dict[str, Any] = {}
    for score, choice in chosen.items():
        best = found[score][:, names.index(choice["forecast"])]
        told[score] = {
            name: estimate_of(part, best - found[score][:, names.index(name)], score, difference=True).as_json()
            for name in (*table.competitors, *table.bounds)
        }
        against = {name: told[score][name] for name in table.competitors if told[score][name]["value"] is not None}
        if against:
            least = min(against, key=lambda name: against[name]["value"])
            lowest = [entry["low"] for entry in against.values()]
            low = None if None in lowest else min(lowest)
            told[score]["least"] = {"competitor": least, "value": against[least]["value"], "low": low}
    return told


def signs(table: Table) -> dict[str, Any]:
    """By set and quantity with a direction, how often each forecast of a direction was right.

    `chosen` is the one most often right on the development targets (on all, without any), by quantity.
    """
    sets = {"all": table.targets, "development": table.development, "held_out": table.held_out}
    told: dict[str, Any] = {
        name: {
            quantity: {
                sign: judge_sign(
                    values, table.measures[quantity], table.noise[quantity], quantity, rows(table, targets)
                )
                for sign, values in table.signs.items()
            }
            for quantity in table.measures
            if quantity not in UNSIGNED
        }
        for name, targets in sets.items()
        if targets and table.signs
    }
    chosen_on = "development" if "development" in told else "all"
    chosen = {}
    for quantity, found in told.get(chosen_on, {}).items():
        best = max(found, key=lambda sign: found[sign]["right"]["value"] or 0.0)
        where = {name: told[name][quantity][best] for name in told}
        chosen[quantity] = {"forecast": best, "chosen_on": chosen_on, **where}
    return told | ({"chosen": chosen} if told else {})


def rows(table: Table, targets: Sequence[str]) -> Flags:
    """`[T]` which targets are among these."""
    return np.array([name in targets for name in table.targets])
