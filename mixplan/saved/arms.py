"""Defines the table of control mixtures that `mixplan compare` adds to outcome.json."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mixplan.saved.base_types import Interval, Saved
from mixplan.saved.tolerances import Gate

Verdict = Literal["win", "tie", "loss"]


class Arm(Saved):
    """One control mixture, over its seeds: changes with 95 % intervals, and how it did against the baseline arm.

    Attributes:
        seeds: How many trainings.
        target: The target's change, in `target_quantity`.
        target_quantity: Its headline's main quantity.
        target_against: The same less the baseline's.
        mean: Over domains.
        worst: Of the domain that lost most.
        worst_domain: That domain.
        losses: By domain, its mean loss; a gain is below 0.
        against: The mean less the baseline's.
        verdict: Of that difference.
        by_domain: How many domains won, tied and lost.
        rows: By domain, of the first seed.
        tolerances: What became of the run's tolerances under it, over its seeds; unset where there are none.
    """

    seeds: int
    target: Interval | None
    target_quantity: str | None
    target_against: Interval | None = None
    mean: Interval | None
    worst: Interval | None
    worst_domain: str | None
    losses: dict[str, float] = Field(default_factory=dict)
    against: Interval | None
    verdict: Verdict | None
    by_domain: dict[str, int] | None = None
    rows: dict[str, int] = Field(default_factory=dict)
    tolerances: Gate | None = None


class Pair(Saved):
    """Two arms held against each other, `arm` less `against`, by the mean over domains with its 95 % interval."""

    arm: str
    against: str
    seeds: int
    difference: Interval
    verdict: Verdict


class ArmsOver(Saved):
    """Every arm's changes of one quantity, over so many domains; no quantity where no unit is common."""

    domains: int
    arms: dict[str, Arm]
    pairs: list[Pair] = Field(default_factory=list)
    quantity: str | None


class Comparison(Saved):
    """What all arms share: the baseline's name, the training seeds, and the optimiser steps of each training."""

    baseline: str
    seeds: list[int]
    steps: int


class Arms(ArmsOver, Comparison):
    """Mixtures trained for comparison, over headlines of one unit, with the same over behaviour."""

    behaviour: ArmsOver | None = None
