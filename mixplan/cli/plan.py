"""`mixplan plan RECIPE`: a recipe in; mixture ratios with their reasons, a mixed data set and a report out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mixplan.plan import PlanRequest, make_plan
from mixplan.report import page, read_plan, terminal


def plan(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe's YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as drift.features=50.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="N[,N...]", help="Budget in the recipe's unit; several give the curve.")
    ] = None,
    run: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Run folder; runs/NAME when not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print plan.json instead of the table.")] = False,
) -> None:
    """Plan a mixture: read features, predict drift, score domains, spend the budget, write the data set."""
    request = PlanRequest(recipe, tuple(overrides or ()), budget, run)
    rank = int(os.environ.get("RANK", "0"))
    leading = rank == 0
    console = Console(stderr=as_json, highlight=False, quiet=not leading)
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


class Drawn:
    """Draws progress on a terminal; where there is none, says each long step once."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.task: TaskID | None = None
        self.bars = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Drawn:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
        self.bars.stop()

    def stage(self, name: str, total: int, unit: str) -> None:
        """A long step begins."""
        self.finish()
        if not self.console.is_terminal:
            self.console.print(f"{name}: {total:,} {unit}")
        self.task = self.bars.add_task(name, total=total, unit=unit, rate="")

    def advance(self, amount: int) -> None:
        """So much more of the step is done."""
        if self.task is None:
            return
        self.bars.advance(self.task, amount)
        running: Any = next(task for task in self.bars.tasks if task.id == self.task)
        self.bars.update(self.task, rate=f"{running.speed:,.0f}/s" if running.speed else "")

    def say(self, text: str) -> None:
        """A line the person should see."""
        self.console.print(text)

    def finish(self) -> None:
        """The running step is over."""
        if self.task is not None:
            self.bars.update(self.task, completed=self.bars.tasks[-1].total)
            self.task = None
