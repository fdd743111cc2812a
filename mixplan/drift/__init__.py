"""Picks the drift dimensions, the features that a job is expected to move, and measures how stable the choice is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixplan.errors import DriftError
from mixplan.features.statistics import Statistics

Integers = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

NOTHING_MOVED = {
    "icl": "no feature moved when demonstrations were put in front of the target's questions. "
    "The SAE is silent on these tokens (see its health), or the demonstrations are empty.",
    "rollouts": "no feature moved between rejected and accepted answers in front of the target's questions. "
    "The SAE is silent on these tokens (see its health); if it is not, set `drift.from: icl`.",
    "reward_step": "no feature moved between the untrained model and the same one step along the reward's gradient "
    "on the target's questions. The adapter changes nothing below the SAE's hook point: set "
    "`train.lora.target_modules: all-linear`, or `drift.from: icl`.",
    "checkpoint": "no feature moved between the untrained model and drift.checkpoint on the target's questions. "
    "It changed nothing below the SAE's hook point: train it longer or with lower layers, or set `drift.from: icl`.",
}
"""What is said when every feature stood still, by what was to tell the drift."""


@dataclass(frozen=True)
class Drift:
    """Predicted drift of a target.

    Attributes:
        features: `[N]` int64 drift dimensions, largest shift first.
        shift: `[N]` float64, their mean squared change a query token, in squared SAE units.
        frequency: `[N]` float64, share of resamples (of demonstration draws and rows) that select each.
        stability: Mean share of the drift dimensions that a resample selects too.
        left_out: Lowest share that remains selected when one demonstration draw is left out; None with one draw.
        share_of_shift: Part of the whole shift that the drift dimensions hold.
        raw_share_of_shift: The same of as many dimensions of the raw stream.
        concentration: (number of leading features, their part of the whole shift), up to all features.
        low: `[N]` or fewer int64: features that fire on the target's tokens and move least, a comparison.
        raw: `[min(N, d_in)]` int64 dimensions of the raw stream that move most, a comparison.
        tokens: Query tokens read.
        moved: How many features moved at all.
    """

    features: Integers
    shift: Doubles
    frequency: Doubles
    stability: float
    left_out: float | None
    share_of_shift: float
    raw_share_of_shift: float
    concentration: tuple[tuple[int, float], ...]
    low: Integers
    raw: Integers
    tokens: int
    moved: int


def drift_dimensions(shift: Doubles, *, count: int, told_by: str = "icl") -> Integers:
    """Pick the features a job is expected to move most.

    Args:
        shift: `[d_sae]` mean squared change per feature, in squared SAE units.
        count: How many to keep, 1 to d_sae.
        told_by: The recipe's `drift.from`, for the message.

    Returns:
        `[count]` int64 feature indices, largest shift first; equal shifts by lower index.

    Raises:
        DriftError: `count` is out of range or no feature moved.

    Source: arXiv 2603.02908, section 4.1.
    """
    if not 1 <= count <= len(shift):
        raise DriftError(f"drift.features is {count}, but the SAE has {len(shift)} features. Set it to 1…{len(shift)}.")
    if not shift.any():
        raise DriftError(NOTHING_MOVED[told_by])
    return np.argsort(-shift, kind="stable")[:count].astype(np.int64)


def predict_drift(units: Sequence[Statistics], *, count: int, seed: int, told_by: str = "icl") -> Drift:
    """Predict drift from the target's units, one a demonstration draw.

    Args:
        units: Statistics with all features and bootstrap replicas.
        count: How many drift dimensions.
        seed: Of the resampling of draws.
        told_by: The recipe's `drift.from`, for messages.

    Raises:
        DriftError: see `drift_dimensions`.

    Source: arXiv 2603.02908, section 4.1; intervals, frequencies and curve are mixplan's.
    """
    tokens = sum(int(part.tokens.sum()) for part in units)
    shift = np.sum([part.shift for part in units], axis=0) / max(1, tokens)
    fired = np.sum([part.fired for part in units], axis=0)
    raw_shift = np.sum([part.raw_shift for part in units], axis=0)
    features = drift_dimensions(shift, count=count, told_by=told_by)
    raw = drift_dimensions(raw_shift, count=min(count, len(raw_shift)), told_by=told_by)
    frequency, stability = selection(resampled_shifts(units, seed), features)
    return Drift(
        features=features,
        shift=shift[features],
        frequency=frequency,
        stability=stability,
        left_out=leave_one_draw_out(units, features),
        share_of_shift=float(shift[features].sum() / shift.sum()),
        raw_share_of_shift=float(raw_shift[raw].sum() / raw_shift.sum()),
        concentration=concentration(shift),
        low=low_shift_dimensions(shift, fired, features),
        raw=raw,
        tokens=tokens,
        moved=int((shift > 0).sum()),
    )


def resampled_shifts(units: Sequence[Statistics], seed: int) -> Doubles:
    """Shifts of resamples of draws, and of rows within each draw.

    Returns:
        `[replicas, d_sae]`, sums rather than means: only their order within a resample counts.
    """
    replicas = units[0].replicas.shape[0]
    draws = np.random.default_rng([seed, 1]).multinomial(len(units), np.full(len(units), 1 / len(units)), replicas)
    total: Doubles = np.zeros_like(units[0].replicas)
    for number, part in enumerate(units):
        total += draws[:, number, None] * part.replicas
    return total


def selection(resamples: Doubles, features: Integers) -> tuple[Doubles, float]:
    """How often each drift dimension is selected in resamples, and the mean share that is."""
    count = len(features)
    hits = np.zeros(count)
    for shift in resamples:
        chosen = np.argsort(-shift, kind="stable")[:count]
        hits += np.isin(features, chosen)
    frequency = hits / max(1, len(resamples))
    return frequency, float(frequency.mean())


def leave_one_draw_out(units: Sequence[Statistics], features: Integers) -> float | None:
    """Lowest overlap of the drift dimensions with those from all draws but one."""
    if len(units) < 2:
        return None
    total = np.sum([part.shift for part in units], axis=0)
    rest = (np.argsort(-(total - part.shift), kind="stable")[: len(features)] for part in units)
    return min(overlap(features, chosen) for chosen in rest) / len(features)


def overlap(left: Integers, right: Integers) -> int:
    """How many dimensions two sets share."""
    return int(np.isin(left, right).sum())


def concentration(shift: Doubles) -> tuple[tuple[int, float], ...]:
    """Part of the whole shift held by the leading 1, 2, 5, 10, 20, 50, … features, up to all."""
    held = np.cumsum(np.sort(shift)[::-1])
    steps = [digit * 10**power for power in range(len(str(len(shift)))) for digit in (1, 2, 5)]
    steps = [step for step in steps if step < len(shift)] + [len(shift)]
    return tuple((step, float(held[step - 1] / held[-1])) for step in steps)


def low_shift_dimensions(shift: Doubles, fired: Integers, drift: Integers) -> Integers:
    """As many features as the drift dimensions (or all there are) that fire on the tokens and move least."""
    alive = np.flatnonzero(fired > 0)
    alive = alive[~np.isin(alive, drift)]
    return alive[np.argsort(shift[alive], kind="stable")[: len(drift)]].astype(np.int64)
