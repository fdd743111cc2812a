"""Tabulates several runs' plans and outcomes side by side, in plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from mixplan.report.measures import WORDS, quantity
from mixplan.report.text_tables import GAP, Sheet, between, figure, order
from mixplan.saved.outcome import Judgement, Measured, Outcome
from mixplan.saved.plan import Plan

Run = tuple[str, Plan, Outcome]
"""A run's label with what is saved of it."""


def verdicts(runs: Sequence[Run]) -> list[str]:
    """Say in which runs the target gained and where most was lost, by clear changes."""
    counted = Counter(one.target.change.direction for _, _, one in runs if one.target.change)
    words = [f"{WORDS[kind]} in {count}" for kind, count in counted.most_common()]
    without = len(runs) - counted.total()
    words += [f"not measured in {without}"] if without else []
    held = [f"{label} {gate.verdict}" for label, _, outcome in runs if (gate := outcome.tolerances)]
    kept = [f"Tolerances: {', '.join(held)}."] if held else []
    lost = {label: _lost(outcome) for label, _, outcome in runs}
    if not any(lost.values()):
        return [*kept, f"Target: {', '.join(words)}.", "No run lost a domain beyond noise."]
    listed = ", ".join(f"{label} {count}" for label, count in lost.items())
    return [*kept, f"Target: {', '.join(words)}.", f"Domains that lost beyond noise: {listed}."]


def _lost(outcome: Outcome) -> int:
    return sum(domain.change is not None and domain.change.direction == "loss" for domain in outcome.domains.values())


def runs(runs: Sequence[Run]) -> Sheet:
    """One line a run: the target's change, how many domains moved, how the planning score did, the overlap."""
    heads = ("run", "target", "95 %", "moved", "unforeseen", "r headline", "95 %", "r behaviour", "95 %", "overlap")
    need = (0, 0, 1, 5, 4, 2, 3, 7, 8, 6)
    return Sheet("Runs", heads, tuple(_run_row(*run) for run in runs), need)


def _run_row(label: str, plan: Plan, outcome: Outcome) -> tuple[str, ...]:
    change, key = outcome.target.change, outcome.target.quantity
    unit = quantity(key or "")
    moved = [domain for domain in outcome.domains.values() if domain.change and domain.change.changed]
    overlap = f"{outcome.drift.overlap} of {outcome.drift.of}" if outcome.drift else ""
    return (
        label,
        unit.change(change.change) if change else "not measured",
        unit.bounds(change.low, change.high) if change else "",
        f"{len(moved)} of {len(outcome.domains)}",
        f"{len(outcome.outside())}" if any(d.outside_forecast is not None for d in outcome.domains.values()) else "",
        *_correlation(verdict_on(plan, outcome, "headline")),
        *_correlation(verdict_on(plan, outcome, "behaviour")),
        overlap,
    )


def verdict_on(plan: Plan, outcome: Outcome, measure: str) -> Judgement | None:
    """How the score that planned a run did on one measure; None where it was not judged, or nothing changed."""
    score = plan.score_key
    lines = (line for line in outcome.judgement if line.changed != 0)
    found = (line for line in lines if (line.predictor, line.measure) == (score, measure))
    return next(found, None)


def _correlation(line: Judgement | None) -> tuple[str, str]:
    return ("", "") if line is None else (figure(line.pearson), between(line.pearson_low, line.pearson_high))


def changes_by_run(runs: Sequence[Run], width: int) -> list[Sheet]:
    """Every domain's headline change in each run, so many runs beside each other in a table as the width takes."""
    names = names_of(runs)
    units = [_unit_of(name, runs) for name in names]
    columns = [(label, *map(partial(_change_in, outcome), names, units)) for label, _, outcome in runs]
    groups: list[list[tuple[str, ...]]] = []
    room, fixed = 0, max(map(len, names)) + GAP + max(map(len, units))
    for column in columns:
        taken = max(map(len, column)) + GAP
        if not groups or taken > room:
            groups.append([])
            room = width - fixed
        groups[-1].append(column)
        room -= taken
    return [_beside(names, units, group) for group in groups]


def _beside(names: Sequence[str], units: Sequence[str], columns: Sequence[tuple[str, ...]]) -> Sheet:
    heads = ("domain", "unit", *(column[0] for column in columns))
    lines = tuple(
        (name, unit, *(column[i] for column in columns))
        for i, (name, unit) in enumerate(zip(names, units, strict=True), 1)
    )
    return Sheet("Change by domain with 95 % interval", heads, lines, (0,) * len(heads))


def of_run(outcome: Outcome, name: str) -> Measured | None:
    """What a run measured of the target or a domain; None where it did not."""
    return outcome.taught().get(name) or outcome.domains.get(name)


def names_of(runs: Sequence[Run]) -> list[str]:
    """What runs measured, by name: the target, its sources where it has several, and the domains."""
    taught = dict.fromkeys(["target", *(name for *_, outcome in runs for name in outcome.taught())])
    return [*taught, *dict.fromkeys(name for _, plan, outcome in runs for name in order(plan, outcome))]


def _unit_of(name: str, runs: Sequence[Run]) -> str:
    found = (measured.quantity for _, _, outcome in runs if (measured := of_run(outcome, name)))
    return next((quantity(key).change_unit for key in found if key), "")


def _change_in(outcome: Outcome, name: str, unit: str) -> str:
    measured = of_run(outcome, name)
    if measured is None or measured.change is None or measured.quantity is None:
        return ""
    written, change = quantity(measured.quantity), measured.change
    amount = written.signed(change.change) if written.change_unit == unit else written.change(change.change)
    return f"{amount} {written.bounds(change.low, change.high)}"
