"""Puts 95 % intervals and noise floors on the mean of paired differences, also with few items.

    graded     right or wrong, so that most differences are -1, 0 or 1:
               m ± t sqrt(v / (n + 2)), m and v the mean and variance (over n + 2) of the n differences with one +1 and
               one -1 added, t Student's 97.5 % quantile for n + 1
    any other  [m - t(97.5 %) s / sqrt n, m - t(2.5 %) s / sqrt n], t the quantiles of (m* - m) sqrt n / s* over items
               drawn with replacement, or Student's for n - 1 where these are further out

The first is Bonett and Price's interval for a difference of paired proportions, with Student's quantile for the normal
one; few flips and none at all give it a width, which the percentile bootstrap does not have. The second is the
studentised bootstrap, which follows skewness, and no narrower than Student's, which heavy tails need. The noise floor
and what would seem to change by chance are over sign flips of the differences themselves: all of them where few are
not 0, else random ones. `bin/coverage` measures how often the intervals hold the truth.

Sources: Bonett and Price, Statistics in Medicine 31 (2012) 1275 (adjusted Wald interval); Efron, Canadian Journal of
Statistics 9 (1981) 139, and Hall, Annals of Statistics 16 (1988) 927 (studentised bootstrap).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

LEVEL = 0.95
FEWEST_ITEMS = 6
"""Fewer items cannot show a change at 95 %: even if all move one way, chance does that once in 2^(n-1) times."""
DRAWN_VALUES = 1 << 22
"""Random numbers held at once (32 MB), however many resamples and items there are."""
ALL_FLIPS = 10
"""Up to so many differences that are not 0, every way to flip their signs is looked at."""
FLIPS = 400
"""Random sign flips where those are too many."""
FLAT = 1e-12
"""Part of a resample's mean square (about the mean of all) up to which its variance is rounding of like items."""


def is_graded(before: Doubles, after: Doubles) -> bool:
    """Whether values are grades from 0 to 1 of which most items keep theirs or go from one end to the other."""
    values, differences = np.concatenate([before, after]), np.abs(after - before)
    whole = (differences == 0) | (differences == 1)
    ends = np.isin(values, (0.0, 1.0)).mean()
    return bool(values.min() >= 0 and values.max() <= 1 and whole.mean() >= 0.5 and ends >= 0.5)


def interval(differences: Doubles, *, graded: bool, resamples: int, seed: int) -> tuple[float, float]:
    """The 95 % interval of the mean difference.

    Args:
        differences: `[n]` after minus before.
        graded: See `is_graded`.
        resamples: Of the studentised bootstrap.
        seed: Of these.

    Returns:
        Its ends; both the mean itself for one item that is not graded, which shows no spread.
    """
    if graded:
        low, high = graded_interval(differences.sum(), np.square(differences).sum(), len(differences))
        return float(low), float(high)
    low, high = studentised(differences[:, None], resamples, seed)
    return float(low[0]), float(high[0])


def graded_interval(total: Doubles | float, squares: Doubles | float, count: int) -> tuple[Doubles, Doubles]:
    """Bonett and Price's interval from the differences' sum and sum of squares; any number at once."""
    mean = np.asarray(total) / (count + 2)
    variance = (np.asarray(squares) + 2) / (count + 2) - mean**2
    half = student_quantile(count + 1) * np.sqrt(variance / (count + 2))
    return np.maximum(mean - half, -1.0), np.minimum(mean + half, 1.0)


