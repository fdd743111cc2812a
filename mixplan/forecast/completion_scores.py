"""Lets the levels that a completion starts from follow what a score says of each domain under each target.

    l_td = m_d + s_t + a b x_td + u_t · v_d + e_td,   x_td = log score_td − mean over targets − mean over domains

x is the score's logarithm once a domain's mean over the earlier targets and a target's mean over its domains are out:
neither how high a domain scores anyway nor how high a target does. b is the least-squares slope of the changes, centred
likewise; a, the share of it that is taken, is 0, ½ or 1. Where a is 0 scores say nothing, and the rest is `completion`.
A new target's own slope differs from b as the earlier ones' do from one another, which is one more latent column, and
its x are taken as no further out than any of theirs. A target whose scores are known has the same model with other
levels, so that completing it is the same conditional.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np

from mixplan.forecast.completion import RANKS, Doubles, Factors, filled, two_way

SHARES = (0.0, 0.5, 1.0)
"""Of the slope. On eight targets all of it overshot where a target's strength was known; see docs/evidence.md."""


SAME = 1e-12
"""Part of all squares below which what scores say apart is rounding."""


class Way(NamedTuple):
    """How a target is completed.

    Attributes:
        rank: Latent columns beside the target's strength.
        share: How much of what scores say is taken, 0 to 1.
    """

    rank: int
    share: float


def ways(logs: Doubles, scores: Doubles, own: Doubles) -> tuple[Way, ...]:
    """All ways that can be tried, the simpler before others.

    Args:
        logs: `[T, D]` logarithms of changes, NaN where one was not measured.
        scores: `[T, D]` logarithms of scores: to be used, they must be known of all that was measured.
        own: `[D]` those of the target that will be completed, likewise all.
    """
    known = bool(len(logs) and np.isfinite(scores[np.isfinite(logs)]).all() and np.isfinite(own).all())
    return tuple(Way(rank, share) for share, rank in product(SHARES if known else SHARES[:1], RANKS))


def with_scores(logs: Doubles, scores: Doubles, own: Doubles, way: Way) -> Factors:
    """Fit the model to earlier targets, for a target with scores of its own.

    Args:
        logs: `[T, D]`, see `ways`.
        scores: `[T, D]`
        own: `[D]`; a domain without one has the level that it has anyway.
        way: How.

    Returns:
        The model with that target's levels.
    """
    if not way.share:
        return filled(logs, way.rank)
    there = np.isfinite(logs)
    measured = there.any(axis=0)
    weights = there[:, measured].astype(np.float64)
    usual = np.full(logs.shape[1], np.nan)
    usual[measured], _ = two_way(weights, np.where(there, scores, 0.0)[:, measured])
    beside = np.array([apart(np.where(here, row, np.nan), usual) for row, here in zip(scores, there, strict=True)])
    changes = np.where(there, logs, 0.0)[:, measured]
    level, strengths = two_way(weights, changes)
    left = np.zeros(logs.shape)
    left[:, measured] = weights * (changes - level - strengths[:, None])
    squares, products = np.square(beside).sum(axis=1), (beside * left).sum(axis=1)
    if squares.sum() <= SAME * np.square(scores[there]).sum():
        return filled(logs, way.rank)
    slope = way.share * float(products.sum() / squares.sum())
    known = squares > SAME * squares.sum()
    spread = way.share * float((products[known] / squares[known]).std(ddof=1)) if known.sum() > 1 else 0.0
    furthest = float(np.abs(beside).max())
    mine = np.clip(apart(own, usual), -furthest, furthest)
    found = filled(logs - slope * beside, way.rank)
    loadings = np.column_stack([found.loadings, spread * mine])
    return replace(found, level=found.level + slope * mine, loadings=loadings)


def left_out_with_scores(logs: Doubles, scores: Doubles, way: Way) -> list[Factors]:
    """The model without each target in turn, with the levels of the one that is left out; see `with_scores`."""
    rows = range(len(logs))
    return [
        with_scores(
            np.delete(logs, row, 0),
            np.delete(scores, row, 0),
            np.where(np.isfinite(logs[row]), scores[row], np.nan),
            way,
        )
        for row in rows
    ]


def apart(row: Doubles, usual: Doubles) -> Doubles:
    """`[D]` a target's scores beside the domains' usual ones and beside its own mean; 0 where either is not known."""
    beside = row - usual
    there = np.isfinite(beside)
    return np.where(there, beside - beside[there].mean(), 0.0) if there.any() else np.zeros(len(row))


def logs_of(scores: Mapping[str, float], names: Sequence[str]) -> Doubles:
    """`[D]` logarithms of scores; NaN of those that have none."""
    found = (scores.get(name, 0.0) for name in names)
    return np.array([math.log(value) if value > 0 else math.nan for value in found], dtype=np.float64)
