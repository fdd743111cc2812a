"""Assembles outcome.json from a plan, two evaluations, a finished job and what moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mixplan import __version__
from mixplan.evaluate.compare import Change, changes
from mixplan.evaluate.result import Evaluation, as_json
from mixplan.forecast.earlier import OUTCOME_VERSION, settings_of
from mixplan.outcome.expectations import apart, expected, outside, shares
from mixplan.outcome.judge import judge
from mixplan.outcome.summary import summarise
from mixplan.recipe.spec import EvaluateSpec
from mixplan.runs import content_hash

if TYPE_CHECKING:
    from mixplan.train.make import Trained

PREDICTORS = ("sts_icl", "sts_act", "raw_icl", "raw_act", "low_shift", "total_shift", "outside_shift")
"""Scores of plan.json that are held against measured changes."""

STILL = (
    "Training moved no feature of the SAE on the target's query tokens: it changed nothing below the SAE's layer, so "
    "predicted and actual drift cannot be compared."
)


def assemble(
    plan: Mapping[str, Any],
    before: Evaluation,
    after: Evaluation,
    trained: Trained,
    drift: Mapping[str, Any] | None,
    *,
    spec: EvaluateSpec,
    seed: int,
) -> dict[str, Any]:
    """Say what a job did and how right its plan was.

    Args:
        plan: What plan.json holds.
        before: The untrained model's evaluation.
        after: The trained model's, on the same items.
        trained: The finished job.
        drift: What `actual_drift` found.
        spec: The recipe's section, for the bootstrap resamples.
        seed: Of the resamples.

    Returns:
        JSON values; `arms` is None until arms are compared (see `with_arms`).

    Raises:
        RunError: the evaluations cannot be compared.
    """
    compared = changes(before, after, resamples=spec.resamples, seed=seed)
    sources = sources_of(plan)
    names = ("target", *sources.values(), *plan["domains"])
    measured = {name: measured_part(name, compared, before, after) for name in names}
    domains = beside_plan(plan, {name: measured[name] for name in plan["domains"]})
    outcome = {
        "version": OUTCOME_VERSION,
        "mixplan": __version__,
        "name": plan["name"],
        "hashes": {
            **{part: plan["hashes"][part] for part in ("plan", "model", "sae")},
            "trained": trained.model_hash,
            "before": evaluation_hash(before),
            "after": evaluation_hash(after),
        },
        "model": plan["model"]["name"],
        "sae": plan["sae"]["name"],
        "dtype": plan["model"]["dtype"],
        **({"config": plan["model"]["config"]} if "config" in plan["model"] else {}),
        "settings": settings_of(plan["recipe"]) | {"score": plan["score"]},
        "content": contents_of(plan),
        "job": job_as_run(plan.get("job"), trained, plan["domains"]),
        "training": training_part(plan["recipe"]["train"]["method"], trained),
        "target": measured["target"],
        **({"sources": {name: measured[called] for name, called in sources.items()}} if sources else {}),
        "domains": domains,
        "forecast": {"kind": plan["forecast"]["kind"], "text": plan["forecast"]["text"]},
        "judgement": judge(domains),
        "drift": drift,
        "arms": None,
    }
    warnings = [*other_types(before, after), *warnings_of(outcome, measured)]
    return outcome | {"summary": summarise(outcome), "warnings": warnings}


def other_types(before: Evaluation, after: Evaluation) -> list[str]:
    """What a reader should know where both models were not measured in one compute type."""
    return [
        f"{count} measures of the untrained model were measured in {dtype}, the trained model's in "
        f"{after.model['dtype']}: part of what changed may be rounding."
        for dtype, count in before.model.get("reused", {}).items()
    ]


def training_part(method: str, trained: Trained) -> dict[str, Any]:
    """The job as it ran."""
    return {
        "method": method,
        "steps": trained.steps,
        "seconds": trained.seconds,
        "log": trained.log,
        "consumption": trained.consumption,
    }


def contents_of(plan: Mapping[str, Any]) -> dict[str, Any] | None:
    """Sketches of the target and domains, by which later plans recognise them; None where the plan has none."""
    if not plan["target"].get("content"):
        return None
    return {
        "target": plan["target"]["content"],
        "domains": {name: planned["content"] for name, planned in plan["domains"].items()},
    }


def job_as_run(
    planned: Mapping[str, Any] | None, trained: Trained, domains: Mapping[str, object]
) -> dict[str, Any] | None:
    """What the job trained with: as planned, with the optimiser steps that its target rows took.

    Args:
        planned: The plan's job.
        trained: The finished job.
        domains: By name; all else that was read is the target's.
    """
    rows = {name: consumed["rows"] for name, consumed in trained.consumption.items()}
    taught = [consumed for name, consumed in trained.consumption.items() if name not in domains]
    read = sum(consumed["rows"] for consumed in taught)
    if planned is None or not read:
        return None
    steps = trained.steps * read / sum(rows.values())
    distinct = sum(consumed.get("distinct_rows", consumed["rows"]) for consumed in taught)
    return {**planned, "target_rows": distinct, "steps": steps}


def sources_of(plan: Mapping[str, Any]) -> dict[str, str]:
    """What the rows of each source of a plan's target are called, by the source's name; empty for a target of one."""
    return {name: f"target.{name}" for name in plan["target"].get("sources", {})}


def beside_plan(plan: Mapping[str, Any], measured: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each domain's changes with what its plan forecast, and with the scores that may have predicted them."""
    foretold = {name: planned["forecast"] for name, planned in plan["domains"].items()}
    relative = shares(foretold, measured) if plan["forecast"]["kind"] == "relative" else {}
    return {
        name: domain
        | beside_forecast(foretold[name], domain, relative.get(name))
        | {"predictors": {score: found["value"] for score in PREDICTORS if (found := plan["domains"][name].get(score))}}
        for name, domain in measured.items()
    }


