"""An outcome's arms in, the page's comparison out: every mixture's changes, and how it did against a baseline."""

from __future__ import annotations

from collections.abc import Callable

from mixplan.report.charts import Axis
from mixplan.report.markup import Html, tag
from mixplan.report.measures import Quantity, quantity
from mixplan.report.outcome import Arm, Arms, ArmsOver, Outcome
from mixplan.report.plan import Interval
from mixplan.report.plots import axis_over, axis_strip, interval_strip
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import plain, whole

VERDICTS = {"win": "gain", "tie": "none", "loss": "loss"}
"""A verdict's mark in page.css."""

Pick = Callable[[Arm], Interval | None]


def compared(outcome: Outcome) -> Html | None:
    """Draw every arm's changes over common axes and say win, tie or loss; None where no arm was trained."""
    arms = outcome.arms
    if arms is None:
        return None
    seeds = "1 seed" if len(arms.seeds) == 1 else f"{len(arms.seeds)} seeds"
    note = (
        f"Mixtures trained for comparison: the same {whole(arms.steps)} optimiser steps and the same target rows, "
        f"{seeds}. Dot and whisker: the change with its 95 % interval. Verdicts are on the mean domain change."
    )
    parts = [tag("p", note), *_over(arms, arms.baseline)]
    if arms.behaviour:
        parts += _over(arms.behaviour, arms.baseline)
    return section("Arms", *parts)


def _over(arms: ArmsOver, baseline: str) -> list[Html]:
    unit = quantity(arms.quantity)
    columns: list[tuple[str, Pick]] = [
        ("Target", lambda arm: arm.target),
        ("Mean domain", lambda arm: arm.mean),
        ("Worst domain", lambda arm: arm.worst),
        (f"Mean against {baseline}", lambda arm: arm.against),
    ]
    if not isinstance(arms, Arms):
        columns = columns[1:]
    axes = [_axis(arms, pick, unit) for _, pick in columns]
    rows = [_row(name, arm, columns, axes, baseline, unit) for name, arm in arms.arms.items()]
    feet = [cell(axis_strip(axis), kind="score") if axis else cell("") for axis in axes]
    title = f"{unit.title} over {arms.domains} domains ({unit.change_unit or unit.title})"
    heads = ["Arm", *(head for head, _ in columns), "Verdict"]
    return [tag("h3", title), table("cards arms", heads, [*rows, row(header(""), *feet, cell(""), kind="foot")])]


def _axis(arms: ArmsOver, pick: Pick, unit: Quantity) -> Axis | None:
    found = [interval for arm in arms.arms.values() if (interval := pick(arm))]
    ends = [end for interval in found for end in (interval.value, interval.low, interval.high)]
    return axis_over(unit.title, [0, *ends], lambda value: plain(unit.scale * value)) if found else None


def _row(
    name: str, arm: Arm, columns: list[tuple[str, Pick]], axes: list[Axis | None], baseline: str, unit: Quantity
) -> Html:
    cells = [
        _cell(interval, axis, unit, head, arm.worst_domain if head == "Worst domain" else None)
        if (interval := pick(arm)) and axis
        else cell("")
        for (head, pick), axis in zip(columns, axes, strict=True)
    ]
    if arm.verdict:
        verdict = tag("span", tag("i", class_=VERDICTS[arm.verdict]), arm.verdict, class_="mark")
    else:
        verdict = tag("span", "baseline" if name == baseline else "", class_="quiet")
    return row(header(name), *cells, cell(verdict, kind="verdict"), kind="strong" if name == "plan" else None)


def _cell(interval: Interval, axis: Axis, unit: Quantity, head: str, beside: str | None) -> Html:
    span = (interval.low, interval.high)
    figures = tag("span", tag("b", unit.signed(interval.value)), f" {unit.bounds(*span)}", class_="figures")
    name = tag("span", beside, class_="quiet line") if beside else ""
    title = tag("span", head, class_="head quiet")
    return cell(title, interval_strip(interval.value, span, axis), figures, name, kind="score")
