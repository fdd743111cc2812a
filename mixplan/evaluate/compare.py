"""Compares two evaluations of the same items: how much each quantity changed, and whether beyond noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mixplan.errors import RunError
from mixplan.evaluate.intervals import beyond, chance_of_seeming, interval, is_graded, noise_floor
from mixplan.saved.evaluation import Evaluation, Measured
from mixplan.saved.outcome import Change, Direction


def change(before: Sequence[float], after: Sequence[float], *, quality: int, resamples: int, seed: int) -> Change:
    """Compare the same items before and after.

    Args:
        before: One value an item.
        after: The same items' values, in the same order.
        quality: 1 when more is better, -1 when less is, 0 when neither.
        resamples: Bootstrap resamples, and as many random sign flips where not every flip is looked at.
        seed: Of both.

    Raises:
        ValueError: the two are not of one length, or empty.
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if first.shape != second.shape or not len(first):
        raise ValueError(f"{len(first)} items before and {len(second)} after; the same items are expected")
    differences = second - first
    graded = is_graded(first, second)
    low, high = interval(differences, graded=graded, resamples=resamples, seed=seed)
    mean, noise = float(differences.mean()), noise_floor(differences, resamples, seed)
    changed = bool(beyond(np.asarray(low), np.asarray(high), np.asarray(mean), noise, len(differences)))
    return Change(
        items=len(first),
        before=float(first.mean()),
        after=float(second.mean()),
        change=mean,
        low=low,
        high=high,
        noise=noise,
        changed=changed,
        direction=direction(mean, quality) if changed else "none",
        by_chance=chance_of_seeming(differences, graded=graded, noise=noise, resamples=resamples, seed=seed),
    )


def direction(mean: float, quality: int) -> Direction:
    """The word for a change that is one."""
    if quality == 0:
        return "moved"
    return "gain" if mean * quality > 0 else "loss"


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
        By domain, measure and quantity; a measure that either lacks, or that was made otherwise, is left out.

    Raises:
        RunError: the two were computed in different types or on different devices, so that rounding would show as
            change, or they share a measure but not one of its items.
    """
    for key in ("dtype", "device"):
        first, second = getattr(before.model, key), getattr(after.model, key)
        if first != second:
            raise RunError(
                f"the evaluation before was computed with {key} {first}, the one after with {second}, so rounding "
                f"would show as change. Set `model.{key}` in the recipe and evaluate both again."
            )
    return {
        name: {
            measure: measure_changes(name, measures[measure], others[measure], resamples, seed)
            for measure in measures
            if measure in others and not made_otherwise(name, measure, before, after)
        }
        for name, measures in before.domains.items()
        if (others := after.domains.get(name)) is not None
    }


def made_otherwise(name: str, measure: str, before: Evaluation, after: Evaluation) -> bool:
    """Whether a domain's measure was made by other settings, or on other rows, before than after, as far as is known.

    An evaluation keeps what an earlier one of the same model measured besides; another model's may be of another time.
    """
    first, second = (one.asked.get(name, {}).get(measure) for one in (before, after))
    return first is not None and second is not None and first != second


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
            quality=before.quality(quantity),
            resamples=resamples,
            seed=seed,
        )
        for quantity, values in before.values.items()
        if quantity in after.values
    }
