"""Shows a finished run: its tables on the terminal, its report.html and its model card."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from mixplan.errors import RunError
from mixplan.report import page, runs_page, terminal
from mixplan.report.model_card import model_card
from mixplan.runs import JUDGED, write_atomic
from mixplan.saved import read_outcome, read_plan


def shown(folder: Path, console: Console, *, as_json: bool, measured: Path | None = None) -> None:
    """Write the report, and for a measured run the model card; print the tables, or outcome.json.

    Args:
        folder: A run folder with its plan, measured or not.
        console: Where tables go.
        as_json: Print outcome.json (plan.json where nothing is measured yet) on stdout instead.
        measured: Folder of outcome.json, and of its page; the run folder when None.

    Raises:
        RunError: a file of the run is damaged, or the folder cannot be written.
    """
    measured = measured or folder
    plan, outcome = read_plan(folder), read_outcome(measured)
    written, problem = None, None
    try:
        written = page.write_page(plan, measured, outcome)
        # The card of a model that an earlier plan's mixture made stays that plan's.
        if outcome and outcome.training and outcome.hashes.get("plan") == plan.hashes.get("plan"):
            write_atomic(folder / "model" / "README.md", model_card(plan, outcome).encode())
    except RunError as error:
        problem = error
    if as_json:
        saved = measured / "outcome.json" if outcome else folder / "plan.json"
        typer.echo(saved.read_text(encoding="utf-8"), nl=False)
    elif outcome:
        terminal.show_outcome(plan, outcome, console, written)
    else:
        terminal.show(plan, console, written)
    if problem is not None:
        raise problem


def beside_others(folder: Path, console: Console | None) -> None:
    """Show all models that a run's plan was held against: its own, where one was trained, and those judged.

    Args:
        folder: The run folder; the page goes to `judged/report.html` in it.
        console: Where the tables go; None to write the page alone.

    Raises:
        RunError: a file of the run is damaged, or the folder cannot be written.
    """
    plan, found = read_plan(folder), []
    places = [folder, *sorted(path.parent for path in (folder / JUDGED).glob("*/outcome.json"))]
    for place in places:
        if (outcome := read_outcome(place)) is not None and outcome.hashes.get("plan") == plan.hashes.get("plan"):
            found.append(("model" if place == folder else place.name, plan, outcome))
    if len(found) < 2:
        return
    written = runs_page.write_several(found, folder / JUDGED / "report.html")
    if console is not None:
        terminal.show_several(found, console)
        terminal.show_page(console, written)
