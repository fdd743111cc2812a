"""Runs a study: writes down its forecasts, trains and measures its cells, writes table.json and results.json."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mixplan import __version__
from mixplan.errors import RunError
from mixplan.forecast.earlier import EVIDENCE
from mixplan.model import use_threads
from mixplan.plan import Watcher
from mixplan.plan.identity import library_versions
from mixplan.runs import locked, translated
from mixplan.study.ablations.further import write_further
from mixplan.study.ablations.trained_saes import train_saes, trainings
from mixplan.study.arms.make import (
    all_finished,
    arms_so_far,
    compare_free,
    compare_together,
    conclude_arms,
    plan_arms,
    plans_written,
)
from mixplan.study.asked.request import StudyRequest, expect_options, run_of
from mixplan.study.asked.spec import LoadedStudy, load_study
from mixplan.study.evidence import correlations_of, evidence_of
from mixplan.study.files.judgement import Further, Of, Results
from mixplan.study.files.read import read_file, read_whole, write_file
from mixplan.study.files.registration import AskedStudy, Registered
from mixplan.study.files.work import ForecastsFile
from mixplan.study.forecasts.formulas import Readings
from mixplan.study.jobs import Bench, Cell, cells_of, done, read_drift, run_cells, wait_until
from mixplan.study.judged.judge import judge
from mixplan.study.judged.learned import judge_learned
from mixplan.study.judged.marks import Mark
from mixplan.study.judged.rehearse import rehearse
from mixplan.study.judged.specific import judge_specific
from mixplan.study.judged.table import Table, write_table
from mixplan.study.judged.tabulate import tabulate
from mixplan.study.reading.foretell import read_ahead, read_forecasts, write_forecasts
from mixplan.study.reading.pilots import train_pilots
from mixplan.tether import tethered
from mixplan.train.part import Part

RESAMPLES = 2000
"""Behind every interval of the judgement."""
REGISTERED_AGAIN = "Put the file back, or choose another run folder with --run FOLDER."


def make_study(request: StudyRequest, *, watcher: Watcher) -> Path:
    """Register the study, write its forecasts down, work on all cells, and judge.

    Everything is kept as soon as it is done: the same command goes on where it was stopped. Several processes, on one
    machine or on many that share the run folder and `MIXPLAN_CACHE`, may work on one study: each takes cells that no
    other holds.

    Args:
        request: What to study.
        watcher: Told of progress.

    Returns:
        The run folder, with registered.json, forecasts.json, cells/, table.json, results.json and evidence.json, which
        later plans of the model learn from; with GRPO pilots/, and with `ablations` in the study's file labelled.json,
        ablations.json and zeroing.json too. With `so_far` its folder so-far/, with table.json, results.json and
        evidence.json.

    Raises:
        RunError: cells were trained for another version of the study or with another number of processes, a mark names
            no figure, or, for a further process, nobody has registered this very study here.
        MixplanError: anything that the person can mend.
    """
    study = load_study(request.place)
    run = run_of(request)
    trainings(study)  # what is wrong with an SAE that is trained in the end is better known now
    cells = cells_of(study, run)
    bench = Bench(study, run, watcher)
    expect_options(request, study)
    if study.spec.arms is not None:
        return make_arms(request, bench)
    if request.so_far:
        expect(registered_as(study, run) and written(study, run), study, run)
        return judge_so_far(bench, cells, further=request.ablations)
    if request.cells_only:
        return work_beside(request, bench, cells)
    with locked(run):
        register(study, run, request.processes)
        with beside(request, run, device=study.whole.recipe.model.device):
            train_pilots(bench, request.first)
            readings = read_forecasts(bench)
            if not begun(run):
                rehearse(bench, cells, readings, marks_of(study))
            # Processes beside this one begin to train once these are written.
            write_forecasts(bench, readings)
            run_cells(bench, cells, request.first)
        alone = replace(request.first, part=Part())

        def trained() -> bool:
            # What a process beside this one began and could not end is taken up.
            run_cells(bench, cells, alone)
            return all(done(cell, study) for cell in cells)

        wait_until(trained, watcher, "waiting for other processes that still work on cells")
        conclude(bench, cells, readings)
    return run


def work_beside(request: StudyRequest, bench: Bench, cells: list[Cell]) -> Path:
    """Work on cells and on SAEs that no other process holds, or, asked for ablations, on the SAEs alone.

    Raises:
        RunError: see `make_study`.
    """
    study, run = bench.study, bench.run
    expect(registered_as(study, run), study, run)
    if not request.ablations:
        wait_for_reading(bench, lambda: written(study, run), meanwhile=read_ahead)
        expect_processes(registered_in(run), run, request.processes)
        run_cells(bench, cells, request.first)
        bench.rest()
    train_saes(bench)
    return run


def make_arms(request: StudyRequest, bench: Bench) -> Path:
    """Register a study of arms, write its plans down, train and measure them, and judge.

    Raises:
        RunError: something was asked for that only cells have, or see `make_study`.
    """
    study, run = bench.study, bench.run
    if request.so_far:
        expect(registered_as(study, run), study, run)
        return arms_so_far(bench, marks_of(study))
    if request.cells_only:
        wait_for_reading(bench, lambda: plans_written(study, run))
        expect_processes(registered_in(run), run, request.processes)
        compare_together(bench, request.first)
        return run
    with locked(run):
        register(study, run, request.processes)
        plan_arms(bench, marks_of(study), request.measured)
        with beside(request, run, device=study.whole.recipe.model.device):
            compare_together(bench, request.first)
        alone = replace(request.first, part=Part())

        def compared() -> bool:
            compare_free(bench, alone)
            return all_finished(bench)

        wait_until(compared, bench.watcher, "waiting for other processes that still work on targets")
        conclude_arms(bench, marks_of(study), alone)
    return run


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
            raise RunError(
                f"{run}: registered as {known.hash[:16]}, but {study.path} now reads {study.hash[:16]}, and training "
                "has begun. Undo the change, or choose another run folder with --run FOLDER."
            )
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
        raise RunError(
            f"{place}: missing, though training has begun, so nothing says what was registered. {REGISTERED_AGAIN}"
        )
    return read_file(Registered, place, REGISTERED_AGAIN)


def registered_as(study: LoadedStudy, run: Path) -> bool:
    """Whether this very study is registered in a run folder."""
    known = read_whole(Registered, run / "registered.json")
    return known is not None and known.hash == study.hash


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


def written(study: LoadedStudy, run: Path) -> bool:
    """Whether the forecasts of this very study are."""
    known = read_whole(ForecastsFile, run / "forecasts.json")
    return known is not None and known.study == study.hash


def wait_for_reading(
    bench: Bench, ready: Callable[[], bool], meanwhile: Callable[[Bench, Callable[[], bool]], None] | None = None
) -> None:
    """Hold a further process back until the first one has written down what will be judged.

    Args:
        bench: The study.
        ready: Whether it has.
        meanwhile: What the process may do until then.

    Raises:
        RunError: nobody has registered this very study here.
    """
    study, run = bench.study, bench.run
    expect(registered_as(study, run), study, run)
    if meanwhile is not None:
        meanwhile(bench, ready)
    text = f"waiting until `mixplan study {study.path} --run {run}` has written down what will be judged"
    wait_until(ready, bench.watcher, text)


def expect(begun_here: bool, study: LoadedStudy, run: Path) -> None:
    """Refuse what needs a first process to have begun.

    Raises:
        RunError: none has.
    """
    if not begun_here:
        raise RunError(
            f"{run}: {study.path} has not begun here. "
            f"Start `mixplan study {study.path} --run {run}` first, without --cells-only and --so-far."
        )


@contextmanager
def beside(request: StudyRequest, run: Path, *, device: str) -> Iterator[None]:
    """Further processes that work on the same study's cells, each with its part of the machine.

    Args:
        request: What was asked.
        run: The run folder.
        device: The recipe's.
    """
    if request.jobs == 1:
        yield
        return
    config = ["--launch", str(request.launch.config)] if request.launch.config else []
    command = [
        *(sys.executable, "-m", "mixplan", "study", str(request.place), "--run", str(run), "--cells-only"),
        *("--processes", str(request.processes), *config),
    ]
    running: list[subprocess.Popen[bytes]] = []
    before = use_threads(Part(0, request.jobs).threads())
    try:
        for number in range(1, request.jobs):
            variables = {**os.environ, **Part(number, request.jobs).environment(device)}
            with translated(run), open(run / f"worker-{number}.log", "ab") as log:
                running.append(
                    tethered(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=variables)
                )
        yield
    except BaseException:
        for process in running:
            process.send_signal(signal.SIGINT)
        raise
    finally:
        for process in running:
            process.wait()
        use_threads(before)


def marks_of(study: LoadedStudy) -> list[Mark]:
    """The study's pass marks."""
    return [Mark(**mark.model_dump()) for mark in study.spec.marks]


