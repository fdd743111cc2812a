"""A judged study in, what later plans of its model learn from it out, as the values of evidence.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mixplan.forecast.earlier import ICL, settings_of, unit_of
from mixplan.forecast.evidence import EVIDENCE_VERSION, SCORE_NAMES
from mixplan.outcome.units import main_quantity
from mixplan.study.arms_judge import BOTH
from mixplan.study.jobs import Bench, evaluated
from mixplan.study.table import Table
from mixplan.study.tabulate import over_seeds

BEHAVIOUR = "kl"


def evidence_of(
    bench: Bench, table: Table, judged: Mapping[str, Any], learned: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Collect, for each target, every domain's scores and what training changed, and how well scores told it.

    Changes are means over seeds; correlations with how far behaviour moved are over all targets, those that choices
    were made on with them, because no choice was made between these scores.

    Args:
        bench: The study's model and data.
        table: Its measures and predictors.
        judged: Its judgement.
        learned: What forecasts that learned from the other targets were worth, see `learned.judge_learned`.
    """
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
        "targets": {name: target_changes(bench, table, name) for name in table.targets},
    }


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
        "hashes": {"model": bench.model.weights, "sae": bench.sae.fingerprint},
        "settings": {**settings_of(bench.study.whole.resolved), **settings},
    }


def target_changes(bench: Bench, table: Table, target: str) -> dict[str, Any]:
    """One target's domains: their scores, headline change and behaviour."""
    before = evaluated(bench, bench.taught(target), bench.model)
    t = table.targets.index(target)
    changes = {quantity: over_seeds(values)[t] for quantity, values in table.measures.items()}
    found = {}
    for d, name in enumerate(table.domains):
        scores = {score: float(table.predictors[score][t, d]) for score in SCORE_NAMES if score in table.predictors}
        if not scores or not all(map(math.isfinite, scores.values())):
            continue  # the target's own data
        measure = before.headlines[name]
        quantity = main_quantity(before.domains[name][measure].values)
        found[name] = {
            "scores": scores,
            "headline": [measure, quantity, float(changes[quantity][d])],
            "behaviour": float(changes[BEHAVIOUR][d]) if BEHAVIOUR in changes else None,
        }
    return found
