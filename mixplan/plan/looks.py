"""Decides, look by look, whether enough was read: whether what is left to read could still change the plan.

A look is a part of the most that may be read. At each one the rows that were read are resampled to draw what reading
all of them could give; reading stops as soon as the drift dimensions, the order of the domains and their rows would
stay. Until then the target is read on where the dimensions are open, and those domains whose own scores could move
rows; others wait at their look. Intervals are wide enough to hold at all looks together, so that it does not matter
when, or why, reading stops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import sqrt

import numpy as np
import numpy.typing as npt

from mixplan.sts import average_ranks

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LOOKS = (0.1, 0.2, 0.35, 0.6, 1.0)
"""Parts of the most that may be read after which reading may stop."""
LEAST_ROWS = 6
"""Rows of the target or a domain that are read at the first look, or all there are: with fewer, nothing says how far
rows differ."""
SAME_ROWS = 2
"""Rows by which a domain's allocation may still change."""
CERTAINTY = 0.975
"""Part of the draws in which no domain's rows may change by more: of several looks one may be settled by chance, and
with it 95 % of all readings stop within `SAME_ROWS` of what reading all would give."""
SAME_DIMENSIONS = 0.85
"""Part of the drift dimensions that reading all must be expected to pick again."""
SAME_ORDER = 0.9
"""Spearman correlation with the order of the domains that reading all must be expected to have."""
DRAWS = 200
"""Draws of what reading all could give."""
MOVES = SAME_ROWS / 2
"""Rows that a domain's own score, known as it is, may move alone: one that could move more is read on."""
LEVEL = 0.95
GRID = 201


@dataclass(frozen=True)
class ReadRows:
    """What was read of one domain, row by row.

    Attributes:
        tokens: `[rows]` query tokens.
        sums: `[sets, rows]` each row's sum of the planning score over the drift dimensions, and over those that
            reading all of the target could pick instead: the first set is the plan's.
        draw: `[rows]` the number of the demonstration draw that each row was read behind.
        part: Part of the most that was read, 0 to 1.
    """

    tokens: Integers
    sums: Doubles
    draw: Integers
    part: float


@dataclass(frozen=True)
class Expected:
    """What reading all is expected to leave as it is.

    Attributes:
        dimensions: Part of the drift dimensions that it would pick again, on average.
        order: Spearman correlation of the domains' order with the one it would give, on average; 1 with fewer than
            three domains. None where nothing was drawn, and all must be read.
        rows: Part of the draws in which no domain's rows change by more than `SAME_ROWS`; None likewise.
    """

    dimensions: float
    order: float | None
    rows: float | None

    @property
    def settled(self) -> bool:
        """Whether enough was read."""
        if self.order is None or self.rows is None:
            return False
        return self.dimensions >= SAME_DIMENSIONS and self.order >= SAME_ORDER and self.rows >= CERTAINTY

    def open_at(self, looks: Mapping[str, int], planning: Mapping[str, Doubles], total: float) -> frozenset[str]:
        """Name what is to be read on before anything else.

        Args:
            looks: The number of the last look of the target (`target`) and each domain that stops by itself.
            planning: By domain, `[1 + draws]` the score that rows go by, and draws of what reading all could make of
                it; empty where nothing was drawn.
            total: The budget, in rows or tokens of a mean row.

        Returns:
            The target where its dimensions are open; domains that alone could move rows, where rows are; without
            either all that are read least far. Nothing once all was read.
        """
        left = {name for name, look in looks.items() if look < len(LOOKS) - 1}
        wanted = left & {"target"} if self.dimensions < SAME_DIMENSIONS else set()
        if self.rows is not None and self.rows < CERTAINTY:
            moved = rows_moved(np.array(list(planning.values())).T, total)
            wanted |= left & {name for name, rows in zip(planning, moved, strict=True) if rows > MOVES}
        least = min((looks[name] for name in left), default=0)
        return frozenset(wanted or {name for name in left if looks[name] == least})


@cache
def critical_value(looks: tuple[float, ...], level: float = LEVEL) -> float:
    """Find how many standard errors hold at all looks together.

    Args:
        looks: Parts of the rows read at each look, rising.
        level: The probability that the truth lies within so many standard errors at every one of them.

    Returns:
        c with P(|W(t)| <= c sqrt(t) at each look t) = level for a Brownian motion W.

    Source: Pocock 1977 (equal bounds at every look); the integral is Armitage, McPherson and Rowe's, 1969.
    """
    from scipy.optimize import brentq  # loaded where it is used: it takes half a second

    return float(brentq(lambda bound: _within(looks, bound) - level, 0.5, 8.0, xtol=1e-9))


def _within(looks: tuple[float, ...], bound: float) -> float:
    """The probability that a Brownian motion stays within `bound` standard errors at every look."""
    from scipy.stats import norm

    nodes, weights = np.polynomial.legendre.leggauss(GRID)
    edge = bound * sqrt(looks[0])
    places, density = edge * nodes, norm.pdf(edge * nodes, scale=sqrt(looks[0])) * edge * weights
    for before, now in pairwise(looks):
        edge = bound * sqrt(now)
        steps = norm.pdf(edge * nodes[:, None] - places, scale=sqrt(now - before))
        places, density = edge * nodes, steps @ density * edge * weights
    return float(density.sum())