def with_arms(outcome: Mapping[str, Any], arms: Mapping[str, Any]) -> dict[str, Any]:
    """An outcome with the table of compared arms, told in its summary too."""
    joined = {**outcome, "arms": dict(arms)}
    return joined | {"summary": summarise(joined)}


def measured_part(
    name: str, compared: Mapping[str, Mapping[str, Mapping[str, Change]]], before: Evaluation, after: Evaluation
) -> dict[str, Any]:
    """One domain's changes, its headline first, and how its generated answers were graded before and after."""
    found, headline = compared.get(name, {}), before.headlines.get(name)
    order = sorted(found, key=lambda measure: measure != headline)
    return {
        "headline": headline,
        "measures": {m: {quantity: asdict(change) for quantity, change in found[m].items()} for m in order},
        "answers": {"before": graded(before, name), "after": graded(after, name)} if "exact" in found else None,
        "floor": before.floors.get(name),
    }


def graded(evaluation: Evaluation, name: str) -> dict[str, int]:
    """How many generated answers had each outcome, such as `right` and `truncated`."""
    return dict(sorted(Counter(evaluation.domains[name]["exact"].texts.get("outcome", ())).items()))


def beside_forecast(
    planned: Mapping[str, Any], domain: Mapping[str, Any], share: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What was expected of a domain, and whether it moved otherwise."""
    headline, behaviour = (expected(planned, part, domain) for part in ("headline", "behaviour"))
    first = headline or behaviour
    return {
        "expected": headline,
        "expected_behaviour": behaviour,
        "relative": share,
        "outside_forecast": outside(first, domain) if first else apart(share) if share else None,
    }


def evaluation_hash(evaluation: Evaluation) -> str:
    """Hash over every item of an evaluation."""
    items = {
        name: {measure: as_json(measured) for measure, measured in measures.items()}
        for name, measures in evaluation.domains.items()
    }
    return content_hash(evaluation.model, evaluation.headlines, items)


def warnings_of(outcome: Mapping[str, Any], measured: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a reader should know before trusting the numbers."""
    found = [STILL] if outcome["drift"] is None else []
    for name, consumed in outcome["training"]["consumption"].items():
        unread = consumed["planned_rows"] - consumed["dropped_rows"] - consumed.get("distinct_rows", consumed["rows"])
        if unread > 0:
            found.append(
                f"{name}: {unread} of its {consumed['planned_rows']} rows were never read: the job ended first."
            )
        if consumed["truncated_rows"]:
            found.append(f"{name}: {consumed['truncated_rows']} of its rows were cut to the longest length.")
        if consumed["dropped_rows"]:
            found.append(f"{name}: {consumed['dropped_rows']} of its rows were longer than allowed and left out.")
    found += [
        f"{name}: nothing was measured; it has no evaluation rows, or no measure fits it."
        for name, part in measured.items()
        if not part["measures"] and not (name == "target" and outcome.get("sources"))
    ]
    cut = [
        f"{name} {counts['truncated']} of {sum(counts.values())}"
        for name, part in measured.items()
        if part["answers"] and (counts := part["answers"]["after"]).get("truncated", 0)
    ]
    if cut:
        found.append(
            f"Answers of the trained model that were cut at evaluate.answer_tokens count as wrong: {', '.join(cut)}."
        )
    return found
