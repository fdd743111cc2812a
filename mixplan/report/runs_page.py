"""Renders several runs' plans and outcomes as one HTML page that sets them side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mixplan.report.charts import Axis
from mixplan.report.markup import Html, tag
from mixplan.report.measures import WORDS, Quantity, quantity
from mixplan.report.page import document
from mixplan.report.plots import axis_over, axis_strip, interval_strip
from mixplan.report.predicted import DRAWN, judged_scatter, pearson
from mixplan.report.recipes import recipes
from mixplan.report.runs_table import Run, names_of, of_run, verdict_on, verdicts
from mixplan.report.sentences import outside_line
from mixplan.report.tables import cell, contents, folded, header, row, section, table
from mixplan.report.text import plain
from mixplan.report.text_tables import MAIN, PREDICTORS, judged
from mixplan.runs import write_atomic
from mixplan.saved.outcome import Judgement


def write_several(runs: Sequence[Run], file: Path) -> Path:
    """Write the page of several runs.

    Args:
        runs: Label, plan and outcome of each.
        file: Where to.

    Returns:
        The file.

    Raises:
        RunError: it cannot be written.
    """
    write_atomic(file, render_several(runs).encode())
    return file


def render_several(runs: Sequence[Run]) -> str:
    """Render several runs as one HTML document.

    Args:
        runs: Label, plan and outcome of each; at least one.

    Returns:
        The document; it depends on these alone.
    """
    title = f"{len(runs)} runs side by side"
    names = ", ".join(label for label, _, _ in runs)
    verdict = (tag("p", sentence, class_="lead") for sentence in verdicts(runs))
    top = tag("header", tag("p", "Outcomes", class_="kicker"), tag("h1", title), *verdict, tag("p", names))
    others = (_judged(runs), _drift(runs))
    parts = [_changes(runs), recipes(runs), *(None if part is None else folded(part) for part in others)]
    return document(title, top, [_wrong(runs), contents(parts), *parts])


def _wrong(runs: Sequence[Run]) -> Html | None:
    told = [f"{label}: {line}" for label, _, outcome in runs if (line := outside_line(outcome))]
    told += [f"{label}: {warning}" for label, _, outcome in runs for warning in outcome.warnings]
    if not told:
        return None
    listed = tag("ul", *(tag("li", line) for line in told))
    head = tag("h2", "What was wrong", id="warnings")
    return tag("section", head, listed, class_="warnings", aria_labelledby="warnings")


def _changes(runs: Sequence[Run]) -> Html:
    """Draw every domain's headline change, runs beside each other, one table for each quantity."""
    names = names_of(runs)
    measured = [found for name in names for _, _, outcome in runs if (found := of_run(outcome, name))]
    tables = []
    for key in dict.fromkeys(found.quantity for found in measured if found.quantity):
        unit, changes = quantity(key), [found.change for found in measured if found.quantity == key and found.change]
        ends = [0, *(end for c in changes for end in (c.low, c.high))]
        axis = axis_over(unit.title, ends, _ticks(unit), unit.largest_change())
        lines = [_line(name, key, runs, axis) for name in names if any(_holds(run, name, key) for run in runs)]
        feet = [cell(axis_strip(axis), kind="score") for _ in runs]
        heads = ["Domain", *(label for label, _, _ in runs)]
        title, foot = f"{unit.title} ({unit.change_unit or unit.title})", row(header(""), *feet, kind="foot")
        tables += [tag("h3", title), table("cards arms runs", heads, [*lines, foot], f"Change in each run: {title}")]
    note = "Change of each domain's headline, after less before. Dot and whisker: the change with its 95 % interval."
    marks = [tag("span", tag("i", class_=kind), word) for kind, word in WORDS.items()]
    return section("Change by domain", tag("p", note), tag("p", *marks, class_="legend"), *tables)


def _ticks(unit: Quantity) -> Callable[[float], str]:
    return lambda value: plain(unit.scale * value)


def _holds(run: Run, name: str, key: str) -> bool:
    found = of_run(run[2], name)
    return found is not None and found.quantity == key


