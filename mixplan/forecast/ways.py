"""Holds the ways to expect changes against each other by their errors in targets left out, and takes the best.

    one    the planning score times one factor, alike for all domains
    own    the score times a factor of each domain's own (see `factors`)
    logs   strength, domain effects and a slope on logarithms (see `log_ridge`), of what is never below 0

The last is tried where at least `FEWEST_TARGETS` targets were measured and all scores are above 0. What the choice
itself is worth is its error in targets that were left out of the choosing too: for each target, or fold of targets, the
way is chosen by the errors that the others have when they are left out beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mixplan.forecast.factors import (
    Changes,
    Predicted,
    expected_of,
    left_out_changes,
    left_out_error,
    numeric_libraries,
    predict,
)
from mixplan.forecast.job import Distance
from mixplan.forecast.log_ridge import Form, Logs
from mixplan.forecast.log_ridge_choices import fold_of, learn_logs, predict_runs
from mixplan.runs import cached, content_hash
from mixplan.sts import Score

Doubles = npt.NDArray[np.float64]
Name = Literal["one", "own", "logs"]

NAMES: tuple[Name, ...] = ("one", "own", "logs")
FEWEST_TARGETS = 4
"""For logarithms: two to learn from when one is left out of what is learned, and one of what is chosen."""
FEWEST_CHANGES = 2
"""Fewer say nothing of how strong a run was against its domains."""
FORM = Form()
"""A slope on the score. That its level says how strong a run is was not shown in targets left out, nor that another
score's does, see docs/evidence.md."""

VERSION = 1
"""Of how changes are predicted; part of the key under which predictions are kept."""


@dataclass(frozen=True)
class Errors:
    """Root mean square errors in targets left out, mean squares over targets.

    Attributes:
        one: With one factor for all domains.
        own: With a factor of each domain's own.
        none: Of expecting no change at all.
        logs: On logarithms; None where they were not tried.
        choice: Of the way that is chosen by the other targets; None where logarithms are not the best.
    """

    one: float
    own: float
    none: float
    logs: float | None = None
    choice: float | None = None

    @property
    def best(self) -> Name:
        """The way that erred least, the simpler of equal ones."""
        factors: Name = "own" if self.own < self.one else "one"
        return "logs" if self.logs is not None and self.logs < min(self.own, self.one) else factors

    @property
    def tell(self) -> bool:
        """Whether the best way errs less than expecting no change at all does."""
        return min(self.own, self.one, math.inf if self.logs is None else self.logs) < self.none


@dataclass(frozen=True)
class Way:
    """How a unit's changes are expected, and why so.

    Attributes:
        unit: Such as `accuracy` or `kl`.
        by: The way that is used.
        errors: Of all ways.
        targets: How many targets it was learned from.
        known: What was learned from.
        distance: How far this plan's job is from those that it was learned from.
    """

    unit: str
    by: Name
    errors: Errors
    targets: int
    known: Changes
    distance: Distance

    @property
    def own(self) -> bool:
        """Whether domains have something of their own."""
        return self.by != "one"

    @property
    def unmoved(self) -> int:
        """Changes of 0, which have no logarithm."""
        return int(np.sum(self.known.changes == 0))

    def predict(
        self, names: Sequence[str], scores: Mapping[str, Score], *, without: Sequence[int] = (), like: int | None = None
    ) -> Predicted | None:
        """Expect changes of domains by their planning scores.

        Args:
            names: The domains.
            scores: Their planning scores.
            without: Targets that are not learned from.
            like: A target whose job this one is as strong as.

        Returns:
            None where too little is left to learn from.
        """
        known = self.known.part(~np.isin(self.known.runs, list(without)))
        if not enough(known, targets=1):
            return None
        values = np.array([scores[name].value for name in names])
        strength = like if like is not None and (known.runs == like).any() else None
        logs = self.by == "logs"
        given = [list(names), values.tolist(), "logs" if logs else self.own, strength]

        def made() -> list[list[float]]:
            if logs:
                fit = learn_logs(Logs.of(known), FORM)
                predicted = fit.predict(names, np.log(values)[:, None], like=strength).as_changes()
            else:
                predicted = predict(known, names, values, own=self.own, like=strength)
            return [column.tolist() for column in vars(predicted).values()]

        arrays = kept(known, "predict", given, made)
        return Predicted(*(np.array(column, dtype=np.float64) for column in arrays))

    def left_out_of(self, known: Changes) -> Doubles:
        """Expect every change in this way, its target left out, `[n]`.

        Args:
            known: `known`, or some of its runs.
        """
        logs = self.by == "logs"

        def made() -> list[float]:
            return left_out_by_logs(known) if logs else left_out_changes(known, own=self.own).tolist()

        return np.array(kept(known, "left out", "logs" if logs else self.own, made), dtype=np.float64)


