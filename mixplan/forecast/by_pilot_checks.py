"""Holds completion from a pilot against earlier targets left out: by their own pilots where enough have one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mixplan.forecast.completion import Doubles, Factors, Seen, calibration, complete, unseen
from mixplan.forecast.completion_choice import left_out_error, with_noise
from mixplan.forecast.completion_scores import Way, left_out_with_scores, ways
from mixplan.forecast.earlier_changes import Table
from mixplan.forecast.pilot_law import FEWEST_PAIRS, Law, Pair, learn_law


@dataclass(frozen=True)
class LeftOut:
    """What completing targets that were left out showed.

    Attributes:
        way: The one that erred least: latent columns, and what of scores is taken.
        error: Root mean square error in nats over the domains that were not measured.
        errors: The same by way.
        scale: What standard deviations are multiplied by.
        by_pilots: Whether these targets' own pilots were completed; else their finished jobs' changes.
        targets: How many were left out in turn.
    """

    way: Way
    error: float
    errors: dict[Way, float]
    scale: float
    by_pilots: bool
    targets: int


def left_out(
    table: Table, places: Sequence[int], own: Doubles, pairs: Sequence[Pair], law: Law, ratio: float
) -> LeftOut:
    """Complete each earlier target without itself, from the domains that this plan's pilot was measured on.

    With pilots of at least four targets, each is completed from its own, with the law learned on the other pilots: that
    holds every error that a plan's forecast has. Else the finished job's changes stand for the pilot's with their true
    strength, which is better than a pilot can be, and that is reported.

    Args:
        table: Earlier targets.
        places: The domains, as columns of the table.
        own: `[D]` logarithms of this plan's scores of the table's domains, NaN where there is none.
        pairs: Earlier pilots with their finished jobs.
        law: What pilots' changes become, learned on all.
        ratio: Logarithm of this job's strength over its pilot's.
    """
    measured = pilots_of(table, places, pairs)
    tried = ways(table.logs, table.scores, own)
    fits = {way: left_out_with_scores(table.logs, table.scores, way) for way in tried}
    if len(measured) > FEWEST_PAIRS:
        found = {way: errors_of(table.logs, fits[way], measured) for way in tried}
        best = min(tried, key=lambda way: found[way][0])
        errors = {way: error for way, (error, _) in found.items()}
        return LeftOut(best, errors[best], errors, max(1.0, found[best][1]), True, len(measured))
    noise = Seen(np.zeros(1, np.int64), np.zeros(1), np.array([(law.own * ratio) ** 2]), (law.spread * ratio) ** 2)
    errors = {way: left_out_error(table.logs, fits[way], places, None, whole=False) for way in tried}
    without = min(error for way, error in errors.items() if not way.share)
    # Scores are used where they err less by what is reported, too.
    usable = [way for way in tried if not way.share or errors[way] < without]
    best = min(usable, key=lambda way: left_out_error(table.logs, fits[way], places, noise, whole=True))
    scale = max(
        calibration(table.logs, [with_noise(row, places, each) for row in table.logs], fits[best])
        for each in (noise, None)
    )
    return LeftOut(best, errors[best], errors, scale, False, len(table.logs))


def pilots_of(table: Table, places: Sequence[int], pairs: Sequence[Pair]) -> Mapping[int, Seen]:
    """By row of the table, its own pilot's changes as the job's, by the law of the other targets' pilots.

    Domains are matched by name, and held against the table: one whose change in the finished job is not the table's, up
    to the one factor that scales the run to this plan's job, is another domain or a mean over runs, and is left out.
    """
    found: dict[int, Seen] = {}
    for row, runs in enumerate(table.runs):
        for pair in pairs:
            if pair.run not in runs:
                continue
            law = learn_law([other for other in pairs if other.target != pair.target])
            logs = {name: number for number, name in enumerate(pair.domains)}
            there = [place for place in places if table.names[place] in logs]
            scaling = np.array([table.logs[row, place] - pair.job[logs[table.names[place]]] for place in there])
            same = np.isclose(scaling, np.median(scaling)) if len(scaling) else np.zeros(0, bool)
            kept = [place for place, keep in zip(there, same, strict=True) if keep]
            if kept and law.targets:
                pilot = np.array([pair.pilot[logs[table.names[place]]] for place in kept])
                seen = law.seen(
                    np.array(kept, np.int64), pilot + np.median(scaling), np.zeros(len(kept)), pair.log_ratio
                )
                found[row] = seen
    return found


def errors_of(logs: Doubles, fits: Sequence[Factors], measured: Mapping[int, Seen]) -> tuple[float, float]:
    """Root mean square error in nats of targets completed from their pilots, and that of standardised logarithms."""
    nats, standard = [], []
    for row, seen in measured.items():
        rest = unseen(logs[row], seen)
        if rest.any():
            found = complete(fits[row], seen)
            nats.append(float(np.square(np.exp(found.mean) - np.exp(logs[row]))[rest].mean()))
            standard.append(float(np.square((found.mean - logs[row]) / found.deviation)[rest].mean()))
    if not nats:
        return 0.0, 1.0
    return math.sqrt(math.fsum(nats) / len(nats)), math.sqrt(math.fsum(standard) / len(standard))
