"""Correlates predicted and measured cells by their weights, within targets and over all cells."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from mixplan.study.judged.resample import Weights

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FLAT = 1e-13
"""Variance, of values scaled to 1, below which there is none."""
RIDGE, FLAT_RESIDUAL = 1e-10, 1e-8
"""What lets every matrix be inverted, and the variance below which its error stands for all that is left."""
ROUNDING = 1e-13
FEWEST = 3
"""Cells for a correlation."""


def within_targets(counted: Weights, predicted: Doubles, measured: Doubles, *, ranks: bool = False) -> Doubles:
    """Correlate predictors with a measure within each target, under all weights.

    Args:
        counted: R weights of T targets and D domains.
        predicted: `[P, T, D]`, NaN where there is none.
        measured: `[T, D]`, NaN where it was not measured; such cells count 0 times.
        ranks: Whether to correlate ranks (Spearman), taken anew under each weight, ties sharing theirs.

    Returns:
        `[R, P, T]`; NaN with fewer than three cells or where one side does not vary.
    """
    known = ~np.isnan(predicted) & ~np.isnan(measured)
    found = np.full((len(counted.cells), len(predicted), predicted.shape[1]), np.nan)
    for t in range(predicted.shape[1]):
        x = scaled(np.where(known[:, t], predicted[:, t], np.nan))
        y = scaled(np.where(known[:, t], measured[t], np.nan))
        if ranks:
            here = counted.cells[:, None, t, :] * known[None, :, t, :]
            found[:, :, t] = weighted_correlation(here, weighted_ranks(here, x), weighted_ranks(here, y))
        else:
            found[:, :, t] = by_moments(np.ascontiguousarray(counted.cells[:, t]), known[:, t].astype(np.float64), x, y)
    return found


def by_moments(times: Doubles, known: Doubles, x: Doubles, y: Doubles) -> Doubles:
    """Pearson's correlation of values that no weight changes, by products of matrices.

    Args:
        times: `[R, D]` how often each cell counts.
        known: `[P, D]` 1 where it does at all.
        x: `[P, D]` scaled, 0 where not known.
        y: `[P, D]` scaled, 0 where not known.

    Returns:
        `[R, P]`.
    """
    total = times @ known.T
    safe = np.where(total > 0, total, 1)
    of_x, of_y, of_xx, of_yy, of_xy = (times @ part.T / safe for part in (x, y, x * x, y * y, x * y))
    xx, yy, xy = of_xx - of_x**2, of_yy - of_y**2, of_xy - of_x * of_y
    defined = (xx > FLAT) & (yy > FLAT) & ((times > 0).astype(np.float64) @ known.T > FEWEST - 0.5)
    return ratio(xy, xx * yy, defined)


def hits_within_targets(counted: Weights, predicted: Doubles, measured: Doubles, *, top: int) -> Doubles:
    """Share of the domains that moved most which are among those predicted to, in each target.

    Args:
        counted: R weights; a cell counts or does not.
        predicted: `[P, T, D]`.
        measured: `[T, D]`.
        top: How many are most, such as 3; those that tie for the last places share them.

    Returns:
        `[R, P, T]`; NaN where there are no more than so many domains.
    """
    known = ~np.isnan(predicted) & ~np.isnan(measured)
    found = np.full((len(counted.cells), len(predicted), predicted.shape[1]), np.nan)
    for t in range(predicted.shape[1]):
        here = (counted.cells[:, None, t, :] * known[None, :, t, :] > 0).astype(np.float64)
        y = np.where(known[:, t], measured[t], np.nan)
        shared = (among_top(here, predicted[:, t], top) * among_top(here, y, top)).sum(-1)
        found[:, :, t] = np.where(here.sum(-1) > top, shared / top, np.nan)
    return found


def among_top(here: Doubles, values: Doubles, top: int) -> Doubles:
    """How much of each cell, 0 to 1, is among the largest: `here` `[R, P, D]` of 0 and 1, `values` `[P, D]`."""
    above = (values[:, :, None] > values[:, None, :]).astype(np.float64)
    level = (values[:, :, None] == values[:, None, :]).astype(np.float64)
    more, same = (np.stack([here[:, p] @ sides[p] for p in range(len(values))], axis=1) for sides in (above, level))
    return np.asarray(here * np.clip((top - more) / np.where(same > 0, same, 1), 0, 1), dtype=np.float64)


def mean_over_targets(counted: Weights, values: Doubles) -> Doubles:
    """Average `[R, P, T]` over targets as often as each counts, where the value is defined: `[R, P]`."""
    known = ~np.isnan(values)
    times = counted.targets[:, None, :] * known
    total = times.sum(-1)
    return np.where(total > 0, (times * np.where(known, values, 0)).sum(-1) / np.where(total > 0, total, 1), np.nan)


def scaled(values: Doubles) -> Doubles:
    """Rows with mean 0 and largest size 1, 0 in place of NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a row without any value
        middle = np.nan_to_num(np.nanmean(values, axis=-1, keepdims=True))
    centred = np.nan_to_num(values - middle, nan=0.0)
    top = np.abs(centred).max(axis=-1, keepdims=True)
    varies = top > ROUNDING * np.abs(middle)
    return np.asarray(np.where(varies, centred / np.where(varies, top, 1), 0), dtype=np.float64)


