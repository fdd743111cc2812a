"""Judges by the interval of what a domain lost whether it kept to its tolerance: pass, fail or undecided.

    pass        the whole 95 % interval of the loss lies within the tolerance
    fail        the whole interval lies beyond it, and the change counts as one (see `mixplan.evaluate.intervals`)
    undecided   anything else, and an accuracy that cannot show a loss (see `mixplan.evaluate.accuracy_floors`)

The interval's ends are each missed by 2.5 % of samples: so often does a domain that loses just its tolerance fail, and
so often does it pass. How many rows would decide a loss that stays as measured is what the same interval says of more
of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from mixplan.errors import RunError
from mixplan.evaluate.accuracy_floors import Question, floor_of, is_share
from mixplan.evaluate.compare import change
from mixplan.evaluate.intervals import FEWEST_ITEMS, graded_interval, student_quantile
from mixplan.outcome.summary import changed_since, summarise
from mixplan.outcome.units import counted, main_quantity
from mixplan.recipe import Recipe
from mixplan.recipe.tolerances import SHARES, UNITS, Tolerance, tolerances_of
from mixplan.saved import read_outcome
from mixplan.saved.arms import Arm, Arms
from mixplan.saved.base_types import Interval
from mixplan.saved.evaluation import Evaluation
from mixplan.saved.outcome import Change, Measured, Outcome
from mixplan.saved.plan import Plan
from mixplan.saved.tolerances import Gate, Held, by_domain

MOST_ROWS = 1_000_000
"""Rows beyond which nobody measures a domain."""

Doubles = npt.NDArray[np.float64]
Changes = Mapping[str, Mapping[str, Mapping[str, Change]]]
"""By domain, measure and quantity."""


def gate(
    tolerances: Mapping[str, Sequence[Tolerance]],
    changes: Changes,
    before: Evaluation,
    rows: Mapping[str, Sequence[Question]],
    *,
    seeds: int = 1,
) -> Gate | None:
    """Judge every tolerance.

    Args:
        tolerances: By domain.
        changes: What was measured.
        before: The untrained model's evaluation, by which accuracies at their floor are known.
        rows: Evaluation rows by domain.
        seeds: Trainings whose mean the changes are.

    Returns:
        None where there are no tolerances.
    """
    held = []
    for name, several in tolerances.items():
        for tolerance in several:
            quantities = changes.get(name, {}).get(tolerance.measure, {})
            said = {"domain": name, **vars(tolerance)}
            if not quantities:
                said |= {"loss": None, "items": 0, "verdict": "undecided"}
                held.append(Held.model_validate(said | {"reason": f"`{tolerance.measure}` was not measured."}))
                continue
            quantity = main_quantity(quantities)
            moved, measured = quantities[quantity], before.domains[name][tolerance.measure]
            loss = loss_in(tolerance, measured.quality(quantity), moved)
            why = no_loss_to_show(name, tolerance, quantity, before, rows.get(name, ()))
            found = {"verdict": "undecided", "reason": why} if why else judged(tolerance, loss, moved, seeds)
            held.append(Held.model_validate(said | {"loss": loss, "items": moved.items} | found))
    return Gate(held=held) if held else None


def on_results(
    tolerances: Mapping[str, Sequence[Tolerance]], domains: Mapping[str, Measured]
) -> dict[str, list[Tolerance]]:
    """Tolerances on what another harness measured, which holds accuracy under a measure of its own.

    Args:
        tolerances: By domain, on mixplan's measures.
        domains: What was measured of each.
    """
    found: dict[str, list[Tolerance]] = {}
    for name, several in tolerances.items():
        measures = domains[name].measures if name in domains else {}
        shares = [measure for measure, quantities in measures.items() if main_quantity(quantities) in SHARES]
        found[name] = [
            replace(one, measure=shares[0]) if one.unit == "pp" and shares and one.measure not in measures else one
            for one in several
        ]
    return found


def changes_in(outcome: Outcome) -> Changes:
    """What an outcome's domains changed."""
    return {name: domain.measures for name, domain in outcome.domains.items()}


