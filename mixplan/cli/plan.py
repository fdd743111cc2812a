"""Plans a recipe (`mixplan plan RECIPE`): mixture ratios with their reasons, a mixed data set and a report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mixplan.cli.progress import Drawn, waiting
from mixplan.pilot import make_plan
from mixplan.plan import PlanRequest
from mixplan.report import page, terminal
from mixplan.saved import read_plan
from mixplan.train.dry_run import refuse_untrainable_job


def plan(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe's YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as drift.features=50.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="N[,N...]|auto", help="Budget in the recipe's unit; several give the curve.")
    ] = None,
    run: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Run folder; runs/NAME when not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print plan.json instead of the table.")] = False,
) -> None:
    """Plan a mixture: read features, predict drift, score domains, spend the budget, write the data set."""
    request = PlanRequest(recipe, tuple(overrides or ()), budget, run)
    rank = int(os.environ.get("RANK", "0"))
    leading = rank == 0
    console = Console(stderr=as_json, highlight=False, quiet=not leading)
    if leading:
        loaded = request.loaded
        with waiting("asking TRL whether it trains the job"):
            refuse_untrainable_job(loaded)
    with Drawn(console) as watcher:
        folder = make_plan(request, watcher=watcher, rank=rank)
    if not leading:
        return
    made = read_plan(folder)
    written = page.write_page(made, folder)
    if as_json:
        typer.echo((folder / "plan.json").read_text(encoding="utf-8"), nl=False)
    else:
        terminal.show(made, console, written)
        terminal.show_next(made, console, folder)
