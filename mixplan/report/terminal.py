"""Prints plans and outcomes on the terminal: the verdict, the table, at most five lines; the report has the rest."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mixplan.mixture.trl_config import WITHOUT_GPU
from mixplan.outcome.summary import arms, drift, floors, is_brought, judged
from mixplan.outcome.summary import tolerances as said_of
from mixplan.report import by_source, difference, runs_table, sentences, text_tables, tolerances, without_sae
from mixplan.report.command_line import installed, program, seen
from mixplan.report.levers import levers_line
from mixplan.report.outcome_header import leading
from mixplan.report.pilot import grounds_of
from mixplan.report.spreads import grounds
from mixplan.report.text import best_context, bounds, expected_ends, number, passage_line, percent, visible, whole
from mixplan.report.verdict import headline, saving_sentence
from mixplan.saved.diff import Diff
from mixplan.saved.outcome import Outcome
from mixplan.saved.plan import Plan

LEAST = 20
"""Columns below which passages are left to the page, so that the numbers keep their lines."""

MOST = 72
"""Columns that a passage takes on a wide terminal."""

NAME_WIDTH = 24
"""Columns up to which domain names stay on one line, and the reasons fold instead."""


def show(plan: Plan, console: Console, page: Path | None) -> None:
    """Print what was planned: the verdict, what to know first, the table, what it rests on, and where the page is.

    Args:
        plan: The saved plan.
        console: Where to; its width, encoding and colours are respected.
        page: Where report.html was written; None where it could not be.
    """
    _say(console, f"{plan.name}: {headline(plan)}", style="bold")
    if saved := saving_sentence(plan):
        _say(console, saved, style="bold")
    for sentence in (*grounds(plan), *(plan.mixture.voices() if plan.mixture else ())):
        _say(console, sentence)
    for sentence in tolerances.planned_lines(plan):
        _say(console, sentence)
    _warn(console, plan.notices())
    if _expected(plan):
        _say(console, "expected: how far behaviour will move, nats per token; ratio: share of all rows", style="dim")
    console.print(_table(plan, console), "", sep="\n")
    for sentence in (*foundations(plan), levers_line(plan)):
        if sentence is not None:
            _say(console, sentence)
    show_page(console, page)


def show_outcome(plan: Plan, outcome: Outcome, console: Console, page: Path | None) -> None:
    """Print what was measured of one run: the verdict, what was wrong, the table, how right the plan was, the page.

    Args:
        plan: The saved plan.
        outcome: The saved outcome.
        console: Where to; its width, encoding and colours are respected.
        page: Where report.html was written; None where it could not be.
    """
    first, *others = verdict(outcome) or [""]
    _say(console, f"{plan.name}: {first}", style="bold")
    for sentence in others:
        _say(console, sentence, style="bold")
    _warn(console, sentences.said_first(plan, outcome))
    held = [tolerances.sheet(outcome.tolerances)] if outcome.tolerances else []
    arms = [text_tables.arms(outcome.arms)] if outcome.arms else []
    for sheet in [*held, text_tables.changes(plan, outcome), *arms]:
        _lay(sheet, console)
    console.print("")
    for sentence in how_right(outcome):
        _say(console, sentence)
    show_page(console, page)


def verdict(outcome: Outcome) -> list[str]:
    """What became of tolerances, target and domains, which of these cannot show a loss, and how arms did."""
    said = [said_of(outcome.tolerances), *leading(outcome), floors(outcome.domains, brought=is_brought(outcome))]
    return [*filter(None, said), *arms(outcome.arms)]


def how_right(outcome: Outcome) -> list[str]:
    """At most four sentences behind the table: how the scores and the drift did, what they are held to, the job."""
    scored = judged(outcome.judgement, outcome.settings.score or "icl")[-1:]
    return [*scored, *filter(None, [drift(outcome.drift)]), sentences.training_line(outcome)]


def _warn(console: Console, notices: Sequence[str]) -> None:
    for notice in notices:
        _say(console, f"Warning: {notice}", style="yellow")


def show_several(runs: Sequence[runs_table.Run], console: Console) -> None:
    """Print runs side by side: what became of them, one line a run, then one line a domain.

    Args:
        runs: Label, plan and outcome of each.
        console: Where to.
    """
    for sentence in runs_table.verdicts(runs):
        _say(console, sentence, style="bold")
    _lay(runs_table.runs(runs), console)
    for sheet in runs_table.changes_by_run(runs, console.width):
        _lay(sheet, console)


def show_difference(diff: Diff, console: Console, page: Path | None) -> None:
    """Print what a training changed: the verdict, what to know, one line a domain, the features, the page.

    Args:
        diff: What was measured.
        console: Where to.
        page: Where report.html was written.
    """
    first, *others = diff.summary
    _say(console, f"{difference.named_both(diff)}: {first}", style="bold")
    for sentence in others:
        _say(console, sentence, style="bold")
    _warn(console, diff.warnings)
    for sheet in difference.sheets(diff):
        _lay(sheet, console)
    console.print("")
    show_page(console, page)


def _lay(sheet: text_tables.Sheet, console: Console) -> None:
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
    alone = f"By TRL alone: cd {folder} && {installed('trl')} {method} --config {config}{flags}"
    if plan.recipe is not None and plan.recipe.train.replay_kl_weight:
        alone = "TRL's own command cannot train with `train.replay_kl`."
    for line in (f"Next: {program()} train {folder}", alone):
        console.print(_text(line, console), soft_wrap=True)


def foundations(plan: Plan) -> list[str]:
    """Say in at most two sentences what a plan rests on; the rest is in the report.

    Args:
        plan: The saved plan.

    Returns:
        Plain sentences, in the order they are printed.
    """
    stability = plan.ranking.stability
    steady = "not defined" if stability is None else number(stability, 2)
    rests = f"Rests on {grounds_of(plan)}; stability of the ranking by {plan.score_name} {steady}"
    errors = "" if plan.forecast.kind == "relative" else " The forecast's own errors are in the report."
    if plan.sae is None or plan.drift is None:
        return [f"{rests}.{errors}", without_sae.one_line(plan)]
    health = plan.sae.health
    rests += (
        f"; the SAE {'fits' if health.fits else 'does not fit'} these tokens ({percent(health.fvu)} of variance "
        f"unexplained).{errors}"
    )
    behind = [sentences.told_by(plan.drift)] if plan.drift.from_ != "icl" else []
    behind += filter(None, [by_source.most_exposed(plan), plan.stopped.text if plan.stopped else None])
    return [rests, *([" ".join(behind)] if behind else [])]


def _expected(plan: Plan) -> bool:
    """Whether rows were planned by an expected change rather than by the score."""
    return any(plan.expected_of(name) for name in plan.domains)


def _table(plan: Plan, console: Console) -> Table:
    """Lay out one line a domain, highest first of what planned the rows, and the target last, fitted to the width."""
    planned_by = ("expected", "95 %", plan.score_name) if _expected(plan) else (plan.score_name, "95 %")
    heads = ("domain", *planned_by, "rows", "ratio")
    lines = {name: _cells(plan, name) for name in plan.order()}
    taught = [[name, *[""] * len(planned_by), whole(n), percent(ratio)] for name, (n, ratio) in plan.taught().items()]
    widths = [max(len(cells[i]) for cells in (heads, *lines.values(), *taught)) for i in range(len(heads))]
    room = min(MOST, console.width - sum(widths) - text_tables.GAP * len(heads)) if plan.sae else 0
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column(_text("domain", console), overflow="fold", no_wrap=widths[0] <= NAME_WIDTH)
    for title in heads[1:]:
        table.add_column(_text(title, console), justify="right", no_wrap=True, overflow="crop")
    if room >= LEAST:
        title = _text("example passage", console)
        table.add_column(title, no_wrap=True, overflow="crop", style="dim", max_width=room)
    for name, cells in lines.items():
        best = best_context(plan.domains[name])
        line = passage_line(best, room) if best and room >= LEAST else ""
        table.add_row(*(_text(cell, console) for cell in (*cells, *([line] if room >= LEAST else []))))
    for cells in taught:
        table.add_row(*(_text(cell, console) for cell in cells), style="dim")
    return table


def _cells(plan: Plan, name: str) -> list[str]:
    score, expected, allocation = plan.score_of(name), plan.expected_of(name), plan.allocation
    planned_by = [number(score.value), bounds(score)]
    if expected is not None:
        planned_by = [number(expected.change, 2), expected_ends(expected), number(score.value)]
    return [name, *planned_by, whole(allocation.rows[name]), percent(allocation.ratios[name])]


def _text(text: str, console: Console, style: str = "") -> Text:
    """Make text of what this terminal's encoding can write; nothing in it is markup or a control sequence."""
    shown = visible(text).encode(console.encoding, "replace").decode(console.encoding)
    return Text(shown, style=style)


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(_text(text, console, style))
