"""Translates what a training process died of into one message with its remedy, without loading the libraries."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

from mixplan import errors
from mixplan.errors import MixplanError, RunError, TrainError
from mixplan.train.job import Job

TRL_BATCH = 8
"""TRL's own per_device_train_batch_size."""
FULL_BELOW_BYTES = 1 << 20
"""torch and safetensors lose the system's reason for a failed write; with less than this free, the disk was full."""
MEMORY_WORDS = ("out of memory", "not enough memory", "can't allocate memory", "std::bad_alloc")


def record_failure(error: BaseException, run: Path, job: Job | None) -> None:
    """Leave a message for the process that started this one; the first of several processes to fail is heard.

    Args:
        error: What ended the process.
        run: The run folder.
        job: The job, when it could be read.
    """
    told = translated_failure(error, run, job)
    value = json.dumps({"kind": type(told).__name__, "message": str(told)}).encode()
    try:
        handle = os.open(run / "training" / "error.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(handle, "wb") as file:
            file.write(value)
    except OSError:
        return  # an earlier message stands, or the disk is full, which the starting process sees for itself


def translated_failure(error: BaseException, run: Path, job: Job | None) -> MixplanError:
    """One message for one exception."""
    if isinstance(error, MixplanError):
        return error
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or any(word in text.lower() for word in MEMORY_WORDS):
        return TrainError(f"{run}: training ran out of memory. {smaller(job)}")
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "No space left on device" in text or disk_is_full(run):
        return disk_full(run)
    return TrainError(
        f"{run}: training stopped: {type(error).__name__}: {text[:600]}\n"
        f"The whole trace is in {run / 'training' / 'worker.log'}."
    )


def smaller(job: Job | None) -> str:
    """What takes less memory and trains the same, as far as this job leaves anything to try."""
    args = job.train["args"] if job else {}
    batch = args.get("per_device_train_batch_size", TRL_BATCH)
    if batch > 1:
        less = max(part for part in range(1, batch) if batch % part == 0)
        steps = args.get("gradient_accumulation_steps", 1) * batch // less
        return (
            f"Set train.args.per_device_train_batch_size to {less} and gradient_accumulation_steps to {steps}, "
            "which trains on the same batches."
        )
    if job and job.train["lora"] is None:
        return "Train an adapter with `train.lora: {r: 16}`, or share the model among GPUs with --launch fsdp2."
    return "Set train.args.max_length lower, or share the model among GPUs with --launch fsdp2."


def disk_full(run: Path) -> RunError:
    """The one message for a full disk."""
    return RunError(f"{run}: the disk is full. Free some space and run the same command again: it resumes.")


def disk_is_full(run: Path) -> bool:
    """Whether the run folder's disk has no room left."""
    return shutil.disk_usage(run).free < FULL_BELOW_BYTES


def failure_of(run: Path) -> MixplanError:
    """Why the training processes of a run ended without finishing."""
    place = run / "training"
    try:
        value = json.loads((place / "error.json").read_bytes())
        kind: type[MixplanError] = getattr(errors, value["kind"])
        return kind(value["message"])
    except (OSError, ValueError, LookupError, AttributeError):  # no file, half a file, or of another shape
        pass  # it had no time to leave a message
    if disk_is_full(run):
        return disk_full(run)
    printed = place / "worker.log"
    log = printed.read_text(encoding="utf-8", errors="replace") if printed.exists() else ""
    if any(word in log for word in ("SIGKILL", "Signal 9", "exitcode: -9")):
        return TrainError(
            f"{run}: the training process was killed, as the system does when memory runs out. The same command goes "
            "on from the last checkpoint."
        )
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return TrainError(f"{run}: training ended without a model. {printed} ends with: {lines[-1][:300] if lines else ''}")
