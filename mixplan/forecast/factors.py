"""Predicts a domain's change from its score, with an interval, by the scores and measured changes of several runs.

The change of domain d in run r is its score s times a factor, and noise:

    y_dr = s_dr (b + u_d + v_r) + e_dr,   u_d ~ N(0, a σ²), v_r ~ N(0, c σ²), e_dr ~ N(0, w_dr σ²)

b is the one factor that all domains share, u_d what a domain's own factor adds (shrunk towards 0 as far as the runs
leave it open), v_r how strong a run was. Noise is of one size or grows with the score: w = 1 - ρ + ρ s², where scores
are scaled to a mean s² of 1. Given a, c and ρ, with b flat and σ² as 1/σ², a new change is Student's t on n - 1 degrees
of freedom in closed form; a, c and ρ are summed over a grid, each point by its marginal likelihood. Without u_d this is
a score scaled by one factor.

Source: the linear mixed model of Lindley and Smith, J. R. Statist. Soc. B 34 (1972) 1, with its variances integrated
numerically as by Box and Tiao, Bayesian Inference in Statistical Analysis (1973), chapter 7.
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SPREADS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Grid of the roots of a and c: spread of factors in units of the noise at a mean score."""
GROWTH = (0.0, 0.5, 0.9)
"""Grid of ρ."""
HALVINGS = 40
"""Of the bracket around a quantile: to a part in 10¹² of it."""
NEGLIGIBLE = 1e-5
"""Grid points of less weight are left out of an interval."""


@functools.cache
def numeric_libraries() -> list[str]:
    """Versions of the libraries that forecasts are computed with: part of the keys under which these are kept."""
    return [np.__version__, importlib.metadata.version("scipy")]


@dataclass(frozen=True)
class Changes:
    """Measured changes of one quantity, over domains and runs.

    Attributes:
        scores: `[n]` the planning score.
        changes: `[n]` what was measured.
        domains: `[n]` domain names.
        runs: `[n]` number of the run.
        targets: `[n]` number of what the run was trained on; None where each run has a target of its own.
    """

    scores: Doubles
    changes: Doubles
    domains: tuple[str, ...]
    runs: Integers
    targets: Integers | None = None

    @property
    def groups(self) -> Integers:
        """`[n]` number of the target, by which changes are left out together."""
        return self.runs if self.targets is None else self.targets

    def part(self, chosen: npt.NDArray[np.bool_]) -> Changes:
        """Some of the changes."""
        names = tuple(name for name, keep in zip(self.domains, chosen, strict=True) if keep)
        targets = None if self.targets is None else self.targets[chosen]
        return Changes(self.scores[chosen], self.changes[chosen], names, self.runs[chosen], targets)


@dataclass(frozen=True)
class Predicted:
    """What to expect, for several domains.

    Attributes:
        change: `[m]` the expected change.
        low: `[m]` lower end of the 95 % interval for what a new run measures.
        high: `[m]` its upper end.
        factor_low: `[m]` lower end of the interval for the change that a run of mean strength brings, without noise.
        factor_high: `[m]` its upper end.
    """

    change: Doubles
    low: Doubles
    high: Doubles
    factor_low: Doubles
    factor_high: Doubles


def predict(
    known: Changes, domains: Sequence[str], scores: Doubles, *, own: bool, like: int | None = None
) -> Predicted:
    """Predict changes in a new run.

    Args:
        known: What was measured; at least two changes, and a score above 0.
        domains: `[m]` names; one that was never measured has the common factor, its own still uncertain.
        scores: `[m]` their scores.
        own: Whether domains have factors of their own.
        like: Number of a run that the new one is as strong as; None where its strength is not known.
    """
    fit = _Fit.of(known, own=own)
    means, wide, narrow = fit.at(domains, scores, like=like)
    change = means @ fit.weights
    likely = fit.weights > NEGLIGIBLE * fit.weights.max()
    weights, freedom = fit.weights[likely] / fit.weights[likely].sum(), len(known.changes) - 1
    ends = [
        quantile(share, means[:, likely], spread[:, likely], weights, freedom)
        for spread in (wide, narrow)
        for share in (0.025, 0.975)
    ]
    return Predicted(change, *ends)


def expected_of(known: Changes, others: Changes, *, own: bool) -> Doubles:
    """`[n]` the expected change of every one of `others`, in runs that were not learned from.

    Args:
        known: What is learned from.
        others: Of which domains and scores are taken.
        own: Whether domains have factors of their own.
    """
    fit = _Fit.of(known, own=own)
    means, _, _ = fit.at(others.domains, others.scores)
    return means @ fit.weights


def left_out_changes(known: Changes, *, own: bool) -> Doubles:
    """`[n]` the expected change of every domain, its target left out of what is learned from.

    Args:
        known: Of at least two targets.
        own: Whether domains have factors of their own.
    """
    expected = np.zeros(len(known.changes))
    for target in np.unique(known.groups):
        out = known.groups == target
        expected[out] = expected_of(known.part(~out), known.part(out), own=own)
    return expected


def left_out_error(known: Changes, *, own: bool) -> float:
    """Root mean square error of the expected change over targets, each left out of what is learned from.

    Args:
        known: Of at least two targets.
        own: Whether domains have factors of their own.
    """
    squares = np.square(left_out_changes(known, own=own) - known.changes)
    return float(np.sqrt(np.mean([float(squares[known.groups == one].mean()) for one in np.unique(known.groups)])))


