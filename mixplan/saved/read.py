"""Reads plan.json and outcome.json back, and refuses what is damaged, foreign, or changed since it was written."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mixplan.errors import RunError
from mixplan.runs import JUDGED, quoted, refuse_recipe, translated
from mixplan.saved.outcome import Outcome
from mixplan.saved.plan import Plan, Version
from mixplan.saved.write import outcome_hash, plan_hash

VERSION: Final = 1
"""Of plan.json and outcome.json."""
SHOWN_PROBLEMS = 8
FOUND_LENGTH = 40
SPREADS = ("rows", "ratios", "uniform", "shares")

Read = TypeVar("Read", bound=BaseModel)


class SavedFileError(RunError):
    """A saved file that is not what mixplan wrote, or is of another version.

    Attributes:
        reason: What is wrong with it in a few words, for a message that names more files than one.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class File:
    """A saved file: its place, what it holds, and how it is made again, a sentence."""

    path: Path
    what: str
    again: str

    def bytes(self) -> bytes:
        """What it holds.

        Raises:
            RunError: it is not there or cannot be read.
        """
        with translated(self.path, reading=True, again=self.again):
            return self.path.read_bytes()


def read_plan(run: Path) -> Plan:
    """Read and check a run folder's plan.json.

    Args:
        run: The run folder.

    Returns:
        The plan, every number in it finite.

    Raises:
        RunError: there is no plan, or the file is damaged, foreign, incomplete, of another version, or changed since it
            was written.
    """
    saved = File(run / "plan.json", "plan", plan_again(run))
    refuse_no_plan(run, saved.path)
    data = saved.bytes()
    plan = parsed(Plan, data, saved)
    if problems := _uneven(plan):
        raise _refusal(saved, problems)
    refuse_changed(saved, plan.hashes.get("plan"), own_hash(plan_hash, data))
    return plan


def read_outcome(run: Path) -> Outcome | None:
    """Read and check a run folder's outcome.json.

    Args:
        run: The run folder.

    Returns:
        The outcome, every number in it finite; None where nothing was measured yet.

    Raises:
        RunError: the file is damaged, foreign, incomplete, of another version, or changed since it was written.
    """
    saved = File(run / "outcome.json", "outcome", outcome_again(run))
    if not os.path.lexists(saved.path):
        return None
    data = saved.bytes()
    outcome = parsed(Outcome, data, saved)
    refuse_changed(saved, outcome.hashes.get("outcome"), own_hash(outcome_hash, data))
    return outcome


def read_earlier_outcome(run: Path) -> tuple[Outcome, str]:
    """Read another run's outcome.json to learn from it.

    Args:
        run: That run's folder.

    Returns:
        The outcome, every number in it finite, and the SHA-256 of the file, by which a copied run is known.

    Raises:
        RunError: the file is not there, damaged, foreign, incomplete, of another version, or changed since it was
            written. One that states no hash of its own is taken: mixplan 0.1.0 wrote none.
    """
    saved = File(run / "outcome.json", "outcome", outcome_again(run))
    data = saved.bytes()
    outcome = parsed(Outcome, data, saved)
    if (stated := outcome.hashes.get("outcome")) is not None:
        refuse_changed(saved, stated, own_hash(outcome_hash, data))
    return outcome, hashlib.sha256(data).hexdigest()


def own_hash(of: Callable[[Mapping[str, Any]], str], data: bytes) -> str:
    """The hash of a file's content; empty where it holds numbers that mixplan never writes, such as NaN."""
    try:
        return of(json.loads(data))
    except ValueError:
        return ""


def plan_again(run: Path) -> str:
    """The command that makes a run's plan.json again, as a sentence."""
    return f"Plan again: `mixplan plan {shlex.quote(str(run / 'recipe.yaml'))} --run {shlex.quote(str(run))}`."


def outcome_again(run: Path) -> str:
    """The command that makes a trained run's outcome.json again, as a sentence."""
    if run.parent.name == JUDGED:
        folder, label = shlex.quote(str(run.parents[1])), shlex.quote(run.name)
        return (
            f"Measure again: `mixplan eval {folder} --model MODEL --label {label}`, with the model's folder, or with "
            "`--before` and `--after` in its place where it was made of another harness's results."
        )
    return f"Measure again: `mixplan eval {shlex.quote(str(run))}`."


