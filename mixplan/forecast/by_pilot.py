"""Forecasts each domain's movement from a pilot of the job that was measured on a few domains.

A domain that was measured is expected by what a pilot's change becomes in the whole job (see `pilot_law`); those that
earlier targets measured are completed by what they have in common (see `completion`); the rest by how changes go with
scores within earlier targets, around what the others are expected to do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixplan.forecast.by_pilot_checks import LeftOut, left_out
from mixplan.forecast.completion import FEWEST_TARGETS, Completed, Doubles, Seen, complete, reach
from mixplan.forecast.completion_scores import logs_of, with_scores
from mixplan.forecast.earlier_changes import Slope, Table, slope_of, table_of
from mixplan.forecast.expected_change import BEHAVIOUR, Learned, as_expected, planning_scores
from mixplan.forecast.job import REACH, Distance, common_distance
from mixplan.forecast.log_ridge import raised
from mixplan.forecast.own_target import Estimate
from mixplan.forecast.pilot_law import Law, MeasuredPilot, learn_law
from mixplan.forecast.target_only import Known
from mixplan.saved.base_types import Interval
from mixplan.saved.plan import Job, PilotUse
from mixplan.sts import Score

BEYOND = 1.96
"""Standard errors by which a pilot's change must lie above 0 to say anything."""
GROWS_WITH_SCORE = 1.0
"""Slope of logarithms where no earlier target says one: changes in proportion to scores, as one factor for all has it.
"""

SCORES_SAY = {0.5: ", and by half of what scores say beside them", 1.0: ", and by what scores say beside them"}
"""By the share that is taken."""


@dataclass(frozen=True)
class Piloted:
    """A forecast from a pilot.

    Attributes:
        estimates: By domain, movement in nats per token.
        use: What was taken from the pilot, for the plan.
        text: What the forecast rests on, in whole sentences.
    """

    estimates: dict[str, Estimate]
    use: PilotUse
    text: str


def by_pilot(pilot: MeasuredPilot, job: Job, known: Known, scores: Mapping[str, Score], score: str) -> Piloted | None:
    """Forecast from a pilot.

    Args:
        pilot: What it measured.
        job: What the whole job trains with.
        known: Earlier runs, scaled to that job.
        scores: The planning score of each of the plan's domains.
        score: Its name in earlier runs.

    Returns:
        None where the pilot moved no domain beyond noise, so that it says nothing.
    """
    names, ratio = list(scores), math.log(job.strength / pilot.job.strength)
    clear = {name: found for name, found in pilot.changes.items() if name in scores and found[0] > BEYOND * found[1]}
    if not clear:
        return None
    asked = _Asked(pilot, job, learn_law(pilot.pairs), ratio, clear)
    table = table_of(known, names, score)
    enough = len(table.logs) >= FEWEST_TARGETS and bool(set(clear) & set(table.names))
    direct = asked.seen(list(clear))
    made = {
        name: estimate(direct.logs[place], math.sqrt(direct.variance[place] + direct.common), REACH)
        for place, name in enumerate(clear)
    }
    checks, slope = None, None
    base, half = base_of(of_measured(direct), list(clear), scores), reach(max(2, len(clear)))
    if enough:
        own = logs_of({name: one.value for name, one in scores.items()}, table.names)
        checks, found = completed(asked, table, own, common_distance(known.distances))
        half = checks.scale * reach(len(table.logs))
        made |= {name: estimate(found.mean[at], found.deviation[at], half) for at, name in enumerate(table.names)}
        slope, base = slope_of(known, score), base_of(found, table.names, scores)
    slope = slope or own_slope(direct, list(clear), scores)
    rest = [name for name in names if name not in made]
    made |= {name: by_score(base, slope, scores[name].value, half) for name in rest}
    use = use_of(asked, made, checks, len(table.logs) if enough else 0)
    return Piloted({name: made[name] for name in names}, use, text_of(use, table if enough else None, rest))