def with_gate(outcome: Outcome, plan: Plan, found: Gate, earlier: Outcome | None) -> Outcome:
    """An outcome with the verdicts on its tolerances, in its summary too.

    Args:
        outcome: What was measured.
        plan: Its plan; tolerances that are not the plan's are said to be given later.
        found: The verdicts.
        earlier: What was written of this model before; what it was held to then is kept.
    """
    planned = by_domain(plan.tolerances.expected) if plan.tolerances else {}
    values: dict[str, object] = {"held": found.held, "given": "plan" if planned == found.asked() else "eval"}
    if earlier is not None and earlier.hashes.get("trained") == outcome.hashes["trained"]:
        first = earlier.tolerances.held_first() if earlier.tolerances else {}
        values |= {"first": first} if first != found.asked() else {}
    told = outcome.model_copy(update={"tolerances": Gate.model_validate(values)})
    return told.model_copy(update={"summary": summarise(told), "warnings": [*told.warnings, *changed_since(told)]})


def standing(folder: Path) -> Outcome | None:
    """The outcome that was written into a folder earlier; None where there is none that can be read."""
    try:
        return read_outcome(folder)
    except RunError:
        return None


def judged(tolerance: Tolerance, loss: Interval, moved: Change, seeds: int) -> dict[str, object]:
    """Judge one tolerance whose loss could show: fields of its entry.

    Args:
        tolerance: What may be lost.
        loss: What was, in the tolerance's unit.
        moved: The same as it was measured.
        seeds: Trainings whose mean it is.
    """
    if moved.items >= FEWEST_ITEMS and loss.high <= tolerance.amount:
        return {"verdict": "pass"}
    if loss.low > tolerance.amount and moved.changed:
        return {"verdict": "fail"}
    over = counted(moved.items, "row") + (f" and {seeds} seeds" if seeds > 1 else "")
    if loss.low > tolerance.amount and moved.items >= FEWEST_ITEMS:
        return {"verdict": "undecided", "reason": f"Chance alone gives as much over {over}."}
    holds = f"The interval over {over} holds the tolerance"
    if moved.items < FEWEST_ITEMS:
        holds = f"{over[:1].upper()}{over[1:]} cannot decide it"
    # More rows make the part of an interval that lies between seeds no narrower.
    more = rows_to_decide(loss, tolerance, moved) if seeds == 1 else None
    if more is None:
        return {"verdict": "undecided", "reason": f"{holds}."}
    return {"verdict": "undecided", "reason": f"{holds}; about {more:,} rows would.", "rows": more}


def loss_in(tolerance: Tolerance, better: int, moved: Change) -> Interval:
    """A loss in a tolerance's unit; what has no better side is lost by as much as it moves."""
    scale = UNITS[tolerance.unit].scale
    sign = -scale if better > 0 else scale
    low, high = sorted((sign * moved.low, sign * moved.high))
    return Interval(value=sign * moved.change, low=low, high=high)


def rows_to_decide(loss: Interval, tolerance: Tolerance, moved: Change) -> int | None:
    """About how many rows would decide a loss that stays as measured; None where none would, or too many.

    Args:
        loss: In the tolerance's unit.
        tolerance: What may be lost.
        moved: The same as it was measured.
    """
    amount, scale = tolerance.amount, UNITS[tolerance.unit].scale
    at = graded_ends(loss, moved, scale) if tolerance.unit == "pp" else root_ends(loss, moved)

    def decided(count: int) -> bool:
        low, high = at(count)
        return high <= amount or low > amount

    low = high = max(FEWEST_ITEMS, moved.items + 1)
    while not decided(high):
        if high >= MOST_ROWS:
            return None
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return high


def root_ends(loss: Interval, moved: Change) -> Callable[[int], tuple[float, float]]:
    """The interval over so many items: each end comes closer with the root of their number."""

    def at(count: int) -> tuple[float, float]:
        closer = math.sqrt(moved.items / count)
        return loss.value - closer * (loss.value - loss.low), loss.value + closer * (loss.high - loss.value)

    return at


def graded_ends(loss: Interval, moved: Change, scale: float) -> Callable[[int], tuple[float, float]]:
    """The interval over so many items of which as large a share flips as did (see `mixplan.evaluate.intervals`).

    Where nothing flipped it narrows with the number of items, not with its root.
    """
    mean, middle, half = (one / scale for one in (loss.value, (loss.low + loss.high) / 2, (loss.high - loss.low) / 2))
    padded = moved.items + 2
    variance = (half / student_quantile(moved.items + 1)) ** 2 * padded
    flips = min(1.0, max(((variance + middle**2) * padded - 2) / moved.items, abs(mean)))

    def at(count: int) -> tuple[float, float]:
        low, high = graded_interval(mean * count, flips * count, count)
        return scale * float(low), scale * float(high)

    return at