def weighted_correlation(counted: Doubles, x: Doubles, y: Doubles) -> Doubles:
    """Pearson's correlation over the last axis.

    Args:
        counted: `[..., D]` how often each cell counts.
        x: Broadcasts to it.
        y: Broadcasts to it.

    Returns:
        `[...]`; NaN with fewer than three cells that count or where one side does not vary.
    """
    total = counted.sum(-1, keepdims=True)
    share = counted / np.where(total > 0, total, 1)
    x = x - (share * x).sum(-1, keepdims=True)
    y = y - (share * y).sum(-1, keepdims=True)
    xx, yy, xy = (share * x * x).sum(-1), (share * y * y).sum(-1), (share * x * y).sum(-1)
    defined = (xx > FLAT) & (yy > FLAT) & ((counted > 0).sum(-1) >= FEWEST)
    return ratio(xy, xx * yy, defined)


def ratio(product: Doubles, squares: Doubles, defined: Flags) -> Doubles:
    """A correlation from its sums, NaN where it is not defined."""
    found = np.clip(product / np.sqrt(np.where(defined, squares, 1)), -1, 1)
    return np.asarray(np.where(defined, found, np.nan), dtype=np.float64)


def weighted_ranks(counted: Doubles, values: Doubles) -> Doubles:
    """Ranks among cells that count several times, ties sharing theirs, as a share of all.

    Args:
        counted: `[R, P, D]`.
        values: `[P, D]`.

    Returns:
        `[R, P, D]`, such as (what lies below + half of what ties) / total.
    """
    below = (values[:, :, None] < values[:, None, :]) + 0.5 * (values[:, :, None] == values[:, None, :])
    summed = np.stack([counted[:, p] @ below[p] for p in range(len(values))], axis=1)
    total = counted.sum(-1, keepdims=True)
    return np.asarray(summed / np.where(total > 0, total, 1), dtype=np.float64)


def over_cells(counted: Weights, predicted: Doubles, measured: Doubles) -> Doubles:
    """Correlate over all cells with target and domain means taken out, under all weights.

    With w a cell's count, the means leave squares and products Σ w x y − uᵀ A⁺ v, where u and v are the sums of w x and
    w y over each target and domain, and A holds those of w: the residual of least squares on targets and domains, exact
    with cells missing too.

    Args:
        counted: R weights.
        predicted: `[P, T, D]`, NaN where there is none.
        measured: `[T, D]`, NaN where it was not measured.

    Returns:
        `[R, P]`; NaN where one side does not vary once the means are out.
    """
    found = np.full((len(counted.cells), len(predicted)), np.nan)
    known = ~np.isnan(predicted) & ~np.isnan(measured)
    alike: dict[bytes, list[int]] = {}
    for p, there in enumerate(known):
        alike.setdefault(there.tobytes(), []).append(p)
    for same in alike.values():
        there = known[same[0]]
        values = np.concatenate([predicted[same], measured[None]])
        flat = scaled(np.where(there, values, np.nan).reshape(len(values), -1)).reshape(values.shape)
        found[:, same] = residual_correlation(counted.cells * there, flat[:-1], flat[-1])
    return found


def residual_correlation(times: Doubles, x: Doubles, y: Doubles) -> Doubles:
    """Correlations of what target and domain means leave.

    Args:
        times: `[R, T, D]` how often each cell counts.
        x: `[P, T, D]`, finite.
        y: `[T, D]`, finite.

    Returns:
        `[R, P]`.
    """
    flat, total = times.reshape(len(times), -1), times.sum((1, 2))[:, None]
    inverse = np.linalg.inv(crossed(times))
    sums_x, sums_y = sums(times, x), sums(times, y[None])
    projected = inverse @ sums_x.transpose(0, 2, 1)
    every = x.reshape(len(x), -1)
    xx = flat @ (every**2).T - (sums_x.transpose(0, 2, 1) * projected).sum(1)
    xy = flat @ (every * y.ravel()).T - (sums_y.transpose(0, 2, 1) * projected).sum(1)
    yy = flat @ (y.ravel() ** 2)[:, None] - (sums_y @ inverse @ sums_y.transpose(0, 2, 1))[:, 0]
    defined = (xx > FLAT_RESIDUAL * total) & (yy > FLAT_RESIDUAL * total)
    return ratio(xy, xx * yy, defined)


def crossed(times: Doubles) -> Doubles:
    """How often each target and domain counts, on the diagonal, and each pair beside it: `[R, T + D, T + D]`.

    What no sum can hold is filled so that it can be inverted: a constant moved from the targets' means to the domains',
    what counts 0 times, and (by RIDGE) targets and domains that meet no other.
    """
    targets, size = times.shape[1], sum(times.shape[1:])
    count = np.concatenate([times.sum(2), times.sum(1)], axis=1)
    moved = np.where(np.arange(size) < targets, 1.0, -1.0) * (count > 0)
    found = moved[:, :, None] * moved[:, None, :]
    found[:, range(size), range(size)] += count + (count == 0) + RIDGE
    found[:, :targets, targets:] += times
    found[:, targets:, :targets] += times.transpose(0, 2, 1)
    return np.asarray(found, dtype=np.float64)


def sums(times: Doubles, values: Doubles) -> Doubles:
    """Sums of values `[P, T, D]` over each target and each domain, each cell counted: `[R, P, T + D]`."""
    by_target = np.stack([times[:, t] @ values[:, t].T for t in range(times.shape[1])], axis=2)
    by_domain = np.stack([times[:, :, d] @ values[:, :, d].T for d in range(times.shape[2])], axis=2)
    return np.concatenate([by_target, by_domain], axis=2)
