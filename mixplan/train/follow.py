"""Follows training processes and their log until they have ended, and passes on progress, losses and a stop request."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from mixplan.child_process import end_group
from mixplan.errors import RunError
from mixplan.reading import Watcher
from mixplan.runs import locked
from mixplan.train.checkpoints import numbered
from mixplan.train.curve import Event, parsed

LOOK_SECONDS = 0.2
SAY_SECONDS = 1.0
"""Losses come at most so often on the screen; the log has them all."""
WAIT_SECONDS = 120.0
"""How long a process that is still there is given to end."""


class Tail:
    """New lines of a log that may be replaced while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inode, self.offset = self.state()

    def state(self) -> tuple[int, int]:
        """Which file it is, and how long."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_ino, found.st_size

    def events(self) -> Iterator[Event]:
        """Events since the last call."""
        inode, size = self.state()
        if inode != self.inode:
            self.inode, self.offset = inode, 0
        if size <= self.offset:
            return
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.decode("utf-8").splitlines():
            yield parsed(line)


class Told:
    """Passes events on to whoever watches."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.step = self.steps = 0
        self.started = self.stopped = False
        self.point: Event = {}
        self.said = 0.0

    def hear(self, event: Event) -> None:
        """Pass one event on."""
        kind = event.get("event")
        if kind == "start":
            self.started, self.step, self.steps = True, event["step"], event["steps"]
            self.watcher.stage("training", self.steps, "steps")
            self.watcher.advance(self.step)
            if self.step:
                self.watcher.say(f"training goes on from step {self.step} of {self.steps}")
        elif kind == "step" and self.started:
            self.watcher.advance(event["step"] - self.step)
            self.step = event["step"]
        elif kind == "log" and self.started:
            self.point = event
            if time.monotonic() - self.said >= SAY_SECONDS:
                self.say_point()
        elif kind == "said" and self.started:
            self.watcher.say(event["text"])
        elif kind in ("stopped", "done"):
            self.stopped = kind == "stopped"
            self.say_point()

    def say_point(self) -> None:
        """Say the newest point of the curve, once."""
        if self.point:
            names = [name for name in ("loss", "reward", "learning_rate") if self.point.get(name) is not None]
            told = ", ".join(f"{name.replace('_', ' ')} {self.point[name]:.4g}" for name in names)
            self.watcher.say(f"step {self.point['step']} of {self.steps}: {told}")
            self.point, self.said = {}, time.monotonic()


def follow(process: subprocess.Popen[bytes], run: Path, watcher: Watcher) -> bool:
    """Follow training processes to their end.

    The first Ctrl-C asks them to save a checkpoint and end; the second ends them at once.

    Returns:
        Whether they ended without a failure.

    Raises:
        KeyboardInterrupt: they were stopped.
    """
    tail, told, asked = Tail(run / "training" / "log.jsonl"), Told(watcher), 0
    try:
        while process.poll() is None:
            try:
                time.sleep(LOOK_SECONDS)
                for event in tail.events():
                    told.hear(event)
            except KeyboardInterrupt:
                asked += 1
                if asked > 1:
                    raise
                watcher.say("stopping: a checkpoint is saved after this step. Ctrl-C again stops at once.")
                ask_to_stop(process)
    finally:
        end(process)
    for event in tail.events():
        told.hear(event)
    if asked or told.stopped:
        steps = [step for step, _ in numbered(run / "training" / "checkpoints")]
        if steps:
            watcher.say(f"stopped; step {max(steps)} is saved")
        raise KeyboardInterrupt
    return process.returncode == 0


def ask_to_stop(process: subprocess.Popen[bytes]) -> None:
    """Write the line that the training processes take as a wish to stop."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(b"stop\n")
        process.stdin.flush()


def end(process: subprocess.Popen[bytes]) -> None:
    """Leave no training process behind, whatever ended the following."""
    if process.poll() != 0:
        # One of several may be left when another was killed.
        end_group(process)
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def wait_for_former(run: Path, watcher: Watcher) -> None:
    """Wait until the training process of an earlier mixplan has ended.

    Raises:
        RunError: it has not ended in time.
    """
    began, said = time.monotonic(), False
    while True:
        try:
            with locked(run / "training"):
                return
        except RunError as error:
            if not isinstance(error.__cause__, BlockingIOError) or time.monotonic() - began > WAIT_SECONDS:
                raise
        if not said:
            watcher.say("waiting for an earlier training process to end")
            said = True
        time.sleep(LOOK_SECONDS)
