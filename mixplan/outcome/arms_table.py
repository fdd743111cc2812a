"""Holds the evaluations of all arms against each other: target, mean and worst domain change, each against uniform.

Every item is measured in every seed of every arm, so seeds and items cross. For D domains with n_d items and S seeds, a
mean over domains of differences y_dsi has

    variance = (spread of the S seed means) / S + sum over d of (item variance of d) / (n_d D²)

where an item's variance is that of its mean over seeds, less the part that seeds leave in it (the residual mean square
over S). The 95 % interval's half-width is the root of the sum of t² times variance over both parts, each with its own t
(the items' degrees of freedom by Satterthwaite 1946, the seeds' S - 1; parts combined as by Zou and Donner, Statistics
in Medicine 27 (2008) 1693): three seeds that differ make it as wide as two degrees of freedom do. One seed says nothing
of the spread between seeds; the interval is then over items alone.

The interval of one domain's grades, right or wrong, takes two items more, one won and one lost (`domain_interval`); of
a mean over domains of grades the variance takes what two such items among all would add (`mean_interval`).
The variance of a domain's single item is taken to be that of the other domains' items, or, where no domain has several,
that between domains. Fewer than six items in all show no difference (see `mixplan.evaluate.intervals`): a tie.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from mixplan.errors import RunError
from mixplan.evaluate.intervals import FEWEST_ITEMS, is_graded
from mixplan.forecast.earlier_runs import unit_of
from mixplan.outcome.arms import BASELINE
from mixplan.outcome.units import common_unit, main_quantity
from mixplan.saved.arms import Arm, Arms, ArmsOver, Pair, Verdict
from mixplan.saved.base_types import Interval
from mixplan.saved.evaluation import Evaluation

Doubles = npt.NDArray[np.float64]
VERDICTS: tuple[Verdict, ...] = ("win", "tie", "loss")
Trained = Mapping[str, Mapping[int, Evaluation]]
"""By arm and seed, the evaluation of that arm's trained model."""


def arms_table(
    arms: Trained,
    before: Evaluation,
    *,
    rows: Mapping[str, Mapping[str, int]],
    steps: int,
    sources: Collection[str] = (),
) -> Arms:
    """Hold the arms against each other.

    Args:
        arms: Evaluations after training, by arm and seed; an arm may lack seeds that another has.
        before: The untrained model's, on the same items.
        rows: Each arm's rows by domain (of its first seed, where seeds draw different ones).
        steps: Optimiser steps, the same for every arm.
        sources: What the sources of a target that has several are called; they are no domains.

    Returns:
        The table over headline measures of the unit that most domains have, and under `behaviour` the
        table over how far the trained model moved from the untrained one.

    Raises:
        RunError: two evaluations are of different items.
    """
    everyone = [before, *(one for found in arms.values() for one in found.values())]
    refuse_other_items(everyone)
    names = [name for name in before.domains if name != "target" and name not in sources]
    headlines = {name: quantity for name in names if (quantity := headline_quantity(everyone, name))}
    unit = common_unit(map(unit_of, headlines.values()))
    chosen = {name: (before.headlines[name], q) for name, q in headlines.items() if unit_of(q) == unit}
    moved = {name: ("behaviour", "kl") for name in names if has(everyone, name, "behaviour")}
    table = table_over(chosen, arms, before, rows, quantity=unit)
    return Arms(
        baseline=BASELINE,
        seeds=sorted({seed for found in arms.values() for seed in found}),
        steps=steps,
        domains=table.domains,
        arms=table.arms,
        pairs=table.pairs,
        quantity=table.quantity,
        behaviour=table_over(moved, arms, before, rows, quantity="kl") if moved else None,
    )


def has(evaluations: Iterable[Evaluation], name: str, measure: str) -> bool:
    """Whether all evaluations measured a domain so."""
    return all(measure in one.domains.get(name, {}) for one in evaluations)


def headline_quantity(evaluations: Sequence[Evaluation], name: str) -> str | None:
    """The main quantity of a domain's headline measure, or None where some evaluation lacks it.

    Args:
        evaluations: The first one's headline counts.
        name: The domain.
    """
    measure = evaluations[0].headlines.get(name, "")
    return main_quantity(evaluations[0].domains[name][measure].values) if has(evaluations, name, measure) else None


def table_over(
    chosen: Mapping[str, tuple[str, str]],
    arms: Trained,
    before: Evaluation,
    rows: Mapping[str, Mapping[str, int]],
    *,
    quantity: str | None,
) -> ArmsOver:
    """The arms over one quantity of each chosen domain."""
    found = {}
    for arm, evaluations in arms.items():
        base = {} if arm == BASELINE else arms.get(BASELINE, {})
        found[arm] = arm_line(chosen, evaluations, base, before, dict(rows.get(arm, {})))
    each = (pair_of(chosen, arms, before, *two) for two in itertools.combinations(arms, 2))
    pairs = [pair for pair in each if pair]
    return ArmsOver(domains=len(chosen), arms=found, pairs=pairs, quantity=quantity)


