"""Saved plan.json and outcome.json in, checked `Plan` and `Outcome` out, for what shows them and computes nothing."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mixplan.errors import RunError
from mixplan.report.outcome import Outcome
from mixplan.report.plan import Plan, Version
from mixplan.runs import quoted, translated
from mixplan.saved import VERSION, checked, outcome_again, plan_again, read_json

SHOWN_PROBLEMS = 8
FOUND_LENGTH = 40
SPREADS = ("rows", "ratios", "uniform", "shares")

Read = TypeVar("Read", bound=BaseModel)


def read_plan(run: Path) -> Plan:
    """Read and check a run folder's plan.json.

    Args:
        run: The run folder.

    Returns:
        The plan, every number in it finite.

    Raises:
        RunError: there is no plan, or the file is damaged, foreign, incomplete or of another version.
    """
    saved = File(run / "plan.json", "plan", plan_again(run))
    plan = _checked(Plan, _bytes(run, saved.path), saved)
    if problems := _uneven(plan):
        raise RunError(_refusal(saved, problems))
    checked(saved.path, read_json(saved.path, again=plan_again(run)))
    return plan


def read_outcome(run: Path) -> Outcome | None:
    """Read and check a run folder's outcome.json.

    Args:
        run: The run folder.

    Returns:
        The outcome, every number in it finite; None where nothing was measured yet.

    Raises:
        RunError: the file is damaged, foreign, incomplete or of another version.
    """
    saved = File(run / "outcome.json", "outcome", outcome_again(run))
    if not os.path.lexists(saved.path):
        return None
    with translated(saved.path, reading=True, again=outcome_again(run)):
        data = saved.path.read_bytes()
    outcome = _checked(Outcome, data, saved)
    checked(saved.path, read_json(saved.path, again=outcome_again(run)))
    return outcome


@dataclass(frozen=True)
class File:
    """A saved file: its place, what it holds, and how it is made again, a sentence."""

    path: Path
    what: str
    again: str


def _checked(kind: type[Read], data: bytes, saved: File) -> Read:
    version = _parse(Version, data, saved)
    if version.version != VERSION:
        raise RunError(
            f"{saved.path}: found {saved.what} version {version.version}, written by mixplan {version.mixplan!r}; "
            f"expected version {VERSION}. Use that mixplan. {saved.again}"
        )
    return _parse(kind, data, saved)


def _bytes(run: Path, path: Path) -> bytes:
    if run.is_file():
        folder = quoted(run.parent)
        raise RunError(f"{run}: found a file, expected a run folder. Give its folder: `mixplan report {folder}`.")
    if not run.is_dir():
        raise RunError(f"{run}: no such run folder. `mixplan ls` lists the runs there are.")
    if not os.path.lexists(path):
        raise RunError(f"{run}: no plan.json here yet. Plan first: `mixplan plan RECIPE --run {quoted(run)}`.")
    with translated(path, reading=True, again=plan_again(run)):
        return path.read_bytes()


def _parse(kind: type[Read], data: bytes, saved: File) -> Read:
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        problems = [_problem(detail) for detail in error.errors(include_url=False)]
        raise RunError(_refusal(saved, problems)) from error


def _problem(detail: ErrorDetails) -> str:
    """Say one of pydantic's findings as where, what was expected, and what was found."""
    where = ".".join(str(part) for part in detail["loc"])
    message = detail["msg"].replace("Input should be", "expected")
    if detail["type"] == "json_invalid":
        return f"not JSON: {message.removeprefix('Invalid JSON: ')}"
    if detail["type"] == "missing":
        return f"`{where}` is missing"
    place = f"`{where}`" if where else "the file"
    return f"{place}: {message[:1].lower()}{message[1:]}, found {_found(detail['input'])}"


def _found(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= FOUND_LENGTH else f"{text[:FOUND_LENGTH]}..."


def _uneven(plan: Plan) -> list[str]:
    """Find domains that the allocation leaves out; the rest of the plan needs no cross-check."""
    spreads = [(f"allocation.{key}", getattr(plan.allocation, key)) for key in SPREADS]
    spreads += [(f"allocation.curve.{i}.rows", point.rows) for i, point in enumerate(plan.allocation.curve)]
    missing = ((key, name) for key, spread in spreads for name in plan.domains if name not in spread)
    return [f"`{key}` lacks domain {_found(name)}" for key, name in missing]


def _refusal(saved: File, problems: list[str]) -> str:
    more = len(problems) - SHOWN_PROBLEMS
    lines = [f"  {problem}" for problem in problems[:SHOWN_PROBLEMS]]
    lines += [f"  and {more} more"] if more > 0 else []
    listed = "\n".join(lines)
    article = "an" if saved.what[0] in "aeiou" else "a"
    wrong = f"not {article} {saved.what} that mixplan wrote, or changed or damaged since"
    return f"{saved.path}: {wrong}:\n{listed}\n{saved.again}"
