"""Trains each arm of a comparison for as many steps on its own mixture, and tabulates what they changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from mixplan.errors import RunError
from mixplan.forecast.earlier_runs import unit_of
from mixplan.model import give_back_memory, use_threads
from mixplan.outcome.arms import arm_rows
from mixplan.outcome.arms_table import arms_table
from mixplan.outcome.assemble import with_arms
from mixplan.outcome.compare_request import CompareRequest, expect_arms, expect_sts, seeds_of, with_usual
from mixplan.outcome.make import OutcomeRequest, PlannedRun, evaluated_before, make_outcome, planned
from mixplan.outcome.tolerances import with_gates
from mixplan.outcome.units import main_quantity
from mixplan.plan.make import scores_of
from mixplan.plan.untrained import ReadBy
from mixplan.plan.write import write_mixture
from mixplan.reading import Watcher
from mixplan.runs import locked
from mixplan.saved import outcome_again, read_outcome, write_outcome
from mixplan.saved.evaluation import Evaluation, read_evaluation, write_evaluation
from mixplan.train.job import read_job
from mixplan.train.machine_share import Part
from mixplan.train.make import finished, make_job, other_batches, train
from mixplan.train.verify import AsPlanned, verify

UNWATCHED = (
    "evaluate.during may stop the plan's own training or choose its model, which no other arm has: for the comparison "
    "the arm plan is trained without it, too."
)


@dataclass(frozen=True)
class Cell:
    """One training of one arm.

    Attributes:
        arm: Its name.
        seed: Of the training.
        rows: By domain, the target's apart.
        folder: Where training/, model/ and evaluation/ go.
        mixture: What it trains on.
        job: Key of the training, which tells it from every other one.
    """

    arm: str
    seed: int
    rows: dict[str, int]
    folder: Path
    mixture: Path
    job: str


@dataclass(frozen=True)
class Compared:
    """What a comparison measured.

    Attributes:
        run: The plan's run.
        before: The untrained model's evaluation.
        after: By arm and seed, the trained models', the plan's own seed first.
        jobs: By arm and seed, the trainings' keys.
        rows: By arm and domain, of the arm's first seed.
        steps: Optimiser steps of each training.
    """

    run: PlannedRun
    before: Evaluation
    after: dict[str, dict[int, Evaluation]]
    jobs: dict[str, dict[int, str]]
    rows: dict[str, dict[str, int]]
    steps: int


def make_comparison(request: CompareRequest, *, watcher: Watcher) -> Path:
    """Train control mixtures beside the planned one, with as many steps and the same target rows, and compare them.

    Every arm's mixture, training and evaluation is kept: the same command goes on where it was stopped. Arms whose
    mixtures came out alike share one training.

    Args:
        request: What to compare.
        watcher: Told of progress.

    Returns:
        The run folder, whose outcome.json has the arms' table under `arms`.

    Raises:
        MixplanError: anything that the person can mend.
    """
    expect_arms(request.arms)
    expect_sts(request)
    # The plan's own training has no more than a part of the machine either: more GPUs would take more rows a step.
    launch = replace(request.outcome.launch, part=request.parts[0])
    folder = make_outcome(replace(request.outcome, launch=launch), watcher=watcher)
    run = planned(OutcomeRequest(folder), watcher)
    request = with_usual(request, run.plan, watcher)
    if decided(run) and "plan" in request.arms:
        watcher.say(UNWATCHED)
    elif (otherwise := trained_otherwise(run, request)) is not None and "plan" in request.arms:
        watcher.say(f"{otherwise}: for the comparison the arm plan is trained once more, on batches like the others'")
    with locked(folder):
        outcome = read_outcome(folder)
        if outcome is None or outcome.training is None:
            raise RunError(f"{folder / 'outcome.json'}: there is no such file. {outcome_again(folder)}")
        before, after = (read_evaluation(folder / "evaluation" / f"{when}.json") for when in ("before", "after"))
        found = measure_arms(run, request, before, watcher, steps=outcome.training.steps, own=after)
        sources = [source.name for source in run.target.sources]
        rows = {name: domain.evaluation for name, domain in run.domains.items()}
        table = arms_table(found.after, before, rows=found.rows, steps=found.steps, sources=sources)
        write_outcome(folder, with_arms(outcome, with_gates(table, found.after, before, run.loaded.recipe, rows)))
    return folder


def compare_arms(request: CompareRequest, *, steps: int, watcher: Watcher) -> Compared:
    """Train and measure arms as `make_comparison` does, the planned one among them, and write no outcome.json.

    Args:
        request: What to compare.
        steps: Optimiser steps of each training.
        watcher: Told of progress.

    Raises:
        MixplanError: anything that the person can mend.
    """
    expect_arms(tuple(arm for arm in request.arms if arm not in request.given))
    run = planned(request.outcome, watcher)
    with locked(run.folder):
        return measure_arms(run, request, evaluated_before(run, watcher), watcher, steps=steps)


def measure_arms(
    run: PlannedRun,
    request: CompareRequest,
    before: Evaluation,
    watcher: Watcher,
    *,
    steps: int,
    own: Evaluation | None = None,
) -> Compared:
    """Train and measure every arm with every seed; what is known is not trained.

    Args:
        run: The plan's run.
        request: What to compare.
        before: The untrained model's evaluation.
        watcher: Told of progress.
        steps: Optimiser steps of each training.
        own: What the plan's own training measured, where that was done already.
    """
    seeds = seeds_of(request, run.loaded.recipe.training_seed)
    read_by = ReadBy.of(scores_of(run.loaded, run.target, run.domains, watcher, folder=run.folder, planned=True)[0])
    found: dict[str, dict[int, Evaluation]] = {arm: {} for arm in request.arms}
    cells: list[Cell] = []
    # The oracle's rows are known only once the arm `none` is measured.
    for arms in ([arm for arm in request.arms if arm != "oracle"], [arm for arm in request.arms if arm == "oracle"]):
        losses = relative(losses_of(found["none"].values(), before), before, run.domains) if arms == ["oracle"] else {}
        more = [
            cell_of(run, request, arm, seed, read_by, watcher, losses, steps)
            for arm in arms
            for seed in (request.none_seeds or seeds if arm == "none" else seeds)
        ]
        cells += more
        ours = {cell.job for cell in cells if cell.folder == run.folder}
        for cell in more:
            standing = own if own and cell.job in ours else known_of(request, cell, before)
            if standing is not None:
                found[cell.arm][cell.seed] = standing
        left = [cell for cell in more if cell.seed not in found[cell.arm]]
        # Arms that came out alike share one training.
        for cell in trained(run, once(left), request, steps, watcher):
            after = evaluated(run, cell, watcher)
            if request.known is not None:
                request.known.keep(cell.job, cell.arm, cell.seed, after)
            for other in left:
                if other.job == cell.job:
                    found[other.arm][other.seed] = after
    jobs = {arm: {cell.seed: cell.job for cell in cells if cell.arm == arm} for arm in found}
    rows = {cell.arm: cell.rows for cell in reversed(cells)}
    return Compared(
        run, before, {arm: {seed: by[seed] for seed in seeds} for arm, by in found.items()}, jobs, rows, steps
    )


def once(cells: Iterable[Cell]) -> list[Cell]:
    """The first cell of each training."""
    found: dict[str, Cell] = {}
    for cell in cells:
        found.setdefault(cell.job, cell)
    return list(found.values())


def known_of(request: CompareRequest, cell: Cell, before: Evaluation) -> Evaluation | None:
    """What a cell's training is known to have measured on the very rows of the untrained model's evaluation."""
    after = None if request.known is None else request.known.get(cell.job)
    return after if after is not None and rows_of(after) == rows_of(before) else None


def losses_of(evaluations: Iterable[Evaluation], before: Evaluation) -> dict[str, float]:
    """What each domain lost on its headline measure, mean over seeds, in that measure's unit; 0 where it gained."""
    found: dict[str, list[float]] = {}
    for after in evaluations:
        for name, measures in after.domains.items():
            measure = before.headlines[name]
            quantity = main_quantity(measures[measure].values)
            late, early = (one.domains[name][measure].values[quantity] for one in (after, before))
            worse = float(np.mean(early)) - float(np.mean(late))
            better = before.domains[name][measure].quality(quantity)
            # What has no better side, such as behaviour, is lost by as much as it moves.
            found.setdefault(name, []).append(worse * better if better else abs(worse))
    return {name: max(0.0, float(np.mean(values))) for name, values in found.items()}