def _line(name: str, key: str, runs: Sequence[Run], axis: Axis) -> Html:
    return row(header(name), *(_cell(run, name, key, axis) for run in runs), kind="first" if name == "target" else None)


def _cell(run: Run, name: str, key: str, axis: Axis) -> Html:
    found = of_run(run[2], name)
    if found is None or found.change is None or found.quantity != key:
        return cell("")
    unit, change = quantity(key), found.change
    strip = interval_strip(change.change, (change.low, change.high), axis, change.direction)
    word = tag("span", WORDS[change.direction], class_="quiet line")
    figures = tag(
        "span", tag("b", unit.signed(change.change)), f" {unit.bounds(change.low, change.high)}", class_="figures"
    )
    return cell(tag("span", run[0], class_="head quiet"), strip, figures, word, kind="score")


def _judged(runs: Sequence[Run]) -> Html | None:
    """Set each run's correlations beside the others', both scores, measure by measure."""
    axis = Axis("Pearson", [-1, -0.5, 0, 0.5, 1], -1, 1, plain)
    parts = []
    for measure in MAIN:
        found = [
            (label, line)
            for score in DRAWN
            for label, _, outcome in runs
            for line in judged(outcome)
            if (line.measure, line.predictor) == (measure, score)
        ]
        if found:
            foot = row(header(""), cell(""), cell(axis_strip(axis), kind="score"), cell(""), cell(""), kind="foot")
            rows = [_judged_row(label, line, axis) for label, line in found]
            heads = ["Run", "Score", "Pearson over domains", "with 95 % interval", "R²"]
            caption = f"Correlations of the scores with the change of {measure}, run by run"
            parts += [tag("h3", measure.capitalize()), table("cards judged", heads, [*rows, foot], caption)]
    return section("Predicted against measured", *parts, _scatters(runs)) if parts else None


def _judged_row(label: str, line: Judgement, axis: Axis) -> Html:
    low, high = line.pearson_low, line.pearson_high
    span = None if low is None or high is None else (low, high)
    strip = "" if line.pearson is None else interval_strip(line.pearson, span, axis, range_=line.pearson_leave_one_out)
    return row(
        header(label),
        cell(PREDICTORS[line.predictor], kind="verdict"),
        cell(strip, kind="score"),
        cell(pearson(line).removeprefix("Pearson "), kind="n"),
        cell("" if line.r2 is None else f"{line.r2:.2f}", kind="n r2"),
    )


def _scatters(runs: Sequence[Run]) -> Html | None:
    """Draw each run's planning score against the size of its changes."""
    charts = [
        tag("div", tag("p", label, class_="quiet"), chart)
        for measure in MAIN
        for label, plan, outcome in runs
        if (line := verdict_on(plan, outcome, measure)) and (chart := judged_scatter(plan, outcome, line))
    ]
    return tag("div", *charts, class_="grid-of") if charts else None


def _drift(runs: Sequence[Run]) -> Html | None:
    """Set each run's overlap of predicted with actual drift beside the others'."""
    found = [(label, outcome.drift) for label, _, outcome in runs if outcome.drift]
    if not found:
        return None
    axis = axis_over("Overlap", [0, max(drift.of for _, drift in found)], plain)
    rows = [
        row(
            header(label),
            cell(
                interval_strip(drift.overlap, None, axis, range_=(drift.low, drift.high), tick=drift.chance),
                kind="score",
            ),
            cell(tag("b", plain(drift.overlap)), f" of {plain(drift.of)}", kind="n"),
            cell(f"{plain(drift.chance)} [{plain(drift.low)}, {plain(drift.high)}]", kind="n quiet chance"),
        )
        for label, drift in found
    ]
    foot = row(header(""), cell(axis_strip(axis), kind="score"), cell(""), cell(""), kind="foot")
    heads = ["Run", "Overlap (dot) against chance (tick and band)", "Overlap", "Chance, 95 %"]
    caption = "Overlap of predicted with actual drift dimensions in each run"
    return section("Actual drift", table("cards bars", heads, [*rows, foot], caption))
