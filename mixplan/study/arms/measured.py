"""Keeps what a study of arms' trainings measured, by the job's key, and writes all of it as one file that travels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mixplan.errors import RunError
from mixplan.runs import canonical_json, write_atomic
from mixplan.saved.evaluation import EvaluatedModel, Evaluation, Measured
from mixplan.saved.read import File, fields_of
from mixplan.study.files.read import read_whole, write_file
from mixplan.study.files.trainings import (
    KnownTraining,
    MeasuredDomains,
    MeasuredModel,
    Measurements,
    Training,
    TravellingHead,
    TravellingTraining,
    TravellingVersion,
)

VERSION: Final = 2
TRAVELS = "trainings.jsonl"
"""In a run folder: what every training measured, from which another run folder of this or a like study goes on."""
AGAIN = "Take the file from the run folder again."
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
        kept = read_whole(KnownTraining, self.folder / f"{job}.json")
        return None if kept is None or kept.study != self.study else evaluation_of(kept.measured)

    def keep(self, job: str, arm: str, seed: int, after: Evaluation) -> None:
        """Keep what the training of an arm with a seed measured."""
        kept = KnownTraining(
            version=1,
            study=self.study,
            target=self.target,
            budget=0 if arm == "none" else self.budget,
            arm=arm,
            seed=seed,
            job=job,
            measured=measured_in(after),
        )
        write_file(self.folder / f"{job}.json", kept)


@dataclass(frozen=True)
class MeasuredUnder:
    """How a study's trainings are measured.

    Attributes:
        study: What it is registered as.
        processes: Of each job.
        libraries: Versions.
        measured_as: By target, what tells how its trainings are measured from how another study's are.
    """

    study: str
    processes: int
    libraries: Mapping[str, str]
    measured_as: Mapping[str, str]


def measured_in(evaluation: Evaluation) -> MeasuredDomains:
    """An evaluation as it is kept, without the texts that nothing is judged by."""
    return MeasuredDomains(
        # Its folder does not travel.
        model=EvaluatedModel(hash=evaluation.model.hash, dtype=evaluation.model.dtype),
        headlines=evaluation.headlines,
        domains={
            name: {measure: measurements(found.rows, found.values) for measure, found in measures.items()}
            for name, measures in evaluation.domains.items()
        },
    )


def measurements(rows: Sequence[str], values: Mapping[str, Sequence[float]]) -> Measurements:
    """One measure's numbers.

    Raises:
        ValueError: a quantity does not have one entry for each row.
    """
    return Measurements(rows=list(rows), values={name: list(entry) for name, entry in values.items()})


def evaluation_of(measured: MeasuredDomains) -> Evaluation:
    """What was kept as an evaluation."""
    domains = {
        name: {
            measure: Measured(measure, tuple(one.rows), {q: tuple(v) for q, v in one.values_.items()}, {})
            for measure, one in measures.items()
        }
        for name, measures in measured.domains.items()
    }
    return Evaluation(measured.model, domains, measured.headlines)


def write_trainings(known: Path, place: Path, under: MeasuredUnder) -> int:
    """Write what is known of a study as one file: a head with the measured rows' ids, then a line for each training.

    Args:
        known: The folder of what is known.
        place: The file.
        under: How the study's trainings are measured.

    Returns:
        How many trainings are in it; with none there is no file.
    """
    shared: dict[str, dict[str, dict[str, list[str]]]] = {}
    trainings: list[TravellingTraining] = []
    for one in known_of(known, under.study):
        domains = one.measured.domains
        rows = {name: {measure: found.rows for measure, found in by.items()} for name, by in domains.items()}
        # Every training of a target is measured on the same rows.
        if shared.setdefault(one.target, rows) == rows:
            values = {
                name: {measure: rounded(found.values_) for measure, found in by.items()} for name, by in domains.items()
            }
            measured = MeasuredModel(model=one.measured.model, headlines=one.measured.headlines)
            named = {name: value for name, value in one.fields().items() if name in Training.model_fields}
            trainings.append(TravellingTraining.model_validate({**named, "measured": measured, "values": values}))
    if trainings:
        head = TravellingHead(
            version=VERSION,
            study=under.study,
            processes=under.processes,
            libraries=dict(under.libraries),
            measured_as=dict(under.measured_as),
            rows=shared,
        )
        trainings.sort(key=lambda one: (one.target, one.budget, one.arm, one.seed, one.job))
        write_atomic(place, "".join(f"{canonical_json(line.values())}\n" for line in (head, *trainings)).encode())
    return len(trainings)


def known_of(folder: Path, study: str) -> list[KnownTraining]:
    """All that is known of a study and whole, by file name; what is damaged is trained again."""
    found = (read_whole(KnownTraining, place) for place in sorted(folder.glob("*.json")))
    return [one for one in found if one is not None and one.study == study]


def rounded(values: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Numbers by quantity to so many digits as travel."""
    return {name: [float(f"{value:.{DIGITS}g}") for value in entry] for name, entry in values.items()}


