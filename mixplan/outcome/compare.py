"""A recipe and a list of arms in; each arm trained for as many steps on its own mixture, and their table, out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from mixplan.errors import RunError
from mixplan.evaluate.result import Evaluation, quality, read_evaluation, write_evaluation
from mixplan.model import give_back_memory, use_threads
from mixplan.outcome.arms import arm_rows, known_arms
from mixplan.outcome.arms_table import arms_table
from mixplan.outcome.assemble import with_arms
from mixplan.outcome.make import OutcomeRequest, PlannedRun, make_outcome, planned
from mixplan.outcome.units import main_quantity
from mixplan.plan import Watcher
from mixplan.plan.make import scores_of
from mixplan.plan.write import write_mixture
from mixplan.runs import locked, write_json
from mixplan.train.make import train
from mixplan.train.part import Part


@dataclass(frozen=True)
class CompareRequest:
    """What `mixplan compare` was asked.

    Attributes:
        outcome: The run that is the plan's arm.
        arms: Which mixtures to train, of `mixplan.outcome.arms.ARMS`.
        seeds: How many trainings of each arm, the recipe's seed the first; or the training seeds themselves.
        jobs: How many may train at once.
        shared: Where the trainings of the arm `none` are kept, for comparisons that differ in their budgets alone;
            in the run folder when None.
    """

    outcome: OutcomeRequest
    arms: tuple[str, ...]
    seeds: int | tuple[int, ...] = 1
    jobs: int = 1
    shared: Path | None = None

    @property
    def parts(self) -> list[Part]:
        """What each training may use of the machine, of those that run at once."""
        if self.jobs == 1:
            return [self.outcome.launch.part]
        return [Part(number, self.jobs) for number in range(self.jobs)]


@dataclass(frozen=True)
class Cell:
    """One training of one arm.

    Attributes:
        arm: Its name.
        seed: Of the training.
        rows: By domain, the target's apart.
        folder: Where training/, model/ and evaluation/ go.
        mixture: What it trains on.
    """

    arm: str
    seed: int
    rows: dict[str, int]
    folder: Path
    mixture: Path


@dataclass(frozen=True)
class Compared:
    """What a comparison measured.

    Attributes:
        run: The plan's run.
        before: The untrained model's evaluation.
        after: By arm and seed, the trained models'.
        rows: By arm and domain, of the arm's first seed.
        steps: Optimiser steps of each training.
    """

    run: PlannedRun
    before: Evaluation
    after: dict[str, dict[int, Evaluation]]
    rows: dict[str, dict[str, int]]
    steps: int


def make_comparison(request: CompareRequest, *, watcher: Watcher) -> Path:
    """Compare as `compare_arms` does and give the run folder."""
    return compare_arms(request, watcher=watcher).run.folder


def compare_arms(request: CompareRequest, *, watcher: Watcher) -> Compared:
    """Train control mixtures beside the planned one, with as many steps and the same target rows, and compare them.

    Every arm's mixture, training and evaluation is kept: the same command goes on where it was stopped.

    Args:
        request: What to compare.
        watcher: Told of progress.

    Returns:
        What was measured; the run folder's outcome.json has the table of it under `arms`.

    Raises:
        MixplanError: anything that the person can mend.
    """
    known_arms(request.arms)
    if "oracle" in request.arms and "none" not in request.arms:
        raise RunError("--arms: oracle spreads the rows by what the arm none has lost. Add none.")
    # The plan's own training has no more than a part of the machine either: more GPUs would take more rows a step.
    launch = replace(request.outcome.launch, part=request.parts[0])
    folder = make_outcome(replace(request.outcome, launch=launch), watcher=watcher)
    run = planned(OutcomeRequest(folder), watcher)
    with locked(folder):
        outcome = json.loads((folder / "outcome.json").read_bytes())
        seeds = seeds_of(request, run.loaded.recipe.seed)
        scores = scores_of(run.loaded, run.target, run.domains, watcher)
        steps = int(outcome["training"]["steps"])
        before = read_evaluation(folder / "evaluation" / "before.json")
        found: dict[str, dict[int, Evaluation]] = {arm: {} for arm in request.arms}
        cells: list[Cell] = []
        # The oracle's rows are known only once the arm `none` is measured.
        for arms in (
            [arm for arm in request.arms if arm != "oracle"],
            [arm for arm in request.arms if arm == "oracle"],
        ):
            losses = losses_of(found["none"].values(), before) if "oracle" in arms else {}
            more = [cell_of(run, request, arm, seed, scores, watcher, losses) for arm in arms for seed in seeds]
            for cell in trained(run, more, request, steps, watcher):
                found[cell.arm][cell.seed] = evaluated(run, cell, watcher)
            cells += more
        rows = {cell.arm: cell.rows for cell in reversed(cells)}
        write_json(folder / "outcome.json", with_arms(outcome, arms_table(found, before, rows=rows, steps=steps)))
    return Compared(run, before, found, rows, steps)


def seeds_of(request: CompareRequest, first: int) -> list[int]:
    """The training seeds, the plan's own first.

    Raises:
        RunError: the first of given seeds is not the plan's, whose training it is.
    """
    if isinstance(request.seeds, int):
        return [first + number for number in range(request.seeds)]
    if request.seeds[0] != first:
        raise RunError(
            f"seeds: the first is {request.seeds[0]}, but the plan's own training has {first}. Begin with it."
        )
    return list(request.seeds)


def losses_of(evaluations: Iterable[Evaluation], before: Evaluation) -> dict[str, float]:
    """What each domain lost on its headline measure, mean over seeds, in that measure's unit; 0 where it gained."""
    found: dict[str, list[float]] = {}
    for after in evaluations:
        for name, measures in after.domains.items():
            measure = before.headlines[name]
            quantity = main_quantity(measures[measure].values)
            late, early = (one.domains[name][measure].values[quantity] for one in (after, before))
            worse = float(np.mean(early)) - float(np.mean(late))
            # What has no better side, such as behaviour, is lost by as much as it moves.
            found.setdefault(name, []).append(worse * quality(quantity) if quality(quantity) else abs(worse))
    return {name: max(0.0, float(np.mean(values))) for name, values in found.items()}


