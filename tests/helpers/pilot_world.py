"""Makes earlier targets and a new one of a known rank, with pilots that changed a known power of the strength less."""

import math

import numpy as np

from mixplan.forecast import Job
from mixplan.forecast.measured_run import Found, Run
from mixplan.forecast.pilot_law import MeasuredPilot, Pair
from mixplan.sts import Score

JOB = Job(target_rows=200, steps=30.0, learning_rate=2e-4, adapter="LoRA r 8")
PILOT = JOB.model_copy(update={"steps": 3.0})
NAMES = tuple(f"d{number}" for number in range(12))
SCORES = {name: Score(1.0, 0.9, 1.1) for name in NAMES}
RATIO = math.log(10)


class World:
    """Earlier targets and a new one of a known rank, whose pilots changed 10 ^ exponent times less."""

    def __init__(self, seed, *, targets=8, exponent=1.8, noise=0.05, spread=0.05):
        rng = np.random.default_rng(seed)
        columns = rng.normal(-2, 0.4, len(NAMES)) + np.outer(rng.standard_normal(targets + 1), rng.normal(0, 0.5, 12))
        self.logs = columns + 0.6 * rng.standard_normal((targets + 1, 1)) + noise * rng.standard_normal(columns.shape)
        exponents = exponent + spread * rng.standard_normal((targets + 1, 1))
        self.pilots = self.logs - exponents * RATIO + 0.05 * rng.standard_normal(columns.shape)

    def runs(self, places=range(8)):
        return [Run(f"r{place}", f"h{place}", found_of(np.exp(self.logs[place])), job=JOB) for place in places]

    def pairs(self, places=range(8)):
        return tuple(
            Pair(f"h{place}", str(place), RATIO, NAMES, self.pilots[place], self.logs[place]) for place in places
        )

    def follow_scores(self, seed):
        """Let changes follow drawn scores, whose logarithms are given back; the last row is the new target's."""
        scores = np.random.default_rng(seed).standard_normal(self.logs.shape)
        apart = scores - scores[:-1].mean(0)
        apart = 1.5 * (apart - apart.mean(1, keepdims=True))
        self.logs, self.pilots = self.logs + apart, self.pilots + apart
        return scores

    def measured(self, names, pairs=()):
        changes = {name: math.exp(self.pilots[-1][NAMES.index(name)]) for name in names}
        return MeasuredPilot(PILOT, {name: (change, change / 30) for name, change in changes.items()}, pairs)


def found_of(changes, names=NAMES):
    return {name: Found({"sts_icl": 1.0}, None, float(change)) for name, change in zip(names, changes, strict=True)}
