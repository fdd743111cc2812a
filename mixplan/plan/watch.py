"""What a long step tells about its progress, for whoever draws it."""

from __future__ import annotations

from typing import Protocol


class Watcher(Protocol):
    """Told of progress; the command line draws it."""

    def stage(self, name: str, total: int, unit: str) -> None:
        """A long step begins: its name, how much there is to do, and of what."""

    def advance(self, amount: int) -> None:
        """So much more of the step is done."""

    def say(self, text: str) -> None:
        """A line the person should see."""
