"""Earlier runs and this plan's scores in, the change to expect of each domain out: by the way that erred least.

For each quantity two ways are held against each other by their error in runs left out: the planning score scaled by one
factor, and the same with a factor of each domain's own (see `factors`). The second is used only where it errs less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mixplan.forecast.earlier import History, unit_of
from mixplan.forecast.factors import Changes, Predicted, left_out_error, predict
from mixplan.sts import Score

FEWEST_RUNS = 2
"""With one run, nothing could be checked on a run that was not learned from."""

BEHAVIOUR = ("behaviour", "kl")
MAIN_QUANTITIES = {"choice": "correct", "exact": "score", "likelihood": "bits_per_byte"}
BOUNDS = {"accuracy": (-1.0, 1.0), "kl": (0.0, np.inf)}
"""Between which a change of a unit lies."""


@dataclass(frozen=True)
class Expected:
    """The change to expect of one quantity of a domain.

    Attributes:
        measure: Such as `choice`.
        quantity: Such as `correct`; the change is in its unit.
        change: Expected change, after less before.
        low: Lower end of the 95 % interval for what a run will measure.
        high: Its upper end.
        sign: `up` or `down` where the interval leaves 0, None where the runs do not support one, and for `kl`.
    """

    measure: str
    quantity: str
    change: float
    low: float
    high: float
    sign: str | None


@dataclass(frozen=True)
class Way:
    """How a unit's changes are expected, and why so.

    Attributes:
        unit: Such as `accuracy` or `kl`.
        own: Whether each domain has a factor of its own.
        error_own: Error in runs left out with such factors.
        error_one: Error in runs left out with one factor for all.
        error_none: Error in runs left out of expecting no change at all.
        runs: How many runs it was learned from.
        known: What was learned from.
    """

    unit: str
    own: bool
    error_own: float
    error_one: float
    error_none: float
    runs: int
    known: Changes

    def predict(self, names: list[str], scores: Mapping[str, Score]) -> Predicted:
        """Expect changes of domains by their planning scores."""
        return predict(self.known, names, np.array([scores[name].value for name in names]), own=self.own)


@dataclass(frozen=True)
class Learned:
    """What earlier runs taught.

    Attributes:
        ways: By unit.
        expected: By domain: under `headline` and `behaviour`, where there is an expectation.
        planning: Expected behaviour by domain, with the interval of a run of mean strength; None unless domains'
            own factors are used for it.
    """

    ways: dict[str, Way]
    expected: dict[str, dict[str, Expected]]
    planning: dict[str, Score] | None

    def describe(self, name: str) -> dict[str, Any]:
        """One domain's expectations as JSON values, for the plan."""
        found = self.expected[name]
        return {part: asdict(found[part]) if part in found else None for part in ("headline", "behaviour")}


def learn(history: History, scores: Mapping[str, Score], *, score: str, measures: Mapping[str, str]) -> Learned | None:
    """Learn from earlier runs what to expect of each domain.

    Args:
        history: Runs of the plan's kind.
        scores: The planning score of each domain.
        score: Its name in the runs, `sts_icl` or `sts_act`.
        measures: Headline measures that the recipe names, by domain.

    Returns:
        None with fewer than two runs to learn from.
    """
    ways = {}
    for unit in sorted({"kl", *(unit_of(found.headline[1]) for found in all_found(history) if found.headline)}):
        known = gathered(history, unit, score)
        if len(np.unique(known.runs)) >= FEWEST_RUNS and len(known.changes) > FEWEST_RUNS and known.scores.any():
            ways[unit] = way(unit, known)
    if not ways:
        return None
    expected: dict[str, dict[str, Expected]] = {name: {} for name in scores}
    places = headlines(history, scores, measures)
    for unit in sorted({unit_of(quantity) for _, quantity in places.values()} & set(ways)):
        names = [name for name in places if unit_of(places[name][1]) == unit]
        foretold = ways[unit].predict(names, scores)
        for index, name in enumerate(names):
            expected[name]["headline"] = one(places[name], unit, foretold, index)
    planning = None
    if "kl" in ways:
        foretold = ways["kl"].predict(list(scores), scores)
        for index, name in enumerate(scores):
            expected[name]["behaviour"] = one(BEHAVIOUR, "kl", foretold, index)
        planning = planning_scores(foretold, list(scores)) if ways["kl"].own else None
    return Learned(ways, expected, planning)


def all_found(history: History) -> list[Any]:
    """Every domain of every run."""
    return [found for run in history.runs for found in run.domains.values()]


def gathered(history: History, unit: str, score: str) -> Changes:
    """All changes of one unit, over domains and runs."""
    rows = []
    for number, run in enumerate(history.runs):
        for name, found in sorted(run.domains.items()):
            same = found.headline is not None and unit_of(found.headline[1]) == unit
            change = found.behaviour if unit == "kl" else found.headline[2] if same and found.headline else None
            if change is not None and score in found.scores:
                rows.append((found.scores[score], change, name, number))
    return Changes(
        np.array([row[0] for row in rows], dtype=np.float64),
        np.array([row[1] for row in rows], dtype=np.float64),
        tuple(row[2] for row in rows),
        np.array([row[3] for row in rows], dtype=np.int64),
    )


def way(unit: str, known: Changes) -> Way:
    """Choose between the two ways by their error in runs left out."""
    own, one_factor = (left_out_error(known, own=choice) for choice in (True, False))
    squares = [float(np.square(known.changes[known.runs == run]).mean()) for run in np.unique(known.runs)]
    none = float(np.sqrt(np.mean(squares)))
    return Way(unit, own < one_factor, own, one_factor, none, len(squares), known)


def headlines(history: History, scores: Mapping[str, Score], measures: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Measure and quantity that will stand for each domain, where that can be told.

    It is the recipe's own choice; without one, what most earlier runs measured on the domain.
    """
    found = {}
    for name in scores:
        met = Counter(
            run.domains[name].headline[:2]  # type: ignore[index]  # None is left out by the condition
            for run in history.runs
            if name in run.domains and run.domains[name].headline
        )
        wanted = measures.get(name)
        usual = {place: count for place, count in met.items() if wanted in (None, place[0])}
        if usual:
            found[name] = max(sorted(usual), key=lambda place: usual[place])
        elif wanted in MAIN_QUANTITIES:
            found[name] = (wanted, MAIN_QUANTITIES[wanted])
    return found


def one(place: tuple[str, str], unit: str, foretold: Predicted, index: int) -> Expected:
    """One domain's expectation, within what its unit allows."""
    least, most = BOUNDS.get(unit, (-np.inf, np.inf))
    change, low, high = (
        float(np.clip(values[index], least, most)) for values in (foretold.change, foretold.low, foretold.high)
    )
    sign = None if unit == "kl" else "up" if low > 0 else "down" if high < 0 else None
    return Expected(*place, change, low, high, sign)


def planning_scores(foretold: Predicted, names: list[str]) -> dict[str, Score] | None:
    """Expected behaviour as what plans the rows, with the interval of a run of mean strength; None if nothing moves."""
    ends = (np.maximum(part, 0.0) for part in (foretold.change, foretold.factor_low, foretold.factor_high))
    found = {name: Score(*map(float, values)) for name, *values in zip(names, *ends, strict=True)}
    return found if any(entry.value for entry in found.values()) else None
