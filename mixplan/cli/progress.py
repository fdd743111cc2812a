"""Shows the progress of long steps on the terminal, as bars with rates and time left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.spinner import Spinner

SAY_SECONDS = 60.0
"""How often a step's progress is said where no bar can be drawn."""


class Drawn:
    """Draws progress on a terminal; where there is none, says each long step once and how far it is each minute."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.task: TaskID | None = None
        self.said = time.monotonic()
        self.bars = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} {task.fields[unit]}"),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Drawn:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
        self.bars.stop()

    def stage(self, name: str, total: int, unit: str) -> None:
        """A long step begins."""
        self.finish()
        if not self.console.is_terminal:
            self.console.print(f"{name}: {total:,} {unit}")
        self.task = self.bars.add_task(name, total=total, unit=unit, left="")
        self.said = time.monotonic()

    def advance(self, amount: int) -> None:
        """So much more of the step is done."""
        if self.task is None:
            return
        self.bars.advance(self.task, amount)
        running: Any = next(task for task in self.bars.tasks if task.id == self.task)
        done = running.completed
        # By the step's mean pace: rich forgets what is older than half a minute, so that slow steps have none.
        left = time_left(running.elapsed / done * (running.total - done) if done and running.elapsed else None)
        self.bars.update(self.task, left=left)
        if not self.console.is_terminal and time.monotonic() - self.said >= SAY_SECONDS:
            share = f"{done:,.0f} of {running.total:,.0f} {running.fields['unit']}"
            self.console.print(f"{running.description}: {share}{f', {left}' if left else ''}")
            self.said = time.monotonic()

    def say(self, text: str) -> None:
        """A line the person should see."""
        self.console.print(text)

    def finish(self) -> None:
        """The running step is over."""
        if self.task is not None:
            self.bars.update(self.task, completed=self.bars.tasks[-1].total, left="")
            self.task = None


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say on a terminal's standard error what is waited for, until it is there; nothing of it stays."""
    console = Console(stderr=True, highlight=False)
    shown = Live(Spinner("dots", what), console=console, transient=True, redirect_stdout=False)
    with shown if console.is_terminal else contextlib.nullcontext():
        yield


def time_left(seconds: float | None) -> str:
    """Write how long a step will take from here; empty where nothing is known yet."""
    if seconds is None:
        return ""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s left"
    return f"{minutes} min left" if minutes < 120 else f"{minutes / 60:.1f} h left"