def take_over(place: Path, folder: Path, under: MeasuredUnder) -> int:
    """Take what trainings measured elsewhere into a folder of what is known.

    They may be another study's: a job's key says what was trained, and targets that were measured otherwise are passed
    over.

    Args:
        place: What `write_trainings` wrote.
        folder: Where what is known lies; what is there already stays.
        under: How this study's trainings are measured.

    Returns:
        How many trainings were not known before.

    Raises:
        RunError: the file is not there or damaged, nothing in it was measured as here, or its jobs had another number
            of processes.
    """
    if not place.is_file():
        raise RunError(
            f"--measured: there is no file {place}. `mixplan study run` leaves a {TRAVELS} in the run folder of a "
            "study of arms, and `mixplan study judge` in its so-far/."
        )
    head, trainings = travelled(place)
    same = measured_alike(place, head, under)
    new: dict[Path, KnownTraining] = {}
    for number, one in enumerate(trainings, 2):
        if one.target not in same:
            continue
        try:
            measured = with_rows(one, head.rows[one.target])
        except (LookupError, ValueError) as error:
            raise RunError(f"{line_of(place, number).path}: its numbers are not one for each row. {AGAIN}") from error
        kept = folder / f"{one.job}.json"
        if not kept.exists():
            named = {name: value for name, value in one.fields().items() if name in Training.model_fields}
            whole = {"version": 1, "study": under.study, **named, "measured": measured}
            new[kept] = KnownTraining.model_validate(whole)
    for kept, training in new.items():  # none where one line is damaged
        write_file(kept, training)
    return len(new)


def travelled(place: Path) -> tuple[TravellingHead, list[TravellingTraining]]:
    """What a trainings.jsonl holds: its head, and its trainings.

    Raises:
        RunError: it is damaged, or another mixplan wrote it; names the line and the field.
    """
    first, *lines = File(place, TRAVELS, AGAIN).bytes().splitlines() or [b""]
    version = fields_of(TravellingVersion, first, line_of(place, 1)).version
    if version != VERSION:
        raise RunError(
            f"{place}: another mixplan wrote it. Have this one write it again, by `mixplan study judge` in its run "
            "folder."
        )
    head = fields_of(TravellingHead, first, line_of(place, 1))
    return head, [fields_of(TravellingTraining, line, line_of(place, n)) for n, line in enumerate(lines, 2)]


def line_of(place: Path, number: int) -> File:
    """A line of a trainings.jsonl, for messages."""
    return File(place.with_name(f"{place.name}, line {number}"), TRAVELS, AGAIN)


def with_rows(one: TravellingTraining, rows: Mapping[str, Mapping[str, Sequence[str]]]) -> MeasuredDomains:
    """What a training measured, on these rows.

    Raises:
        LookupError: a domain or measure has no rows.
        ValueError: a quantity does not have one entry for each row.
    """
    domains = {
        name: {measure: measurements(rows[name][measure], found) for measure, found in by.items()}
        for name, by in one.values_.items()
    }
    return MeasuredDomains.of_parts(one.measured, domains=domains)


def measured_alike(place: Path, head: TravellingHead, under: MeasuredUnder) -> set[str]:
    """The targets whose trainings elsewhere were measured as this study measures its own.

    Args:
        place: The file, for messages.
        head: Its first line.
        under: How this study measures its own.

    Raises:
        RunError: there is none, or the trainings had another number of processes.
    """
    same = {name for name, mark in under.measured_as.items() if head.measured_as.get(name) == mark}
    if not same:
        raise RunError(
            f"{place}: measured for the study registered as {head.study[:16]} with another model, other "
            "domains or other measures, for every target of this one. Leave --measured out, or undo what was "
            "changed in the study's file or its recipe."
        )
    if head.processes != under.processes:
        theirs, ours = head.processes, under.processes
        raise RunError(
            f"{place}: its jobs had --processes {theirs}, which sets how many rows a step takes, and these have "
            f"{ours}. Give --processes {theirs} with another run folder, or leave --measured out."
        )
    return same
