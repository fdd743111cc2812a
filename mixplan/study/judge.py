"""Judges a study's finished cells or arms: writes table.json, results.json and evidence.json."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mixplan.errors import RunError
from mixplan.forecast.earlier_runs import EVIDENCE
from mixplan.reading import Watcher
from mixplan.study.ablations.run import write_ablations
from mixplan.study.arms.make import arms_so_far
from mixplan.study.asked.request import StudyRequest, expect_ablations, run_of
from mixplan.study.asked.spec import LoadedStudy, load_study
from mixplan.study.evidence import correlations_of, evidence_of
from mixplan.study.files.judgement import Further, Of, Results
from mixplan.study.files.read import write_file
from mixplan.study.forecasts.formulas import Readings
from mixplan.study.jobs import Bench, Cell, cells_of, done, read_drift
from mixplan.study.judged.judge import RESAMPLES, judge
from mixplan.study.judged.learned import judge_learned
from mixplan.study.judged.own_drift import judge_specific
from mixplan.study.judged.pass_marks import Mark
from mixplan.study.judged.table import Table, write_table
from mixplan.study.judged.tabulate import tabulate
from mixplan.study.reading.forecasts import read_forecasts
from mixplan.study.register import expect_registered, not_begun
from mixplan.study.wait import forecasts_written


def judge_study(request: StudyRequest, *, watcher: Watcher) -> Path:
    """Judge the seeds, and of arms the budgets, that every target is finished with; nothing is trained.

    Args:
        request: What to judge; with `ablations` it is looked further into as the study's file asks.
        watcher: Told of progress.

    Returns:
        The run's folder so-far/, with table.json, results.json and evidence.json.

    Raises:
        RunError: nobody has begun this very study here, or nothing is finished for every target.
        MixplanError: anything that the person can mend.
    """
    study, run = load_study(request.place), run_of(request)
    expect_ablations(request, study)
    bench = Bench(study, run, watcher)
    expect_registered(study, run)
    if study.spec.arms is not None:
        return arms_so_far(bench, marks_of(study))
    if not forecasts_written(study, run):
        raise not_begun(study, run)
    return judge_so_far(bench, cells_of(study, run), further=request.ablations)


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
        write_ablations(bench, whole, table, readings, folder)
    return folder


def conclude(bench: Bench, cells: list[Cell], readings: Readings) -> None:
    """Put the cells' measures beside the forecasts, judge, and look further where the study's file asks for it."""
    table = judge_cells(bench, cells, readings, bench.run)
    write_ablations(bench, cells, table, readings, bench.run)


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