def pair_of(
    chosen: Mapping[str, tuple[str, str]], arms: Trained, before: Evaluation, first: str, second: str
) -> Pair | None:
    """The paired difference of two arms' means over domains, the later arm less the earlier; None without both.

    Args:
        chosen: By domain, measure and quantity.
        arms: Evaluations by arm and seed.
        before: The untrained model's.
        first: An arm.
        second: The arm that is held against it.
    """
    both = sorted(set(arms[first]) & set(arms[second]))
    if not both or not chosen:
        return None
    parts = [
        matrix([arms[second][seed] for seed in both], name, *where)
        - matrix([arms[first][seed] for seed in both], name, *where)
        for name, where in chosen.items()
    ]
    trained = [arms[arm][seed] for arm in (first, second) for seed in both]
    against = mean_interval(parts, grades(chosen, before, trained))
    return Pair(
        arm=second,
        against=first,
        seeds=len(both),
        difference=against,
        verdict=verdict(against, direction_of(chosen, before), items=items_in(parts)),
    )


def direction_of(chosen: Mapping[str, tuple[str, str]], before: Evaluation) -> int:
    """1 where more of the chosen quantities is better, -1 where less is, as their evaluation says."""
    return -1 if any(before.domains[name][part].quality(one) <= 0 for name, (part, one) in chosen.items()) else 1


def arm_line(
    chosen: Mapping[str, tuple[str, str]],
    evaluations: Mapping[int, Evaluation],
    base: Mapping[int, Evaluation],
    before: Evaluation,
    rows: dict[str, int],
) -> Arm:
    """One arm's line: its own changes, and the paired difference from the baseline over the seeds that both have."""
    seeds, both = sorted(evaluations), sorted(set(evaluations) & set(base))

    def changes(name: str, measure: str, quantity: str) -> Doubles:
        return matrix([evaluations[seed] for seed in seeds], name, measure, quantity) - matrix(
            [before], name, measure, quantity
        )

    def differences(name: str, measure: str, quantity: str) -> Doubles:
        own, other = ([one[seed] for seed in both] for one in (evaluations, base))
        return matrix(own, name, measure, quantity) - matrix(other, name, measure, quantity)

    target = headline_quantity([before, *evaluations.values(), *base.values()], "target")
    place = ("target", before.headlines["target"], target) if target else None
    taught = place is not None and graded_in(before, evaluations.values(), *place[1:], name=place[0])
    better = direction_of(chosen, before)
    own = {name: changes(name, *where) for name, where in chosen.items()}
    apart = {name: differences(name, *where) for name, where in chosen.items()} if both else {}
    graded = dict(zip(chosen, grades(chosen, before, [*evaluations.values()]), strict=True))
    worst = min(own, key=lambda name: (better * float(own[name].mean()), name), default=None)
    trained = [one[seed] for one in (evaluations, base) for seed in both]
    against = mean_interval(list(apart.values()), grades(chosen, before, trained)) if apart else None
    alone = {name: domain_interval(part, graded=graded[name]) for name, part in apart.items()}
    each = [verdict(alone[name], better, items=items_in([part])) for name, part in apart.items()]
    return Arm(
        seeds=len(seeds),
        target=domain_interval(changes(*place), graded=taught) if place else None,
        target_quantity=target,
        target_against=domain_interval(differences(*place), graded=taught) if place and both else None,
        mean=mean_interval(list(own.values()), [*graded.values()]) if own else None,
        worst=domain_interval(own[worst], graded=graded[worst]) if worst else None,
        worst_domain=worst,
        losses={name: -better * float(part.mean()) for name, part in own.items()},
        against=against,
        verdict=verdict(against, better, items=items_in(apart.values())) if against else None,
        by_domain={word: each.count(word) for word in VERDICTS} if apart else None,
        rows=rows,
    )


def matrix(evaluations: Iterable[Evaluation], name: str, measure: str, quantity: str) -> Doubles:
    """One quantity of one domain, `[evaluations, items]`."""
    return np.array([one.domains[name][measure].values[quantity] for one in evaluations], dtype=np.float64)


def refuse_other_items(evaluations: Sequence[Evaluation]) -> None:
    """Stop where a measure's items are not the same in every evaluation that has it.

    Raises:
        RunError: they are not.
    """
    for name, measures in evaluations[0].domains.items():
        for measure, measured in measures.items():
            others = (one.domains.get(name, {}).get(measure, measured) for one in evaluations)
            if any(other.rows != measured.rows for other in others):
                raise RunError(
                    f"arms: '{name}' was measured on different rows in different arms, so they cannot be compared. "
                    "Delete the run folder's arms/ and run mixplan compare again."
                )


