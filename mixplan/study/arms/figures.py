"""Computes figures of paired items over seeds, with intervals over items, seeds and targets.

A figure of one target is a value with the items behind it: for each domain `[S, n]` numbers of which, summed over
domains, the mean's error is the figure's error. A mean over targets y_t of T targets, with V_T = spread of the y_t / T,
F = the squared half-width over seeds and items of the targets as they are (an item that several targets share counts
once), and V_c = the targets' variances over seeds and items as if they shared none, has

    interval = mean ± √ max(t_T² V_T + F − 1.96² V_c,  t_T² V_T,  F)

because V_T holds what V_c does, too (see `resample`, whose rule this is with items in the place of domains). t_T has
T − 1 degrees of freedom: three targets that differ make it wide.

Sources: as `resample`; within a target as `outcome.arms_table`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from mixplan.outcome.arms_table import item_variance
from mixplan.saved.base_types import Interval
from mixplan.study.files.arms import ArmFigure
from mixplan.study.files.figure import Verdict
from mixplan.study.judged.resample import FEWEST_TARGETS, quantile

Doubles = npt.NDArray[np.float64]
Items = tuple[str, ...]
"""A domain's name and its rows' ids: figures of the same items are paired."""

NORMAL = 1.959964
"""The normal distribution's 97.5 % quantile."""


@dataclass(frozen=True)
class Figure:
    """A value and the items behind it.

    Attributes:
        value: The figure.
        parts: By items `[S, n]` float64; their means' sum has the figure's error, whatever its own value is.
    """

    value: float
    parts: Mapping[Items, Doubles]

    def scaled(self, by: float) -> Figure:
        """The figure times a number."""
        return Figure(self.value * by, {name: part * by for name, part in self.parts.items()})

    def less(self, other: Figure) -> Figure:
        """The difference, item by item where both have a domain."""
        return added([self, other.scaled(-1)])


def added(figures: Sequence[Figure]) -> Figure:
    """The sum of figures; what they share of items and seeds stays shared."""
    parts: dict[Items, Doubles] = {}
    for figure in figures:
        for name, part in figure.parts.items():
            parts[name] = parts[name] + part if name in parts else part
    return Figure(math.fsum(figure.value for figure in figures), parts)


def mean_of(figures: Sequence[Figure]) -> Figure:
    """The mean of figures."""
    return added(figures).scaled(1 / len(figures))


def ratio(above: Figure, below: Figure) -> Figure:
    """A ratio, its items those of its tangent: the error is right where the lower figure is far from 0."""
    share = above.value / below.value
    return Figure(share, above.less(below.scaled(share)).scaled(1 / below.value).parts)


def variances(figure: Figure) -> tuple[float, float]:
    """Variance over seeds and over items.

    The first is 0 with one seed, which says nothing of it.
    """
    by_seed = np.sum([part.mean(axis=1) for part in figure.parts.values()], axis=0)
    over_seeds = float(np.var(by_seed, ddof=1)) / len(by_seed) if np.size(by_seed) > 1 else 0.0
    return over_seeds, math.fsum(piece for piece, _ in pieces(figure))


def pieces(figure: Figure) -> list[tuple[float, int]]:
    """Each domain's variance over its items, with its degrees of freedom."""
    several = [part for part in figure.parts.values() if part.shape[1] > 1]
    return [(item_variance(part) / part.shape[1], part.shape[1] - 1) for part in several]


def half_square(figure: Figure) -> float:
    """The squared half-width of the 95 % interval over seeds and items, targets as they are."""
    over_seeds, over_items = variances(figure)
    seeds = min((len(part) for part in figure.parts.values()), default=1)
    square = quantile(seeds - 1) ** 2 * over_seeds if seeds > 1 else 0.0
    if over_items > 0:
        freedom = over_items**2 / math.fsum(piece**2 / degrees for piece, degrees in pieces(figure))
        square += float(stdtrit(freedom, 0.975)) ** 2 * over_items
    return square


def one_target(figure: Figure) -> Interval:
    """A target's own figure with its interval over seeds and items."""
    half = math.sqrt(half_square(figure))
    return Interval(value=figure.value, low=figure.value - half, high=figure.value + half)


def if_defined(figure: Figure | None) -> Interval | None:
    """The same, None where it is not defined."""
    return None if figure is None else one_target(figure)


def over_targets(figures: Sequence[Figure | None]) -> ArmFigure:
    """The mean over targets with its interval.

    Args:
        figures: One a target; None where it is not defined, which leaves the mean undefined, too: the targets that are
            left would be chosen by what came out.

    Returns:
        `value`, `low`, `high` (None without a value, or with too few targets), `verdict` by the interval, and `win`,
        `tie`, `loss`: how many targets' own intervals lie above 0, hold it, lie below it.
    """
    known = [figure for figure in figures if figure is not None]
    counts = counted([one_target(figure) for figure in known])
    count = len(known)
    if count < len(figures) or not known:
        return ArmFigure(value=None, low=None, high=None, verdict=None, targets=count, **counts)
    value = math.fsum(figure.value for figure in known) / count
    if count < FEWEST_TARGETS:
        return ArmFigure(value=value, low=None, high=None, verdict=None, targets=count, **counts)
    spread = quantile(count - 1) ** 2 * float(np.var([figure.value for figure in known], ddof=1)) / count
    fixed = half_square(mean_of(known))
    both = NORMAL**2 * math.fsum(sum(variances(figure)) for figure in known) / count**2
    half = math.sqrt(max(spread + fixed - both, spread, fixed))
    low, high = value - half, value + half
    return ArmFigure(value=value, low=low, high=high, verdict=word(low, high), targets=count, **counts)


def word(low: float, high: float) -> Verdict:
    """Win, loss or, where the interval holds zero, tie."""
    return "win" if low > 0 else "loss" if high < 0 else "tie"


def counted(own: Sequence[Interval]) -> dict[str, int]:
    """How many targets won, tied and lost."""
    words = [word(one.low, one.high) for one in own]
    return {name: words.count(name) for name in ("win", "tie", "loss")}
