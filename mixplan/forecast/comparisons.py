"""Finds comparisons of score-led mixtures with an even spread: in studies of the plan's model, and in its own runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mixplan.domains.content_sketch import Content, same_content
from mixplan.errors import RunError
from mixplan.forecast.earlier_runs import Kind, places, unit_of
from mixplan.forecast.evidence import evidence_files
from mixplan.forecast.halving import read_evidence, same_job
from mixplan.forecast.own_target import UNKNOWN_NOISE
from mixplan.saved import read_earlier_outcome
from mixplan.saved.arms import Arm, Arms
from mixplan.saved.base_types import Interval
from mixplan.saved.evaluation import QUALITY, quality
from mixplan.saved.evidence import Evidence
from mixplan.saved.outcome import Outcome
from mixplan.saved.placement import ComparisonEvidence

EVEN = "uniform"
LED: tuple[Literal["proportional_to_sts", "plan"], ...] = ("proportional_to_sts", "plan")
"""Arms led by scores, the first that was trained counts: rows are moved towards the proportional rule."""
NORMAL = 1.959964
"""The normal distribution's 97.5 % quantile."""
ALIKE = 0.05
"""Total variation from the even spread's rows below which a mixture is one itself."""
KNOWN_UNITS = frozenset(QUALITY) | frozenset(map(unit_of, QUALITY))
"""Units of which an outcome alone says whether more is better; those of a task's other metrics teach nothing."""


@dataclass(frozen=True)
class Comparisons:
    """What was compared.

    Attributes:
        found: One for each study and run, in the order of their files' hashes.
        passed_over: Those that say nothing: the mixture was an even spread itself, or there is no interval.
    """

    found: tuple[ComparisonEvidence, ...] = ()
    passed_over: int = 0


def comparisons_earlier(patterns: Sequence[str] | None, *, folder: Path, run: Path, kind: Kind) -> Comparisons:
    """Find what earlier comparisons say of where rows go; damaged files are passed over, the forecast warns of them.

    Args:
        patterns: The recipe's `forecast.runs`; None for the folders beside the run's own and what comes with mixplan.
        folder: What the patterns are relative to.
        run: The run's own folder, which is never learned from.
        kind: Comparisons of other models and training methods say nothing. The score that planned them may differ: what
            is asked is whether rows that go where some score says do more than rows that go everywhere.
    """
    known: dict[str, tuple[Content | None, ComparisonEvidence | None]] = {}
    for place in (*(at for at, _ in places(patterns, folder, run, [])), *evidence_files(patterns, folder, run)):
        value: Outcome | Evidence
        try:
            value, mark = read_earlier_outcome(place) if place.is_dir() else read_evidence(place)
            target = target_of(value)
        except (RunError, OSError, ValueError):
            continue
        if same_job(kind, value):
            study = value.study if isinstance(value, Evidence) else None
            for one in compared_in(value, place.name):
                known.setdefault(study or mark, (target, one))
    usable = [(target, one) for _, (target, one) in sorted(known.items()) if one is not None]
    return Comparisons(counted_by_target(usable), len(known) - len(usable))


def target_of(value: Outcome | Evidence) -> Content | None:
    """Sketch of what a run was trained on; None for a study of several targets, and where there is none.

    Raises:
        ValueError: it is damaged.
    """
    if isinstance(value, Evidence) or value.content is None:
        return None
    return Content.from_json(value.content.target.values())


def counted_by_target(
    known: Sequence[tuple[Content | None, ComparisonEvidence]],
) -> tuple[ComparisonEvidence, ...]:
    """Comparisons with how many there are of each one's very target: a target that is compared again is no new one."""
    found = []
    for place, (target, one) in enumerate(known):
        others = (other for number, (other, _) in enumerate(known) if number != place)
        same = 1 + sum(same_content(target, other) is True for other in others)
        found.append(one if same == 1 else one.model_copy(update={"same": same}))
    return tuple(found)


def compared_in(value: Outcome | Evidence, name: str) -> Iterator[ComparisonEvidence | None]:
    """What one study or run compared: nothing, one comparison, or None for one that says nothing.

    Args:
        value: What its file holds.
        name: A run folder's.
    """
    if isinstance(value, Evidence):
        if (found := value.against_uniform) is not None:
            worst = found.worst
            yield made(value.title, "plan", "worst", found.unit, found.targets, (worst.value, worst.low, worst.high))
    elif value.arms is not None:
        yield from led_against_even(value.arms, name)


def led_against_even(arms: Arms, name: str) -> Iterator[ComparisonEvidence | None]:
    """What a run's comparison of arms says: of behaviour where it was measured, else of the headlines."""
    over = arms.behaviour if arms.behaviour is not None and arms.behaviour.arms else arms
    even = over.arms.get(EVEN)
    led = next((arm for arm in LED if arm in over.arms), None)
    if even is None or led is None or over.quantity not in KNOWN_UNITS or arms.baseline != EVEN:
        return
    found = over.arms[led].against
    if found is None or apart(over.arms[led], even) < ALIKE or spread_evenly(over.arms[led].rows):
        yield None
        return
    unit, found = unit_of(over.quantity), with_seeds(found, over.arms[led], even)
    # More of a share of right answers is less loss; of anything else, and of movement, more is more loss.
    avoided = found if quality(over.quantity) > 0 else Interval(value=-found.value, low=-found.high, high=-found.low)
    yield made(name, led, "mean", unit, 1, (avoided.value, avoided.low, avoided.high))


def with_seeds(found: Interval, led: Arm, even: Arm) -> Interval:
    """A difference of two arms whose interval holds how trainings differ, also where one of them was trained once.

    Such an interval is over items alone. A training's seed then moves all domains alike by as much as is taken where no
    other training was measured: in recipes/studies/smollm2-135m the standard deviation over seeds of a mean over
    domains is 0.063 of it (token KL), 3.5 times the standard error over items.
    """
    if min(led.seeds, even.seeds) > 1:
        return found
    sizes = (abs(arm.mean.value) for arm in (led, even) if arm.mean is not None)
    seeds = NORMAL * UNKNOWN_NOISE * math.hypot(*sizes)
    low, high = (math.hypot(end - found.value, seeds) for end in (found.low, found.high))
    return Interval(value=found.value, low=found.value - low, high=found.value + high)


def spread_evenly(rows: Mapping[str, int]) -> bool:
    """Whether all domains that have rows have as many, but for one that does not divide: no score led that mixture.

    A plan whose recipe keeps a domain out of the mixture spreads evenly over the others, where the even arm does not.
    """
    counts = [count for count in rows.values() if count]
    return len(counts) > 1 and max(counts) - min(counts) <= 1


def apart(led: Arm, even: Arm) -> float:
    """Total variation of one arm's rows from another's: 0 alike, 1 disjoint."""
    sums = [sum(arm.rows.values()) or 1 for arm in (led, even)]
    names = led.rows.keys() | even.rows.keys()
    return sum(abs(led.rows.get(name, 0) / sums[0] - even.rows.get(name, 0) / sums[1]) for name in names) / 2


def made(
    name: str,
    arm: Literal["plan", "proportional_to_sts"],
    of: Literal["worst", "mean"],
    unit: str,
    targets: int,
    avoided: tuple[float, float | None, float | None],
) -> ComparisonEvidence | None:
    """A comparison; None where its difference has no interval, or one without a width."""
    value, low, high = avoided
    if low is None or high is None or not low < high:
        return None
    interval = Interval(value=value, low=low, high=high)
    return ComparisonEvidence(name=name, arm=arm, of=of, unit=unit, targets=targets, avoided=interval)
