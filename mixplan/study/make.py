"""A study file in; its forecasts written down, its cells trained and measured, table.json and results.json out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixplan import __version__
from mixplan.errors import RunError
from mixplan.plan import Watcher
from mixplan.plan.identity import library_versions
from mixplan.runs import locked, write_json
from mixplan.study.forecasts import forecasts_of
from mixplan.study.jobs import Bench, Cell, cells_of, done, run_cells
from mixplan.study.judge import judge
from mixplan.study.marks import Mark
from mixplan.study.readings import domain_reading, target_reading
from mixplan.study.spec import LoadedStudy, load_study
from mixplan.study.table import write_table
from mixplan.study.tabulate import tabulate
from mixplan.train.launch import Launch

RESAMPLES = 2000
"""Behind every interval of the judgement."""


@dataclass(frozen=True)
class StudyRequest:
    """What `mixplan study` was asked.

    Attributes:
        place: The study's file.
        run: Run folder; `runs/NAME` when None, by the name of the study's folder.
        jobs: Processes that work on cells at once.
        launch: How each job is started.
        cells_only: Work on cells and end there, as a further process beside the one that judges.
    """

    place: Path
    run: Path | None = None
    jobs: int = 1
    launch: Launch = field(default_factory=Launch)
    cells_only: bool = False


def make_study(request: StudyRequest, *, watcher: Watcher) -> Path:
    """Register the study, write its forecasts down, work on all cells, and judge.

    Everything is kept as soon as it is done: the same command goes on where it was stopped. Several processes, on one
    machine or on many that share the run folder and `MIXPLAN_CACHE`, may work on one study: each takes cells that no
    other holds.

    Args:
        request: What to study.
        watcher: Told of progress.

    Returns:
        The run folder, with registered.json, forecasts.json, cells/, table.json and results.json.

    Raises:
        RunError: cells were trained for another version of the study, or other processes still work on some.
        MixplanError: anything that the person can mend.
    """
    study = load_study(request.place)
    run = request.run or Path("runs") / study_name(request.place)
    cells = cells_of(study, run)
    bench = Bench(study, run, watcher)
    if request.cells_only:
        run_cells(bench, cells, request.launch)
        return run
    with locked(run):
        register(study, run)
        readings = write_forecasts(bench)
        with beside(request, run):
            run_cells(bench, cells, request.launch)
        if waiting := [cell for cell in cells if not done(cell, study)]:
            raise RunError(
                f"{run}: other processes still work on {len(waiting)} of {len(cells)} cells. "
                "Give the same command again when they have ended."
            )
        conclude(bench, cells, readings)
    return run


def study_name(place: Path) -> str:
    """A study's name: its folder's where the file is called study.yaml, else the file's."""
    return place.resolve().parent.name if place.stem == "study" else place.stem


def register(study: LoadedStudy, run: Path) -> None:
    """Write the study's hash down before the first training; refuse to go on under another one.

    Raises:
        RunError: cells were trained for a study of another hash.
    """
    place = run / "registered.json"
    try:
        known = json.loads(place.read_bytes())["hash"]
    except (OSError, ValueError, KeyError, TypeError):
        known = None
    if known == study.hash:
        return
    if known is not None and any(run.glob("cells/*/training/job.json")):
        raise RunError(
            f"{run}: registered as {known[:16]}, but {study.path} now reads {study.hash[:16]}, and training has begun. "
            "Undo the change, or choose another run folder with --run FOLDER."
        )
    write_json(
        place,
        {
            "hash": study.hash,
            "mixplan": __version__,
            "libraries": library_versions(),
            "study": study.spec.model_dump(mode="json"),
        },
    )


def write_forecasts(bench: Bench) -> dict[str, Any]:
    """Read the untrained model and write every forecast down, before anything is trained.

    Returns:
        `targets` and `domains`: the readings by name.
    """
    spec, recipe = bench.study.spec, bench.study.whole.recipe
    targets = {name: target_reading(bench, name) for name in spec.targets}
    domains = {name: domain_reading(bench, name) for name in bench.study.domains}
    found = {
        target: {
            name: forecasts_of(target, targets[target], reading, count=recipe.drift.features, seed=spec.seeds[0])
            for name, reading in domains.items()
            if target in reading.behind
        }
        for target in targets
    }
    write_json(bench.run / "forecasts.json", {"study": bench.study.hash, "forecasts": found})
    return {"targets": targets, "domains": domains, "forecasts": found}


@contextmanager
def beside(request: StudyRequest, run: Path) -> Iterator[None]:
    """Further processes that work on the same study's cells, each with its part of the processors."""
    if request.jobs == 1:
        yield
        return
    threads = max(1, len(os.sched_getaffinity(0)) // request.jobs)
    # Training processes take their part from the environment.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    set_threads(threads)
    config = ["--launch", str(request.launch.config)] if request.launch.config else []
    command = [sys.executable, "-m", "mixplan", "study", str(request.place), "--run", str(run), "--cells-only", *config]
    running = []
    for number in range(1, request.jobs):
        with open(run / f"worker-{number}.log", "ab") as log:
            running.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL))
    try:
        yield
    except BaseException:
        for process in running:
            process.send_signal(signal.SIGINT)
        raise
    finally:
        for process in running:
            process.wait()


def set_threads(count: int) -> None:
    """Give this process's reading and measuring its part of the processors."""
    import torch

    torch.set_num_threads(count)


def conclude(bench: Bench, cells: list[Cell], readings: Mapping[str, Any]) -> None:
    """Put the cells' measures beside the forecasts, and judge."""
    table = tabulate(bench, cells, readings)
    write_table(table, bench.run / "table.json")
    marks = [Mark(**mark.model_dump()) for mark in bench.study.spec.marks]
    judged = judge(table, marks=marks, resamples=RESAMPLES, seed=bench.study.spec.seeds[0])
    write_json(bench.run / "results.json", {"study": bench.study.hash, **judged})
