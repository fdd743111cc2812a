"""Measures how often forecasts of direction were right where a domain's change is significant at 95 %.

A cell surely moved when its mean change over seeds is more than 1.96 standard errors (items and seeds) from 0. A share
p of such cells has the interval of Wilson at the number of independent cells n = p (1 - p) / V, V being the crossed
jackknife's variance with its t (see `resample`) over 1.96², and at most as many as there are cells; where all are right
or all wrong, V says nothing and n is the lesser of the numbers of targets and domains. Balanced accuracy is the mean of
the shares right among true improvements and among true losses, its interval made of theirs (MOVER).

Sources: Wilson, J. American Statistical Association 22 (1927) 209; effective sizes: Korn and Graubard, Survey
Methodology 24 (1998) 193; MOVER: Zou and Donner, Statistics in Medicine 27 (2008) 1693.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mixplan.saved.evaluation import quality
from mixplan.study.files.figure import Bounded
from mixplan.study.files.judgement import SignScore
from mixplan.study.judged.resample import estimate, half_width, jackknife_variance, weights
from mixplan.study.judged.sizes import cells

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

NORMAL = 1.959964
UNDEFINED = Bounded(value=None, low=None, high=None)


def judge_sign(
    predicted: Doubles, measured: Doubles, noise: Doubles, quantity: str, targets: Flags | None = None
) -> SignScore:
    """Judge a forecast of direction.

    Args:
        predicted: `[T, D]`, above 0 for better, below for worse; 0 is never right, a cell with NaN is not judged.
        measured: `[T, D, S]` after less before.
        noise: `[T, D, S]` its standard error over items.
        quantity: Such as `bits_per_byte`, of which less is better.
        targets: `[T]` those to judge on; None for all.

    Returns:
        `moved` (cells judged), `improved` (of these), `right` and `always_loss` (shares with intervals), `ahead` (right
        less always_loss, paired), `balanced` (0.5 for always loss). Figures are undefined without cells.
    """
    found = cells(quantity, measured, noise)
    better = quality(quantity) * found.change
    moved = (np.abs(found.change) > NORMAL * found.error) & ~np.isnan(predicted)
    if targets is not None:
        moved = moved & targets[:, None]
    where = np.ix_(moved.any(1), moved.any(0))
    moved, better, predicted = moved[where], better[where], predicted[where]
    right, lost = np.sign(predicted) == np.sign(better), better < 0
    among_improved, among_lost = share(right, moved & ~lost), share(right, moved & lost)
    return SignScore(
        moved=int(moved.sum()),
        improved=int((moved & ~lost).sum()),
        right=share(right, moved),
        always_loss=share(lost, moved),
        ahead=ahead(right, lost, moved),
        balanced=balanced(among_improved, among_lost),
        right_of_improved=among_improved,
        right_of_lost=among_lost,
    )


def share(true: Flags, counted: Flags) -> Bounded:
    """A share of cells with its 95 % interval.

    Args:
        true: `[T, D]`.
        counted: `[T, D]` of which cells.
    """
    where = np.ix_(counted.any(1), counted.any(0))
    true, counted = true[where], counted[where]
    number = int(counted.sum())
    if not number:
        return UNDEFINED
    p = float(true[counted].mean())
    low, high = wilson(p, independent(true, counted, p))
    return Bounded(value=p, low=low, high=high)


def independent(true: Flags, counted: Flags, p: float) -> float:
    """How many independent cells a share rests on."""
    targets, domains = counted.shape
    least = float(min(targets, domains))
    if not 0 < p < 1 or least < 3:
        return least
    values = ratios(true, counted)
    parts = np.split(values, np.cumsum([1, targets, domains]))
    half = half_width([jackknife_variance(part) for part in parts[1:4]], targets, domains)
    return least if not half > 0 else min(float(counted.sum()), p * (1 - p) * (NORMAL / half) ** 2)


def ratios(true: Flags, counted: Flags) -> Doubles:
    """The share as it is and under each leave-out, `[1 + T + D + T D]`."""
    times = weights(*counted.shape, resamples=0, seed=0).cells * counted
    total = times.sum((1, 2))
    held = (times * true).sum((1, 2))
    return np.where(total > 0, held / np.where(total > 0, total, 1), np.nan)


def wilson(p: float, number: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of so many independent cells."""
    squared = NORMAL**2
    middle = (p + squared / (2 * number)) / (1 + squared / number)
    half = NORMAL / (1 + squared / number) * math.sqrt(p * (1 - p) / number + squared / (4 * number**2))
    return max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half))


def ahead(right: Flags, lost: Flags, moved: Flags) -> Bounded:
    """How much more often a forecast is right than always saying loss, paired."""
    if not moved.any():
        return UNDEFINED
    found = estimate(ratios(right, moved) - ratios(lost, moved), *moved.shape)
    return Bounded(value=found.value, low=found.low, high=found.high)


def balanced(improved: Bounded, lost: Bounded) -> Bounded:
    """The mean of two shares with its interval; None where one of them rests on no cell."""
    values = (improved.value, lost.value, improved.low, lost.low, improved.high, lost.high)
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return UNDEFINED
    (one, other), (one_low, other_low), (one_high, other_high) = known[:2], known[2:4], known[4:]
    value = (one + other) / 2
    return Bounded(
        value=value,
        low=value - math.hypot(one - one_low, other - other_low) / 2,
        high=value + math.hypot(one_high - one, other_high - other) / 2,
    )
