"""Says what a whole job changes by what a pilot of it changed, and how surely, from runs that have both.

    log change of the job in d = log change of the pilot in d + e_t log(strength of the job / of the pilot) + r_td

Strength is steps times learning rate (see `job`). e_t is a target's own exponent, r_td what a domain does beside it,
whose standard deviation is taken to grow with the logarithm of the ratio. Both are learned from runs of which a pilot
was measured and the finished job too: e's mean and spread over targets, with Student's widening for as few of them as
there are. With fewer than three such targets nothing of it is known, and what `job` assumes of jobs that differ in
strength is taken: an exponent of 1, give or take 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mixplan.forecast.completion import Doubles, Integers, Seen, reach
from mixplan.forecast.job import DOMAIN_SPREAD, EXPONENT, EXPONENT_SPREAD, REACH, Job

FEWEST_PAIRS = 3
"""Targets with a pilot and a finished job from which the law is learned."""


@dataclass(frozen=True)
class Pair:
    """A run of which a pilot was measured and the finished job too.

    Attributes:
        run: Hash of the run, as earlier runs are known by.
        target: What it was trained on; pairs of one target are taken together.
        log_ratio: Logarithm of how many times the pilot's strength the job's is.
        domains: `[n]` names, as the run has them.
        pilot: `[n]` logarithms of the pilot's changes.
        job: `[n]` logarithms of the job's.
    """

    run: str
    target: str
    log_ratio: float
    domains: tuple[str, ...]
    pilot: Doubles
    job: Doubles

    @property
    def exponent(self) -> float:
        """By which power of the strength the changes grew, mean over domains."""
        return float((self.job - self.pilot).mean() / self.log_ratio)


@dataclass(frozen=True)
class Law:
    """How a pilot's changes become the job's.

    Attributes:
        exponent: Expected power of the ratio of strengths.
        spread: Standard deviation of a new target's exponent; the learned one is widened for the number of targets.
        own: Standard deviation of one domain's logarithm around its target's, a unit of the ratio's logarithm.
        targets: From how many targets it was learned; 0 where it is assumed.
    """

    exponent: float = EXPONENT
    spread: float = EXPONENT_SPREAD
    own: float = DOMAIN_SPREAD
    targets: int = 0

    def seen(self, places: Integers, logs: Doubles, errors: Doubles, log_ratio: float) -> Seen:
        """A pilot's changes as what the job will change.

        Args:
            places: `[n]` the domains.
            logs: `[n]` logarithms of the pilot's changes.
            errors: `[n]` their standard errors.
            log_ratio: Logarithm of how many times the pilot's strength the job's is.
        """
        variance = np.square(errors) + (self.own * log_ratio) ** 2
        return Seen(places, logs + self.exponent * log_ratio, variance, (self.spread * log_ratio) ** 2)

    def times(self, log_ratio: float) -> tuple[float, float, float]:
        """What a pilot's change is multiplied by, and the ends of that factor's 95 % interval."""
        ends = (self.exponent + sign * REACH * self.spread for sign in (0, -1, 1))
        found = [math.exp(exponent * log_ratio) for exponent in ends]
        return found[0], found[1], found[2]


ASSUMED = Law()


@dataclass(frozen=True)
class MeasuredPilot:
    """A pilot of this plan's job.

    Attributes:
        job: What it trained with.
        changes: By domain, the change in nats per token and its standard error, in the order of choice.
        pairs: Earlier runs with a pilot and a finished job.
    """

    job: Job
    changes: Mapping[str, tuple[float, float]]
    pairs: tuple[Pair, ...] = ()


def learn_law(pairs: Sequence[Pair]) -> Law:
    """Learn how pilots' changes became jobs'; what is assumed where too few targets have both.

    Args:
        pairs: Several of one target count as one target.
    """
    by_target: dict[str, list[Pair]] = {}
    for pair in pairs:
        if len(pair.pilot) and pair.log_ratio > 0:
            by_target.setdefault(pair.target, []).append(pair)
    if len(by_target) < FEWEST_PAIRS:
        return ASSUMED
    exponents = np.array([np.mean([pair.exponent for pair in each]) for each in by_target.values()])
    count = len(exponents)
    widening = reach(count) / REACH * math.sqrt(1 + 1 / count)
    squares = freedom = 0.0
    for pair in (pair for each in by_target.values() for pair in each):
        left = (pair.job - pair.pilot) / pair.log_ratio - pair.exponent
        squares, freedom = squares + float(np.square(left).sum()), freedom + len(left) - 1
    own = math.sqrt(squares / freedom) if freedom else DOMAIN_SPREAD
    return Law(float(exponents.mean()), widening * float(exponents.std(ddof=1)), own, count)