def kept(known: Changes, what: str, given: Any, make: Callable[[], Any]) -> Any:
    """Take what was computed before of these very changes, or compute it: with many runs that takes a second.

    Args:
        known: What is learned from.
        what: Name of what is computed.
        given: What else it depends on, as JSON values.
        make: Computes it, as JSON values.
    """
    arrays = (known.scores, known.changes, known.runs, known.groups)
    inputs = [list(known.domains), *(array.tolist() for array in arrays), what, given]
    return cached("forecasts", content_hash(VERSION, numeric_libraries(), json.dumps(inputs)), make)


def enough(known: Changes, *, targets: int) -> bool:
    """Whether a factor can be learned from changes of so many targets."""
    return len(np.unique(known.groups)) >= targets and len(known.changes) > FEWEST_CHANGES and bool(known.scores.any())


def have_logs(known: Changes, scores: Mapping[str, Score]) -> bool:
    """Whether logarithms can be learned from changes, and be had of a plan's scores.

    Args:
        known: The changes, of a quantity that is never below 0.
        scores: The plan's.
    """
    if min([*known.scores, *(score.value for score in scores.values())]) <= 0 or known.changes.min() < 0:
        return False
    moved = [np.sum(known.changes[known.runs == run] > 0) for run in np.unique(known.runs)]
    return len(np.unique(known.groups)) >= FEWEST_TARGETS and min(moved) >= FEWEST_CHANGES


def errors_of(known: Changes, *, logs: bool) -> Errors:
    """Every way's error in targets left out.

    Args:
        known: Of at least two targets.
        logs: Whether logarithms are tried, see `have_logs`.
    """
    own, one = (kept(known, "error", by, partial(left_out_error, known, own=by)) for by in (True, False))
    none = root(squares(known, np.zeros(len(known.changes))).values())
    if not logs:
        return Errors(one, own, none)
    expected = np.array(kept(known, "left out", "logs", partial(left_out_by_logs, known)), dtype=np.float64)
    found = Errors(one, own, none, root(squares(known, expected).values()))
    if found.best != "logs":
        return found
    return replace(found, choice=kept(known, "choice", "logs", partial(choice_error, known, expected)))


def squares(known: Changes, expected: Doubles) -> dict[int, float]:
    """By target, the mean square error of what was expected of its changes."""
    apart = np.square(expected - known.changes)
    return {int(group): float(apart[known.groups == group].mean()) for group in np.unique(known.groups)}


def root(means: Any) -> float:
    """The root of the mean over targets."""
    return float(np.sqrt(np.mean(list(means))))


def by_logs(known: Changes, others: Changes) -> Doubles:
    """`[n]` what is expected on logarithms of changes in runs that were not learned from."""
    asked = Logs(
        np.zeros(len(others.changes)), np.log(others.scores)[:, None], others.domains, others.runs, others.groups
    )
    return predict_runs(learn_logs(Logs.of(known), FORM), asked).as_changes().change


def left_out_by_logs(known: Changes) -> list[float]:
    """What is expected of every change on logarithms, its target left out."""
    expected = np.zeros(len(known.changes))
    for group in np.unique(known.groups):
        out = known.groups == group
        expected[out] = by_logs(known.part(~out), known.part(out))
    return [float(value) for value in expected]


def choice_error(known: Changes, logs: Doubles) -> float:
    """The error of the way that is chosen without the target it is judged on.

    Args:
        known: Of at least `FEWEST_TARGETS` targets.
        logs: `[n]` what is expected of every change on logarithms, its target left out.
    """
    fold = fold_of(known.groups)
    numbers = np.unique(fold)
    # By fold that is out as well, then by way, the mean square of each other target.
    beside: dict[int, dict[Name, list[float]]] = {number: {name: [] for name in NAMES} for number in numbers}
    for first in numbers:
        for second in numbers[numbers > first]:
            out = (fold == first) | (fold == second)
            rest, part, place = known.part(~out), known.part(out), fold[out]
            for name, expected in every_way(rest, part).items():
                for this, other in ((first, second), (second, first)):
                    there = place == other
                    beside[this][name] += squares(part.part(there), expected[there]).values()
    alone = {
        "one": squares(known, left_out_changes(known, own=False)),
        "own": squares(known, left_out_changes(known, own=True)),
        "logs": squares(known, logs),
    }
    found = []
    for number in numbers:
        one, own, by_log = (root(beside[number][name]) for name in NAMES)
        chosen = Errors(one, own, 0.0, by_log).best
        found += [alone[chosen][int(group)] for group in np.unique(known.groups[fold == number])]
    return root(found)


def every_way(known: Changes, others: Changes) -> dict[Name, Doubles]:
    """`[n]` what each way expects of changes in runs that were not learned from."""
    return {
        "one": expected_of(known, others, own=False),
        "own": expected_of(known, others, own=True),
        "logs": by_logs(known, others),
    }
