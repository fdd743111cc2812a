"""Chooses by targets left out how much domain effects are shrunk, and whether a level says how strong a run is.

See `log_ridge` for the model. Whatever is chosen for a target that is itself left out is chosen without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mixplan.forecast.log_ridge import (
    FEWEST_GROUPS,
    Flags,
    Form,
    Integers,
    Layout,
    LogFit,
    Logs,
    PredictedLogs,
    fit_logs,
)

PENALTIES = (1 / 16, 1 / 4, 1.0, 4.0, 16.0, 64.0, 256.0)
"""Grid of the penalty: over itself and the number of a domain's runs it is the part of an effect that is taken away."""
MOST_FOLDS = 10
"""Targets are left out one by one up to so many, beyond that in so many parts."""


def fold_of(groups: Integers) -> Integers:
    """`[n]` the fold of each change: its target's own, or one of `MOST_FOLDS` where targets are more."""
    return np.asarray(np.unique(groups, return_inverse=True)[1] % MOST_FOLDS, dtype=np.int64)


def folds(groups: Integers) -> Iterator[Flags]:
    """Say which changes are left out together, fold by fold."""
    fold = fold_of(groups)
    for number in np.unique(fold):
        yield fold == number


def choose_penalty(known: Logs, form: Form) -> float:
    """The penalty with which targets left out err least, once their strength is out; the larger of equal ones.

    With too few targets to leave one out it is 1: a domain's effect weighs as much as one change.
    """
    squares = []
    for out in folds(known.groups):
        if len(np.unique(known.groups[~out])) < FEWEST_GROUPS:
            continue
        rest, layout = known.part(~out), Layout.of(known.part(~out), form)
        towards = layout.design.T @ rest.changes
        solutions = np.array([layout.inverse(penalty) @ towards for penalty in PENALTIES])
        for run in np.unique(known.runs[out]):
            part = known.part(known.runs == run)
            errors = part.changes - solutions @ layout.rows(part.domains, part.covariates)[0].T
            squares.append(errors.var(axis=1))
    if not squares:
        return 1.0
    return min(zip(np.mean(squares, axis=0), PENALTIES, strict=True), key=lambda pair: (pair[0], -pair[1]))[1]


def learn_logs(known: Logs, form: Form) -> LogFit:
    """Fit with the penalty that targets left out choose."""
    return fit_logs(known, form, penalty=choose_penalty(known, form))


def predict_runs(fit: LogFit, part: Logs) -> PredictedLogs:
    """Expect the changes of runs that were not learned from, each as a run of its own."""
    columns = {name: np.zeros(len(part.changes)) for name in PredictedLogs.__dataclass_fields__}
    for run in np.unique(part.runs):
        at = part.runs == run
        one = part.part(at)
        for name, values in vars(fit.predict(one.domains, one.covariates)).items():
            columns[name][at] = values
    return PredictedLogs(**columns)


def left_out_logs(known: Logs, form: Form) -> PredictedLogs:
    """What is expected of every change, its target left out of what is learned from, the penalty's choice included.

    Args:
        known: Of more than `FEWEST_GROUPS` targets.
        form: Of the covariates.
    """
    columns = {name: np.zeros(len(known.changes)) for name in PredictedLogs.__dataclass_fields__}
    for group in np.unique(known.groups):
        out = known.groups == group
        for name, values in vars(predict_runs(learn_logs(known.part(~out), form), known.part(out))).items():
            columns[name][out] = values
    return PredictedLogs(**columns)


def level_helps(known: Logs, form: Form) -> bool:
    """Whether the level of a covariate is known to say how strong a run is.

    It is where the size of a target's mean error, once left out, is lower with it, significantly at 95 % by a t-test
    over targets. With fewer than four targets nothing is known.

    Args:
        known: What is learned from.
        form: With a level.
    """
    from scipy.special import stdtrit

    groups = np.unique(known.groups)
    if len(groups) < FEWEST_GROUPS + 2:
        return False
    sizes = []
    for chosen in (replace(form, level=None), form):
        rest = known.changes - left_out_logs(known, chosen).mean
        sizes.append([abs(rest[known.groups == group].mean()) for group in groups])
    less = np.subtract(sizes[0], sizes[1])
    reach = float(stdtrit(len(groups) - 1, 0.975)) * less.std(ddof=1) / np.sqrt(len(groups))
    return bool(less.mean() > reach)