@dataclass(frozen=True)
class _Asked:
    """A pilot with what it is of.

    Attributes:
        pilot: What it measured.
        job: The whole job.
        law: What its changes become there.
        ratio: Logarithm of how many times the pilot's strength the job's is.
        clear: Changes beyond noise, with their standard errors.
    """

    pilot: MeasuredPilot
    job: Job
    law: Law
    ratio: float
    clear: Mapping[str, tuple[float, float]]

    def seen(self, names: Sequence[str], places: Sequence[int] = ()) -> Seen:
        """Its changes as the job's; the standard error of a logarithm is that of the change over the change."""
        changes = np.array([self.clear[name][0] for name in names])
        errors = np.array([self.clear[name][1] for name in names]) / changes
        there = np.array(places or range(len(names)), dtype=np.int64)
        return self.law.seen(there, np.log(changes), errors, self.ratio)


def completed(asked: _Asked, table: Table, own: Doubles, far: Distance) -> tuple[LeftOut, Completed]:
    """Complete the table's domains from those measured, and say what targets that were left out say of it.

    Args:
        asked: The pilot.
        table: Earlier targets, scaled to this job.
        own: `[D]` logarithms of this plan's scores of the table's domains, NaN where there is none.
        far: How far it is from theirs. How wrong that scaling may be is common to all of them, so that it is part of
            how strong this target may be.
    """
    places = [table.names.index(name) for name in asked.clear if name in table.names]
    checks = left_out(table, places, own, asked.pilot.pairs, asked.law, asked.ratio)
    seen = asked.seen([table.names[place] for place in places], places)
    factors = with_scores(table.logs, table.scores, own, checks.way)
    return checks, complete(replace(factors, strength=factors.strength + far.spread**2), seen)


def estimate(mean: float, deviation: float, half: float) -> Estimate:
    """A domain's change by its logarithm: the median, and the ends of the 95 % interval, all finite numbers."""
    low, change, high = raised(np.array([mean - half * deviation, mean, mean + half * deviation])).tolist()
    return Estimate(change, low, high, low, high, 0.0)


@dataclass(frozen=True)
class Base:
    """What domains without a change of their own are expected around.

    Attributes:
        mean: Of the other domains' logarithms.
        variance: Of that mean, taken as large as a single one's: their errors are mostly common.
        score: Mean logarithm of their scores; None where all are 0.
    """

    mean: float
    variance: float
    score: float | None


def of_measured(direct: Seen) -> Completed:
    """The measured domains as if they were completed."""
    return Completed(direct.logs, np.sqrt(direct.variance + direct.common))


def base_of(found: Completed, names: Sequence[str], scores: Mapping[str, Score]) -> Base:
    """The mean over the domains that have a change of their own."""
    logs = [math.log(scores[name].value) for name in names if scores[name].value > 0]
    mean_score = math.fsum(logs) / len(logs) if logs else None
    return Base(float(found.mean.mean()), float(np.square(found.deviation).mean()), mean_score)


def own_slope(direct: Seen, names: Sequence[str], scores: Mapping[str, Score]) -> Slope:
    """Without earlier targets: in proportion to scores, with the scatter that the pilot's own domains have around it.

    A single one shows no scatter: it is taken to be that of the domains' logarithms of scores.
    """
    logs = np.array([log_score(scores[name].value) for name in names])
    every = np.array([log_score(score.value) for score in scores.values()])
    left: Doubles = direct.logs - GROWS_WITH_SCORE * logs
    scatter = float(left.std(ddof=1)) if len(left) > 1 else float(every.std())
    return Slope(GROWS_WITH_SCORE, max(scatter, math.sqrt(float(direct.variance.mean()))))


def log_score(value: float) -> float:
    """A score's logarithm; 0 where it has none."""
    return math.log(value) if value > 0 else 0.0


def by_score(base: Base, slope: Slope, score: float, half: float) -> Estimate:
    """A domain that nothing was measured of, by its score."""
    beside = slope.value * (math.log(score) - base.score) if score > 0 and base.score is not None else 0.0
    return estimate(base.mean + beside, math.sqrt(base.variance + slope.deviation**2), half)


