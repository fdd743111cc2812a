"""Trains on a planned mixture, with the proof of what was read; a job that is done is not run again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field, ValidationError

from mixplan.errors import RecipeError, RunError
from mixplan.grading.own_rewards import unfindable_rewards
from mixplan.grading.versions import own_sources
from mixplan.mixture import Mixture
from mixplan.mixture.unread_rows import left_unread, too_short
from mixplan.plan.write import model_path
from mixplan.reading import Watcher
from mixplan.recipe import LoadedRecipe
from mixplan.runs import content_hash, translated
from mixplan.saved.base_types import Saved
from mixplan.saved.outcome import Consumption, LogLine
from mixplan.train.dry_run import missing_packages
from mixplan.train.failure import failure_of
from mixplan.train.follow import follow, wait_for_former
from mixplan.train.job import MODEL_KEYS, Job, files_hash, read_job, write_job
from mixplan.train.launch import (
    Launch,
    environment,
    gpus_for,
    launch_command,
    processes_of,
    processes_text,
    refuse_several,
    start,
)
from mixplan.train.trackers import begin_tracked
from mixplan.train.verify import AsPlanned, settings_hash, verify


@dataclass(frozen=True)
class Trained:
    """A finished job.

    Attributes:
        folder: The trained adapter or model, with its tokenizer.
        steps: Optimiser steps.
        seconds: Of training, over all starts; loading apart.
        log: The curve, a line for each logged step.
        consumption: By domain, what the optimiser read.
        model_hash: Over the folder's files.
        notes: What a monitor did to the job: that it stopped it, or which step's model it kept.
        kept_step: The step whose model that is, where a monitor has chosen one.
        processes: How many trained together, each on a batch of its own.
    """

    folder: Path
    steps: int
    seconds: float
    log: list[LogLine]
    consumption: dict[str, Consumption]
    model_hash: str
    notes: tuple[str, ...] = ()
    kept_step: int | None = None
    processes: int | None = None


class Done(Saved):
    """What training/done.json holds of a finished job, beside what only a person reads."""

    job: str
    steps: int
    seconds: float
    log: list[LogLine]
    consumption: dict[str, Consumption]
    warnings: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    kept_step: int | None = None
    processes: int | None = None
    model_hash: str


def train(
    run: Path,
    loaded: LoadedRecipe,
    planned: AsPlanned,
    *,
    launch: Launch,
    watcher: Watcher,
    mixture: Path | None = None,
    max_steps: int | None = None,
    seed: int | None = None,
) -> Trained:
    """Train on a planned mixture; go on from the last checkpoint where there is one.

    Args:
        run: The run folder, or an arm's: training/ and model/ go there.
        loaded: The recipe.
        planned: What the plan was made from.
        launch: How the job is started.
        watcher: Told of progress.
        mixture: An arm's mixture; `run`/mixture when None.
        max_steps: Optimiser steps, in place of the recipe's epochs.
        seed: Of the training, in place of the recipe's.

    Raises:
        RecipeError: vLLM is asked for and not installed, or several processes would train what one alone can.
        RunError: the plan no longer describes what is there, or the folder cannot be used.
        TrainError: the job failed, changed no weight, or read other rows than planned.
        KeyboardInterrupt: it was stopped; a checkpoint was saved.
    """
    wait_for_former(run, watcher)
    job = prepare(run, loaded, planned, mixture=mixture, max_steps=max_steps, seed=seed)
    device = loaded.recipe.model.device
    if (standing := finished(run, job)) is not None:
        others = other_batches(standing, launch, device)
        if mixture is None or others is None:
            watcher.say(f"training is reused from an earlier run: {standing.steps} steps, {run / 'model'}")
            if others is not None and launch.processes is not None:
                watcher.say(f"{others}. To train once more, give another folder by --run.")
            return standing
        watcher.say(f"{others}: it is trained once more")
        with translated(run):
            shutil.rmtree(run / "training")
        write_job(job, run)
    gpus = gpus_for(device, launch.part)
    command = launch_command(run, launch, recipe=loaded.path, gpus=gpus)
    processes, known = launch.processes or max(1, gpus), processes_of(launch, gpus)
    refuse_several(loaded.recipe.train, processes)
    variables = environment(run, device=device, gpus=gpus, processes=processes, part=launch.part)
    # A pilot or an arm is as long as was meant, and flags for accelerate may start any number of processes.
    for sentence in expected_unread(loaded, job, processes) if max_steps is None and known else ():
        watcher.say(sentence)
    (run / "training" / "error.json").unlink(missing_ok=True)
    watcher.say(f"starting training: {loaded.recipe.train.method} with {processes_text(known)}")
    ended_well = follow(start(command, run, variables), run, watcher)
    done = finished(run, job)
    if not ended_well or done is None:
        raise failure_of(run)
    for warning in [*done_warnings(run), *done.notes]:
        watcher.say(warning)
    return done


def expected_unread(loaded: LoadedRecipe, job: Job, processes: int) -> Iterator[str]:
    """What a job of so many processes would leave unread of its mixture, in sentences."""
    settings, rows = {**loaded.resolved["train"], "args": job.train["args"]}, sum(job.planned_rows.values())
    for unread in (too_short, left_unread):
        if (sentence := unread(settings, rows, processes=processes)) is not None:
            yield sentence


def other_batches(trained: Trained, launch: Launch, device: str) -> str | None:
    """Say that a finished job read other batches than one that is started now would; None where it did not.

    Each process reads a batch of its own, so that as many steps of more processes read more rows.

    Args:
        trained: The finished job.
        launch: How another one is started.
        device: The recipe's.
    """
    processes = processes_of(launch, gpus_for(device, launch.part))
    if None in (trained.processes, processes) or trained.processes == processes:
        return None
    now = f"{processes} {'is' if processes == 1 else 'are'} started now"
    return f"{trained.folder} was trained by {processes_text(trained.processes or 1)}, where {now}"


def done_warnings(run: Path) -> list[str]:
    """What training/done.json warns of."""
    return list(json.loads((run / "training" / "done.json").read_bytes())["warnings"])


def prepare(
    run: Path,
    loaded: LoadedRecipe,
    planned: AsPlanned,
    *,
    mixture: Path | None = None,
    max_steps: int | None = None,
    seed: int | None = None,
) -> Job:
    """Check that the plan still holds and write training/job.json; what an earlier, other job left there is removed.

    Raises:
        RecipeError: a package that a setting asks for is not installed, or a reward is not there.
        RunError: the plan no longer describes what is there.
    """
    for problem in (*missing_packages(loaded), *unfindable_rewards(loaded)):
        raise RecipeError(problem)
    checked = verify(run, loaded, planned, mixture=mixture)
    job = make_job(run, loaded, checked, model_hash=planned.model, max_steps=max_steps, seed=seed)
    during = loaded.recipe.evaluate.during
    if during is not None and mixture is None:  # an arm is compared with others of as many steps
        job = replace(job, during=during.model_dump())
    if (run / "training" / "job.json").exists():
        if (same := as_known(run, job)) is None:
            with translated(run):
                shutil.rmtree(run / "training")
        job = same or job
    write_job(job, run)
    begin_tracked(run, job)
    return job


def make_job(
    run: Path, loaded: LoadedRecipe, mixture: Mixture, *, model_hash: str, max_steps: int | None, seed: int | None
) -> Job:
    """Put together what the training process needs.

    Args:
        run: The run folder, or an arm's.
        loaded: The recipe.
        mixture: What to train on.
        model_hash: The plan's hash of the untrained model.
        max_steps: Optimiser steps, in place of the recipe's epochs.
        seed: Of the training, in place of the recipe's.
    """
    recipe = loaded.recipe
    args = {**recipe.train.args, "seed": recipe.training_seed if seed is None else seed}
    if max_steps is not None:
        args["max_steps"] = max_steps
    name = "embedded" if recipe.model.name == "embedded" else model_path(loaded)
    hashes = {"mixture": mixture.hash, "model": model_hash}
    if (settings := settings_hash(loaded)) is not None:
        hashes["settings"] = settings
    if recipe.train.method == "grpo" and (sources := own_sources(recipe.train.rewards)):
        hashes["rewards"] = content_hash(sources)
    return Job(
        model={"name": name, **recipe.model.model_dump(include=MODEL_KEYS)},
        train=recipe.train.model_dump() | {"args": args},
        mixture=relative(mixture.folder, run),
        planned_rows={part.name: part.rows for part in mixture.parts},
        hashes=hashes,
    )


def relative(folder: Path, run: Path) -> str:
    """A folder as the run folder knows it: relative where it lies inside, so that a run can be moved; else absolute."""
    inside = folder.resolve()
    return str(inside.relative_to(run.resolve())) if inside.is_relative_to(run.resolve()) else str(inside)


def as_known(run: Path, job: Job) -> Job | None:
    """A job with what the folder's own job, which trains the same, states of it; None where that trains another way.

    An older job states neither the model's settings nor the rewards' code; a damaged one states nothing.
    """
    try:
        former = read_job(run)
    except RunError:
        return None
    known = replace(job, hashes={name: mark for name, mark in job.hashes.items() if name in former.hashes})
    return known if known.key == former.key else None


def finished(run: Path, job: Job) -> Trained | None:
    """A job's result when it is done and its model's files are as they were saved."""
    try:
        done = Done.model_validate_json((run / "training" / "done.json").read_bytes())
    except (OSError, ValidationError):
        return None
    if done.job != job.key or files_hash(run / "model") != done.model_hash:
        return None
    return Trained(
        run / "model",
        done.steps,
        done.seconds,
        done.log,
        done.consumption,
        done.model_hash,
        tuple(done.notes),
        done.kept_step,
        done.processes,
    )