def judge_so_far(bench: Bench, cells: list[Cell], *, further: bool = False) -> Path:
    """Judge the seeds that every target is finished with, beside processes that may still work on others.

    Args:
        bench: The study's model and data.
        cells: All cells.
        further: Whether to look further as the study's file asks.

    Returns:
        The run's folder so-far/, with table.json, results.json and evidence.json.

    Raises:
        RunError: no seed is finished.
    """
    finished = [cell for cell in cells if done(cell, bench.study)]
    counts = Counter(cell.seed for cell in finished)
    whole = [cell for cell in finished if counts[cell.seed] == len(bench.study.spec.targets)]
    if not whole:
        raise RunError(
            f"{bench.run}: {len(finished)} of {len(cells)} cells are finished, but no seed is with every target, so "
            f"there is nothing to judge yet. {bench.how_to_finish}"
        )
    folder = bench.run / "so-far"
    readings = read_forecasts(bench)
    table = judge_cells(bench, whole, readings, folder)
    if further:
        write_further(bench, whole, table, readings, folder)
    return folder


def conclude(bench: Bench, cells: list[Cell], readings: Readings) -> None:
    """Put the cells' measures beside the forecasts, judge, and look further where the study's file asks for it."""
    table = judge_cells(bench, cells, readings, bench.run)
    write_further(bench, cells, table, readings, bench.run)


