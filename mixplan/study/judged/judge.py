"""Judges how well each predictor of a study did: by target, pooled with intervals, and against its pass marks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from mixplan.outcome.judge import correlations
from mixplan.study.files.figure import Estimated, Score, Scores
from mixplan.study.files.judgement import (
    CellChanges,
    Choice,
    Differences,
    Judgement,
    Least,
    SignChoice,
    Signs,
    SignScore,
    TargetScores,
)
from mixplan.study.judged.correlate import hits_within_targets, mean_over_targets, over_cells, within_targets
from mixplan.study.judged.overlap import judge_overlaps
from mixplan.study.judged.pass_marks import Mark, judge_marks
from mixplan.study.judged.resample import Estimate, Weights, estimate, over_targets, weights
from mixplan.study.judged.sign import judge_sign
from mixplan.study.judged.sizes import UNSIGNED, cells, noise_floor
from mixplan.study.judged.table import Table

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

TOP = 3
RESAMPLES = 2000
"""Of the pigeonhole bootstrap, where a study is judged."""
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


def judge(table: Table, *, marks: Sequence[Mark], resamples: int, seed: int) -> Judgement:
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
        The judgement, its marks held against its figures.

    Raises:
        RunError: a mark names a figure that there is not.
    """
    everyone = {"all": table.targets, "development": table.development, "held_out": table.held_out}
    sets = {name: list(targets) for name, targets in everyone.items() if targets}
    measured = {(name, q): measured_domains(table, q, sets[name]) for name in sets for q in table.measures}
    parts = {
        (name, q): part_of(table, q, sets[name], table.domains, resamples, seed)
        for (name, q), domains in measured.items()
        if domains
    }
    found = {key: scores(part) for key, part in parts.items()}
    together = {
        name: {
            q: pooled(parts[name, q], found[name, q], tuple(table.predictors))
            for q in table.measures
            if (name, q) in parts
        }
        for name in sets
    }
    chosen = {q: choices(table, together, q) for q in table.measures}
    judged = Judgement(
        sets=sets,
        resamples=resamples,
        seed=seed,
        cells={q: changes(table, q) for q in table.measures},
        noise={q: noise_floor(q, table.measures[q], table.noise[q]) for q in table.measures},
        by_target={q: by_target(table, q) for q in table.measures},
        pooled=together,
        kinds={
            name: {q: of_kinds(table, q, sets[name]) for q in by_quantity} for name, by_quantity in together.items()
        },
        chosen=chosen,
        differences={
            name: {q: differences(table, parts[name, q], found[name, q], chosen[q]) for q in by_quantity}
            for name, by_quantity in together.items()
        },
        sign=signs(table),
        overlap=judge_overlaps(table),
    )
    return judged.model_copy(update={"marks": judge_marks(judged.values(), marks)})


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


def pooled(part: Part, found: Mapping[str, Doubles], names: Sequence[str]) -> Scores:
    """Each score of each predictor with its intervals.

    R² has none: squares of noisy correlations are too large on average, in resamples twice so. That of the hits is over
    targets alone: who is among three jumps when a domain is left out, which no jackknife bears.
    """
    told: Scores = {}
    for score, values in found.items():
        told[score] = {}
        for p, name in enumerate(names):
            counted = (~np.isnan(part.predicted[p]) & ~np.isnan(part.size)).sum(1)
            one = estimate_of(part, values[:, p], score)
            domains = (int(counted.min()), int(counted.max())) if len(counted) else (0, 0)
            told[score][name] = Score.of_parts(one.saved(), targets=int((counted > 2).sum()), domains=domains)
    return told


def estimate_of(part: Part, values: Doubles, score: str, *, difference: bool = False) -> Estimate:
    """A score's value with its intervals."""
    if score == "r2":
        return Estimate(float(values[0]), None, None, None)
    if score == "top3":
        return over_targets(values, len(part.targets))
    correlation = score in CORRELATIONS and not difference
    return estimate(values, len(part.targets), len(part.domains), correlation=correlation)


def of_kinds(table: Table, quantity: str, targets: Sequence[str]) -> dict[str, Scores]:
    """The pooled scores over domains of one kind only, for each kind of at least four; without the bootstrap."""
    found = {}
    for kind in dict.fromkeys(table.kinds[name] for name in table.domains):
        measured = measured_domains(table, quantity, targets)
        domains = [name for name in measured if table.kinds[name] == kind]
        if len(domains) >= FEWEST_OF_A_KIND:
            part = part_of(table, quantity, targets, domains, 0, 0)
            found[kind] = pooled(part, scores(part), tuple(table.predictors))
    return found


