"""Keeps the name under which trackers know a job, and adds figures of mixplan's own to that very run.

`python -m mixplan.train.trackers` adds what its standard input says to one tracker. It is a process of its own, since
trackers hold connections, threads and services, and one that fails ends nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from mixplan.child_process import outside_group
from mixplan.runs import content_hash, translated, write_json
from mixplan.saved.base_types import Saved
from mixplan.saved.pilot import PILOT
from mixplan.train.job import Job, read_job

PACKAGES = {"wandb": ("wandb",), "trackio": ("trackio",), "tensorboard": ("tensorboard", "tensorboardX")}
"""Trackers that mixplan's own figures go to, by transformers' name, with the packages of which each needs one."""

PROJECT = "huggingface"
"""transformers' name of the project, where a job names none."""

STEP = "train/global_step"
"""What transformers' trackers draw their curves over."""

FILE = "trackers.json"

LOG = "trackers.log"

SECONDS = 300
"""A tracker that has not answered by then is not there."""

Figures = Mapping[str, float]
"""By name, the step that they belong to among them."""


class TrackedRun(Saved):
    """How trackers know a job.

    Attributes:
        id: A run of its own for each job, whatever its folder is called.
        name: As people see it.
        logged: Hash of the figures that each tracker was given, by tracker and stage, so that none gets them twice.
    """

    id: str
    name: str
    logged: dict[str, dict[str, str]] = Field(default_factory=dict)


def trackers_of(job: Job) -> list[str]:
    """The trackers that a job reports to, of those that mixplan's figures go to."""
    reported = job.train["args"].get("report_to") or []
    names = [reported] if isinstance(reported, str) else list(reported)
    return [name for name in PACKAGES if name in names or ("all" in names and is_installed(name))]


def is_installed(tracker: str) -> bool:
    """Whether one of a tracker's packages is here."""
    return any(importlib.util.find_spec(package) for package in PACKAGES[tracker])


