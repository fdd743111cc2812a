"""Completes a target's changes from those of a few domains, by a low-rank model over earlier targets.

The logarithm of the change of domain d under target t is a domain's level, the target's strength, latent columns and
noise:

    l_td = m_d + s_t + u_t · v_d + e_td,   s_t ~ N(0, τ²), u_t ~ N(0, I_k), v_d ~ N(0, I_k), e_td ~ N(0, σ²)

k is the rank: 0 is a target's strength alone. m, τ², σ² and the mode of v are found by expectation maximisation over s
and u; changes that were not measured are left out of every sum. A new target of which some domains were measured is
their conditional normal: with Σ = τ² 1 1' + V V' + σ² I, what was measured y = l_o + c + ε, c ~ N(0, ω²) common to all,
ε_d ~ N(0, w_d) of each domain's own,

    E l = m + Σ_.o S⁻¹ (y − m_o),   Var l = Σ − Σ_.o S⁻¹ Σ_o.,   S = Σ_oo + ω² 1 1' + diag(w)

Few targets make this too sure of itself. What is reported is therefore held against targets left out: the standard
deviation is multiplied by the root mean square of its standardised errors there, if that is above 1, and the interval's
quantile is Student's on one degree of freedom less than there are targets.

Source: probabilistic principal components with values missing, M. E. Tipping and C. M. Bishop, J. R. Statist. Soc. B 61
(1999) 611; the strength's loading is held at 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FLOOR = 1e-3
"""Nats per token that a smaller change is taken as: two equal readings in bfloat16 differ by 0.0015 to 0.002."""
FEWEST_TARGETS = 3
"""A strength's spread and an error in targets left out cannot be had from fewer."""
RANKS = (0, 1, 2)
"""Numbers of latent columns that are tried beside the strength."""
STEPS = 300
LEAST_NOISE = 1e-4
"""Of σ², so that a matrix of exactly low rank has a conditional."""
SMALL = 1e-6
"""Change of the noise, as a part of it, at which the fit has settled."""


@dataclass(frozen=True)
class Factors:
    """What earlier targets teach of the domains.

    Attributes:
        level: `[D]` mean logarithm of a domain's change.
        loadings: `[D, k]` of the latent columns.
        strength: Variance of targets' strength, τ².
        noise: Variance of a single change around all of it, σ².
    """

    level: Doubles
    loadings: Doubles
    strength: float
    noise: float

    @cached_property
    def covariance(self) -> Doubles:
        """`[D, D]` of a new target's changes."""
        own = self.noise * np.eye(len(self.level))
        return np.asarray(self.strength + self.loadings @ self.loadings.T + own)


@dataclass(frozen=True)
class Seen:
    """What is known of a new target.

    Attributes:
        places: `[n]` the domains that were measured.
        logs: `[n]` logarithms of their changes, as what the whole job would change.
        variance: `[n]` of each one's own error.
        common: Variance of the error that all share.
    """

    places: Integers
    logs: Doubles
    variance: Doubles
    common: float = 0.0

    @classmethod
    def exact(cls, places: Sequence[int], row: Doubles) -> Seen:
        """Changes of a whole job, of those domains that were measured in it.

        Args:
            places: The domains.
            row: `[D]` logarithms, NaN where a domain was not measured.
        """
        there = np.array([place for place in places if np.isfinite(row[place])], dtype=np.int64)
        return cls(there, row[there], np.zeros(len(there)))


@dataclass(frozen=True)
class Completed:
    """A new target's changes.

    Attributes:
        mean: `[D]` expected logarithms: the exponential is the median change.
        deviation: `[D]` their standard deviation, for what a run will measure.
    """

    mean: Doubles
    deviation: Doubles


def fit_factors(logs: Doubles, rank: int) -> Factors:
    """Fit the model to earlier targets.

    Args:
        logs: `[T, D]` logarithms of changes, NaN where one was not measured; at least one in each row and column.
        rank: Latent columns beside the strength.
    """
    there = np.isfinite(logs)
    weights, values = there.astype(np.float64), np.where(there, logs, 0.0)
    level, strengths = two_way(weights, values)
    left = weights * (values - level - strengths[:, None])
    rows, sizes, columns = np.linalg.svd(left, full_matrices=False)
    loadings = columns[:rank].T * (sizes[:rank] / np.sqrt(len(logs)))
    strength = float(strengths.var()) + LEAST_NOISE
    rest = left - (rows[:, :rank] * sizes[:rank]) @ columns[:rank]
    noise = max(float((weights * np.square(rest)).sum() / weights.sum()), LEAST_NOISE)
    for _ in range(STEPS):
        means, spreads = latent(weights, values - level, loadings, strength, noise)
        second = spreads + means[:, :, None] * means[:, None, :]
        strength = max(float(second[:, 0, 0].mean()), LEAST_NOISE)
        level, loadings = columns_of(weights, values, means, second, noise)
        full = np.column_stack([np.ones(len(level)), loadings])
        errors = weights * (values - level - means @ full.T)
        unsure = np.einsum("td,di,tij,dj->", weights, full, spreads, full)
        before, noise = noise, max(float((np.square(errors).sum() + unsure) / weights.sum()), LEAST_NOISE)
        if abs(noise - before) < SMALL * before:
            break
    return Factors(level, loadings, strength, noise)