def relative(losses: Mapping[str, float], before: Evaluation, names: Iterable[str]) -> Mapping[str, float]:
    """Domains' losses as they may be held against each other: over their unit's mean, where there are several units.

    Points of accuracy and bits per byte are no parts of one sum. A domain of one unit gets as much as one of another,
    on average; within a unit losses keep their proportions.

    Args:
        losses: See `losses_of`.
        before: The untrained model's evaluation, whose headline measures count.
        names: Of the domains.
    """
    units = {
        name: unit_of(main_quantity(before.domains[name][before.headlines[name]].values))
        for name in names
        if name in losses
    }
    of_unit: dict[str, list[float]] = {}
    for name, unit in units.items():
        of_unit.setdefault(unit, []).append(losses[name])
    means = {unit: float(np.mean(found)) for unit, found in of_unit.items()}
    if len(means) < 2:
        return losses
    return {name: losses[name] / means[unit] if means[unit] else 0.0 for name, unit in units.items()}


def cell_of(
    run: PlannedRun,
    request: CompareRequest,
    arm: str,
    seed: int,
    read_by: ReadBy,
    watcher: Watcher,
    losses: Mapping[str, float],
    steps: int,
) -> Cell:
    """Lay out one training, its mixture written; the plan's own first training is the run itself.

    It is not where a monitor may have stopped it or chosen its model, which no other arm has, nor where it read other
    batches than the arms will.
    Random shares are drawn anew for each seed; the other arms' trainings share one mixture.
    """
    given = request.given.get(arm)
    rows = arm_rows(arm, run.plan, seed=seed, losses=losses) if given is None else dict(given)
    arms = request.shared if arm == "none" and request.shared else run.folder / "arms"
    folder = arms / f"{arm}-{seed}"
    if arm == "plan":
        itself = (
            seed == run.loaded.recipe.training_seed and not decided(run) and trained_otherwise(run, request) is None
        )
        folder, place = run.folder if itself else folder, run.folder
    else:
        place = folder if arm == "random" else arms / arm
        write_mixture(run.loaded, place, run.target, run.domains, rows, read_by, watcher)
    planned = AsPlanned.of(run.plan)
    mixture = verify(folder, run.loaded, planned, mixture=place / "mixture")
    job = make_job(folder, run.loaded, mixture, model_hash=planned.model, max_steps=steps, seed=seed)
    return Cell(arm, seed, rows, folder, place / "mixture", job.key)


