"""Trains the job of a run folder, and writes the model and training/done.json; accelerate starts it once a process.

`accelerate launch … -m mixplan.train.worker RUN` trains what training/job.json says, whoever wrote that.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
import sys
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import transformers
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from datasets import Dataset, disable_progress_bars
from transformers import TrainerState

from mixplan.errors import MixplanError, RunError
from mixplan.grading.rewards import tally_warnings
from mixplan.model import keep_freed_memory
from mixplan.model.adapted import unadapted_warning
from mixplan.recipe.section import Yaml
from mixplan.runs import locked, write_json
from mixplan.saved.trajectory import OWN
from mixplan.train.checkpoints import Checkpoint, newest_checkpoint
from mixplan.train.consumption import Consumption
from mixplan.train.curve import curve_point
from mixplan.train.event_log import Log, Stop, Watched
from mixplan.train.failure import record_failure
from mixplan.train.job import Job, files_hash, read_job
from mixplan.train.model_folder import (
    copy_model,
    digest,
    keep_processor,
    put_model,
    refuse_unchanged,
    restore_settings,
    trained_tensors,
)
from mixplan.train.rows_read import Seen
from mixplan.train.tokens import load_tokenizer
from mixplan.train.trackers import join_tracked
from mixplan.train.trainable_model import adapts_all_layers


@dataclass(frozen=True)
class Ready:
    """A job ready to train.

    Attributes:
        trainer: TRL's.
        tokenizer: The model's, with a chat template.
        watched: The trainer's callback.
        consumption: What the trainer reads of each domain; counted by the main process alone.
        before: Digests of the trained tensors before the first step.
        monitor: Measures the domains meanwhile; None where the recipe does not ask for it.
    """

    trainer: Any
    tokenizer: Any
    watched: Watched
    consumption: Consumption | None
    before: set[str]
    monitor: Any = None


def main(arguments: list[str]) -> int:
    """Train; leave a message for the following process when that fails."""
    run, job = Path(arguments[0]), None

    def leave_message(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        record_failure(error, run, job)
        if isinstance(error, MixplanError):
            print(error, file=sys.stderr)  # noqa: T201 - goes to training/worker.log
        else:
            traceback.print_exception(kind, error, trace)

    sys.excepthook = leave_message
    stop = Stop()
    stop.listen()
    job = read_job(run)
    work(run, job, stop)
    return 0


def work(run: Path, job: Job, stop: Stop) -> None:
    """Train the job of a run folder, from its newest checkpoint where there is one.

    Raises:
        MixplanError: anything that the person can mend.
    """
    transformers.utils.logging.disable_progress_bar()
    disable_progress_bars()
    join_tracked(run)
    # mixplan.train.sft and .grpo have the same functions; the one that is not needed would take seconds to load.
    method = importlib.import_module(f"mixplan.train.{job.train['method']}")
    config = method.trl_config(job, run)
    main_process = PartialState().is_main_process
    if PartialState().device.type == "cpu":
        keep_freed_memory()
    with locked(run / "training") if main_process else contextlib.nullcontext():
        checkpoint = resumable(run, job, config)
        ready = prepare(run, job, method, config, stop)
        ready.watched.resume(checkpoint)
        part = run / ".model.partial"
        if main_process:
            shutil.rmtree(part, ignore_errors=True)
        state = trained(ready, checkpoint, part)
        seen = ready.trainer.seen.together()
        if ready.watched.stopped:
            ready.watched.log.write("stopped", step=state.global_step)
        elif main_process and ready.consumption is not None:
            finish(run, job, ready, state, part, seen)
        PartialState().wait_for_everyone()


def resumable(run: Path, job: Job, config: Any) -> Checkpoint | None:
    """The checkpoint to go on from, the same for every process.

    Raises:
        RunError: another number of processes wrote it, which would train on other batches.
    """
    processes = PartialState()
    found = [newest_checkpoint(Path(config.output_dir), key=job.key)] if processes.is_main_process else [None]
    if processes.num_processes > 1:
        broadcast_object_list(found)
    checkpoint = found[0]
    if checkpoint is not None and checkpoint.processes != processes.num_processes:
        raise RunError(
            f"{checkpoint.folder}: {checkpoint.processes} processes wrote it, but {processes.num_processes} are "
            f"started, which would train on other batches. Give --processes {checkpoint.processes}, or delete "
            f"{run / 'training'} to begin again."
        )
    return None if config.save_only_model else checkpoint


def prepare(run: Path, job: Job, method: ModuleType, config: Any, stop: Stop) -> Ready:
    """Load rows and model, prepare the trainer, and hold its data against the plan.

    Raises:
        TrainError: the trainer's data is not what was planned.
    """
    processes = PartialState()
    tokenizer = load_tokenizer(job)
    with processes.main_process_first():
        rows = load_rows(run, job)
    log = Log(run / "training" / "log.jsonl", writes=processes.is_main_process)
    watched = Watched(log, stop, key=job.key, cycle=method.cycle_steps(config))
    trainer = method.trl_trainer(job, config, rows, tokenizer, watched)
    watched.seen = trainer.seen
    consumption, before = None, set()
    if processes.is_main_process:
        consumption = method.consumed(job, trainer, rows, tokenizer)
        if adapts_all_layers(job) and (sentence := unadapted_warning(trainer.model)):
            consumption = replace(consumption, warnings=(*consumption.warnings, sentence))
        before = {digest(tensor) for tensor in trained_tensors(trainer.model).values()}
    monitor = None if job.during is None else monitored(run, job.during, trainer, log)
    return Ready(trainer, tokenizer, watched, consumption, before, monitor)


def monitored(run: Path, during: Yaml, trainer: Any, log: Log) -> Any:
    """Have a trainer's model measured while it trains; what is measured goes to the one who follows, too."""
    from mixplan.monitor import DomainMonitor  # loads SAELens, which few jobs need

    monitor = DomainMonitor(run, trainer, **during)
    monitor.folder = run / OWN
    monitor.say = lambda text: log.write("said", text=text)
    trainer.add_callback(monitor)
    return monitor