def cell_of(
    run: PlannedRun,
    request: CompareRequest,
    arm: str,
    seed: int,
    scores: Mapping[str, Any],
    watcher: Watcher,
    losses: Mapping[str, float],
) -> Cell:
    """Lay out one training, its mixture written; the plan's own first training is the run itself.

    Random shares are drawn anew for each seed; the other arms' trainings share one mixture.
    """
    rows = arm_rows(arm, run.plan, seed=seed, losses=losses)
    arms = request.shared if arm == "none" and request.shared else run.folder / "arms"
    folder = arms / f"{arm}-{seed}"
    if arm == "plan":
        own = seed == run.loaded.recipe.seed
        return Cell(arm, seed, rows, run.folder if own else folder, run.folder / "mixture")
    place = folder if arm == "random" else arms / arm
    write_mixture(run.loaded, place, run.target, run.domains, rows, scores, watcher)
    return Cell(arm, seed, rows, folder, place / "mixture")


def trained(
    run: PlannedRun, cells: list[Cell], request: CompareRequest, steps: int, watcher: Watcher
) -> Iterator[Cell]:
    """Train cell by cell, or several at once, and give each as soon as it is trained."""
    free: SimpleQueue[Part] = SimpleQueue()
    for one in request.parts:
        free.put(one)

    def job(cell: Cell, told: Watcher) -> Cell:
        if cell.folder == run.folder:
            return cell
        part = free.get()
        try:
            train(
                cell.folder, run.loaded, run.plan, launch=replace(request.outcome.launch, part=part), watcher=told,
                mixture=cell.mixture, max_steps=steps, seed=cell.seed,
            )  # fmt: skip
        finally:
            free.put(part)
        return cell

    if request.jobs == 1:
        for cell in cells:
            watcher.say(f"arm {cell.arm}, seed {cell.seed}")
            yield job(cell, watcher)
        return
    threads = use_threads(request.parts[0].threads())
    with ThreadPoolExecutor(request.jobs) as pool:
        running = [pool.submit(job, cell, Named(watcher, cell)) for cell in cells]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            for waiting in running:
                waiting.cancel()
            use_threads(threads)


@dataclass(frozen=True)
class Named:
    """Tells lines under an arm's name and draws no bars: several arms share one terminal."""

    watcher: Watcher
    cell: Cell

    def stage(self, name: str, total: int, unit: str) -> None:
        """A long step begins."""
        self.say(f"{name}: {total:,} {unit}")

    def advance(self, amount: int) -> None:
        """Nothing is drawn."""

    def say(self, text: str) -> None:
        """A line the person should see."""
        self.watcher.say(f"arm {self.cell.arm}, seed {self.cell.seed}: {text}")


def evaluated(run: PlannedRun, cell: Cell, watcher: Watcher) -> Evaluation:
    """Measure a trained arm; what was measured already is taken from the cache."""
    place = cell.folder / "evaluation" / "after.json"
    if cell.folder == run.folder:
        return read_evaluation(place)
    after = run.evaluated(run.trained(cell.folder / "model"), watcher, run.untrained())
    give_back_memory()
    write_evaluation(after, place)
    return after