def no_loss_to_show(
    name: str, tolerance: Tolerance, quantity: str, before: Evaluation, rows: Sequence[Question]
) -> str | None:
    """Why a loss could not show in an accuracy, in a sentence; None where it could."""
    if tolerance.unit != "pp":
        return None
    if not is_share(before.domains[name][tolerance.measure]):
        return f"The task's metric {quantity} is no share of right answers, which `pp` is of."
    values = before.domains[name][tolerance.measure].values[quantity]
    floor = floor_of(tolerance.measure, before.domains[name], rows, named=True)
    if floor is None and sum(values) >= FEWEST_ITEMS:
        return None
    guessing = f", and guessing gives {100 * floor.chance:.1f} %" if floor and floor.chance else ""
    share = f"{sum(values):.0f} of {counted(len(values), 'row')}"
    return f"Accuracy cannot show a loss: before training {share} were right{guessing}."


def with_gates(
    table: Arms,
    after: Mapping[str, Mapping[int, Evaluation]],
    before: Evaluation,
    recipe: Recipe,
    rows: Mapping[str, Sequence[Question]],
) -> Arms:
    """A table of arms with what became of a recipe's tolerances under each of them, over its seeds.

    Args:
        table: The arms.
        after: Evaluations after training, by arm and seed.
        before: The untrained model's.
        recipe: The recipe.
        rows: Evaluation rows by domain.
    """
    tolerances = tolerances_of(recipe)
    resamples, seed = recipe.evaluate.resamples, recipe.seed
    arms = dict(table.arms)
    for name, by_seed in after.items():
        several = list(by_seed.values())
        changes = over_seeds(tolerances, before, several, resamples=resamples, seed=seed)
        if name in arms and (found := gate(tolerances, changes, before, rows, seeds=len(several))) is not None:
            arms[name] = arms[name].model_copy(update={"tolerances": found})
    return table.model_copy(update={"arms": arms})


def with_gates_of(table: Arms, found: Gate | None) -> Arms:
    """A table of arms without verdicts on other tolerances than those that hold now."""
    held, arms = found.asked() if found else {}, {}
    for name, arm in table.arms.items():
        fields = arm.fields()
        if arm.tolerances is not None and arm.tolerances.asked() != held:
            del fields["tolerances"]
        arms[name] = Arm.model_validate(fields)
    return table.model_copy(update={"arms": arms})


def over_seeds(
    tolerances: Mapping[str, Sequence[Tolerance]],
    before: Evaluation,
    after: Sequence[Evaluation],
    *,
    resamples: int,
    seed: int,
) -> Changes:
    """Changes of what tolerances are of, as means over trainings, their intervals over items and trainings.

    To the half-width over items, of the items' means over trainings, that of the trainings' own means is added as those
    of independent parts are (Zou and Donner, Statistics in Medicine 27 (2008) 1693).

    Args:
        tolerances: By domain.
        before: The untrained model's evaluation.
        after: The trained models', on the same items.
        resamples: Bootstrap resamples.
        seed: Of these.
    """
    found: dict[str, dict[str, dict[str, Change]]] = {}
    for name, several in tolerances.items():
        for tolerance in several:
            measures = [one.domains.get(name, {}).get(tolerance.measure) for one in (before, *after)]
            known = [one for one in measures if one is not None]
            if len(known) < len(measures):
                continue
            quantity = main_quantity(known[0].values)
            values = np.array([one.values[quantity] for one in known], dtype=np.float64)
            one = change(
                values[0].tolist(),
                values[1:].mean(axis=0).tolist(),
                quality=known[0].quality(quantity),
                resamples=resamples,
                seed=seed,
            )
            found.setdefault(name, {})[tolerance.measure] = {quantity: widened(one, values[1:].mean(axis=1))}
    return found


def widened(found: Change, means: Doubles) -> Change:
    """A change whose interval also holds how trainings differ.

    Args:
        found: Of the items' means.
        means: `[S]` each training's mean.
    """
    count = len(means)
    if count < 2:
        return found
    half = float(stdtrit(count - 1, 0.975) * means.std(ddof=1) / math.sqrt(count))
    low = found.change - math.hypot(found.change - found.low, half)
    high = found.change + math.hypot(found.high - found.change, half)
    apart = found.changed and not low <= 0 <= high
    return found.model_copy(
        update={"low": low, "high": high, "changed": apart, "direction": found.direction if apart else "none"}
    )
