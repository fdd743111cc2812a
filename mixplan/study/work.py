"""Works on a study: writes its forecasts or plans down, trains and measures, and judges in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mixplan.child_process import started_child
from mixplan.model import use_threads
from mixplan.reading import Watcher
from mixplan.runs import locked, translated
from mixplan.study.ablations.trained_saes import train_saes, trainings
from mixplan.study.arms.make import (
    all_finished,
    compare_free,
    compare_together,
    conclude_arms,
    plan_arms,
)
from mixplan.study.asked.request import StudyRequest, expect_ablations, expect_arms, run_of
from mixplan.study.asked.spec import load_study
from mixplan.study.jobs import Bench, cells_of, done, run_cells, wait_until
from mixplan.study.judge import conclude, marks_of
from mixplan.study.judged.dry_run import rehearse
from mixplan.study.reading.forecasts import read_forecasts, write_forecasts
from mixplan.study.reading.pilots import train_pilots
from mixplan.study.register import begun, expect_processes, expect_registered, register, registered_in
from mixplan.study.wait import wait_for_forecasts, wait_for_plans
from mixplan.train.machine_share import Part


def run_study(request: StudyRequest, *, watcher: Watcher) -> Path:
    """Register the study, write its forecasts down, work on all cells, and judge.

    Everything is kept as soon as it is done: the same command goes on where it was stopped. Several processes, on one
    machine or on many that share the run folder and `MIXPLAN_CACHE`, may work on one study (see `work_on_study`): each
    takes cells that no other holds.

    Args:
        request: What to study.
        watcher: Told of progress.

    Returns:
        The run folder, with registered.json, forecasts.json, cells/, table.json, results.json and evidence.json, which
        later plans of the model learn from; with GRPO pilots/, and with `ablations` in the study's file labelled.json,
        ablations.json and zeroing.json too.

    Raises:
        RunError: cells were trained for another version of the study or with another number of processes, or a mark
            names no figure.
        MixplanError: anything that the person can mend.
    """
    bench = opened(request, watcher)
    expect_arms(request, bench.study)
    run_arms(request, bench) if bench.study.spec.arms is not None else run_forecasts(request, bench)
    return bench.run


def opened(request: StudyRequest, watcher: Watcher) -> Bench:
    """The study with what all of its work shares.

    Raises:
        RecipeError: it is not valid.
    """
    study = load_study(request.place)
    trainings(study)  # what is wrong with an SAE that is trained in the end is better known now
    return Bench(study, run_of(request), watcher)


def run_forecasts(request: StudyRequest, bench: Bench) -> None:
    """Register a study of forecasts, write these down, work on all cells, and judge.

    Raises:
        RunError: see `run_study`.
    """
    study, run = bench.study, bench.run
    cells = cells_of(study, run)
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

        wait_until(trained, bench.watcher, "waiting for other processes that still work on cells")
        conclude(bench, cells, readings)


def run_arms(request: StudyRequest, bench: Bench) -> None:
    """Register a study of arms, write its plans down, train and measure them, and judge.

    Raises:
        RunError: see `run_study`.
    """
    study, run = bench.study, bench.run
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


def work_on_study(request: StudyRequest, *, watcher: Watcher) -> Path:
    """Work on a study's jobs beside the process that runs it, which then judges.

    Args:
        request: What to work on: cells or comparisons that no other process holds; with `ablations` the SAEs that these
            need alone.
        watcher: Told of progress.

    Returns:
        The run folder.

    Raises:
        RunError: nobody has registered this very study here, or its jobs have another number of processes.
        MixplanError: anything that the person can mend.
    """
    bench = opened(request, watcher)
    study, run = bench.study, bench.run
    expect_ablations(request, study)
    expect_registered(study, run)
    if study.spec.arms is not None:
        wait_for_plans(bench)
        expect_processes(registered_in(run), run, request.processes)
        compare_together(bench, request.first)
        return run
    if not request.ablations:
        wait_for_forecasts(bench)
        expect_processes(registered_in(run), run, request.processes)
        run_cells(bench, cells_of(study, run), request.first)
        bench.rest()
    train_saes(bench)
    return run


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
        *(sys.executable, "-m", "mixplan", "study", "work", str(request.place), "--run", str(run)),
        *("--processes", str(request.processes), *config),
    ]
    running: list[subprocess.Popen[bytes]] = []
    before = use_threads(Part(0, request.jobs).threads())
    try:
        for number in range(1, request.jobs):
            variables = {**os.environ, **Part(number, request.jobs).environment(device)}
            with translated(run), open(run / f"worker-{number}.log", "ab") as log:
                streams = {"stdout": log, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
                running.append(started_child(command, env=variables, **streams))
        yield
    except BaseException:  # Ctrl-C too ends the workers; it goes on
        for process in running:
            process.send_signal(signal.SIGINT)
        raise
    finally:
        for process in running:
            process.wait()
        use_threads(before)