def tracked_run(run: Path) -> TrackedRun | None:
    """How trackers know a run folder's job; None where it reports to none, or nothing readable is kept."""
    try:
        return TrackedRun.model_validate_json((run / "training" / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def begin_tracked(run: Path, job: Job) -> TrackedRun | None:
    """Give a job its run on its trackers; one that goes on keeps its own.

    Args:
        run: The run folder, or an arm's, with its training/job.json.
        job: The job.
    """
    if not trackers_of(job):
        return None
    if (tracked := tracked_run(run)) is None:
        identity = secrets.token_hex(4)
        tracked = TrackedRun(id=identity, name=called(run, job.train["args"].get("run_name"), identity))
        write_json(run / "training" / FILE, tracked.values())
    return tracked


def called(run: Path, given: str | None, identity: str) -> str:
    """What people see: the recipe's `run_name`, else the run folder's, with an arm's name or `pilot` behind it.

    Trackers that know runs by their names would take the arms of one recipe for one run.
    """
    place = run.resolve()
    if (place / "plan.json").exists():
        return given or f"{place.name}-{identity}"
    owner = place.parent if place.name == PILOT else place.parent.parent
    return f"{given or owner.name}-{place.name}-{identity}"


def join_tracked(run: Path) -> None:
    """Have the trainer in this process log to the job's own run on W&B, which it would else begin anew."""
    if (tracked := tracked_run(run)) is not None:
        os.environ.setdefault("WANDB_RUN_ID", tracked.id)
        os.environ.setdefault("WANDB_RESUME", "allow")


def log_figures(run: Path, job: Job, stage: str, figures: Mapping[str, float], step: int) -> list[str]:
    """Add figures to a job's run on each of its trackers; those that a tracker has already are not added again.

    Args:
        run: The run folder.
        job: Its job, as its training/job.json has it.
        stage: Such as `before`.
        figures: By name.
        step: The trainer's step that they belong to.

    Returns:
        What is wrong with each tracker that does not take them, in whole sentences.
    """
    tracked = begin_tracked(run, job)
    if tracked is None:
        return []
    failures, hashed = [], content_hash(step, dict(figures))
    for name in trackers_of(job):
        if tracked.logged.get(name, {}).get(stage) == hashed:
            continue
        if (problem := given_to(name, run, figures, step)) is not None:
            offline = "set WANDB_MODE=offline, " if name == "wandb" else ""
            failures.append(
                f"train.args.report_to: {name} does not take the run's figures: {problem}. Check its login and the "
                f"network, {offline}or take {name} out of the list; {run / 'training' / LOG} has all that it printed."
            )
            continue
        logged = {**tracked.logged, name: {**tracked.logged.get(name, {}), stage: hashed}}
        tracked = tracked.model_copy(update={"logged": logged})
        write_json(run / "training" / FILE, tracked.values())
    return failures


def given_to(tracker: str, run: Path, figures: Mapping[str, float], step: int) -> str | None:
    """Give a tracker figures in a process of its own; what it prints goes to training/trackers.log.

    Returns:
        What it failed with, None where it did not.

    Raises:
        RunError: the log cannot be written.
    """
    asked = json.dumps({"tracker": tracker, "run": os.fspath(run), "figures": dict(figures), "step": step})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mixplan.train.trackers"], input=asked, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=SECONDS, check=False, env=outside_group(),
        )  # fmt: skip
        printed, failed = done.stdout, done.returncode != 0
    except subprocess.TimeoutExpired as error:
        printed, failed = f"{error.output or ''}\nno answer within {SECONDS} s\n", True
    log = run / "training" / LOG
    with translated(log), open(log, "a", encoding="utf-8") as file:
        file.write(printed)
    return raised(printed) if failed else None


def raised(printed: str) -> str:
    """What a process that failed raised, by what it printed: the line under its last traceback, else the last one."""
    trace = printed.rpartition("Traceback (most recent call last):")[2]
    lines = [line.rstrip() for line in trace.splitlines() if line.strip()]
    exceptions = [line for line in lines if not line.startswith(" ")] if "Traceback" in printed else lines[-1:]
    return exceptions[0][:300].rstrip(".") if exceptions else "it ended without a word"


def main() -> int:
    """Give one tracker what the standard input says."""
    asked = json.loads(sys.stdin.read())
    run = Path(asked["run"])
    tracked = tracked_run(run)
    assert tracked is not None  # written before this process is started
    SINKS[asked["tracker"]](run, tracked, {**asked["figures"], STEP: asked["step"]})
    return 0


def to_wandb(run: Path, tracked: TrackedRun, figures: Figures) -> None:
    """Add figures to the run on W&B."""
    wandb: Any = importlib.import_module("wandb")
    running = wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        id=os.environ.get("WANDB_RUN_ID", tracked.id),
        name=tracked.name,
        resume="allow",
        dir=os.environ.get("WANDB_DIR", str(run / "training")),
        settings=wandb.Settings(console="off"),
    )
    running.define_metric(STEP)
    running.define_metric("*", step_metric=STEP, step_sync=True)
    running.log(figures)
    running.finish()


def to_trackio(run: Path, tracked: TrackedRun, figures: Figures) -> None:
    """Add figures to the run on Trackio, which knows it by its name."""
    trackio: Any = importlib.import_module("trackio")
    args = read_job(run).train["args"]
    trackio.init(
        project=args.get("project") or PROJECT,
        name=tracked.name,
        space_id=args.get("trackio_space_id"),
        bucket_id=args.get("trackio_bucket_id"),
        private=args.get("hub_private_repo"),
        resume="allow",
        embed=False,
    )
    trackio.log(figures)
    trackio.finish()


def to_tensorboard(run: Path, tracked: TrackedRun, figures: Figures) -> None:  # noqa: ARG001 - as for the others
    """Add figures beside the trainer's own event files, which TensorBoard reads as one run."""
    try:
        module: Any = importlib.import_module("torch.utils.tensorboard")
    except ImportError:
        module = importlib.import_module("tensorboardX")
    writer = module.SummaryWriter(log_dir=str(tensorboard_folder(run)))
    for name, value in figures.items():
        if name != STEP:
            writer.add_scalar(name, value, int(figures[STEP]))
    writer.close()


SINKS: Mapping[str, Callable[[Path, TrackedRun, Figures], None]] = {
    "wandb": to_wandb,
    "trackio": to_trackio,
    "tensorboard": to_tensorboard,
}


def tensorboard_folder(run: Path) -> Path:
    """Where a job's event files go."""
    return Path(os.environ.get("TENSORBOARD_LOGGING_DIR") or run / "training" / "tensorboard").expanduser()


if __name__ == "__main__":
    sys.exit(main())
