"""Defines what a long step reports of its progress, for whatever displays it."""

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


class Silent:
    """A watcher that shows nothing and keeps what it is told.

    Attributes:
        said: Every line, in order.
        stages: Every step's name, amount and unit.
        advanced: How much was done of all steps together.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.stages: list[tuple[str, int, str]] = []
        self.advanced = 0

    def stage(self, name: str, total: int, unit: str) -> None:
        """A long step begins."""
        self.stages.append((name, total, unit))

    def advance(self, amount: int) -> None:
        """So much more of the step is done."""
        self.advanced += amount

    def say(self, text: str) -> None:
        """A line that a person would see."""
        self.said.append(text)