def two_way(weights: Doubles, values: Doubles) -> tuple[Doubles, Doubles]:
    """Levels of the domains `[D]` and strengths of the targets `[T]` by least squares, as far as both were measured."""
    strengths = np.zeros(len(values))
    for _ in range(STEPS):
        level = (weights * (values - strengths[:, None])).sum(0) / weights.sum(0)
        before, strengths = strengths, (weights * (values - level)).sum(1) / weights.sum(1)
        strengths = strengths - strengths.mean()
        if np.abs(strengths - before).max() < SMALL:
            break
    return level, strengths


def latent(
    weights: Doubles, centred: Doubles, loadings: Doubles, strength: float, noise: float
) -> tuple[Doubles, Doubles]:
    """Posterior of each target's strength and latent columns: means `[T, 1 + k]`, covariances `[T, 1 + k, 1 + k]`."""
    full = np.column_stack([np.ones(len(loadings)), loadings])
    prior = np.diag([1 / strength, *np.ones(loadings.shape[1])])
    precision = prior + np.einsum("td,di,dj->tij", weights, full, full) / noise
    spreads = np.linalg.inv(precision)
    return np.einsum("tij,tj->ti", spreads, (weights * centred) @ full / noise), spreads


def columns_of(
    weights: Doubles, values: Doubles, means: Doubles, second: Doubles, noise: float
) -> tuple[Doubles, Doubles]:
    """Each domain's level and loadings, by regression on the latent columns' moments with a unit ridge on loadings."""
    rank = means.shape[1] - 1
    normal = np.zeros((values.shape[1], rank + 1, rank + 1))
    right = np.zeros((values.shape[1], rank + 1))
    normal[:, 0, 0] = weights.sum(0)
    normal[:, 0, 1:] = normal[:, 1:, 0] = weights.T @ means[:, 1:]
    normal[:, 1:, 1:] = np.einsum("td,tij->dij", weights, second[:, 1:, 1:]) + noise * np.eye(rank)
    right[:, 0] = (weights * (values - means[:, :1])).sum(0)
    right[:, 1:] = (weights * values).T @ means[:, 1:] - weights.T @ second[:, 0, 1:]
    found = np.linalg.solve(normal, right[:, :, None])[:, :, 0]
    return found[:, 0], found[:, 1:]


def complete(factors: Factors, seen: Seen) -> Completed:
    """Expect a new target's changes from those that were measured; from the earlier targets alone where none was."""
    covariance = factors.covariance
    if not len(seen.places):
        return Completed(factors.level.copy(), np.sqrt(np.diag(covariance)))
    across = covariance[:, seen.places]
    inside = across[seen.places] + seen.common + np.diag(seen.variance)
    gain = np.linalg.solve(inside, across.T).T
    mean = factors.level + gain @ (seen.logs - factors.level[seen.places])
    variance = np.diag(covariance) - np.einsum("dn,dn->d", gain, across)
    return Completed(mean, np.sqrt(np.maximum(variance, 0.0)))


def left_out_factors(logs: Doubles, rank: int) -> list[Factors]:
    """The model fitted without each target in turn; a domain that no other target measured has the others' mean level.

    Args:
        logs: `[T, D]`, see `fit_factors`.
        rank: Latent columns.
    """
    return [filled(np.delete(logs, place, axis=0), rank) for place in range(len(logs))]


def filled(logs: Doubles, rank: int) -> Factors:
    """The model over all columns where some were measured by no target: these have the mean level and no loadings."""
    there = np.isfinite(logs).any(axis=0)
    found = fit_factors(logs[:, there], rank)
    level = np.full(logs.shape[1], found.level.mean())
    loadings = np.zeros((logs.shape[1], rank))
    level[there], loadings[there] = found.level, found.loadings
    return Factors(level, loadings, found.strength, found.noise)


def calibration(logs: Doubles, seen: Sequence[Seen], fits: Sequence[Factors]) -> float:
    """By how much standard deviations are too small: the root mean square of standardised errors in targets left out.

    Args:
        logs: `[T, D]` what was measured.
        seen: What is taken as known of each target.
        fits: The model without it.

    Returns:
        At least 1.
    """
    squares = []
    for row, known, factors in zip(logs, seen, fits, strict=True):
        rest = unseen(row, known)
        if rest.any():
            found = complete(factors, known)
            squares.append(float(np.square((row - found.mean)[rest] / found.deviation[rest]).mean()))
    return max(1.0, float(np.sqrt(np.mean(squares)))) if squares else 1.0


def unseen(row: Doubles, known: Seen) -> npt.NDArray[np.bool_]:
    """`[D]` which of a target's measured changes are left to be completed."""
    rest = np.isfinite(row)
    rest[known.places] = False
    return rest


def reach(targets: int) -> float:
    """Standard deviations on either side of a 95 % interval that as many targets allow."""
    from scipy.special import stdtrit  # loaded where it is used: a plan made again needs none of it

    return float(stdtrit(targets - 1, 0.975))