def refuse_no_plan(run: Path, path: Path) -> None:
    """Stop where there is no plan to read.

    Raises:
        RunError: the folder is none, or holds no plan.
    """
    if run.is_file():
        refuse_recipe(run)
        folder = quoted(run.parent)
        raise RunError(f"{run}: found a file, expected a run folder. Give its folder: `mixplan report {folder}`.")
    if not run.is_dir():
        raise RunError(f"{run}: no such run folder. `mixplan ls` lists the runs there are.")
    if not os.path.lexists(path) and (run / "diff.json").is_file():
        raise RunError(
            f"{run}: found what `mixplan diff` wrote of two models, expected a run folder. `mixplan ls` lists the runs."
        )
    if not os.path.lexists(path):
        raise RunError(f"{run}: no plan.json here yet. Plan first: `mixplan plan RECIPE --run {quoted(run)}`.")


def refuse_changed(saved: File, stated: str | None, right: str) -> None:
    """Stop at a file whose content is not what its own hash was taken of.

    Raises:
        RunError: it states no hash, or another one.
    """
    if stated is None:
        raise _refusal(saved, [f"`hashes.{saved.what}` is missing"])
    if stated != right:
        raise SavedFileError(
            f"{saved.path}: its content does not match its own hash (`hashes.{saved.what}`: found {stated[:12]}…, "
            f"expected {right[:12]}…), so it was changed or damaged after mixplan wrote it. {saved.again}",
            "its content does not match its own hash",
        )


def parsed(kind: type[Read], data: bytes, saved: File, *, first: type[Version] = Version) -> Read:
    """A file's bytes as values of its type.

    Args:
        kind: Of what it should hold.
        data: Its bytes.
        saved: For messages.
        first: What it says of its version.

    Raises:
        RunError: it is of another version, or not what mixplan writes; names each field that is wrong.
    """
    version = fields_of(first, data, saved)
    if version.version != VERSION:
        raise SavedFileError(
            f"{saved.path}: found {saved.what} version {version.version}, written by mixplan {version.mixplan!r}; "
            f"expected version {VERSION}. Use that mixplan. {saved.again}",
            f"it is of version {version.version}, not {VERSION}",
        )
    return fields_of(kind, data, saved)


def fields_of(kind: type[Read], data: bytes, saved: File) -> Read:
    """A file's bytes as values of its type, whatever its version.

    Raises:
        RunError: it is not what mixplan writes; names each field that is wrong.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise _refusal(saved, problems_of(error)) from error


def problems_of(error: ValidationError) -> list[str]:
    """Each wrong field, what was expected and what was found."""
    return [_problem(detail) for detail in error.errors(include_url=False)]


def _problem(detail: ErrorDetails) -> str:
    """Say one of pydantic's findings as where, what was expected, and what was found."""
    where = ".".join(str(part) for part in detail["loc"])
    message = detail["msg"].replace("Input should be", "expected")
    if detail["type"] == "json_invalid":
        return f"not JSON: {message.removeprefix('Invalid JSON: ')}"
    if detail["type"] == "missing":
        return f"`{where}` is missing"
    if detail["type"] == "lacking":
        return f"`{where}.{detail['ctx']['key']}` is missing"
    place = f"`{where}`" if where else "the file"
    return f"{place}: {message[:1].lower()}{message[1:]}, found {_found(detail['input'])}"


def _found(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= FOUND_LENGTH else f"{text[:FOUND_LENGTH]}..."


def _uneven(plan: Plan) -> list[str]:
    """Find domains that the allocation leaves out; the rest of the plan needs no cross-check."""
    spreads = [(f"allocation.{key}", getattr(plan.allocation, key)) for key in SPREADS]
    spreads += [(f"allocation.curve.{i}.rows", point.rows) for i, point in enumerate(plan.allocation.curve)]
    if beside := plan.allocation.spreads:
        spreads += [
            (f"allocation.spreads.{key}.rows", getattr(beside, key).rows) for key in ("even", "planned", "proportional")
        ]
    missing = ((key, name) for key, spread in spreads for name in plan.domains if name not in spread)
    return [f"`{key}` lacks domain {_found(name)}" for key, name in missing]


def _refusal(saved: File, problems: list[str]) -> SavedFileError:
    more = len(problems) - SHOWN_PROBLEMS
    lines = [f"  {problem}" for problem in problems[:SHOWN_PROBLEMS]]
    lines += [f"  and {more} more"] if more > 0 else []
    listed = "\n".join(lines)
    article = "an" if saved.what[0] in "aeiou" else "a"
    wrong = f"not {article} {saved.what} that mixplan wrote, or changed or damaged since"
    return SavedFileError(f"{saved.path}: {wrong}:\n{listed}\n{saved.again}", problems[0])
