"""Collects what later plans of a judged study's model learn from it, as the values of evidence.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mixplan.domains.sketch import sketch
from mixplan.forecast.earlier import ICL, settings_of, unit_of
from mixplan.forecast.evidence import EVIDENCE_VERSION, SCORE_NAMES
from mixplan.outcome.units import main_quantity
from mixplan.plan.job import job_of
from mixplan.study.arms.judge import BOTH
from mixplan.study.jobs import Bench, evaluated
from mixplan.study.judged.table import Table
from mixplan.study.judged.tabulate import over_seeds

BEHAVIOUR = "kl"

Headlines = Mapping[str, tuple[str, str]]
"""By domain, the measure and quantity that stand for it."""


def evidence_of(
    bench: Bench,
    table: Table,
    judged: Mapping[str, Any],
    learned: Mapping[str, Any] | None = None,
    headlines: Mapping[str, Headlines] | None = None,
) -> dict[str, Any]:
    """Collect, for each target, every domain's scores and what training changed, and how well scores predicted it.

    Changes are means over seeds; correlations with how far behaviour moved are over all targets, those that choices
    were made on with them, because no choice was made between these scores.

    Args:
        bench: The study's model and data.
        table: Its measures and predictors.
        judged: Its judgement.
        learned: What forecasts that learned from the other targets were worth, see `learned.judge_learned`.
        headlines: By target, what stands for each domain; None to take it from the untrained model's evaluation.
    """
    headlines = headlines or {name: headlines_of(bench, name) for name in table.targets}
    ways = learned["ways"] if learned else {}
    taught = {score: ways[f"{score}_own"]["pearson"] for score in SCORE_NAMES if f"{score}_own" in ways}
    pooled = judged["pooled"]["all"].get(BEHAVIOUR, {}).get("pearson", {})
    told = {score: pooled[score] for score in SCORE_NAMES if pooled.get(score, {}).get("value") is not None}
    shots = bench.study.spec.reading.demonstrations
    read = {"drift_from": ICL, "drift_demonstrations": shots, "sts_demonstrations": shots}
    return head_of(bench, read) | {
        "seeds": list(table.seeds),
        "told": {score: ends_of(one) for score, one in told.items()},
        "learned": {score: ends_of(one) for score, one in taught.items() if one["value"] is not None},
        "targets": {name: target_changes(table, name, headlines[name]) for name in table.targets},
        "contents": {
            "targets": {name: sketch(bench.taught(name).target).as_json() for name in table.targets},
            "domains": {name: sketch(bench.domains[name]).as_json() for name in table.domains},
        },
        "jobs": {name: job_values(bench, name) for name in table.targets},
    }


def headlines_of(bench: Bench, target: str) -> dict[str, tuple[str, str]]:
    """What stands for each domain in a target's cells."""
    before = evaluated(bench, bench.taught(target), bench.model)
    return {
        name: (measure, main_quantity(before.domains[name][measure].values))
        for name, measure in before.headlines.items()
    }


def job_values(bench: Bench, target: str) -> dict[str, Any] | None:
    """What a target's jobs trained with; None where that is not known before training."""
    taught = bench.taught(target)
    rows = taught.loaded.recipe.mixture.target_rows
    job = job_of(taught.loaded.resolved["train"], len(taught.target.pool) if rows is None else rows)
    return None if job is None else job.values()


def ends_of(figure: Mapping[str, Any]) -> dict[str, Any]:
    """A figure's value and interval alone."""
    return {key: figure[key] for key in ("value", "low", "high")}


def evidence_of_arms(bench: Bench, compared: Mapping[str, Any], judged: Mapping[str, Any]) -> dict[str, Any]:
    """What a study of arms teaches: no scores, but each target's losses with the rows behind them.

    Args:
        bench: The study's model and data.
        compared: By target, see `arms_response.compared_values`.
        judged: What `arms_judge.judge_arms` gave.
    """
    return head_of(bench, {}) | {
        "seeds": list(bench.study.spec.seeds), "told": {}, "targets": {}, "compared": dict(compared),
        "against_uniform": against_uniform(bench, judged),
    }  # fmt: skip


def against_uniform(bench: Bench, judged: Mapping[str, Any]) -> dict[str, Any] | None:
    """How much more of the worst domain's loss the plans avoided than an even spread; None where none was trained."""
    found = judged["avoided"].get("uniform", {}).get("plan", {})
    if not found:
        return None
    quantity, losses = next(iter(found.items()))
    recipe, worst = bench.study.whole.recipe, losses["worst"][BOTH]
    return {
        "score": f"sts_{recipe.sts.score}",
        "objective": recipe.allocate.objective,
        "unit": unit_of(quantity),
        "targets": len(judged["targets"]),
        "worst": ends_of(worst),
    }


def head_of(bench: Bench, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of what study evidence is, and of which model, SAE and settings.

    Args:
        bench: The study's model and data.
        settings: Where its scores were read otherwise than its recipe says.
    """
    return {
        "version": EVIDENCE_VERSION,
        "title": bench.study.spec.title,
        "study": bench.study.hash,
        "model": bench.study.whole.recipe.model.name,
        "sae": bench.sae.name,
        "dtype": bench.model.dtype,
        "config": bench.model.config,
        "hashes": {"model": bench.model.weights, "sae": bench.sae.fingerprint},
        "settings": {**settings_of(bench.study.whole.resolved).values(), **settings},
    }


def target_changes(table: Table, target: str, headlines: Headlines) -> dict[str, Any]:
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
        found[name] = {
            "scores": scores,
            "headline": [measure, quantity, float(changes[quantity][d])],
            "behaviour": float(changes[BEHAVIOUR][d]) if BEHAVIOUR in changes else None,
            "noise": {
                "headline": noise_values(table, quantity, t, d),
                "behaviour": noise_values(table, BEHAVIOUR, t, d) if BEHAVIOUR in changes else None,
            },
        }
    return found


def noise_values(table: Table, quantity: str, t: int, d: int) -> dict[str, float | None]:
    """A cell's standard error over items (root mean square over seeds) and standard deviation over seeds."""
    items, changes = table.noise[quantity][t, d], table.measures[quantity][t, d]
    error = float(np.sqrt(np.mean(np.square(items)))) if np.isfinite(items).all() else None
    return {"items": error, "seeds": float(np.std(changes, ddof=1)) if len(changes) > 1 else None}