def decided(run: PlannedRun) -> bool:
    """Whether a monitor may stop the run's own training or choose its model."""
    during = run.loaded.recipe.evaluate.during
    return during is not None and during.decides


def trained_otherwise(run: PlannedRun, request: CompareRequest) -> str | None:
    """Say that the run's own training, where it is done, read other batches than the arms will; None else."""
    launch = replace(request.outcome.launch, part=request.parts[0])
    try:
        done = finished(run.folder, read_job(run.folder))
    except RunError:
        return None
    return None if done is None else other_batches(done, launch, run.loaded.recipe.model.device)


def rows_of(evaluation: Evaluation) -> dict[str, dict[str, tuple[str, ...]]]:
    """The ids of the rows that were measured, by domain and measure."""
    return {
        name: {measure: found.rows for measure, found in measures.items()}
        for name, measures in evaluation.domains.items()
    }


def trained(
    run: PlannedRun, cells: list[Cell], request: CompareRequest, steps: int, watcher: Watcher
) -> Iterator[Cell]:
    """Train cell by cell, or several at once, and give each as soon as it is trained."""
    free: SimpleQueue[Part] = SimpleQueue()
    for one in request.parts:
        free.put(one)

    def job(cell: Cell, told: Watcher) -> Cell:
        part = free.get()
        try:
            train(
                cell.folder,
                run.loaded,
                AsPlanned.of(run.plan),
                launch=replace(request.outcome.launch, part=part),
                watcher=told,
                mixture=cell.mixture,
                max_steps=steps,
                seed=cell.seed,
            )
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
    after = run.evaluated(run.trained(cell.folder / "model"), watcher, run.untrained())
    give_back_memory()
    write_evaluation(after, cell.folder / "evaluation" / "after.json")
    return after
