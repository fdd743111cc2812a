"""Builds a plan and its outcome together, as one run's folder holds them."""

import json
from pathlib import Path
from typing import Any

import saved_outcome
import saved_plan

from mixplan.saved.outcome import Outcome
from mixplan.saved.plan import Plan

DOMAINS = 12


def values(seed: int = 0, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A plan and an outcome of that plan, as JSON values; options are those of `saved_outcome.sample`."""
    plan, outcome = saved_plan.sample(seed, DOMAINS), saved_outcome.sample(seed, DOMAINS, **options)
    outcome["hashes"]["plan"] = plan["hashes"]["plan"]
    for name, domain in outcome["domains"].items():
        for score in ("sts_icl", "sts_act"):
            domain["predictors"][score] = plan["domains"][name][score]["value"]
    outside = [name for name, domain in outcome["domains"].items() if domain["outside_forecast"]]
    missed = f"{len(outside)} of {DOMAINS} domains moved outside their forecast: {outside[0]} (…)." if outside else ""
    outcome["summary"] = [outcome["summary"][0], *([missed] if missed else []), "Behaviour moved most in law."]
    return plan, outcome


def checked(plan: dict[str, Any], outcome: dict[str, Any]) -> tuple[Plan, Outcome]:
    """The same as the report reads them."""
    return Plan.model_validate_json(json.dumps(plan)), Outcome.model_validate_json(json.dumps(outcome))


def sample(seed: int = 0, **options: Any) -> tuple[Plan, Outcome]:
    """A run as the report reads it."""
    return checked(*values(seed, **options))


def save(folder: Path, seed: int = 0, **options: Any) -> Path:
    """Write a run's folder."""
    plan, outcome = values(seed, **options)
    saved_plan.save(folder, plan)
    outcome["hashes"]["plan"] = plan["hashes"]["plan"]
    return saved_outcome.save(folder, outcome)