def mean_interval(parts: Sequence[Doubles], graded: Sequence[bool] = ()) -> Interval:
    """Mean over domains of a paired difference, with its 95 % interval over seeds and items.

    Of right and wrong answers few may change, in some samples none. As for one domain, what one item won and one lost
    would add to the variance is added, of all graded domains together.

    Args:
        parts: For each domain `[S, n_d]`; S is the same for all.
        graded: For each domain, whether it is of grades; none is when empty.

    Source: see the module; Satterthwaite, Biometrics Bulletin 2 (1946) 110.
    """
    if len(parts) == 1 and any(graded):
        return domain_interval(parts[0], graded=True)
    by_seed = np.mean([part.mean(axis=1) for part in parts], axis=0)
    value, squares = float(np.mean(by_seed)), 0.0
    if (seeds := len(by_seed)) > 1:
        squares += float(stdtrit(seeds - 1, 0.975)) ** 2 * float(np.var(by_seed, ddof=1)) / seeds
    several = [part for part in parts if part.shape[1] > 1]
    pieces = [(item_variance(part) / (part.shape[1] * len(parts) ** 2), part.shape[1] - 1) for part in several]
    pieces += single_items(parts, several)
    if any(graded):
        each = math.fsum(1 / part.shape[1] for part, one in zip(parts, graded, strict=True) if one) / len(parts) ** 2
        pieces.append((2 * each**2, items_in(parts) + 1))
    if (variance := math.fsum(piece for piece, _ in pieces)) > 0:
        freedom = variance**2 / math.fsum(piece**2 / degrees for piece, degrees in pieces)
        squares += float(stdtrit(freedom, 0.975)) ** 2 * variance
    half = math.sqrt(squares)
    return Interval(value=value, low=value - half, high=value + half)


def domain_interval(part: Doubles, *, graded: bool) -> Interval:
    """Mean of one domain's paired difference, with its 95 % interval over seeds and items.

    Of right and wrong answers few may change, and Student's interval of those that did is then too narrow: as Bonett
    and Price do, two items more are taken, one won and one lost with every seed.

    Args:
        part: `[S, n]`.
        graded: Whether it is of grades (see `mixplan.evaluate.intervals`).

    Source: Bonett and Price, Statistics in Medicine 31 (2012) 1275, for one seed.
    """
    if not graded:
        return mean_interval([part])
    more = np.repeat([[1.0, -1.0]], len(part), axis=0)
    found = mean_interval([np.hstack([part, more])])
    return Interval(value=float(part.mean()), low=max(found.low, -1.0), high=min(found.high, 1.0))


def grades(chosen: Mapping[str, tuple[str, str]], before: Evaluation, after: Sequence[Evaluation]) -> list[bool]:
    """For each chosen domain, whether its values are grades."""
    return [graded_in(before, after, *where, name=name) for name, where in chosen.items()]


def graded_in(before: Evaluation, after: Iterable[Evaluation], measure: str, quantity: str, *, name: str) -> bool:
    """Whether a domain's values are grades, before and after alike."""
    first = matrix([before], name, measure, quantity)
    later = matrix(after, name, measure, quantity)
    return is_graded(np.broadcast_to(first, later.shape).ravel(), later.ravel())


def single_items(parts: Sequence[Doubles], several: Sequence[Doubles]) -> list[tuple[float, int]]:
    """The variance of the mean over domains that domains of one item bring, with its degrees of freedom.

    Args:
        parts: As for `mean_interval`.
        several: Those of them with more than one item.
    """
    alone = len(parts) - len(several)
    if alone and several:
        degrees = [part.shape[1] - 1 for part in several]
        squares = math.fsum(item_variance(part) * count for part, count in zip(several, degrees, strict=True))
        return [(alone * squares / sum(degrees) / len(parts) ** 2, sum(degrees))]
    if alone > 1:
        return [(item_variance(np.hstack(parts)) / alone, alone - 1)]
    return []


def items_in(parts: Iterable[Doubles]) -> int:
    """How many items several domains have together."""
    return sum(part.shape[1] for part in parts)


def item_variance(part: Doubles) -> float:
    """Variance between items of their expected difference, `[S, n]` given: the residual's part is taken out."""
    seeds, items = len(part), len(part[0])
    between = float(part.mean(axis=0).var(ddof=1))
    if seeds == 1:
        return between
    rest = part - part.mean(axis=0) - part.mean(axis=1, keepdims=True) + part.mean()
    residual = float(np.square(rest).sum()) / ((seeds - 1) * (items - 1))
    return max(0.0, between - residual / float(seeds))


def verdict(against: Interval, better: int, *, items: int) -> Verdict:
    """Win, loss or, where the interval holds zero or is of too few items, tie.

    Args:
        against: The difference from the baseline with its interval.
        better: 1 where more is better, -1 where less is: less loss, and less movement of what was to be kept.
        items: How many it is of.
    """
    if items < FEWEST_ITEMS:
        return "tie"
    low, high = sorted((better * against.low, better * against.high))
    return "win" if low > 0 else "loss" if high < 0 else "tie"
