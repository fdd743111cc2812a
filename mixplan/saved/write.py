"""Writes plan.json and outcome.json, each with the hash of its own content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mixplan.runs import canonical_json, content_hash, write_json
from mixplan.saved.base_types import JsonObject
from mixplan.saved.outcome import Outcome
from mixplan.saved.plan import Plan

TIMES = ("created", "seconds")
"""When a plan was made, and how long each stage took."""

UNHASHED = {
    "model": ("why_dtype",),
    "sae": ("neuronpedia",),
    "mixture": ("inputs", "files"),
    "hashes": ("recipe", "plan"),
}
"""Entries of a plan's sections that its hash leaves out; see `plan_hash`."""


def plan_hash(plan: Mapping[str, Any]) -> str:
    """Hash over what determines a plan and what it decided.

    Left out is what another machine, folder or day changes without changing the plan: when and how fast it was made,
    why a compute type was chosen (the type itself counts), and files and hashes that hold the place of a local file.
    The recipe counts by its values, data, model, SAE and mixture by their content.

    Args:
        plan: What plan.json holds, keys that this mixplan does not know among it, with or without `hashes.plan`.
    """
    kept = {name: value for name, value in plan.items() if name not in TIMES}
    for section, places in UNHASHED.items():
        if plan[section] is not None:  # a plan may have no mixture
            kept[section] = {name: value for name, value in plan[section].items() if name not in places}
    return content_hash(kept)


def outcome_hash(outcome: Mapping[str, Any]) -> str:
    """Hash over all that outcome.json says but when it was made.

    Args:
        outcome: What it holds, with or without `hashes.outcome`.
    """
    hashes = {name: value for name, value in outcome["hashes"].items() if name != "outcome"}
    kept = {name: value for name, value in outcome.items() if name != "created"}
    return content_hash({**kept, "hashes": hashes})


def write_plan(folder: Path, plan: Plan) -> None:
    """Write a run's plan.json with the hash of its own content.

    A plan that is there already stays as it is, with the time when it was made, where nothing else differs.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    hashes = {**plan.hashes, "plan": plan_hash(plan.values())}
    values = plan.model_copy(update={"hashes": hashes}).values()
    if (earlier := values_there(folder / "plan.json")) is None or timeless(earlier) != timeless(values):
        write_json(folder / "plan.json", values)


def values_there(path: Path) -> JsonObject | None:
    """The values of a plan that is there and mixplan's own; None of any other file."""
    try:
        plan = Plan.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return plan.values() if plan.hashes.get("plan") == plan_hash(plan.values()) else None


def timeless(saved: JsonObject) -> str:
    """A plan or an outcome without what differs each time that it is made, as text."""
    return canonical_json({name: value for name, value in saved.items() if name not in TIMES})


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Write a run's outcome.json with the hash of its own content.

    An outcome that is there already stays as it is, with the time when it was made, where nothing else differs.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    hashes = {**outcome.hashes, "outcome": outcome_hash(outcome.values())}
    values = outcome.model_copy(update={"hashes": hashes}).values()
    if (earlier := outcome_there(folder / "outcome.json")) is None or timeless(earlier) != timeless(values):
        write_json(folder / "outcome.json", values)


def outcome_there(path: Path) -> JsonObject | None:
    """The values of an outcome that is there and mixplan's own; None of any other file."""
    try:
        outcome = Outcome.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return outcome.values() if outcome.hashes.get("outcome") == outcome_hash(outcome.values()) else None
