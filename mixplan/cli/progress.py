"""Shows the progress of long steps on the terminal, as bars with rates and time left."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Drawn:
    """Draws progress on a terminal; where there is none, says each long step once."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.task: TaskID | None = None
        self.bars = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
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
        self.task = self.bars.add_task(name, total=total, unit=unit, rate="")

    def advance(self, amount: int) -> None:
        """So much more of the step is done."""
        if self.task is None:
            return
        self.bars.advance(self.task, amount)
        running: Any = next(task for task in self.bars.tasks if task.id == self.task)
        self.bars.update(self.task, rate=f"{running.speed:,.0f}/s" if running.speed else "")

    def say(self, text: str) -> None:
        """A line the person should see."""
        self.console.print(text)

    def finish(self) -> None:
        """The running step is over."""
        if self.task is not None:
            self.bars.update(self.task, completed=self.bars.tasks[-1].total)
            self.task = None