def shifts_of(cells: list[Cell]) -> dict[tuple[str, int], npt.NDArray[np.float64]]:
    """What each finished cell's training moved on its target's questions, by target and seed."""
    found = {}
    for cell in cells:
        drift = read_drift(cell)
        assert drift is not None  # a cell without it is not done
        found[cell.target, cell.seed] = drift["target.shift"]
    return found


def judge_cells(bench: Bench, cells: list[Cell], readings: Readings, folder: Path) -> Table:
    """Write the table of finished cells and its judgement into a folder."""
    folder.mkdir(exist_ok=True)
    table = tabulate(bench, cells, readings, folder)
    write_table(table, folder / "table.json")
    judged = judge(table, marks=marks_of(bench.study), resamples=RESAMPLES, seed=bench.study.spec.seeds[0])
    learned = judge_learned(table, resamples=RESAMPLES, seed=bench.study.spec.seeds[0])
    count = bench.study.whole.recipe.drift.features
    specific = judge_specific(readings.targets, shifts_of(cells), count=count)
    further = Further(learned=learned, specific=specific)
    if readings.cost is not None:
        further = further.model_copy(update={"cost": readings.cost})
    results = Results.of_parts(Of(version=1, study=bench.study.hash), judged, further)
    write_file(folder / "results.json", results)
    write_file(folder / EVIDENCE, evidence_of(bench, table, correlations_of(judged, learned)))
    return table
