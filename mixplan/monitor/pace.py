"""Keeps the time that measuring takes within its share of the training's."""

from __future__ import annotations

from dataclasses import dataclass

DECISIONS = 100
"""Places in a training at which a measure is thought of, where the recipe does not say how often."""


@dataclass
class Pace:
    """When to measure.

    A measure is made where, with it, all measuring has taken no more than `cost` of the seconds that training has
    taken by itself so far; what the beginning took (answers, the untrained model's reading) counts.

    Attributes:
        cost: Seconds of measuring for each of training.
        every: Steps between the places at which a measure is thought of.
        steps: Of the whole training.
        estimate: What a measure is expected to take, seconds.
        spent: On measuring so far, seconds.
        left_out: Measures that were not made, as they would have taken too much.
    """

    cost: float
    every: int
    steps: int
    estimate: float = 0.0
    spent: float = 0.0
    left_out: int = 0

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

    def affords(self, training: float, spent: float, estimate: float) -> bool:
        """Whether a measure is made now; one that is not is counted.

        Args:
            training: Seconds of training by itself, of the process that has the fewest.
            spent: Seconds of measuring, of the process that has the most.
            estimate: Likewise.
        """
        within = spent + estimate <= self.cost * training
        self.left_out += not within
        return within

    def next_after(self, step: int, training: float) -> int | None:
        """The step at which the next measure is expected, at the speed so far; None where the training ends before.

        Args:
            step: The present one, at least 1.
            training: Seconds of training by itself so far.
        """
        seconds = (self.spent + self.estimate) / self.cost
        wanted = max(step + 1, int(step * seconds / max(training, 1e-9)) + 1)
        return min(-(-wanted // self.every) * self.every, self.steps) if wanted <= self.steps else None
