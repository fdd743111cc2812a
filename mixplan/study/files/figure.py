"""Defines a figure of a study with its interval, and the same over targets, by set of targets and for a pass mark."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from mixplan.saved.base_types import Saved

SETS = ("all", "development", "held_out")
"""Sets of targets that figures are given for."""
Verdict = Literal["win", "tie", "loss"]
Of = TypeVar("Of")


class Bounded(Saved):
    """A figure with its 95 % interval; each is None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


class TargetMean(Bounded):
    """A mean over so many targets, with a t interval over them."""

    targets: int


class Estimated(Bounded):
    """A figure with its intervals by the crossed jackknife and by the pigeonhole bootstrap; see `resample`."""

    pigeonhole: tuple[float, float] | None


class Score(Estimated):
    """A predictor's score over targets.

    Attributes:
        targets: Those with more than two domains.
        domains: The fewest and the most that one target's score is over.
    """

    targets: int
    domains: tuple[int, int]


Scores = dict[str, dict[str, Score]]
"""By score, such as `pearson`, each predictor's."""


class BySet(Saved, Generic[Of]):
    """The same of each set of targets; unset where there is none."""

    all: Of | None = None
    development: Of | None = None
    held_out: Of | None = None

    def of(self, name: str) -> Of | None:
        """A set's, None where there is none; `name` is one of `SETS`."""
        found: Of | None = getattr(self, name)
        return found

    @property
    def last(self) -> str:
        """The set that no choice was made on, all targets where there is none."""
        return "all" if self.held_out is None else "held_out"


class Promise(Saved):
    """A pass mark, written down before anything is measured.

    Attributes:
        text: What is promised.
        quantity: Where the figure is in the judgement.
        at_least: The least value; None for none.
        low_above: What the interval's lower end has to be above; None for nothing.
    """

    text: str
    quantity: str
    at_least: float | None
    low_above: float | None


class JudgedMark(Bounded, Promise):
    """A pass mark beside its figure, and whether it was reached."""

    reached: bool