def changes(table: Table, quantity: str) -> CellChanges:
    """Each cell's mean `change` over seeds, its standard `error` and its `size`, `[T][D]`, None where not measured."""
    found = cells(quantity, table.measures[quantity], table.noise[quantity])

    def known(part: Doubles) -> list[list[float | None]]:
        return [[None if math.isnan(value) else float(value) for value in row] for row in part]

    return CellChanges(change=known(found.change), error=known(found.error), size=known(found.size))


def by_target(table: Table, quantity: str) -> dict[str, dict[str, TargetScores]]:
    """Each target's correlations (see `outcome.judge`) and hits of each predictor."""
    found = cells(quantity, table.measures[quantity], table.noise[quantity])
    one = Weights(np.ones((1, len(table.targets))), np.ones((1, *found.size.shape)))
    told: dict[str, dict[str, TargetScores]] = {target: {} for target in table.targets}
    for name, predicted in table.predictors.items():
        hits = hits_within_targets(one, predicted[None], found.size, top=TOP)[0, 0]
        for t, target in enumerate(table.targets):
            known = ~np.isnan(predicted[t]) & ~np.isnan(found.size[t])
            within = correlations(predicted[t][known], found.size[t][known])
            share = None if math.isnan(hits[t]) else float(hits[t])
            told[target][name] = TargetScores.of_parts(within, top3=share, domains=int(known.sum()))
    return told


def choices(table: Table, told: Mapping[str, Mapping[str, Scores]], quantity: str) -> dict[str, Choice]:
    """By score, the forecast with the best value on the development targets, and what it then did.

    Without development targets it is chosen on all of them, which `chosen_on` says: its score is then flattered.
    """
    chosen_on: Literal["all", "development"] = "development" if quantity in told.get("development", {}) else "all"
    found: dict[str, Choice] = {}
    if quantity not in told[chosen_on]:
        return found
    for score in CORRELATIONS:
        known = {name: told[chosen_on][quantity][score][name].value for name in table.forecasts}
        values = {name: value for name, value in known.items() if value is not None}
        if not values:
            continue
        best = max(values, key=lambda name: values[name])
        where = {name: told[name][quantity][score][best] for name in told if quantity in told[name]}
        found[score] = Choice(forecast=best, chosen_on=chosen_on, candidates=len(values), **where)
    return found


def differences(
    table: Table, part: Part, found: Mapping[str, Doubles], chosen: Mapping[str, Choice]
) -> dict[str, Differences]:
    """By score, the chosen forecast less each competitor and bound; `least` is the competitor it is least ahead of."""
    names = list(table.predictors)
    told: dict[str, Differences] = {}
    for score, choice in chosen.items():
        best = found[score][:, names.index(choice.forecast)]
        less = {
            name: estimate_of(part, best - found[score][:, names.index(name)], score, difference=True).saved()
            for name in (*table.competitors, *table.bounds)
        }
        told[score] = {**less, **closest({name: less[name] for name in table.competitors})}
    return told


def closest(competitors: Mapping[str, Estimated]) -> dict[str, Least]:
    """Under `least`, the competitor whose difference is least; nothing where none is defined."""
    values = {name: one.value for name, one in competitors.items() if one.value is not None}
    if not values:
        return {}
    least = min(values, key=lambda name: values[name])
    lows = [competitors[name].low for name in values]
    known = [low for low in lows if low is not None]
    low = min(known) if len(known) == len(lows) else None
    return {"least": Least(competitor=least, value=values[least], low=low)}


def signs(table: Table) -> Signs:
    """By set and quantity with a direction, how often each forecast of a direction was right.

    `chosen` is the one most often right on the development targets (on all, without any), by quantity.
    """
    sets = {"all": table.targets, "development": table.development, "held_out": table.held_out}
    told: dict[str, dict[str, dict[str, SignScore]]] = {
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
    chosen_on: Literal["all", "development"] = "development" if "development" in told else "all"
    chosen: dict[str, SignChoice] = {}
    for quantity, found in told.get(chosen_on, {}).items():
        best = max(found, key=lambda sign: found[sign].right.value or 0.0)
        where = {name: told[name][quantity][best] for name in told}
        chosen[quantity] = SignChoice(forecast=best, chosen_on=chosen_on, **where)
    return Signs(**told, chosen=chosen) if told else Signs()


def rows(table: Table, targets: Sequence[str]) -> Flags:
    """`[T]` which targets are among these."""
    return np.array([name in targets for name in table.targets])
