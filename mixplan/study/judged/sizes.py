"""Averages each cell's changes over seeds, with error and size, and computes each measure's noise floor."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixplan.study.files.judgement import NoiseFloor

Doubles = npt.NDArray[np.float64]

UNSIGNED = ("kl",)
"""Quantities that have a size and no direction."""


@dataclass(frozen=True)
class Cells:
    """One quantity's changes, seeds averaged.

    Attributes:
        change: `[T, D]` mean over seeds; NaN where no seed was measured.
        error: `[T, D]` its standard error over items and seeds.
        size: `[T, D]` what predictors are held against: |change|, or the change itself of an unsigned quantity.
    """

    change: Doubles
    error: Doubles
    size: Doubles

    @property
    def log_size(self) -> Doubles:
        """`[T, D]` logarithm of the size; a size below its error counts as that error, which is all that is known."""
        floor = np.maximum(self.size, np.nan_to_num(self.error))
        with np.errstate(divide="ignore"):
            return np.asarray(np.where(floor > 0, np.log(floor), np.nan), dtype=np.float64)


def cells(quantity: str, measured: Doubles, noise: Doubles) -> Cells:
    """Average a quantity over seeds.

    The squared error is the items' (all seeds share them, so more seeds do not make it smaller) plus the variance over
    seeds divided by their number.

    Args:
        quantity: Such as `kl`.
        measured: `[T, D, S]` change.
        noise: `[T, D, S]` standard error over items.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # cells that no seed has
        change = np.nanmean(measured, axis=2)
        items = np.nan_to_num(np.nanmean(noise**2, axis=2))
    error = np.sqrt(items + seed_variance(measured) / np.maximum(1, (~np.isnan(measured)).sum(2)))
    return Cells(change, np.where(np.isnan(change), np.nan, error), change if quantity in UNSIGNED else np.abs(change))


def seed_variance(measured: Doubles) -> Doubles:
    """`[T, D]` variance over seeds, 0 with a single one."""
    number = (~np.isnan(measured)).sum(2)
    middle = np.nansum(measured, axis=2) / np.maximum(1, number)
    squares = np.nansum((measured - middle[:, :, None]) ** 2, axis=2)
    return np.asarray(squares / np.maximum(1, number - 1), dtype=np.float64)


def noise_floor(quantity: str, measured: Doubles, noise: Doubles) -> NoiseFloor:
    """Hold the spread between domains against what items and seeds alone would bring.

    Args:
        quantity: Such as `kl`.
        measured: `[T, D, S]`.
        noise: `[T, D, S]`.

    Returns:
        Root mean squares over targets and domains: `between_domains` (sd of the seed-averaged change within a target),
        `item_error`, `seed_sd`, `error` (items and seeds). `reliability` is the share of the variance between domains
        that is not error, 0 where error is larger; its root `ceiling` is what a perfect predictor's correlation would
        be. None where they are not defined.
    """
    found = cells(quantity, measured, noise)
    known = ~np.isnan(found.change)
    spreads = [np.var(row[there], ddof=1) for row, there in zip(found.change, known, strict=True) if there.sum() > 2]
    if not spreads:
        return NoiseFloor(
            between_domains=None, item_error=None, seed_sd=None, error=None, reliability=None, ceiling=None
        )
    between, error = float(np.mean(spreads)), float(np.mean(found.error[known] ** 2))
    reliability = max(0.0, 1 - error / between) if between > 0 else None
    several = (~np.isnan(measured)).sum(2) > 1
    return NoiseFloor(
        between_domains=math.sqrt(between),
        item_error=root_mean_square(noise),
        seed_sd=math.sqrt(float(seed_variance(measured)[several].mean())) if several.any() else None,
        error=math.sqrt(error),
        reliability=reliability,
        ceiling=None if reliability is None else math.sqrt(reliability),
    )


def root_mean_square(values: Doubles) -> float | None:
    """Root mean square of what is known."""
    known = values[~np.isnan(values)]
    return math.sqrt(float(np.mean(known**2))) if len(known) else None
