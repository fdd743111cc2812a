"""Hands a step's progress to a caller's function."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with a step's name, how much of it is done, and how much there is."""


class Following:
    """A watcher that hands progress to a caller's function, and is silent without one."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress, self.name, self.done, self.total = progress, "", 0, 0

    def stage(self, name: str, total: int, unit: str) -> None:  # noqa: ARG002 - as every watcher is called
        """A step begins."""
        self.name, self.done, self.total = name, 0, total
        self.advance(0)

    def advance(self, amount: int) -> None:
        """So much more of it is done."""
        self.done += amount
        if self.progress is not None:
            self.progress(self.name, self.done, self.total)

    def say(self, text: str) -> None:
        """A line for a terminal, which nobody sees here; plans and outcomes hold their warnings."""
