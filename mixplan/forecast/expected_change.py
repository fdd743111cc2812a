"""Expects a change of each domain from earlier runs and this plan's scores, by the way that erred least.

For each quantity ways are held against each other by their errors in targets left out (see `ways`): the planning score
scaled by one factor, the same with a factor of each domain's own, and strength, domain effects and a slope on
logarithms. Where this plan's target was measured itself, that is combined with what the other targets predict (see
`own_target`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mixplan.forecast.earlier_runs import unit_of
from mixplan.forecast.factors import Changes, Predicted
from mixplan.forecast.job import Distance, common_distance, widened
from mixplan.forecast.measured_run import Run
from mixplan.forecast.own_target import Estimate, Measured, bounded, combined, measurements
from mixplan.forecast.target_only import Known
from mixplan.forecast.ways import Way, enough, errors_of, have_logs
from mixplan.saved.base_types import Expected
from mixplan.saved.plan import Foretold
from mixplan.sts import Score

FEWEST_TARGETS = 2
"""With one target, nothing could be checked on a target that was not learned from."""

BEHAVIOUR = ("behaviour", "kl")
MAIN_QUANTITIES = {"choice": "correct", "exact": "score", "likelihood": "bits_per_byte"}
BOUNDS = {"accuracy": (-1.0, 1.0), "kl": (0.0, np.inf)}
"""Between which a change of a unit lies."""


@dataclass(frozen=True)
class Learned:
    """What earlier runs taught.

    Attributes:
        ways: By unit.
        expected: By domain: under `headline` and `behaviour`, where there is an expectation.
        planning: Expected behaviour by domain, with the interval of a run of mean strength; None unless domains'
            own factors or measurements of this target are used for it.
        weights: By domain, the weight of what was measured of its behaviour under this very target.
    """

    ways: dict[str, Way]
    expected: dict[str, dict[str, Expected]]
    planning: dict[str, Score] | None
    weights: dict[str, float]

    def describe(self, name: str) -> Foretold:
        """One domain's expectations, for the plan."""
        found = self.expected[name]
        return Foretold(headline=found.get("headline"), behaviour=found.get("behaviour"))


def learn(known: Known, scores: Mapping[str, Score], *, score: str, measures: Mapping[str, str]) -> Learned | None:
    """Learn from earlier runs what to expect of each domain.

    Args:
        known: Runs of the plan's kind.
        scores: The planning score of each domain.
        score: Its name in the runs, `sts_icl` or `sts_act`.
        measures: Headline measures that the recipe names, by domain.

    Returns:
        None with fewer than two targets to learn from, unless one of them is this plan's own.
    """
    ways = {}
    for unit in sorted({"kl", *(unit_of(found.headline[1]) for found in all_found(known.runs) if found.headline)}):
        changes = gathered(known, unit, score)
        if enough(changes, targets=FEWEST_TARGETS):
            ways[unit] = way_of(unit, changes, known, scores)
    places = headlines(known.runs, scores, measures)
    expected: dict[str, dict[str, Expected]] = {name: {} for name in scores}
    for unit in sorted({unit_of(quantity) for _, quantity in places.values()}):
        wanted = {name: places[name] for name in places if unit_of(places[name][1]) == unit}
        found = estimates(known, ways.get(unit), unit, list(wanted), scores, measurements(known, unit, wanted))
        for name, entry in found.items():
            told = bool(entry.weight) or (unit in ways and ways[unit].errors.tell)
            expected[name]["headline"] = as_expected(places[name], unit, entry, told=told)
    moved = estimates(known, ways.get("kl"), "kl", list(scores), scores, measurements(known, "kl"))
    for name, entry in moved.items():
        expected[name]["behaviour"] = as_expected(BEHAVIOUR, "kl", entry)
    weights = {name: entry.weight for name, entry in moved.items() if entry.weight}
    if not any(expected.values()):
        return None
    told = bool(weights) or ("kl" in ways and ways["kl"].own)
    return Learned(ways, expected, planning_scores(moved) if told and moved.keys() == scores.keys() else None, weights)


def all_found(runs: Sequence[Run]) -> list[Any]:
    """Every domain of every run."""
    return [found for run in runs for found in run.domains.values()]


def gathered(known: Known, unit: str, score: str) -> Changes:
    """All changes of one unit, over domains and targets; several runs of a target are one, with their means.

    A target that is trained again moves the same domains again: as further runs these would count as further evidence
    of how targets differ, and intervals would be too narrow.

    Args:
        known: The runs.
        unit: Of the changes.
        score: The planning score's name in the runs.

    Returns:
        The changes, their runs numbered as targets are in `known.groups`.
    """
    parts: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for number, run in enumerate(known.runs):
        for name, found in sorted(run.domains.items()):
            same = found.headline is not None and unit_of(found.headline[1]) == unit
            change = found.behaviour if unit == "kl" else found.headline[2] if same and found.headline else None
            if change is not None and score in found.scores:
                parts.setdefault((known.groups[number], name), []).append((found.scores[score], change))
    means = np.array([np.mean(each, axis=0) for each in parts.values()], dtype=np.float64).reshape(-1, 2)
    targets = np.array([target for target, _ in parts], dtype=np.int64)
    return Changes(means[:, 0], means[:, 1], tuple(name for _, name in parts), targets, targets)