def load_rows(run: Path, job: Job) -> Dataset:
    """Read the mixture, its copy for the trainer kept in the run folder until the job is done."""
    shards = sorted(str(path) for path in (run / job.mixture).glob("train-*.parquet"))
    rows = Dataset.from_parquet(shards, cache_dir=str(run / "training" / "data"))
    assert isinstance(rows, Dataset)
    return rows


def trained(ready: Ready, checkpoint: Checkpoint | None, part: Path) -> TrainerState:
    """Train to the end, or until someone wishes to stop; the model is saved in `part`.

    Returns:
        The trainer's state, its curve included.
    """
    if checkpoint is not None:
        state: TrainerState = TrainerState.load_from_json(str(checkpoint.folder / "trainer_state.json"))
        stopped = ready.monitor is not None and ready.monitor.had_stopped(state.global_step)
        if state.global_step >= state.max_steps or stopped:
            # The trainer would add a step to a finished job.
            if ready.monitor is not None:
                ready.monitor.conclude(state.global_step)
            if PartialState().is_main_process:
                copy_model(best_of(ready) or checkpoint.folder, part)
            return state
    ready.trainer.train(resume_from_checkpoint=str(checkpoint.folder) if checkpoint else None)
    if (best := best_of(ready)) is not None and not ready.watched.stopped:
        if PartialState().is_main_process:
            copy_model(best, part)
    elif not ready.watched.stopped:
        ready.trainer.save_model(str(part))
    final: TrainerState = ready.trainer.state
    return final


def best_of(ready: Ready) -> Path | None:
    """The checkpoint that a monitor has chosen; None where the last model is kept."""
    if ready.monitor is None or ready.monitor.kept is None:
        return None
    folder: Path = ready.monitor.folder / ready.monitor.kept.folder
    return folder


def finish(run: Path, job: Job, ready: Ready, state: TrainerState, part: Path, seen: Seen) -> None:
    """Put the model in its place and say that the job is done, last of all.

    Raises:
        TrainError: the job changed no weight.
    """
    assert ready.consumption is not None
    log = [curve_point(entry) for entry in state.log_history if "loss" in entry]
    told = tally_warnings(run / "training" / "rewards.json", log)
    refuse_unchanged(ready.before, part, told)
    restore_settings(part, job)
    keep_processor(part, job)
    put_model(part, run, ready.tokenizer)
    done = {
        "job": job.key,
        "steps": state.global_step,
        "epochs": state.epoch,
        "seconds": ready.watched.seconds,
        "processes": PartialState().num_processes,
        "consumption": {name: entry.values() for name, entry in seen.entries(ready.consumption.domains).items()},
        "warnings": [
            *ready.consumption.warnings,
            *told,
            *(ready.monitor.warnings() if ready.monitor else ()),
        ],
        **({"notes": ready.monitor.notes()} if ready.monitor else {}),
        **({"kept_step": ready.monitor.kept.step} if ready.monitor and ready.monitor.kept else {}),
        "model_hash": files_hash(run / "model"),
        "weights_changed": True,
        "log": log,
    }
    write_json(run / "training" / "done.json", done)
    shutil.rmtree(run / "training" / "data", ignore_errors=True)
    if ready.monitor is not None:
        ready.monitor.clear()
    if not any(key.startswith("save_") for key in job.train["args"]):
        # They were there to go on from; a recipe that asks for checkpoints keeps them.
        shutil.rmtree(run / "training" / "checkpoints", ignore_errors=True)
    ready.watched.log.write("done", step=state.global_step)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