@dataclass(frozen=True)
class _Fit:
    """The posterior at each grid point.

    Attributes:
        names: Domain names with a factor of their own.
        runs: Numbers of the runs, in the order of their strengths in `means`.
        unit: Root mean square of the scores, by which they are divided.
        grid: `[g, 3]` roots of a and c, and ρ.
        weights: `[g]`, they sum to 1.
        means: `[g, p]` of b, each u and each v, the latter two in units of their spread.
        covariances: `[g, p, p]` of the same, over σ².
        variances: `[g]` of the noise, σ².
    """

    names: tuple[str, ...]
    runs: tuple[int, ...]
    unit: float
    grid: Doubles
    weights: Doubles
    means: Doubles
    covariances: Doubles
    variances: Doubles

    @classmethod
    def of(cls, known: Changes, *, own: bool) -> _Fit:
        """Fit all grid points."""
        names = tuple(sorted(set(known.domains)))
        unit = float(np.sqrt(np.square(known.scores).mean()))
        s, y = known.scores / unit, known.changes
        domains = np.array(known.domains)[:, None] == np.array(names)
        design = np.column_stack([np.ones(len(s)), domains, known.runs[:, None] == np.unique(known.runs)]) * s[:, None]
        grid = np.array(list(product(SPREADS if own else (0.0,), SPREADS, GROWTH)))
        # b has no prior; each u and v is measured in units of its spread, so that its prior's precision is 1.
        size = np.ones((len(grid), design.shape[1]))
        size[:, 1 : 1 + len(names)], size[:, 1 + len(names) :] = grid[:, :1], grid[:, 1:2]
        prior = np.diag(np.arange(design.shape[1]) > 0).astype(np.float64)
        noise = 1 - grid[:, 2:] + grid[:, 2:] * s**2
        by_growth = dict(zip(grid[:, 2], noise, strict=True))  # a few values, each at many grid points
        products = {growth: design.T @ (design / row[:, None]) for growth, row in by_growth.items()}
        precision = np.array([products[growth] for growth in grid[:, 2]]) * size[:, :, None] * size[:, None, :] + prior
        towards = size * ((y / noise) @ design)
        covariances = np.asarray(np.linalg.inv(precision), dtype=np.float64)
        means = np.einsum("gpq,gq->gp", covariances, towards)
        whole = np.square(y) @ (1 / noise).T
        # Never quite 0, so that changes that lie exactly on the line still have a likelihood.
        rest = np.maximum(whole - np.einsum("gp,gp->g", towards, means), 1e-14 * whole + 1e-300)
        freedom = len(y) - 1
        logs = -0.5 * (np.linalg.slogdet(precision)[1] + np.log(noise).sum(axis=1) + freedom * np.log(rest))
        weights: Doubles = np.exp(logs - logs.max())
        runs = tuple(map(int, np.unique(known.runs)))
        return cls(names, runs, unit, grid, weights / weights.sum(), means, covariances, rest / freedom)

    def at(self, domains: Sequence[str], scores: Doubles, *, like: int | None = None) -> tuple[Doubles, ...]:
        """Means of new changes, `[m, g]`, and the spreads of what is measured and of what a mean run brings.

        With `like`, a run as strong as that one takes the place of a mean run and of a new one.
        """
        s = scores / self.unit
        own, run, growth = self.grid.T
        known = np.array([name in self.names for name in domains])
        hot = np.array([[name == one for one in self.names] for name in domains], dtype=np.float64)
        hot = hot.reshape(len(s), len(self.names))
        rows = np.zeros((len(self.grid), len(s), self.means.shape[1]))
        rows[:, :, 0] = s
        rows[:, :, 1 : 1 + len(self.names)] = own[:, None, None] * hot * s[:, None]
        if like is not None:
            rows[:, :, 1 + len(self.names) + self.runs.index(like)] = run[:, None] * s
        means = np.einsum("gmp,gp->mg", rows, self.means)
        certain = np.einsum("gmp,gpq,gmq->mg", rows, self.covariances, rows)
        certain += (~known)[:, None] * own**2 * s[:, None] ** 2
        noise = run**2 * s[:, None] ** 2 * (like is None) + 1 - growth + growth * s[:, None] ** 2
        return means, np.sqrt(self.variances * (certain + noise)), np.sqrt(self.variances * certain)


def quantile(share: float, means: Doubles, spreads: Doubles, weights: Doubles, freedom: int) -> Doubles:
    """Quantiles of mixtures of Student's t, by bisection.

    Args:
        share: Below the quantile.
        means: `[m, g]`.
        spreads: `[m, g]`.
        weights: `[g]`, they sum to 1.
        freedom: Degrees of freedom, at least 1.

    Returns:
        `[m]`.
    """
    from scipy.special import stdtr, stdtrit  # loaded where it is used: it takes a quarter of a second

    # A mixture's quantile lies between its parts' own.
    own = means + float(stdtrit(freedom, share)) * spreads
    low, high = own.min(axis=1), own.max(axis=1)
    positive = np.maximum(spreads, 1e-300)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = stdtr(freedom, (middle[:, None] - means) / positive) @ weights < share
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2, dtype=np.float64)
