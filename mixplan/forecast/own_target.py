"""Combines what was measured of this plan's very target with what other targets predict of it.

Both are taken as estimates of the change that the job brings to a domain, each with a normal error:

    measured ~ N(change, e²),   predicted ~ N(change, p²),   change | both ~ N(w measured + (1 - w) predicted, v)
    w = p² / (p² + e²),   1 / v = 1 / e² + 1 / p²

e² holds the noise of the items, that of the seeds over their number, and how differently domains of one target answer
to a job of another strength; p is the spread of the factor model's prediction from the other targets alone, so that the
two are independent. The error of the scaling to this job is common to all domains and, as far as both were scaled
alike, to both estimates: only what one has beyond the other counts in w, and the rest widens the interval at the end
(see `job`). Noise of the items and seeds of the run that is still to come is added to what that run will measure.

Source: the normal posterior with known variances, Gelman et al., Bayesian Data Analysis (2013), section 2.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mixplan.forecast.earlier_runs import unit_of
from mixplan.forecast.job import DOMAIN_SPREAD, REACH, Distance, widened
from mixplan.forecast.measured_run import Found, Noise
from mixplan.forecast.target_only import Known

UNKNOWN_NOISE = 0.08
"""Standard error over items, and standard deviation over seeds, as a part of the change, where neither was measured. In
recipes/studies/smollm2-135m both are 0.08 (root mean square over 8 targets and 21 domains, token KL)."""


@dataclass(frozen=True)
class Measured:
    """One domain's change under this plan's target, scaled to its job.

    Attributes:
        change: What was measured.
        error: Its standard error.
        again: Standard deviation of what another run would measure around the same change.
        distance: How far this plan's job is from that one's.
        items: The part of `error` that its items bring, which are the same rows in every run of the target.
    """

    change: float
    error: float
    again: float
    distance: Distance
    items: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """One domain's change with what is known of it.

    Attributes:
        change: Expected change.
        low: Lower end of the 95 % interval for what a run will measure.
        high: Its upper end.
        mean_low: Lower end of the interval for the change at the job's expected strength, without a run's noise.
        mean_high: Its upper end.
        weight: Of what was measured, 0 to 1.
    """

    change: float
    low: float
    high: float
    mean_low: float
    mean_high: float
    weight: float


def measurements(known: Known, unit: str, places: dict[str, tuple[str, str]] | None = None) -> dict[str, Measured]:
    """What runs of this plan's target measured, by domain.

    Args:
        known: The runs.
        unit: Of the changes.
        places: Measure and quantity of each domain's headline, whose changes are wanted; None for behaviour.
    """
    by_name: dict[str, list[Measured]] = {}
    for number in known.own:
        found = {
            name: chosen
            for name, part in known.runs[number].domains.items()
            if (chosen := change_of(part, None if places is None else places.get(name, ("", "")), unit)) is not None
        }
        usual = usual_noise(noise for _, noise in found.values())
        for name, (change, noise) in found.items():
            by_name.setdefault(name, []).append(measured(change, noise, usual, known.distances[number]))
    return {name: pooled(parts) for name, parts in by_name.items()}


def change_of(part: Found, place: tuple[str, str] | None, unit: str) -> tuple[float, Noise] | None:
    """A domain's change of one quantity with its noise; None where it was not measured.

    Args:
        part: The domain.
        place: Measure and quantity of the headline; None for behaviour.
        unit: Of the change.
    """
    if place is None:
        return None if part.behaviour is None else (part.behaviour, part.behaviour_noise)
    if part.headline is None or part.headline[:2] != place or unit_of(part.headline[1]) != unit:
        return None
    return part.headline[2], part.headline_noise


def usual_noise(parts: Iterable[Noise]) -> float | None:
    """The median of the items' standard errors that are above 0, for domains where no item moved."""
    found = [noise.items for noise in parts if noise.items]
    return float(np.median(found)) if found else None


def measured(change: float, noise: Noise, usual: float | None, far: Distance) -> Measured:
    """One run's change of a domain with its errors."""
    floor = UNKNOWN_NOISE * abs(change)
    items = noise.items or usual or floor or 1e-9
    seeds = floor if noise.seeds is None else noise.seeds
    job = DOMAIN_SPREAD * abs(far.log_ratio) * abs(change)
    error = math.hypot(items, seeds / math.sqrt(noise.count), job)
    return Measured(change, error, math.hypot(items, seeds), far, items)


def pooled(parts: Sequence[Measured]) -> Measured:
    """Several runs' changes of one domain as one, each by its precision; jobs further away count less.

    Runs of one target are measured on the same rows, so that what these bring to a change's error is alike in all: it
    is no smaller for several runs.
    """
    if len(parts) == 1:
        return parts[0]
    nearest = min((part.distance for part in parts), key=lambda far: far.spread)
    errors = np.array([math.hypot(part.error, abs(part.change) * part.distance.beyond(nearest)) for part in parts])
    items = np.array([part.items for part in parts])
    weights = 1 / np.square(errors)
    weights /= weights.sum()
    apart = float(np.square(weights) @ (np.square(errors) - np.square(items)))
    log_ratio = float(weights @ [part.distance.log_ratio for part in parts])
    return Measured(
        float(weights @ [part.change for part in parts]),
        math.sqrt(float(weights @ items) ** 2 + apart),
        float(weights @ [part.again for part in parts]),
        Distance(log_ratio, all(part.distance.adapter for part in parts)),
        float(weights @ items),
    )


def combined(
    found: Measured, predicted: tuple[float, float, float] | None, far: Distance, bounds: tuple[float, float]
) -> Estimate:
    """The posterior of one domain's change.

    Args:
        found: What was measured under this target.
        predicted: From the other targets: the change with the ends of its 95 % interval; None where nothing is.
        far: How far this plan's job is from those behind the prediction.
        bounds: Between which a change lies.
    """
    weight, change, error, distance = 1.0, found.change, found.error, found.distance
    if predicted is not None:
        other, low, high = predicted
        theirs = math.hypot((high - low) / (2 * REACH), abs(other) * far.beyond(distance))
        ours = math.hypot(found.error, abs(found.change) * distance.beyond(far))
        weight = theirs**2 / (theirs**2 + ours**2)
        change = weight * found.change + (1 - weight) * other
        error = ours * math.sqrt(weight)
    spread = weight * distance.spread + (1 - weight) * far.spread
    reach = REACH * math.hypot(error, found.again)
    low, high = widened(change, change - reach, change + reach, spread)
    return bounded(Estimate(change, low, high, change - REACH * error, change + REACH * error, weight), bounds)


def bounded(found: Estimate, bounds: tuple[float, float]) -> Estimate:
    """An estimate within what its unit allows."""
    change, low, high, mean_low, mean_high = (
        float(np.clip(end, *bounds)) for end in (found.change, found.low, found.high, found.mean_low, found.mean_high)
    )
    return Estimate(change, low, high, mean_low, mean_high, found.weight)
