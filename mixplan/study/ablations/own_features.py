"""Measures how many of a target's own features are among the features that move most.

A feature is labelled as a target's own without any judge: by how much more active it is on the target's question tokens
than on the domains'. With a_t,j its mean activation a target token, a_d,j the same over all domains' tokens together,
n_d how many those are, and m_j its mean activation where it fires on the target,

    ratio_j = log a_t,j − log (a_d,j + m_j / n_d)

so that a feature silent on the domains counts as if it had fired once there. Of the features that fire on at least
0.5 % of the target's tokens the K with the largest ratio are labelled. Recall is their share among the M features that
move most. Drawn blindly out of L live features it would be M / L; and as only features that are active on the target's
tokens can be labelled, which are those that move there, features of like activity stand beside: see `matched_sets`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from mixplan.drift import drift_dimensions
from mixplan.features.profile import Profile
from mixplan.study.ablations.control_features import live_features, matched_sets
from mixplan.study.files.own_features import Labelled, MeanRecall, OwnFeatures, Recall
from mixplan.study.forecasts.formulas import DomainReading, TargetReading
from mixplan.study.judged.overlap import mean_over_targets

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LABELLED, MOVERS = 100, 500
"""K and M."""
LEAST_FIRING = 0.005
"""Share of the target's tokens on which a labelled feature fires at least."""
MATCHED_SETS = 20
"""Sets of like activity whose mean recall stands beside."""

Drift = Mapping[str, Doubles]
"""What `read_drift` gives of a cell."""


def judge_labels(
    targets: Mapping[str, TargetReading],
    domains: Mapping[str, DomainReading],
    drifts: Mapping[tuple[str, int], Drift],
    *,
    seed: int,
) -> Labelled:
    """Recall of each target's own features among the features that move most, predicted and actual.

    Args:
        targets: What was read of each target.
        domains: What was read of each domain; those of a target's own data are left out of its labels.
        drifts: By target and seed, what training moved.
        seed: Of the sets of like activity.

    Returns:
        K at most and M; by target the K found, and their recall among predicted and actual movers (mean over seeds)
        beside chance (hypergeometric) and features of like activity; and the means over targets with t intervals.
    """
    found: dict[str, OwnFeatures] = {}
    for name, reading in targets.items():
        others = [domain.own for domain in domains.values() if name in domain.behind]
        chosen = own_features(reading.own, others, count=LABELLED)
        predicted = recall(chosen, reading.own, reading.own.shift, reading.own.fired, seed=seed)
        cells = [
            recall(chosen, reading.own, drift["target.shift"], drift["target.fired"], seed=seed)
            for (target, _), drift in drifts.items()
            if target == name
        ]
        found[name] = OwnFeatures(
            labelled=len(chosen), features=chosen.tolist(), predicted=predicted, actual=mean_of(cells)
        )
    return Labelled(
        labelled=LABELLED,
        movers=MOVERS,
        least_firing=LEAST_FIRING,
        targets=found,
        predicted=over_targets([entry.predicted for entry in found.values()]),
        actual=over_targets([entry.actual for entry in found.values()]),
    )


def own_features(target: Profile, domains: Sequence[Profile], *, count: int) -> Integers:
    """Label the features that are a target's own.

    Args:
        target: What was read of the target.
        domains: What was read of the domains, at least one.
        count: K.

    Returns:
        `[K]` feature indices, or fewer when fewer fire often enough; largest ratio first, equal ones by lower index.
    """
    often = np.flatnonzero(target.fired >= max(1.0, LEAST_FIRING * target.tokens))
    tokens = sum(domain.tokens for domain in domains)
    elsewhere = np.sum([domain.act for domain in domains], axis=0)[often] / tokens
    here = target.act[often] / target.tokens
    once = target.act[often] / target.fired[often] / tokens
    ratio = np.log(here) - np.log(elsewhere + once)
    return often[np.argsort(-ratio, kind="stable")[:count]].astype(np.int64)


def recall(chosen: Integers, target: Profile, shift: Doubles, fired: npt.NDArray[Any], *, seed: int) -> Recall:
    """Share of the chosen features among those that move most; None with none chosen."""
    live = live_features(fired, shift)
    movers = drift_dimensions(shift, count=min(MOVERS, len(live)))
    if not len(chosen):
        return Recall(recall=None, chance=None, chance_high=None, matched=None, live=len(live))
    blind = hypergeom(len(live), len(chosen), len(movers))
    alike = matched_sets(target.act / target.tokens, chosen, live, sets=MATCHED_SETS, seed=seed)
    matched = [float(np.isin(one, movers).mean()) for one in alike if len(one)]
    return Recall(
        recall=float(np.isin(chosen, movers).mean()),
        chance=len(movers) / len(live),
        chance_high=float(blind.ppf(0.975) / len(chosen)),
        matched=float(np.mean(matched)) if matched else None,
        live=len(live),
    )


def mean_of(cells: Sequence[Recall]) -> Recall:
    """Mean over seeds, None where nothing is known."""
    return Recall(
        recall=mean_known([cell.recall for cell in cells]),
        chance=mean_known([cell.chance for cell in cells]),
        chance_high=mean_known([cell.chance_high for cell in cells]),
        matched=mean_known([cell.matched for cell in cells]),
        live=mean_known([cell.live for cell in cells]),
    )


def mean_known(values: Sequence[float | None]) -> float | None:
    """The mean of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def over_targets(entries: Sequence[Recall]) -> MeanRecall:
    """Means over targets with their intervals."""
    own, alike, chance = (
        np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        for values in zip(*((entry.recall, entry.matched, entry.chance) for entry in entries), strict=True)
    )
    return MeanRecall(
        recall=mean_over_targets(own),
        matched=mean_over_targets(alike),
        difference=mean_over_targets(own - alike),
        chance=mean_over_targets(chance).value,
    )