def studentised(differences: Doubles, resamples: int, seed: int) -> tuple[Doubles, Doubles]:
    """The studentised bootstrap interval of each column's mean.

    Args:
        differences: `[n, columns]`; all columns are of the same items and resampled alike.
        resamples: How many.
        seed: Of the resamples.

    Returns:
        `[columns]` lower and upper ends.
    """
    count = len(differences)
    mean = differences.mean(axis=0)
    if count < 2:
        return mean, mean
    error = differences.std(axis=0, ddof=1) / np.sqrt(count)
    random = np.random.default_rng([seed, 0])
    # About their mean, so that a small spread of large numbers is not lost in rounding.
    centred = differences - mean
    pivots = []
    for rows in pieces(resamples, max(count, differences.shape[1])):
        weights = random.multinomial(count, np.full(count, 1 / count), size=rows)
        means, squares = weights @ centred / count, weights @ centred**2 / count
        spread = squares - means**2
        # A resample of one item over and over says nothing of the spread, however far its mean.
        flat = spread <= FLAT * squares
        errors = np.sqrt(np.where(flat, np.nan, spread) / (count - 1))
        pivots.append(means / errors)
    found = np.concatenate(pivots)
    whole = ~np.isnan(found).any(axis=0)
    below, above = np.zeros(len(mean)), np.zeros(len(mean))
    below[whole], above[whole] = np.percentile(found[:, whole], [2.5, 97.5], axis=0)
    for column in np.flatnonzero(~whole):
        known = found[:, column][~np.isnan(found[:, column])]
        below[column], above[column] = np.percentile(known, [2.5, 97.5]) if known.size else (0.0, 0.0)
    most = student_quantile(count - 1)
    return mean - np.maximum(above, most) * error, mean - np.minimum(below, -most) * error


@functools.cache
def student_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))


def flips(differences: Doubles, resamples: int, seed: int) -> Doubles:
    """`[n, flips]` the differences with their signs flipped: in every way where few are not 0, else at random."""
    moved = np.flatnonzero(differences)
    if len(moved) <= ALL_FLIPS:
        signs = 1.0 - 2.0 * ((np.arange(1 << len(moved))[None, :] >> np.arange(len(moved))[:, None]) & 1)
    else:
        random = np.random.default_rng([seed, 1])
        signs = random.integers(0, 2, size=(len(moved), min(resamples, FLIPS))) * 2.0 - 1.0
    found = np.zeros((len(differences), signs.shape[1]))
    found[moved] = differences[moved, None] * signs
    return found


def noise_floor(differences: Doubles, resamples: int, seed: int) -> float:
    """What 95 % of the absolute means stay at or under when each item's difference draws its sign."""
    moved = differences[differences != 0]
    if len(moved) <= ALL_FLIPS:
        means = np.abs(flips(differences, resamples, seed).sum(axis=0)) / len(differences)
    else:
        random = np.random.default_rng([seed, 1])
        means = np.concatenate(
            [
                np.abs((random.integers(0, 2, size=(rows, len(moved))) * 2 - 1) @ moved) / len(differences)
                for rows in pieces(resamples, len(moved))
            ]
        )
    return float(np.quantile(means, LEVEL, method="inverted_cdf"))


def beyond(low: Doubles, high: Doubles, mean: Doubles, noise: float, items: int) -> NDArray[np.bool_]:
    """Whether a change counts: its interval leaves 0, and it is beyond the noise floor, on at least six items."""
    apart = (np.asarray(low) > 0) | (np.asarray(high) < 0)
    return np.asarray(apart & (np.abs(mean) > noise * (1 + 1e-12)) & (items >= FEWEST_ITEMS), dtype=np.bool_)


def chance_of_seeming(differences: Doubles, *, graded: bool, noise: float, resamples: int, seed: int) -> float:
    """The share of sign flips of the differences that would count as a change."""
    if len(differences) < FEWEST_ITEMS or not differences.any():
        return 0.0
    flipped = flips(differences, resamples, seed)
    if graded:
        low, high = graded_interval(flipped.sum(axis=0), np.square(flipped).sum(axis=0), len(differences))
    else:
        low, high = studentised(flipped, min(resamples, FLIPS), seed)
    return float(beyond(low, high, flipped.mean(axis=0), noise, len(differences)).mean())


def pieces(resamples: int, items: int) -> Iterator[int]:
    """Resamples in pieces of bounded memory."""
    step = max(1, DRAWN_VALUES // items)
    for start in range(0, resamples, step):
        yield min(step, resamples - start)
