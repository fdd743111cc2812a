"""Keeps what a study of arms' trainings measured, by the job's key, and writes all of it as one file that travels."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixplan.errors import RunError
from mixplan.runs import canonical_json, translated, write_atomic, write_json
from mixplan.saved.evaluation import EvaluatedModel, Evaluation, Measured, MeasuredItems, measured_of

VERSION = 2
TRAVELS = "trainings.jsonl"
"""In a run folder: what every training measured, from which another run folder of this or a like study goes on."""
JOB = re.compile("[0-9a-f]{64}")
DIGITS = 6
"""Significant digits of what travels: far below what a seed changes."""


@dataclass(frozen=True)
class KnownTrainings:
    """What was measured for one target at one budget, and of other comparisons' trainings whatever they share.

    Attributes:
        folder: Of all that the study has measured.
        study: The study's hash.
        target: Its name.
        budget: Extra rows.
    """

    folder: Path
    study: str
    target: str
    budget: int

    def get(self, job: str) -> Evaluation | None:
        """What a job's training measured; None where that is not known, or was for another study."""
        try:
            kept = json.loads((self.folder / f"{job}.json").read_bytes())
            return evaluation_of(kept["measured"]) if kept["study"] == self.study else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def keep(self, job: str, arm: str, seed: int, after: Evaluation) -> None:
        """Keep what the training of an arm with a seed measured."""
        budget = 0 if arm == "none" else self.budget
        named = {"target": self.target, "budget": budget, "arm": arm, "seed": seed, "job": job}
        write_json(self.folder / f"{job}.json", {"study": self.study, **named, "measured": values_of(after)})


def values_of(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON values, without the texts that nothing is judged by."""
    return {
        "model": {"hash": evaluation.model.hash, "dtype": evaluation.model.dtype},  # its folder does not travel
        "headlines": evaluation.headlines,
        "domains": {
            name: {measure: {"rows": list(found.rows), "values": found.values} for measure, found in measures.items()}
            for name, measures in evaluation.domains.items()
        },
    }


def evaluation_of(value: Mapping[str, Any]) -> Evaluation:
    """An evaluation from its JSON values.

    Raises:
        ValueError: a quantity does not have one entry for each row.
        KeyError: something is missing.
        TypeError: something is of another kind.
    """
    domains: dict[str, dict[str, Measured]] = {
        name: {
            measure: measured_of(measure, MeasuredItems.model_validate({**found, "texts": {}}))
            for measure, found in measures.items()
        }
        for name, measures in value["domains"].items()
    }
    return Evaluation(EvaluatedModel.model_validate(value["model"]), domains, dict(value["headlines"]))


def write_trainings(known: Path, place: Path, registered: Mapping[str, Any]) -> int:
    """Write what is known of a study as one file: a head with the measured rows' ids, then a line for each training.

    Args:
        known: The folder of what is known.
        place: The file.
        registered: What the study is registered as: `hash`, `processes` of each job, `libraries`, and by target
            `measured_as`, which tells how its trainings are measured from how another study's are.

    Returns:
        How many trainings are in it; with none there is no file.
    """
    study = str(registered["hash"])
    settings = {name: registered[name] for name in ("processes", "libraries", "measured_as")}
    head: dict[str, Any] = {"version": VERSION, "study": study, **settings, "rows": {}}
    lines: list[dict[str, Any]] = []
    for one in known_of(known, study):
        domains = one["measured"].pop("domains")
        rows = {name: {measure: found["rows"] for measure, found in by.items()} for name, by in domains.items()}
        # Every training of a target is measured on the same rows.
        if head["rows"].setdefault(one["target"], rows) == rows:
            values = {
                name: {measure: rounded(found["values"]) for measure, found in by.items()}
                for name, by in domains.items()
            }
            lines.append({**one, "values": values})
    if lines:
        lines.sort(key=lambda one: (one["target"], one["budget"], one["arm"], one["seed"], one["job"]))
        write_atomic(place, "".join(f"{canonical_json(line)}\n" for line in [head, *lines]).encode())
    return len(lines)


def known_of(folder: Path, study: str) -> list[dict[str, Any]]:
    """All that is known and whole, by file name, without the study's hash."""
    found = []
    for place in sorted(folder.glob("*.json")):
        try:
            one = json.loads(place.read_bytes())
            evaluation_of(one["measured"])
            if one.pop("study") == study:
                found.append({name: one[name] for name in ("target", "budget", "arm", "seed", "job", "measured")})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # damaged: it is trained again
    return found


def rounded(values: Mapping[str, Any]) -> dict[str, list[float]]:
    """Numbers by quantity to so many digits as travel."""
    return {name: [float(f"{value:.{DIGITS}g}") for value in entry] for name, entry in values.items()}


def take_over(place: Path, folder: Path, registered: Mapping[str, Any]) -> int:
    """Take what trainings measured elsewhere into a folder of what is known.

    They may be another study's: a job's key says what was trained, and targets that were measured otherwise are passed
    over.

    Args:
        place: What `write_trainings` wrote.
        folder: Where what is known lies; what is there already stays.
        registered: As for `write_trainings`.

    Returns:
        How many trainings were not known before.

    Raises:
        RunError: the file is not there or damaged, nothing in it was measured as here, or its jobs had another number
            of processes.
    """
    study = str(registered["hash"])
    if not place.is_file():
        raise RunError(
            f"--measured: there is no file {place}. `mixplan study` leaves a {TRAVELS} in the run folder of a study of "
            "arms, with --so-far in its so-far/."
        )
    try:
        with translated(place, reading=True):
            head, *lines = map(json.loads, place.read_text(encoding="utf-8").splitlines())
        same = measured_alike(place, head, registered)
        new = 0
        for line in (line for line in lines if line["target"] in same):
            rows, values = head["rows"][line["target"]], line.pop("values")
            domains = {
                name: {measure: {"rows": rows[name][measure], "values": found} for measure, found in by.items()}
                for name, by in values.items()
            }
            whole = {**line, "measured": {**line["measured"], "domains": domains}}
            evaluation_of(whole["measured"])
            if not JOB.fullmatch(line["job"]):
                raise ValueError("job: a hash is expected")
            kept = folder / f"{line['job']}.json"
            if not kept.exists():
                write_json(kept, {"study": study, **whole})
                new += 1
        return new
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RunError(f"{place}: this is no whole {TRAVELS} of a study. Take it from the run folder again.") from error


def measured_alike(place: Path, head: Mapping[str, Any], registered: Mapping[str, Any]) -> set[str]:
    """The targets whose trainings elsewhere were measured as this study measures its own.

    Args:
        place: The file, for messages.
        head: Its first line.
        registered: As for `write_trainings`.

    Raises:
        RunError: there is none, or the trainings had another number of processes.
    """
    if head["version"] != VERSION:
        raise RunError(
            f"{place}: another mixplan wrote it. Have this one write it again, by --so-far in its run folder."
        )
    same = {name for name, mark in registered["measured_as"].items() if head["measured_as"].get(name) == mark}
    if not same:
        raise RunError(
            f"{place}: measured for the study registered as {str(head['study'])[:16]} with another model, other "
            "domains or other measures, for every target of this one. Leave --measured out, or undo what was "
            "changed in the study's file or its recipe."
        )
    if head["processes"] != registered["processes"]:
        theirs, ours = head["processes"], registered["processes"]
        raise RunError(
            f"{place}: its jobs had --processes {theirs}, which sets how many rows a step takes, and these have "
            f"{ours}. Give --processes {theirs} with another run folder, or leave --measured out."
        )
    return same
