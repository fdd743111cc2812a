"""Defines zeroing.json: how well trained cells do on their target without some features."""

from __future__ import annotations

from pydantic import Field

from mixplan.saved.base_types import Saved
from mixplan.study.files.figure import Bounded, TargetMean
from mixplan.study.files.judgement import Of


class DrawnValues(Saved):
    """A quantity's value with each set of features taken out."""

    values_: list[float] = Field(alias="values")


class Drawn(Bounded, DrawnValues):
    """Their mean with its t interval over sets; no interval with a single one."""


class Condition(Saved):
    """A target's means without some features.

    Attributes:
        bits_per_byte: Of likelihood.
        score: Of graded answers; unset where the target has no grader.
        activation: Summed mean activation of what was taken out; unset for the untrained model.
    """

    bits_per_byte: Drawn | None = None
    score: Drawn | None = None
    activation: float | None = None

    def of(self, quantity: str) -> Drawn | None:
        """A quantity's, None where it was not measured."""
        return {"bits_per_byte": self.bits_per_byte, "score": self.score}[quantity]


class Conditions(Saved):
    """One cell's target: untrained, with nothing taken out, and without each kind of features."""

    untrained: Condition
    none: Condition
    drift: Condition
    predicted: Condition
    random: Condition
    matched: Condition

    def of(self, name: str) -> Condition:
        """One condition by its name."""
        found: Condition = getattr(self, name)
        return found


class Zeroing(Saved):
    """What was measured; see `judge_zeroing`.

    Attributes:
        features: How many were taken out at a time.
        sets: Drawn, blindly and of like activity each.
        cells: By `TARGET-SEED`.
        differences: By quantity and pair of conditions.
    """

    features: int
    sets: int
    cells: dict[str, Conditions]
    differences: dict[str, dict[str, TargetMean]]


class ZeroingFile(Zeroing, Of):
    """zeroing.json, whole."""
