"""The same items measured before and after in, the change with its interval and noise floor out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixplan.errors import RunError
from mixplan.evaluate.result import Evaluation, Measured, quality

FEWEST_ITEMS = 6
"""Fewer items cannot show a change at 95 %: even if all move one way, chance does that once in 2^(n-1) times."""

DRAWN_VALUES = 1 << 22
"""Random numbers held at once (32 MB), however many resamples and items there are."""


@dataclass(frozen=True)
class Change:
    """How much one quantity changed on the same items.

    Attributes:
        items: How many.
        before: Mean before.
        after: Mean after.
        change: Mean of after minus before.
        low: Lower end of its 95 % interval, by a paired bootstrap over items.
        high: Upper end.
        noise: Noise floor: what 97.5 % of the absolute mean changes stay under when each item's sign is random.
        changed: Whether the interval leaves zero, on at least six items.
        direction: `gain` or `loss`; `moved` for a quantity without a better side; `none` when not changed.
    """

    items: int
    before: float
    after: float
    change: float
    low: float
    high: float
    noise: float
    changed: bool
    direction: str


def change(before: Sequence[float], after: Sequence[float], *, quality: int, resamples: int, seed: int) -> Change:
    """Compare the same items before and after.

    Args:
        before: One value an item.
        after: The same items' values, in the same order.
        quality: 1 when more is better, -1 when less is, 0 when neither.
        resamples: Bootstrap resamples, and as many random sign flips.
        seed: Of both.

    Raises:
        ValueError: the two are not of one length, or empty.
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if first.shape != second.shape or not len(first):
        raise ValueError(f"{len(first)} items before and {len(second)} after; the same items are expected")
    differences = second - first
    low, high = interval(differences, resamples, seed)
    changed = len(first) >= FEWEST_ITEMS and (low > 0 or high < 0)
    mean = float(differences.mean())
    return Change(
        items=len(first),
        before=float(first.mean()),
        after=float(second.mean()),
        change=mean,
        low=low,
        high=high,
        noise=noise_floor(differences, resamples, seed),
        changed=changed,
        direction=direction(mean, quality) if changed else "none",
    )


def direction(mean: float, quality: int) -> str:
    """The word for a change that is one."""
    if quality == 0:
        return "moved"
    return "gain" if mean * quality > 0 else "loss"


def interval(differences: NDArray[np.float64], resamples: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean over items drawn with replacement."""
    count = len(differences)
    random = np.random.default_rng([seed, 0])
    means = [
        random.multinomial(count, np.full(count, 1 / count), size=rows) @ differences / count
        for rows in pieces(resamples, count)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


def noise_floor(differences: NDArray[np.float64], resamples: int, seed: int) -> float:
    """97.5 % quantile of the absolute mean when each item's difference keeps its size and draws its sign."""
    random = np.random.default_rng([seed, 1])
    means = [
        np.abs((random.integers(0, 2, size=(rows, len(differences))) * 2 - 1) @ differences) / len(differences)
        for rows in pieces(resamples, len(differences))
    ]
    return float(np.quantile(np.concatenate(means), 0.975))


def pieces(resamples: int, items: int) -> Iterator[int]:
    """Resamples in pieces of bounded memory."""
    step = max(1, DRAWN_VALUES // items)
    for start in range(0, resamples, step):
        yield min(step, resamples - start)


def changes(
    before: Evaluation, after: Evaluation, *, resamples: int, seed: int
) -> dict[str, dict[str, dict[str, Change]]]:
    """Compare two evaluations on the items that both measured.

    Args:
        before: Of the untrained model.
        after: Of the trained one.
        resamples: Bootstrap resamples behind an interval.
        seed: Of the resamples.

    Returns:
        By domain, measure and quantity; a measure that either lacks is left out.

    Raises:
        RunError: the two were computed in different types or on different devices, so that rounding would show as
            change, or they share a measure but not one of its items.
    """
    for key in ("dtype", "device"):
        if before.model[key] != after.model[key]:
            raise RunError(
                f"the evaluation before was computed with {key} {before.model[key]}, the one after with "
                f"{after.model[key]}, so rounding would show as change. Set `model.{key}` in the recipe and evaluate "
                "both again."
            )
    return {
        name: {
            measure: measure_changes(name, measures[measure], others[measure], resamples, seed)
            for measure in measures
            if measure in others
        }
        for name, measures in before.domains.items()
        if (others := after.domains.get(name)) is not None
    }


def measure_changes(name: str, before: Measured, after: Measured, resamples: int, seed: int) -> dict[str, Change]:
    """One domain's changes of one measure, by quantity."""
    places = {row: place for place, row in enumerate(after.rows)}
    pairs = [(place, places[row]) for place, row in enumerate(before.rows) if row in places]
    if not pairs:
        raise RunError(
            f"{name}: the evaluations before and after share no row in the measure `{before.measure}`; the data has "
            "changed between them. Evaluate both again with `mixplan eval`."
        )
    return {
        quantity: change(
            [values[first] for first, _ in pairs],
            [after.values[quantity][second] for _, second in pairs],
            quality=quality(quantity),
            resamples=resamples,
            seed=seed,
        )
        for quantity, values in before.values.items()
        if quantity in after.values
    }
