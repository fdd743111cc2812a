"""Prints the closing tables of plans and outcomes: what was wrong first, and last where the page is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mixplan.mixture.trl_config import WITHOUT_GPU
from mixplan.report import beside, by_source, sheets, told
from mixplan.report.text import bounds, ends, few_words, number, percent, stability_sentence, visible, whole
from mixplan.report.typed import installed, program, seen
from mixplan.saved.outcome import Outcome
from mixplan.saved.plan import Plan

NARROW = 72
"""Columns below which the reasons are left to the page, so that the numbers keep their lines."""

NAME_WIDTH = 24
"""Columns up to which domain names stay on one line, and the reasons fold instead."""


def show(plan: Plan, console: Console, page: Path | None) -> None:
    """Print the closing table.

    Args:
        plan: The saved plan.
        console: Where to; its width, encoding and colours are respected.
        page: Where report.html was written; None where it could not be.
    """
    for notice in plan.notices():
        _say(console, f"Warning: {notice}", style="yellow")
    _say(console, _headline(plan), style="bold")
    console.print(_table(plan, console), "", sep="\n")
    for sentence in sentences(plan):
        _say(console, sentence)
    show_page(console, page)


def show_outcome(plan: Plan, outcome: Outcome, console: Console, page: Path | None) -> None:
    """Print what was measured of one run.

    Args:
        plan: The saved plan.
        outcome: The saved outcome.
        console: Where to; its width, encoding and colours are respected.
        page: Where report.html was written; None where it could not be.
    """
    for notice in told.said_first(plan, outcome):
        _say(console, f"Warning: {notice}", style="yellow")
    _say(console, f"{plan.name}: outcome", style="bold")
    for sentence in told.summary(outcome):
        _say(console, sentence)
    laid = [sheets.changes(plan, outcome), sheets.judgement(outcome), sheets.consumption(outcome)]
    if outcome.arms:
        laid += [sheets.arms(outcome.arms), sheets.pairs(outcome.arms)]
    for sheet in laid:
        _lay(sheet, console)
    console.print("")
    for sentence in [*(told.drift_lines(outcome.drift) if outcome.drift else []), outcome.forecast.text]:
        _say(console, sentence)
    _say(console, told.training_line(outcome))
    show_page(console, page)


def show_several(runs: Sequence[beside.Run], console: Console) -> None:
    """Print runs side by side: one line a run, then one line a domain.

    Args:
        runs: Label, plan and outcome of each.
        console: Where to.
    """
    _lay(beside.runs(runs), console)
    for sheet in beside.changes_by_run(runs, console.width):
        _lay(sheet, console)


def _lay(sheet: sheets.Sheet, console: Console) -> None:
    """Lay a sheet out in the columns that this terminal shows; nothing where it has no line."""
    if not sheet.rows:
        return
    shown = sheet.within(console.width)
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    short = max(len(row[0]) for row in shown.rows) <= NAME_WIDTH
    table.add_column(_text(shown.heads[0], console), overflow="fold", no_wrap=short)
    for i, head in enumerate(shown.heads[1:], 2):
        side: Literal["left", "right"] = "left" if shown.words and i == len(shown.heads) else "right"
        table.add_column(_text(head, console), justify=side, overflow="fold")
    for row in shown.rows:
        table.add_row(*(_text(cell, console) for cell in row))
    _say(console, f"\n{sheet.title}", style="bold")
    console.print(table)


def show_page(console: Console, page: Path | None) -> None:
    """Say where a page was written, on one line whatever the width; nothing where it could not be."""
    if page is None:
        return
    console.print(_text(f"Report: {page}", console), soft_wrap=True)


def show_next(plan: Plan, console: Console, run: Path) -> None:
    """Say what trains on a finished plan, each command on one line whatever the width.

    Args:
        plan: The saved plan; without a mixture there is nothing to train on.
        console: Where to.
        run: The run folder.
    """
    if plan.mixture is None:
        return
    folder, config = shlex.quote(str(seen(run))), shlex.quote(plan.mixture.config)
    method = Path(plan.mixture.config).stem
    flags = f" {WITHOUT_GPU}" if plan.model.device == "cpu" else ""
    for line in (
        f"Next: {program()} train {folder}",
        f"By TRL alone: cd {folder} && {installed('trl')} {method} --config {config}{flags}",
    ):
        console.print(_text(line, console), soft_wrap=True)


def sentences(plan: Plan) -> list[str]:
    """Say what the table cannot: distances, stability, forecast, SAE health.

    Args:
        plan: The saved plan.

    Returns:
        Plain sentences, in the order they are printed.
    """
    allocation, health = plan.allocation, plan.sae.health
    return [
        f"Distance of the extra {allocation.unit} from uniform {number(allocation.distance_from_uniform, 2)}, "
        f"from size-proportional {number(allocation.distance_from_size, 2)} (0 is equal, 1 is disjoint).",
        stability_sentence(plan.ranking, plan.score_name),
        *by_source.lines(plan),
        *([] if plan.drift.from_ == "icl" else [told.told_by(plan.drift)]),
        f"SAE {plan.sae.name}: {percent(health.fvu)} of variance unexplained, L0 {number(health.l0)}, "
        f"{percent(health.dead_share)} dead on {whole(health.tokens)} of these tokens.",
        plan.forecast.text,
        *plan.forecast.evidence,
    ]


def _headline(plan: Plan) -> str:
    allocation = plan.allocation
    beside = f" beside {whole(plan.mixture.target_rows)} target rows" if plan.mixture else ""
    extra = f"{whole(allocation.budget)} extra {allocation.unit} over {len(plan.domains)} domains"
    expected = "expected: how far behaviour will move, nats a token; " if _expected(plan) else ""
    return f"{plan.name}: {extra}{beside} ({expected}ratio: share of all rows)"


def _expected(plan: Plan) -> bool:
    """Whether rows were planned by an expected change rather than by the score."""
    return any(plan.expected_of(name) for name in plan.domains)


def _table(plan: Plan, console: Console) -> Table:
    """Lay out one line a domain, highest first of what planned the rows, and the target last."""
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    short = max(map(len, plan.domains)) <= NAME_WIDTH
    table.add_column(_text("domain", console), overflow="fold", no_wrap=short)
    planned_by = ("expected", "95 %", plan.score_name) if _expected(plan) else (plan.score_name, "95 %")
    for title in (*planned_by, "rows", "ratio"):
        table.add_column(_text(title, console), justify="right", no_wrap=True, overflow="crop")
    with_reasons = console.width >= NARROW
    if with_reasons:
        table.add_column(_text("why", console), overflow="fold", style="dim")
    for name in plan.order():
        cells = _cells(plan, name)
        table.add_row(*(_text(cell, console) for cell in (cells if with_reasons else cells[:-1])))
    for name, (rows, ratio) in plan.taught().items():
        cells = [name, *[""] * len(planned_by), whole(rows), percent(ratio)]
        table.add_row(*(_text(cell, console) for cell in cells), style="dim")
    return table


def _cells(plan: Plan, name: str) -> list[str]:
    score, expected, allocation = plan.score_of(name), plan.expected_of(name), plan.allocation
    planned_by = [number(score.value), bounds(score)]
    if expected is not None:
        planned_by = [number(expected.change, 2), ends(expected.low, expected.high, 2), number(score.value)]
    return [
        name,
        *planned_by,
        whole(allocation.rows[name]),
        percent(allocation.ratios[name]),
        ", ".join(few_words(plan.domains[name])),
    ]


def _text(text: str, console: Console, style: str = "") -> Text:
    """Make text of what this terminal's encoding can write; nothing in it is markup or a control sequence."""
    shown = visible(text).encode(console.encoding, "replace").decode(console.encoding)
    return Text(shown, style=style)


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(_text(text, console, style))
