"""Compares two jobs by how hard they train, and says by how much a change measured after one has to be scaled.

    strength = optimiser steps on target rows x learning rate
    change of this job = change of that job x (strength of this / strength of that) ^ exponent

Steps on target rows are their number times the epochs over the rows of a step, so that rows, epochs and batch enter
through them. The exponent is assumed to be 1 with a standard deviation of 1, not learned: 0 would be a change that
training has finished with, 2 a token KL that grows with the square of how far the weights are from where they were
(its second-order expansion; S. Kullback, Information Theory and Statistics, 1959, chapter 2), which is twice as far
after twice as many steps. Where it was measured it scattered as widely: three targets of SmolLM2-135M that two studies
trained at strengths 1.6 apart (recipes/studies: smollm2-135m and the arm `none` of smollm2-135m-arms) had exponents of
0.4, 1.2 and 2.5 over 15 or 16 domains. Once a target's own exponent is out, its domains scattered by 0.14 (logarithms,
root mean square), 0.3 for each unit of the logarithm of 1.6: that is taken to grow with it. Jobs that train other
parameters (another LoRA rank, or all of them) are taken to differ by a factor of e^0.5 more; that is assumed too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from mixplan.saved.plan import Job as Job

EXPONENT = 1.0
EXPONENT_SPREAD = 1.0
DOMAIN_SPREAD = 0.3
"""By which domains of one target differ in what another strength does to them, a unit of its logarithm."""
ADAPTER_SPREAD = 0.5
"""Standard deviation of the logarithm of what other trained parameters do to a change."""
REACH = 1.96
"""Standard deviations on either side that a 95 % interval holds."""


@dataclass(frozen=True)
class Distance:
    """How far a job is from another one.

    Attributes:
        log_ratio: Logarithm of how many times the strength of this job is that one's; 0 where one is not known.
        adapter: Whether they train other parameters.
    """

    log_ratio: float = 0.0
    adapter: bool = False

    @property
    def factor(self) -> float:
        """What a change measured after that job is multiplied by."""
        return math.exp(EXPONENT * self.log_ratio)

    @property
    def spread(self) -> float:
        """Standard deviation of the factor's logarithm."""
        return math.hypot(EXPONENT_SPREAD * self.log_ratio, ADAPTER_SPREAD * self.adapter)

    def beyond(self, other: Distance) -> float:
        """The part of `spread` that a change scaled over another distance does not share.

        There is one exponent for both, so that two changes that were scaled alike are wrong alike.
        """
        apart = abs(self.log_ratio) - abs(other.log_ratio)
        if self.log_ratio * other.log_ratio < 0:
            apart = abs(self.log_ratio)
        return math.hypot(EXPONENT_SPREAD * max(0.0, apart), ADAPTER_SPREAD * (self.adapter and not other.adapter))


def distance(this: Job | None, that: Job | None) -> Distance:
    """How far a job is from one whose changes were measured; 0 where either is not known."""
    if this is None or that is None:
        return Distance()
    return Distance(math.log(this.strength / that.strength), this.adapter != that.adapter)


def common_distance(distances: Iterable[Distance]) -> Distance:
    """The distance of several jobs together: the root mean square of their ratios, with the sign of their mean."""
    found = list(distances)
    if not found:
        return Distance()
    mean = math.fsum(one.log_ratio for one in found) / len(found)
    size = math.sqrt(math.fsum(one.log_ratio**2 for one in found) / len(found))
    return Distance(math.copysign(size, mean), any(one.adapter for one in found))


def widened(change: float, low: float, high: float, spread: float) -> tuple[float, float]:
    """An interval that also holds a factor that is not known.

    Distances from the change are added as independent errors are; those of the factor are of a log-normal.

    Args:
        change: What is expected.
        low: Lower end of its 95 % interval.
        high: Its upper end.
        spread: Standard deviation of the factor's logarithm.
    """
    less, more = 1 - math.exp(-REACH * spread), math.expm1(REACH * spread)
    below, above = (less, more) if change >= 0 else (more, less)
    size = abs(change)
    return change - math.hypot(change - low, below * size), change + math.hypot(high - change, above * size)
