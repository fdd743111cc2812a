"""Says how likely a loss is to exceed an amount, by its expected value and 95 % interval.

    P(loss <= x) = Φ(1.96 (x - value) / (value - low))    below the expected value
                   Φ(1.96 (x - value) / (high - value))   above it

Half of the losses lie on each side of the expected value, and 2.5 % beyond each end, as the interval says; between them
they spread as two halves of normal distributions do. What lies beyond the ends is less well known than that: intervals
come from few runs, with heavier tails than a normal distribution's.
"""

from __future__ import annotations

from mixplan.forecast.job import REACH
from mixplan.forecast.response import Halving
from mixplan.saved.base_types import Expected, Interval

LEARNED_IN = {"pp": "accuracy", "bits": "bits_per_byte", "nats": "kl"}
"""The unit in which changes are learned, by that of a tolerance."""


def chance_beyond(loss: Interval, amount: float) -> float:
    """The probability that more than an amount is lost.

    Args:
        loss: Expected, with its 95 % interval; a side without width holds nothing.
        amount: In the same unit.
    """
    from scipy.special import ndtr  # loaded where it is used: it takes a quarter of a second

    width = loss.high - loss.value if amount >= loss.value else loss.value - loss.low
    if width <= 0:
        return 1.0 if amount < loss.value else 0.0
    return float(ndtr(-REACH * (amount - loss.value) / width))


def loss_of(expected: Expected, *, quality: int, scale: float = 1.0) -> Interval:
    """A loss from an expected change; what has no better side is lost by as much as it moves.

    Args:
        expected: The change.
        quality: 1 where more of the quantity is better, -1 where less is, 0 where neither.
        scale: What the quantity is multiplied by.
    """
    sign = -scale if quality > 0 else scale
    low, high = sorted((sign * expected.low, sign * expected.high))
    return Interval(value=sign * expected.change, low=low, high=high)


def behind_rows(loss: Interval, own: float, total: float, halving: Halving) -> Interval:
    """What is left of a loss behind extra rows; see `mixplan.forecast.response`.

    Args:
        loss: Without any.
        own: Rows of the domain.
        total: Rows of all domains together.
        halving: What halves a loss.
    """
    left = 1 / (1 / halving.left(total) + own / halving.half)
    return Interval(value=left * loss.value, low=left * loss.low, high=left * loss.high)
