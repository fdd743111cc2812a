"""Collects what later plans of a judged study's model learn from it, as the values of evidence.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixplan.domains import Domain
from mixplan.domains.content_sketch import sketch
from mixplan.forecast.earlier_runs import ICL, settings_of, unit_of
from mixplan.forecast.evidence import SCORE_NAMES
from mixplan.outcome.units import main_quantity
from mixplan.plan.job import job_of
from mixplan.saved.evidence import (
    AgainstUniform,
    ArmLosses,
    ChangeNoise,
    DomainEvidence,
    DomainNoise,
    Evidence,
    EvidenceContents,
    EvidenceHashes,
    EvidenceHead,
    Told,
)
from mixplan.saved.outcome import Settings
from mixplan.saved.plan import Content, Job
from mixplan.study.arms.judge import BOTH
from mixplan.study.files.arms import ArmsJudgement
from mixplan.study.files.figure import Bounded
from mixplan.study.files.judgement import Judgement, Learned
from mixplan.study.jobs import Bench, evaluated
from mixplan.study.judged.judge import RESAMPLES, part_of, pooled, scores
from mixplan.study.judged.table import Table
from mixplan.study.judged.tabulate import over_seeds

BEHAVIOUR = "kl"

Headlines = Mapping[str, tuple[str, str]]
"""By domain, the measure and quantity that stand for it."""


def evidence_of(
    bench: Bench, table: Table, told: Correlations, headlines: Mapping[str, Headlines] | None = None
) -> Evidence:
    """Collect, for each target, every domain's scores and what training changed, and how well scores predicted it.

    Changes are means over seeds; correlations with how far behaviour moved are over all targets, those that choices
    were made on with them, because no choice was made between these scores.

    Args:
        bench: The study's model and data.
        table: Its measures and predictors.
        told: How well scores predicted, see `correlations_of`.
        headlines: By target, what stands for each domain; None to take it from the untrained model's evaluation.
    """
    headlines = headlines or {name: headlines_of(bench, name) for name in table.targets}
    shots = bench.study.spec.reading.demonstrations
    read: dict[str, str | int] = {"drift_from": ICL, "drift_demonstrations": shots, "sts_demonstrations": shots}
    return Evidence.of_parts(
        head_of(bench, read),
        seeds=list(table.seeds),
        told=told.told,
        learned=told.learned,
        targets={name: target_changes(table, name, headlines[name]) for name in table.targets},
        contents=EvidenceContents(
            targets={name: content_of(bench.taught(name).target) for name in table.targets},
            domains={name: content_of(bench.domains[name]) for name in table.domains},
        ),
        jobs={name: job_values(bench, name) for name in table.targets},
    )


@dataclass(frozen=True)
class Correlations:
    """How well scores predicted how far behaviour moved.

    Attributes:
        told: By score, over all targets.
        learned: By score, the same with each domain's own factor learned on the other targets.
    """

    told: dict[str, Told]
    learned: dict[str, Told]


def correlations_of(judged: Judgement, learned: Learned | None) -> Correlations:
    """Those of a judgement.

    Args:
        judged: The study's.
        learned: What forecasts that learned from the other targets were worth, see `judge_learned`.
    """
    ways = learned.ways if learned else {}
    taught = {score: ways[f"{score}_own"].pearson for score in SCORE_NAMES if f"{score}_own" in ways}
    pooled = judged.pooled["all"].get(BEHAVIOUR, {}).get("pearson", {})
    told = {score: pooled[score] for score in SCORE_NAMES if score in pooled}
    return Correlations(ends_of(told), ends_of(taught))


def told_of(table: Table, names: Sequence[str], *, seed: int) -> dict[str, Told]:
    """How well some predictors alone went with how far behaviour moved, over all targets, as a judgement has it.

    Args:
        table: The study's measures and predictors.
        names: Of the predictors.
        seed: Of the bootstrap.
    """
    alone = replace(table, predictors={name: table.predictors[name] for name in names}, competitors=(), bounds=())
    part = part_of(alone, BEHAVIOUR, table.targets, table.domains, RESAMPLES, seed)
    return ends_of(pooled(part, scores(part), tuple(names))["pearson"])


def content_of(domain: Domain) -> Content:
    """A target's or domain's sketch as it is saved."""
    return Content.model_validate(sketch(domain).as_json())


def headlines_of(bench: Bench, target: str) -> dict[str, tuple[str, str]]:
    """What stands for each domain in a target's cells."""
    before = evaluated(bench, bench.taught(target), bench.model)
    return {
        name: (measure, main_quantity(before.domains[name][measure].values))
        for name, measure in before.headlines.items()
    }