def widening(rows: int, draws: int, looks: tuple[float, ...] = LOOKS) -> float:
    """How many times as wide as a single look's percentile bootstrap an interval must be.

    Args:
        rows: Rows that it rests on.
        draws: Demonstration draws that they are dealt to; resampled apart, each takes one degree of freedom.
        looks: Parts read at each look.

    Returns:
        At least 1: for several looks, for t instead of the normal distribution, and for the bootstrap's variance,
        which is too small by (rows - draws) / rows.
    """
    from scipy.stats import norm, t

    free = max(1, rows - draws)
    several = norm.sf(critical_value(looks))
    return float(t.isf(several, free) / norm.isf((1 - LEVEL) / 2) * sqrt(rows / free))


def plausible_dimensions(shift: Doubles, replicas: Doubles, *, count: int, part: float) -> Integers:
    """Draw the drift dimensions that reading all of the target could give.

    Args:
        shift: `[d_sae]` sums over the rows that were read.
        replicas: `[n, d_sae]` the same of bootstrap resamples of them.
        count: How many dimensions.
        part: Part of the most that was read: what is left to read moves a mean by sqrt(1 - part) of its standard error.

    Returns:
        `[1 + n, count]` dimensions, first those of what was read.
    """
    moved = shift + sqrt(max(0.0, 1 - part)) * (replicas - shift)
    return np.argsort(-np.concatenate([shift[None], moved]), kind="stable")[:, :count].astype(np.int64)


def plausible_scores(read: ReadRows, *, seed: Sequence[int]) -> Doubles:
    """Draw the score that reading all of a domain could give.

    Args:
        read: Its rows.
        seed: Of the resampling.

    Returns:
        `[1 + DRAWS]` scores, 0 or more, first that of what was read. Rows are resampled within their demonstration
        draw, since reading on keeps the draws; how far rows differ is known from few of them, and so drawn too. Each
        draw of a score takes the next of the sets of dimensions in turn.
    """
    rng = np.random.default_rng([*seed])
    weights = np.zeros((DRAWS, len(read.tokens)))
    numbers, counts = np.unique(read.draw, return_counts=True)
    for number, rows in zip(numbers, counts, strict=True):
        weights[:, read.draw == number] = rng.multinomial(rows, np.full(rows, 1 / rows), DRAWS)
    rows = len(read.tokens)
    scores = read.sums.sum(axis=1) / read.tokens.sum()
    resampled = (weights @ read.sums[0]) / (weights @ read.tokens)
    free = max(1, rows - len(numbers))
    left = np.sqrt(max(0.0, 1 - read.part) * rows / rng.chisquare(free, DRAWS))
    others = scores[1 + np.arange(DRAWS) % (len(scores) - 1)] if len(scores) > 1 else scores
    drawn = scores[0] + left * (resampled - scores[0]) + (others - scores[0])
    return np.asarray(np.concatenate([scores[:1], np.maximum(drawn, 0.0)]))


def rows_moved(planning: Doubles, total: float) -> Doubles:
    """Say how many rows each domain's own score could move, were all others known: in proportion, without limits.

    Args:
        planning: `[1 + draws, domains]` scores of 0 or more, and draws of what reading all could make of them.
        total: The budget in rows.

    Returns:
        `[domains]` the most by which any domain's rows change, as often as not more than in 1 - `CERTAINTY` of draws.
    """
    first, drawn = planning[0], planning[1:]
    others = first.sum() - first
    if not first.sum() > 0:
        return np.zeros(len(first))
    share = first / first.sum()
    own = np.divide(drawn, others + drawn, out=np.zeros_like(drawn), where=others + drawn > 0)
    largest = np.array([np.delete(share, place).max(initial=0.0) for place in range(len(share))])
    # All others keep their proportions: the largest of them moves most.
    grown = np.divide(1 - own, 1 - share, out=np.ones_like(own), where=share < 1)
    moved = np.maximum(np.abs(own - share), largest * np.abs(grown - 1)) * total
    return np.asarray(np.quantile(moved, CERTAINTY, axis=0))


def same_dimensions(dimensions: Integers) -> float:
    """The mean part of the first set's dimensions that the other sets hold too."""
    return float(np.mean([np.isin(dimensions[0], other).mean() for other in dimensions[1:]]))


def same_order(scores: Doubles) -> float:
    """The mean Spearman correlation of drawn scores with the first; 1 where there are too few domains for an order.

    Args:
        scores: `[1 + draws, domains]`.
    """
    ranks = average_ranks(scores)
    ranks -= ranks.mean(axis=1, keepdims=True)
    size = np.sqrt((ranks**2).sum(axis=1))
    if scores.shape[1] < 3 or size[0] == 0:
        return 1.0
    return float(np.mean(ranks[1:] @ ranks[0] / (np.maximum(size[1:], 1e-12) * size[0])))


def same_rows(rows: Integers) -> float:
    """The part of the drawn allocations in which no domain's rows differ from the first by more than `SAME_ROWS`.

    Args:
        rows: `[1 + draws, domains]`.
    """
    return float((np.abs(rows[1:] - rows[0]).max(axis=1) <= SAME_ROWS).mean())
