"""Writes a trainer's events to training/log.jsonl, seals its checkpoints, and stops it on a wish at a step's end."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather
from peft import PeftModel
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mixplan.errors import TrainError
from mixplan.model.trained import ADAPTER, put_in_place
from mixplan.runs import write_atomic
from mixplan.train.checkpoints import Checkpoint, seal_checkpoint
from mixplan.train.curve import FOLLOWED, curve_point, parsed
from mixplan.train.rows_read import Seen

KILLED = 137
"""Exit code of a process that ends because the one that follows it was killed."""


class Stop:
    """A wish to stop: SIGINT or SIGTERM, or a line that the following process wrote; its end ends this process."""

    def __init__(self) -> None:
        self.asked = False

    def listen(self) -> None:
        """Note the wish from now on."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.note())
        if os.environ.get(FOLLOWED):
            threading.Thread(target=self.read, daemon=True).start()

    def note(self) -> None:
        """Someone wishes to stop."""
        self.asked = True

    def read(self) -> None:
        """Wait for a line; the end of the stream, which comes when the other end's process has died, ends this one."""
        # Not through sys.stdin: a thread that waits with its lock held would abort the interpreter's end.
        if not os.read(0, 1):
            self.end()
        self.note()

    def end(self) -> None:
        """End this process: killed outright, the following one could not ask for a checkpoint."""
        os._exit(KILLED)

    def anywhere(self) -> bool:
        """Whether any process of the job has noted the wish; every process must ask at the same step."""
        state = PartialState()
        if state.num_processes == 1:
            return self.asked
        return bool(gather(torch.tensor([self.asked], device=state.device)).any())


class Log:
    """The training's log, one JSON object a line; written by the main process alone."""

    def __init__(self, path: Path, *, writes: bool) -> None:
        self.path, self.writes = path, writes

    def begin(self, *, step: int, **values: Any) -> None:
        """Keep the curve up to the step that training goes on from, and say that it starts."""
        kept = []
        if self.writes and self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                entry = parsed(line)
                if entry.get("event") == "log" and entry["step"] <= step:
                    kept.append(line + "\n")
        if self.writes:
            start = json.dumps({"event": "start", "step": step, **values}) + "\n"
            write_atomic(self.path, "".join([*kept, start]).encode())

    def write(self, event: str, **values: Any) -> None:
        """Append one event."""
        if self.writes:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"event": event, **values}) + "\n")


class Watched(TrainerCallback):
    """Logs steps and losses, seals checkpoints, and stops with a checkpoint when someone wishes so.

    Attributes:
        stopped: Whether training ended before its last step because someone wished so.
        seen: What the optimiser has read in this process; the trainer's own count.
        adapter: The adapter's file of the checkpoint that training goes on from.
    """

    seen: Seen | None = None
    adapter: Path | None = None

    def __init__(self, log: Log, stop: Stop, *, key: str, cycle: int) -> None:
        """Watch a job.

        Args:
            log: Where events go.
            stop: The wish to stop.
            key: The job's hash.
            cycle: Optimiser steps between places where a checkpoint loses nothing.
        """
        self.log, self.stop, self.key, self.cycle = log, stop, key, cycle
        self.due = self.stopped = False
        self.began, self.seconds_before, self.first = time.monotonic(), 0.0, 0

    def resume(self, checkpoint: Checkpoint | None) -> None:
        """Count on from a checkpoint; what all processes had read is counted by the main one."""
        if checkpoint is not None:
            if self.seen is not None and PartialState().is_main_process:
                self.seen.resume(checkpoint.seen)
            self.first, self.seconds_before = checkpoint.step, checkpoint.seconds
            self.adapter = checkpoint.folder / ADAPTER[1]

    @property
    def seconds(self) -> float:
        """Of training, over all starts."""
        return self.seconds_before + time.monotonic() - self.began

    def on_train_begin(
        self,
        args: Any,  # noqa: ARG002 - the trainer's signature
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        model: Any = None,
        **_: Any,
    ) -> None:
        """Say where training goes on, and how far it goes; complete the adapter that was just loaded."""
        if self.adapter is not None and self.adapter.exists() and isinstance(model, PeftModel):
            put_in_place(model, self.adapter)
        self.began = time.monotonic()
        self.log.begin(step=self.first, steps=state.max_steps, processes=PartialState().num_processes)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002
        """Note the step; save only where it loses nothing, and stop there if someone wishes so."""
        last = state.global_step >= state.max_steps
        whole = last or state.global_step % self.cycle == 0
        asked = self.stop.anywhere()
        self.due |= control.should_save
        control.should_save = whole and (self.due or asked)
        if control.should_save:
            self.due = False
        if asked and whole and not last:
            self.stopped = control.should_training_stop = True
        self.log.write("step", step=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the trainer's signature
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Log a point of the curve.

        Raises:
            TrainError: the loss is not a number.
        """
        if logs is None or "loss" not in logs:
            return
        if not math.isfinite(float(logs["loss"])):
            raise TrainError(
                f"training: the loss at step {state.global_step} is {logs['loss']}. "
                "Lower train.args.learning_rate, or train in float32 with `train.args.bf16: false`."
            )
        self.log.write("log", **curve_point({**logs, "step": state.global_step}))

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002
        """Seal the checkpoint once every process has written its part."""
        processes = PartialState()
        processes.wait_for_everyone()
        assert self.seen is not None  # given before the first step
        seen = self.seen.together()
        if processes.is_main_process:
            folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            seal_checkpoint(
                folder, key=self.key, processes=processes.num_processes, seconds=self.seconds, seen=seen.as_json()
            )
        self.log.write("saved", step=state.global_step)
