"""A plan in, its closing table on the terminal out: warnings first, then domains, and where the page is."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mixplan.report.plan import Plan
from mixplan.report.text import bounds, few_words, number, percent, visible, whole

NARROW = 72
"""Columns below which the reasons are left to the page, so that the numbers keep their lines."""

NAME_WIDTH = 24
"""Columns up to which domain names stay on one line, and the reasons fold instead."""


def show(plan: Plan, console: Console, page: Path) -> None:
    """Print the closing table.

    Args:
        plan: The saved plan.
        console: Where to; its width, encoding and colours are respected.
        page: Where report.html was written.
    """
    for notice in plan.notices():
        _say(console, f"Warning: {notice}", style="yellow")
    _say(console, _headline(plan), style="bold")
    console.print(_table(plan, console), "", sep="\n")
    for sentence in sentences(plan):
        _say(console, sentence)
    console.print(_text(f"Report: {page}", console), soft_wrap=True)


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
        f"Ranking stability {number(plan.ranking.stability, 2)}: {plan.ranking.of}.",
        f"SAE {plan.sae.name}: {percent(health.fvu)} of variance unexplained, L0 {number(health.l0)}, "
        f"{percent(health.dead_share)} dead on {whole(health.tokens)} of these tokens.",
        plan.forecast.text,
    ]


def _headline(plan: Plan) -> str:
    allocation = plan.allocation
    beside = f" beside {whole(plan.mixture.target_rows)} target rows" if plan.mixture else ""
    extra = f"{whole(allocation.budget)} extra {allocation.unit} over {len(plan.domains)} domains"
    return f"{plan.name}: {extra}{beside} (ratio: share of all {allocation.unit})"


def _table(plan: Plan, console: Console) -> Table:
    """Lay out one line a domain, highest score first, and the target last."""
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    short = max(map(len, plan.domains)) <= NAME_WIDTH
    table.add_column(_text("domain", console), overflow="fold", no_wrap=short)
    for title in (plan.score_name, "95 %", "rows", "ratio"):
        table.add_column(_text(title, console), justify="right", no_wrap=True, overflow="crop")
    with_reasons = console.width >= NARROW
    if with_reasons:
        table.add_column(_text("why", console), overflow="fold", style="dim")
    for name in plan.order():
        cells = _cells(plan, name)
        table.add_row(*(_text(cell, console) for cell in (cells if with_reasons else cells[:-1])))
    if plan.mixture and "target" in plan.allocation.ratios:
        cells = ["target", "", "", whole(plan.mixture.target_rows), percent(plan.allocation.ratios["target"])]
        table.add_row(*(_text(cell, console) for cell in cells), style="dim")
    return table


def _cells(plan: Plan, name: str) -> list[str]:
    score, allocation = plan.score_of(name), plan.allocation
    return [
        name,
        number(score.value),
        bounds(score),
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
