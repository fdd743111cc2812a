"""Draws control sets for chosen features: random ones, and ones that are as active."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

NEAREST = 5
"""A feature's stand-in is drawn among so many whose activation is nearest to its own."""


def live_features(fired: npt.NDArray[Any], shift: Doubles) -> Integers:
    """Features that fire on the tokens or move there; the others cannot be chosen by anything.

    Args:
        fired: `[d_sae]` tokens on which each fires.
        shift: `[d_sae]` squared change.

    Returns:
        `[live]` feature indices, in order.
    """
    return np.flatnonzero((fired > 0) | (shift > 0)).astype(np.int64)


def random_sets(pool: Integers, *, count: int, sets: int, seed: int) -> list[Integers]:
    """Draw sets of features blindly, each without a repeat.

    Args:
        pool: What to draw from.
        count: Features in a set; the whole pool when it holds fewer.
        sets: How many sets.
        seed: Of the draws.
    """
    rng = np.random.default_rng([seed, len(pool), count])
    return [rng.choice(pool, min(count, len(pool)), replace=False) for _ in range(sets)]


def matched_sets(act: Doubles, chosen: Integers, pool: Integers, *, sets: int, seed: int) -> list[Integers]:
    """Draw sets that are about as active as the chosen features and hold none of them.

    For each chosen feature, the most active first, one of the `NEAREST` unused features of the pool whose mean
    activation is nearest to its own is drawn.

    Args:
        act: `[d_sae]` mean activation.
        chosen: The features to stand in for.
        pool: What to draw from; the chosen features are left out.
        sets: How many sets.
        seed: Of the draws.

    Returns:
        Sets of as many features as are chosen, or of all others when the pool holds fewer.
    """
    rng = np.random.default_rng([seed, len(pool), len(chosen)])
    others = np.setdiff1d(pool, chosen)
    found = []
    for _ in range(sets):
        left, drawn = others, []
        for feature in chosen[np.argsort(-act[chosen], kind="stable")][: len(others)]:
            near = np.argsort(np.abs(act[left] - act[feature]), kind="stable")[:NEAREST]
            place = int(rng.choice(near))
            drawn.append(int(left[place]))
            left = np.delete(left, place)
        found.append(np.array(drawn, dtype=np.int64))
    return found
