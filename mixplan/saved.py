"""Reads plan.json, outcome.json and other JSON files back, and refuses what was damaged or changed since."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixplan import __version__
from mixplan.errors import RunError
from mixplan.runs import content_hash, translated, write_json

VERSION = 1
"""Of plan.json and outcome.json."""

UNHASHED = {"model": ("why_dtype",), "mixture": ("inputs", "files"), "hashes": ("recipe", "plan")}
"""Entries of a plan's sections that its hash leaves out; see `plan_hash`."""

STRANGE = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What reading values from a foreign or damaged JSON file may raise."""


def plan_hash(plan: Mapping[str, Any]) -> str:
    """Hash over what determines a plan and what it decided.

    Left out is what another machine, folder or day changes without changing the plan: when and how fast it was made,
    why a compute type was chosen (the type itself counts), and files and hashes that hold the place of a local file.
    The recipe counts by its values, data, model, SAE and mixture by their content.

    Args:
        plan: What plan.json holds, with or without `hashes.plan`.
    """
    kept = {name: value for name, value in plan.items() if name not in ("created", "seconds")}
    for section, places in UNHASHED.items():
        kept[section] = {name: value for name, value in plan[section].items() if name not in places}
    return content_hash(kept)


def outcome_hash(outcome: Mapping[str, Any]) -> str:
    """Hash over all that outcome.json says.

    Args:
        outcome: What it holds, with or without `hashes.outcome`.
    """
    hashes = {name: value for name, value in outcome["hashes"].items() if name != "outcome"}
    return content_hash({**outcome, "hashes": hashes})


def write_outcome(folder: Path, outcome: Mapping[str, Any]) -> None:
    """Write a run's outcome.json with the hash of its own content.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    hashes = {**outcome["hashes"], "outcome": outcome_hash(outcome)}
    write_json(folder / "outcome.json", {**outcome, "hashes": hashes})


def read_json(path: Path, *, again: str) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        again: How it is made again, a sentence.

    Raises:
        RunError: it is not there, is no file, cannot be read, or is no JSON; with `again`.
    """
    try:
        with translated(path, reading=True, again=again):
            data = path.read_bytes()
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        found = "it is empty" if not path.stat().st_size else "it is no JSON text"
        raise RunError(f"{path}: damaged: {found}. {again}") from error


def read_plan(run: Path) -> dict[str, Any]:
    """Read a run folder's plan.json as JSON values, every one of them as mixplan wrote it.

    Raises:
        RunError: it is not there, damaged, foreign, of another version, or changed since it was written.
    """
    plan: dict[str, Any] = checked(run / "plan.json", read_json(run / "plan.json", again=plan_again(run)))
    return plan


def read_outcome(run: Path) -> dict[str, Any]:
    """Read a run folder's outcome.json in the same way.

    Raises:
        RunError: it is not there, damaged, foreign, of another version, or changed since it was written.
    """
    path = run / "outcome.json"
    outcome: dict[str, Any] = checked(path, read_json(path, again=outcome_again(run)))
    return outcome


def checked(path: Path, value: Any) -> Any:
    """A plan's or an outcome's values, once its hash has been found to be that of its content.

    Args:
        path: Where it was read from: `plan.json` or `outcome.json` in a run folder.
        value: What it holds.

    Raises:
        RunError: it has no hash of its own, another version, or a hash that does not match.
    """
    plans = path.name == "plan.json"
    again = (plan_again if plans else outcome_again)(path.parent)
    try:
        version, stated = value["version"], value["hashes"]["plan" if plans else "outcome"]
        right = plan_hash(value) if plans else outcome_hash(value)
    except STRANGE as error:
        what = (
            f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else "its parts are not those it should have"
        )
        raise RunError(f"{path}: not as mixplan {__version__} writes it: {what}. {again}") from error
    if version != VERSION:
        raise RunError(
            f"{path}: found version {version!r}, written by mixplan {value.get('mixplan')!r}; expected version "
            f"{VERSION}. {again}"
        )
    if stated != right:
        raise RunError(
            f"{path}: its content does not match its own hash, so it was changed or damaged after mixplan wrote it. "
            f"{again}"
        )
    return value


def plan_again(run: Path) -> str:
    """The command that makes a run's plan.json again, as a sentence."""
    return f"Plan again: `mixplan plan {shlex.quote(str(run / 'recipe.yaml'))} --run {shlex.quote(str(run))}`."


def outcome_again(run: Path) -> str:
    """The command that makes a trained run's outcome.json again, as a sentence."""
    return f"Measure again: `mixplan eval {shlex.quote(str(run))}`."
