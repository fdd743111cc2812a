"""Fits one joint forecast, for every target, from several forecasts and the development targets' measured changes.

With x the logarithms of the forecasts in `PARTS` and y that of the measured size, both less their mean over the
target's domains and x in units of its standard deviation over all cells, the joint forecast is exp(x b), b minimising

    sum over the development targets' cells of (y - x b)² + RIDGE |b|².

A development target's own forecast is made without its measured changes, so that a choice among forecasts on these
targets is not flattered by the fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

PARTS = ("preview_kl", "behind_answers", "behind", "sts_icl", "weighted", "answer_entropy")
"""Chosen before anything was trained: what the target's rows would change, the paper's score, and how movable a domain
is."""

RIDGE = 4.0
"""In cells: a handful of them outweighs it, so that six coefficients on eighty cells are held back a little."""


def combined(
    predictors: Mapping[str, Doubles], size: Doubles, targets: Sequence[str], fit_on: Sequence[str]
) -> Doubles:
    """Fit the joint forecast.

    Args:
        predictors: By name `[T, D]`, all of `PARTS` among them; NaN where a domain is left out.
        size: `[T, D]` measured sizes of change; NaN likewise.
        targets: `[T]` names.
        fit_on: The development targets.

    Returns:
        `[T, D]`, above 0; NaN where a part is. All NaN when fewer than two targets are fitted on.
    """
    x = standardised(np.stack([centred(logarithm(predictors[name])) for name in PARTS], axis=2))
    y = centred(logarithm(size))
    found = np.full(size.shape, np.nan)
    for t, target in enumerate(targets):
        rows = [i for i, name in enumerate(targets) if name in fit_on and name != target]
        if rows and len(fit_on) > 1:
            found[t] = np.exp(x[t] @ coefficients(x[rows], y[rows]))
    return found


def coefficients(x: Doubles, y: Doubles) -> Doubles:
    """Fit a ridge regression without an intercept: `[P]` coefficients of `[t, D, P]` for `[t, D]`."""
    known = ~np.isnan(y) & ~np.isnan(x).any(2)
    rows, values = x[known], y[known]
    return np.asarray(np.linalg.solve(rows.T @ rows + RIDGE * np.eye(x.shape[2]), rows.T @ values))


def logarithm(values: Doubles) -> Doubles:
    """Logarithms; what is not above 0 counts as the least value that is."""
    above = values[values > 0]
    least = float(above.min()) if len(above) else 1.0
    found: Doubles = np.log(np.where(np.isnan(values), np.nan, np.maximum(values, least)))
    return found


def centred(values: Doubles) -> Doubles:
    """Values less their target's mean over the domains that are there."""
    known = ~np.isnan(values)
    means = np.where(known, values, 0.0).sum(1) / np.maximum(1, known.sum(1))
    return np.asarray(values - means[:, None])


def standardised(values: Doubles) -> Doubles:
    """Each part in units of its standard deviation over all cells; a part that never varies stays 0."""
    spread = np.nanstd(values, axis=(0, 1))
    found: Doubles = values / np.where(spread > 0, spread, 1.0)
    return found
