"""Keeps the time that measuring takes within its share of the training's."""

from __future__ import annotations

import math
from dataclasses import dataclass

DECISIONS = 100
"""Places in a training at which a measure is thought of, where the recipe does not say how often."""
SLACK = 1.1
"""Times a measure's expected seconds that the later ones are counted on."""


@dataclass
class Pace:
    """When to measure.

    Whatever a monitor does is done where, with it, all that it has done takes no more than `cost` of the seconds that
    training has taken by itself so far; what the start took, and reading the untrained model, counts.

    Attributes:
        cost: Seconds of measuring for each of training.
        every: Steps between the places at which a measure is thought of.
        steps: Of the whole training.
        spent: By the monitor so far, seconds, what it is at now apart.
        estimate: What a measure is expected to take, seconds.
        left_out: Measures that were not made, as they would have taken too much.
        first: The first step of this start, which is slower than others, and the seconds of training up to its end.
    """

    cost: float
    every: int
    steps: int
    spent: float = 0.0
    estimate: float = 0.0
    left_out: int = 0
    first: tuple[int, float] | None = None

    @classmethod
    def of(cls, cost: float, every: int | None, steps: int) -> Pace:
        """As the recipe asks; without `every`, at most a hundred places."""
        return cls(cost, every or max(1, steps // DECISIONS), steps)

    def due(self, step: int) -> bool:
        """Whether a measure is thought of after a step: the same in every process."""
        return step % self.every == 0 or step >= self.steps

    def places(self, step: int) -> int:
        """At how many steps, up to one, a measure is thought of."""
        return step // self.every + (step >= self.steps and step % self.every > 0)

    def room(self, training: float, spent: float) -> float:
        """Seconds that measuring may take now.

        Args:
            training: Seconds of training by itself, of the process that has the fewest.
            spent: Seconds of measuring, of the process that has the most.
        """
        return self.cost * training - spent

    def turn(self, step: int, last: int, training: float, spent: float) -> bool:
        """Whether a measure's turn has come, so that all that there is time for are spread up to the last step.

        Args:
            step: The present one.
            last: At which the last measure was made.
            training: Seconds of training by itself so far.
            spent: Seconds of measuring.
        """
        time = self.cost * self.whole(step, training) - spent
        count = max(1, int(min(self.steps, time / max(SLACK * self.estimate, 1e-9))))
        return step >= self.steps or step - last >= (self.steps - last) / count

    def known(self, step: int) -> bool:
        """Whether it is known how long a step takes: this start has made another one than its first."""
        return step >= self.steps or (self.first is not None and step > self.first[0])

    def whole(self, step: int, training: float) -> float:
        """Seconds that the whole training is expected to take by itself; those so far where no step's are known."""
        if step >= self.steps or self.first is None or step <= self.first[0]:
            return training
        return training + (self.steps - step) * (training - self.first[1]) / (step - self.first[0])

    def next_after(self, step: int, training: float, seconds: float) -> int | None:
        """The step at which there is room for a measure, at the speed so far; None where the training ends before.

        Args:
            step: The present one, at least 1.
            training: Seconds of training by itself so far.
            seconds: Of measuring, with that measure and all before it.
        """
        each = (self.whole(step, training) - training) / max(1, self.steps - step)
        lacking = seconds / self.cost - training
        if math.isinf(lacking):
            return None
        wanted = step + max(1, math.ceil(lacking / max(each, 1e-9) - 1e-9))
        return min(-(-wanted // self.every) * self.every, self.steps) if wanted <= self.steps else None
