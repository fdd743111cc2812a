"""Renders the page's comparison of an outcome's arms: each mixture's changes, and how it did against a baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mixplan.outcome.units import counted
from mixplan.report import text_tables
from mixplan.report.charts import Axis
from mixplan.report.markup import Html, tag
from mixplan.report.measures import Quantity, quantity
from mixplan.report.plots import axis_over, axis_strip, interval_strip
from mixplan.report.tables import cell, header, row, section, table
from mixplan.report.text import plain, whole
from mixplan.saved.arms import Arm, Arms, ArmsOver
from mixplan.saved.base_types import Interval
from mixplan.saved.outcome import Outcome

VERDICTS = {"win": "gain", "tie": "none", "loss": "loss"}
"""A verdict's mark in page.css."""

NO_UNIT = "The domains' headlines have no unit in common"


@dataclass(frozen=True)
class Column:
    """One column of intervals.

    Attributes:
        head: Its title.
        pick: What it shows of an arm.
        unit: How that is written.
        beside: What stands under it in words.
    """

    head: str
    pick: Callable[[Arm], Interval | None]
    unit: Quantity
    beside: Callable[[Arm], str] = lambda _: ""


def compared(outcome: Outcome) -> Html | None:
    """Draw every arm's changes over common axes and say win, tie or loss; None where no arm was trained."""
    arms = outcome.arms
    if arms is None:
        return None
    seeds = counted(len(arms.seeds), "seed")
    note = (
        f"Mixtures trained for comparison: the same {counted(arms.steps, 'optimiser step')} and the same target rows, "
        f"{seeds}. Dot and whisker: the change with its 95 % interval. Verdicts are on the mean domain change."
    )
    held = [f"{name} {arm.tolerances.verdict}" for name, arm in arms.arms.items() if arm.tolerances]
    said = [tag("p", f"Tolerances, over all seeds: {', '.join(held)}.")] if held else []
    parts = [tag("p", note), *said, *_over(arms, arms.baseline)]
    if arms.behaviour:
        parts += _over(arms.behaviour, arms.baseline)
    return section("Arms", *parts, _mixtures(arms))


def _mixtures(arms: Arms) -> Html:
    """Set the arms' mixtures side by side, folded: rows of each domain."""
    names = dict.fromkeys(name for arm in arms.arms.values() for name in arm.rows)
    lines = [
        row(header(name), *(cell(whole(arm.rows.get(name, 0)), kind="n") for arm in arms.arms.values()))
        for name in names
    ]
    summary = tag("summary", "Rows of each domain in each arm")
    return tag("details", summary, table("wide", ["Domain", *arms.arms], lines, "Rows of each domain in each arm"))


def _over(arms: ArmsOver, baseline: str) -> list[Html]:
    """Lay out the arms over one quantity; the target stands in the first table only."""
    unit = quantity(arms.quantity)
    columns = [
        Column("Mean domain", lambda arm: arm.mean, unit),
        Column("Worst domain", lambda arm: arm.worst, unit, lambda arm: arm.worst_domain or ""),
        Column(f"Mean against {baseline}", lambda arm: arm.against, unit, _by_domain),
    ]
    if isinstance(arms, Arms):
        columns = [_target(arms, baseline), *columns]
    axes = [_axis(arms, column) for column in columns]
    rows = [_row(name, arm, list(zip(columns, axes, strict=True)), arms, baseline) for name, arm in arms.arms.items()]
    feet = [cell(axis_strip(axis), kind="score") if axis else cell("") for axis in axes]
    pairs = text_tables.pairs(arms)
    summary = tag("summary", f"{pairs.title}: {len(pairs.rows)}")
    folds = [tag("details", summary, _plain_table(pairs))] if pairs.rows else []
    title = f"{unit.title} over {counted(arms.domains, 'domain')} ({unit.change_unit or unit.title})"
    heads = ["Arm", *(column.head for column in columns), "Verdict"]
    title = title if arms.quantity else NO_UNIT
    laid = table("cards arms", heads, [*rows, row(header(""), *feet, cell(""), kind="foot")], f"Arms compared: {title}")
    return [tag("h3", title), laid, *folds]


def _plain_table(sheet: text_tables.Sheet) -> Html:
    """A sheet as a table of text."""
    return table("wide", sheet.heads, [row(header(line[0]), *map(cell, line[1:])) for line in sheet.rows], sheet.title)


def _target(arms: Arms, baseline: str) -> Column:
    """The target's own change, in its own unit, with its difference from the baseline in words."""
    unit = quantity(next((arm.target_quantity for arm in arms.arms.values() if arm.target_quantity), None))

    def against(arm: Arm) -> str:
        found = arm.target_against
        return f"{unit.signed(found.value)} {unit.bounds(found.low, found.high)} against {baseline}" if found else ""

    return Column(
        f"Target ({unit.change_unit})" if unit.change_unit else "Target", lambda arm: arm.target, unit, against
    )


def _axis(arms: ArmsOver, column: Column) -> Axis | None:
    found = [interval for arm in arms.arms.values() if (interval := column.pick(arm))]
    ends = [end for interval in found for end in (interval.value, interval.low, interval.high)]
    if not found:
        return None
    return axis_over("", [0, *ends], lambda value: plain(column.unit.scale * value), column.unit.largest_change())


def _row(name: str, arm: Arm, columns: list[tuple[Column, Axis | None]], arms: ArmsOver, baseline: str) -> Html:
    cells = [
        _cell(interval, column, axis, column.beside(arm)) if axis and (interval := column.pick(arm)) else cell("")
        for column, axis in columns
    ]
    if arm.verdict:
        verdict = tag("span", tag("i", class_=VERDICTS[arm.verdict]), arm.verdict, class_="mark")
    else:
        verdict = tag("span", "baseline" if name == baseline else "", class_="quiet")
    fewer = isinstance(arms, Arms) and arm.seeds < len(arms.seeds)
    seeds = tag("span", f"{arm.seeds} of its seeds", class_="quiet line") if fewer else ""
    return row(header(name), *cells, cell(verdict, seeds, kind="verdict"), kind="strong" if name == "plan" else None)


def _cell(interval: Interval, column: Column, axis: Axis, beside: str) -> Html:
    span, unit = (interval.low, interval.high), column.unit
    figures = tag("span", tag("b", unit.signed(interval.value)), f" {unit.bounds(*span)}", class_="figures")
    words = tag("span", beside, class_="quiet line") if beside else ""
    title = tag("span", column.head, class_="head quiet")
    return cell(title, interval_strip(interval.value, span, axis), figures, words, kind="score")


def _by_domain(arm: Arm) -> str:
    """Count the domains in which an arm did better, alike and worse."""
    return ", ".join(f"{count} {word}" for word, count in (arm.by_domain or {}).items())
