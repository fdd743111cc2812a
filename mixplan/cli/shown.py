"""Shows a finished run: its tables on the terminal, its report.html and its model card."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from mixplan.errors import RunError
from mixplan.report import page, terminal
from mixplan.report.model_card import model_card
from mixplan.runs import write_atomic
from mixplan.saved import read_outcome, read_plan


def shown(folder: Path, console: Console, *, as_json: bool) -> None:
    """Write the report, and for a measured run the model card; print the tables, or outcome.json.

    Args:
        folder: A run folder with its plan, measured or not.
        console: Where tables go.
        as_json: Print outcome.json (plan.json where nothing is measured yet) on stdout instead.

    Raises:
        RunError: a file of the run is damaged, or the folder cannot be written.
    """
    plan, outcome = read_plan(folder), read_outcome(folder)
    written, problem = None, None
    try:
        written = page.write_page(plan, folder, outcome)
        if outcome:
            write_atomic(folder / "model" / "README.md", model_card(plan, outcome).encode())
    except RunError as error:
        problem = error
    if as_json:
        saved = folder / ("outcome.json" if outcome else "plan.json")
        typer.echo(saved.read_text(encoding="utf-8"), nl=False)
    elif outcome:
        terminal.show_outcome(plan, outcome, console, written)
    else:
        terminal.show(plan, console, written)
    if problem is not None:
        raise problem