def way_of(unit: str, changes: Changes, known: Known, scores: Mapping[str, Score]) -> Way:
    """Choose the way that errs least in targets left out."""
    logs = BOUNDS.get(unit, (-np.inf, np.inf))[0] == 0 and have_logs(changes, scores)
    errors = errors_of(changes, logs=logs)
    asked = set(changes.runs.tolist()) - set(known.own_targets)
    others = [number for number, target in enumerate(known.groups) if target in asked]
    far = common_distance(known.distances[number] for number in others or known.own)
    return Way(unit, errors.best, errors, len(np.unique(changes.groups)), changes, far)


def estimates(
    known: Known,
    chosen: Way | None,
    unit: str,
    names: Sequence[str],
    scores: Mapping[str, Score],
    found: Mapping[str, Measured],
) -> dict[str, Estimate]:
    """Expect one quantity's changes.

    Domains that were measured under this plan's target have the posterior of that and of what the other targets
    predict; the rest have what all targets predict of a job as strong as this target's was.

    Args:
        known: The runs.
        chosen: How changes are predicted; None where nothing can be.
        unit: Of the changes.
        names: The domains.
        scores: Planning scores.
        found: What was measured under this plan's target.

    Returns:
        By domain, where there is anything to expect it by.
    """
    bounds = BOUNDS.get(unit, (-np.inf, np.inf))
    measured = [name for name in names if name in found]
    rest = [name for name in names if name not in found]
    made: dict[str, Estimate] = {}
    theirs = chosen.predict(measured, scores, without=known.own_targets) if chosen and measured else None
    for index, name in enumerate(measured):
        other = (theirs.change[index], theirs.low[index], theirs.high[index]) if theirs else None
        made[name] = combined(found[name], other, far_of(name, chosen, known) if chosen else Distance(), bounds)
    like = known.groups[known.own[-1]] if found and known.own else None
    predicted = chosen.predict(rest, scores, like=like) if chosen and rest else None
    if predicted is not None and chosen is not None:
        made |= {
            name: as_estimate(predicted, index, far_of(name, chosen, known), bounds) for index, name in enumerate(rest)
        }
    return {name: made[name] for name in names if name in made}


def far_of(name: str, chosen: Way, known: Known) -> Distance:
    """How far this plan's job is from those that a domain's expectation rests on.

    Those that measured the domain, where it has something of its own, if they are further away than all together: what
    a short job did to a domain that no other one measured says little of a long one.
    """
    if not chosen.own:
        return chosen.distance
    changes = zip(chosen.known.runs.tolist(), chosen.known.domains, strict=True)
    met = {target for target, domain in changes if domain == name} - set(known.own_targets)
    there = [far for far, target in zip(known.distances, known.groups, strict=True) if target in met]
    return max(chosen.distance, common_distance(there), key=lambda far: far.spread)


def as_estimate(predicted: Predicted, index: int, far: Distance, bounds: tuple[float, float]) -> Estimate:
    """One domain's prediction, its interval widened by how far this job is from those learned from."""
    change = float(predicted.change[index])
    low, high = widened(change, float(predicted.low[index]), float(predicted.high[index]), far.spread)
    mean_low, mean_high = float(predicted.factor_low[index]), float(predicted.factor_high[index])
    return bounded(Estimate(change, low, high, mean_low, mean_high, 0.0), bounds)


def headlines(
    runs: Sequence[Run], scores: Mapping[str, Score], measures: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Measure and quantity that will stand for each domain, where that can be told.

    It is the recipe's own choice; without one, what most earlier runs measured on the domain.
    """
    found = {}
    for name in scores:
        met = Counter(
            run.domains[name].headline[:2]  # type: ignore[index]  # None is left out by the condition
            for run in runs
            if name in run.domains and run.domains[name].headline
        )
        wanted = measures.get(name)
        usual = {place: count for place, count in met.items() if wanted in (None, place[0])}
        if usual:
            found[name] = max(sorted(usual), key=lambda place: usual[place])
        elif wanted in MAIN_QUANTITIES:
            found[name] = (wanted, MAIN_QUANTITIES[wanted])
    return found


def as_expected(place: tuple[str, str], unit: str, found: Estimate, *, told: bool = True) -> Expected:
    """One domain's expectation, with the sign that its interval supports.

    Args:
        place: Measure and quantity.
        unit: Of the change.
        found: What is expected.
        told: Whether it was predicted better than by expecting no change, or measured; without either there is no sign.
    """
    sign: Literal["up", "down"] | None = "up" if found.low > 0 else "down" if found.high < 0 else None
    return Expected(
        measure=place[0],
        quantity=place[1],
        change=found.change,
        low=found.low,
        high=found.high,
        sign=sign if told and unit != "kl" else None,
    )


def planning_scores(moved: Mapping[str, Estimate]) -> dict[str, Score] | None:
    """Expected behaviour as what plans the rows, with the interval of a run of mean strength; None if nothing moves."""
    found = {
        name: Score(*(max(end, 0.0) for end in (entry.change, entry.mean_low, entry.mean_high)))
        for name, entry in moved.items()
    }
    return found if any(entry.value for entry in found.values()) else None
