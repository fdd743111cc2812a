"""Chooses which domains tell most of the others, and by which rank they are completed, by earlier targets left out.

Domains are taken one by one, each the one that leaves the least error when added: the root mean square, over targets
left out, of the mean squared error in nats over all of a target's domains, those that were measured counting as known.
The number of domains is the least from which more would lower the error by less than a tenth, or to less than two
readings of one model differ by. Nothing of the new target enters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixplan.forecast.completion import (
    FLOOR,
    RANKS,
    Doubles,
    Factors,
    Seen,
    calibration,
    complete,
    left_out_factors,
    unseen,
)

LEAST, MOST = 3, 10
"""Domains that a pilot is measured on when the recipe leaves the choice to mixplan."""
WORTH = 0.1
"""Part of the error by which further domains must lower it."""


@dataclass(frozen=True)
class Choice:
    """How a new target is completed.

    Attributes:
        places: Domains to measure, the one that tells most first.
        rank: Latent columns.
        error: Root mean square error in nats of the domains that are completed, in targets left out.
        errors: By rank, the same.
        scale: What standard deviations are multiplied by, see `completion.calibration`.
    """

    places: tuple[int, ...]
    rank: int
    error: float
    errors: dict[int, float]
    scale: float


def choose(logs: Doubles, *, least: int = LEAST, most: int = MOST, noise: Seen | None = None) -> Choice:
    """Choose domains and rank.

    Args:
        logs: `[T, D]` logarithms of earlier targets' changes in nats, NaN where one was not measured; T of at least
            `completion.FEWEST_TARGETS`.
        least: Fewest domains.
        most: Most domains.
        noise: Errors with which domains will be measured, see `with_noise`; None for none.
    """
    most = min(most, logs.shape[1])
    fits = {rank: left_out_factors(logs, rank) for rank in RANKS}
    orders = {rank: in_order(logs, fits[rank], most, noise) for rank in RANKS}
    errors = np.array([[left_out_error(logs, fits[rank], orders[rank][:count], noise, whole=True)
                        for count in range(1, most + 1)] for rank in RANKS])  # fmt: skip
    best = errors.min(axis=0)
    first = min(least, most)
    count = next(
        count
        for count in range(first, most + 1)
        if max(FLOOR, best[count - 1 :].min()) >= (1 - WORTH) * best[count - 1]
    )
    rank = RANKS[int(np.argmin(errors[:, count - 1]))]
    return judged(logs, fits, orders[rank][:count], rank, noise)


def judged(
    logs: Doubles, fits: dict[int, list[Factors]], places: Sequence[int], rank: int, noise: Seen | None
) -> Choice:
    """A choice with its errors and the scale of its intervals."""
    errors = {each: left_out_error(logs, fits[each], places, noise, whole=False) for each in fits}
    scale = calibration(logs, [with_noise(row, places, noise) for row in logs], fits[rank])
    return Choice(tuple(places), rank, errors[rank], errors, scale)


def in_order(logs: Doubles, fits: Sequence[Factors], most: int, noise: Seen | None) -> list[int]:
    """Domains, each the one that leaves the least error beside those before it; the first of equals."""
    order: list[int] = []
    while len(order) < most:
        rest = [place for place in range(logs.shape[1]) if place not in order]
        errors = [left_out_error(logs, fits, [*order, place], noise, whole=True) for place in rest]
        order.append(rest[int(np.argmin(errors))])
    return order


def left_out_error(
    logs: Doubles, fits: Sequence[Factors], places: Sequence[int], noise: Seen | None, *, whole: bool
) -> float:
    """Take the root mean square error, nats per token, over targets that were left out.

    Args:
        logs: `[T, D]` what was measured.
        fits: The model without each target.
        places: Domains that are taken as measured.
        noise: See `choose`.
        whole: Whether domains that are measured count too, as errors of 0: so that a domain which is hard to complete
            is worth measuring. Else the mean is over the others alone.
    """
    squares = []
    for row, factors in zip(logs, fits, strict=True):
        known = with_noise(row, places, noise)
        rest = unseen(row, known)
        if rest.any():
            errors = np.exp(complete(factors, known).mean[rest]) - np.exp(row[rest])
            squares.append(float(np.square(errors).sum()) / (np.isfinite(row).sum() if whole else rest.sum()))
    return float(np.sqrt(np.mean(squares))) if squares else 0.0


def with_noise(row: Doubles, places: Sequence[int], noise: Seen | None) -> Seen:
    """A target's changes in some domains, taken as known with the errors that a pilot's will have.

    The errors enter the weights that completion gives to what is known; they are not added to it.

    Args:
        row: `[D]` logarithms of its changes.
        places: The domains.
        noise: Its `variance` holds one number for all and `common` what they share; None for none.
    """
    exact = Seen.exact(places, row)
    if noise is None:
        return exact
    return Seen(exact.places, exact.logs, np.full(len(exact.places), noise.variance[0]), noise.common)