def use_of(asked: _Asked, made: Mapping[str, Estimate], checks: LeftOut | None, targets: int) -> PilotUse:
    """What was taken from the pilot, for the plan."""
    times, low, high = asked.law.times(asked.ratio)
    return PilotUse(
        steps=round(asked.pilot.job.steps),
        job_steps=asked.job.steps,
        measured=list(asked.pilot.changes),
        changes={name: change for name, (change, _) in asked.pilot.changes.items()},
        within_noise=[name for name in asked.pilot.changes if name not in asked.clear],
        completed=[name for name in made if name not in asked.clear],
        rank=checks.way.rank if checks else None,
        score_share=checks.way.share if checks else 0.0,
        targets=targets,
        error=checks.error or None if checks else None,  # 0 where nothing was left to complete
        errors=by_rank(checks, checks.way.share) if checks else {},
        error_without_scores=min(by_rank(checks, 0.0).values()) if checks and checks.way.share else None,
        left_out=checks.targets if checks else 0,
        by_pilots=checks.by_pilots if checks else False,
        times=Interval(value=times, low=low, high=high),
        law_targets=asked.law.targets,
    )


def by_rank(checks: LeftOut, share: float) -> dict[str, float]:
    """Errors by latent columns, with one share of what scores say."""
    return {str(way.rank): error for way, error in checks.errors.items() if way.share == share}


def text_of(use: PilotUse, table: Table | None, rest: Sequence[str]) -> str:
    """What the forecast of behaviour rests on."""
    parts = [
        f"Behaviour is forecast from a pilot of {use.steps} steps on the target's rows alone, where the job takes "
        f"{use.job_steps:.3g}: it was measured on {', '.join(use.measured)}."
    ]
    if use.within_noise:
        says = "says" if len(use.within_noise) == 1 else "say"
        parts.append(f"Of these {', '.join(use.within_noise)} moved by no more than noise and {says} nothing.")
    times = f"{use.times.value:.3g} [{use.times.low:.2g}, {use.times.high:.2g}]"
    if use.law_targets:
        parts.append(
            f"What it changed is multiplied by {times} for the whole job, which {use.law_targets} earlier targets "
            "teach that have both a pilot and a finished job."
        )
    else:
        parts.append(
            f"What it changed is multiplied by {times} for the whole job. That is assumed: fewer than three earlier "
            "targets have both a pilot and a finished job, so a pilot hardly says how strong its job will be, and the "
            "intervals are wide for it."
        )
    if table is not None and use.rank is not None and use.error is not None:
        columns = {0: "the strength of a target alone", 1: "its strength and one latent column"}
        by = columns.get(use.rank, f"its strength and {use.rank} latent columns")
        by += SCORES_SAY.get(use.score_share, "")
        others = len([name for name in table.names if name in use.completed])
        apart = f"; without scores by {use.error_without_scores:.3g}" if use.error_without_scores is not None else ""
        stood = "their own pilots were" if use.by_pilots else "their finished jobs' changes, not a pilot's, were"
        parts.append(
            f"{others} domain{'s are' if others != 1 else ' is'} completed by {by}, learned from {use.targets} earlier "
            f"targets; with {use.left_out} of them left out in turn it erred by {use.error:.3g} nats per token, where "
            f"{stood} completed{apart}."
        )
    if rest and table is not None:
        how = "as changes go with scores within earlier targets, around the other domains"
        parts.append(f"No earlier target says anything of {', '.join(rest)}: expected {how}.")
    elif rest:
        parts.append(
            f"Too few earlier targets measured a domain that the pilot moved, so {', '.join(rest)} are expected in "
            "proportion to their scores, around the domains that it moved."
        )
    return " ".join(parts)


def with_behaviour(piloted: Piloted, learned: Learned | None) -> Learned:
    """What earlier runs taught, with behaviour as the pilot has it in the place of what they say of it.

    Args:
        piloted: The forecast from the pilot.
        learned: What earlier runs taught; None where nothing.
    """
    expected = {name: dict(learned.expected.get(name, {})) if learned else {} for name in piloted.estimates}
    for name, found in piloted.estimates.items():
        entry = as_expected(BEHAVIOUR, "kl", found)
        first = expected[name].get("headline")
        if first is not None and (first.measure, first.quantity) == BEHAVIOUR:
            expected[name]["headline"] = entry
        expected[name]["behaviour"] = entry
    ways = {unit: way for unit, way in learned.ways.items() if unit != "kl"} if learned else {}
    return Learned(ways, expected, planning_scores(piloted.estimates), {})
