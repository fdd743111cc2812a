"""Writes down before the first training what is studied, and refuses to go on with anything else."""

from __future__ import annotations

import os
from pathlib import Path

from mixplan import __version__
from mixplan.errors import RunError
from mixplan.reading.identity import library_versions
from mixplan.runs import quoted
from mixplan.study.asked.spec import LoadedStudy
from mixplan.study.files.read import read_file, write_file
from mixplan.study.files.registration import AskedStudy, Registered

AGAIN = "Put the file back, or begin again in another run folder: `mixplan study run STUDY --run ANOTHER_FOLDER`."


def register(study: LoadedStudy, run: Path, processes: int) -> None:
    """Write down before the first training what is studied; refuse to go on with anything else.

    Args:
        study: Its hash is what it is registered as.
        run: The run folder.
        processes: Of each job.

    Raises:
        RunError: cells were trained for a study of another hash, of one that is no longer known, or otherwise.
    """
    place = run / "registered.json"
    if begun(run):
        known = registered_in(run)
        if known.hash != study.hash:
            raise changed_since(study, run, known)
        expect_processes(known, run, processes)
        return
    written_down = Registered(
        version=1,
        hash=study.hash,
        mixplan=__version__,
        libraries=library_versions(),
        processes=processes,
        study=AskedStudy.model_validate(study.spec.model_dump(mode="json")),
    )
    write_file(place, written_down)


def registered_in(run: Path) -> Registered:
    """What a study was registered as.

    Raises:
        RunError: the file is not there, damaged, foreign, or of another version.
    """
    place = run / "registered.json"
    if not os.path.lexists(place):
        raise RunError(f"{place}: missing, though training has begun, so nothing says what was registered. {AGAIN}")
    return read_file(Registered, place, AGAIN)


def expect_registered(study: LoadedStudy, run: Path) -> Registered:
    """What was registered, where it is this very study.

    Raises:
        RunError: nobody has registered it here, or what is registered is damaged.
    """
    has_begun = begun(run)
    if has_begun or os.path.lexists(run / "registered.json"):
        known = registered_in(run)
        if known.hash == study.hash:
            return known
        if has_begun:
            raise changed_since(study, run, known)
    raise not_begun(study, run)


def changed_since(study: LoadedStudy, run: Path, known: Registered) -> RunError:
    """The refusal of a study that is no longer what was registered."""
    return RunError(
        f"{run}: registered as {known.hash[:16]}, but {study.path} now reads {study.hash[:16]}, and training "
        "has begun. Undo the change, or choose another run folder with --run FOLDER."
    )


def not_begun(study: LoadedStudy, run: Path) -> RunError:
    """The refusal of what needs a first process to have begun."""
    command = f"mixplan study run {quoted(study.path)} --run {quoted(run)}"
    return RunError(f"{run}: {study.path} has not begun here. Start it first: `{command}`.")


def expect_processes(known: Registered, run: Path, processes: int) -> None:
    """Hold every job to the number of processes that the first ones had.

    Raises:
        RunError: it is another one.
    """
    registered = known.processes
    if registered != processes:
        raise RunError(
            f"{run}: its jobs have {registered} process{'es' * (registered > 1)} each, which sets how many rows a step "
            f"takes, but {processes} {'were' if processes > 1 else 'was'} asked for. "
            f"Give --processes {registered}, or choose another run folder with --run FOLDER."
        )


def begun(run: Path) -> bool:
    """Whether any training has."""
    return any(any(run.glob(f"{part}/*/training/job.json")) for part in ("cells", "arms"))