def job_values(bench: Bench, target: str) -> Job | None:
    """What a target's jobs trained with; None where that is not known before training."""
    taught = bench.taught(target)
    rows = taught.loaded.recipe.mixture.target_rows
    return job_of(taught.loaded.resolved["train"], len(taught.target.pool) if rows is None else rows)


def ends_of(figures: Mapping[str, Bounded]) -> dict[str, Told]:
    """Values and intervals alone, of those that have a value."""
    return {
        name: Told(value=one.value, low=one.low, high=one.high)
        for name, one in figures.items()
        if one.value is not None
    }


def evidence_of_arms(bench: Bench, compared: Mapping[str, ArmLosses], judged: ArmsJudgement) -> Evidence:
    """What a study of arms teaches: no scores, but each target's losses with the rows behind them.

    Args:
        bench: The study's model and data.
        compared: By target, see `arms.response.compared_values`.
        judged: What `arms_judge.judge_arms` gave.
    """
    return Evidence.of_parts(
        head_of(bench, {}),
        seeds=list(bench.study.spec.seeds),
        told={},
        targets={},
        compared=dict(compared),
        against_uniform=against_uniform(bench, judged),
    )


def against_uniform(bench: Bench, judged: ArmsJudgement) -> AgainstUniform | None:
    """How much more of the worst domain's loss the plans avoided than an even spread; None where none was trained."""
    found = judged.avoided.get("uniform", {}).get("plan", {})
    if not found:
        return None
    quantity, losses = next(iter(found.items()))
    recipe, worst = bench.study.whole.recipe, losses.worst[BOTH]
    if worst.value is None:
        return None
    return AgainstUniform(
        score=f"sts_{recipe.sts.score}",
        objective=recipe.allocate.objective,
        unit=unit_of(quantity),
        targets=len(judged.targets),
        worst=Told(value=worst.value, low=worst.low, high=worst.high),
    )


def head_of(bench: Bench, settings: Mapping[str, str | int]) -> EvidenceHead:
    """Of what study evidence is, and of which model, SAE and settings.

    Args:
        bench: The study's model and data.
        settings: Where its scores were read otherwise than its recipe says.
    """
    return EvidenceHead(
        version=1,
        title=bench.study.spec.title,
        study=bench.study.hash,
        model=bench.study.whole.recipe.model.name,
        sae=bench.sae.name,
        dtype=bench.model.dtype,
        config=bench.model.config,
        hashes=EvidenceHashes(model=bench.model.weights, sae=bench.sae.fingerprint),
        settings=Settings.of_parts(settings_of(bench.study.whole.resolved), **settings),
    )


def target_changes(table: Table, target: str, headlines: Headlines) -> dict[str, DomainEvidence]:
    """One target's domains: their scores, headline change and behaviour, and how well these are known.

    Args:
        table: The study's measures and predictors.
        target: Its name.
        headlines: What stands for each domain.
    """
    t = table.targets.index(target)
    changes = {quantity: over_seeds(values)[t] for quantity, values in table.measures.items()}
    found = {}
    for d, name in enumerate(table.domains):
        scores = {score: float(table.predictors[score][t, d]) for score in SCORE_NAMES if score in table.predictors}
        if not scores or not all(map(math.isfinite, scores.values())):
            continue  # the target's own data
        measure, quantity = headlines[name]
        found[name] = DomainEvidence(
            scores=scores,
            headline=(measure, quantity, float(changes[quantity][d])),
            behaviour=float(changes[BEHAVIOUR][d]) if BEHAVIOUR in changes else None,
            noise=DomainNoise(
                headline=noise_values(table, quantity, t, d),
                behaviour=noise_values(table, BEHAVIOUR, t, d) if BEHAVIOUR in changes else None,
            ),
        )
    return found


def noise_values(table: Table, quantity: str, t: int, d: int) -> ChangeNoise:
    """A cell's standard error over items (root mean square over seeds) and standard deviation over seeds."""
    items, changes = table.noise[quantity][t, d], table.measures[quantity][t, d]
    error = float(np.sqrt(np.mean(np.square(items)))) if np.isfinite(items).all() else None
    return ChangeNoise(items=error, seeds=float(np.std(changes, ddof=1)) if len(changes) > 1 else None)
