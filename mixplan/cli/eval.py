"""Measures a run again, with other measures where asked, and prints predicted against measured (`mixplan eval RUN`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mixplan.cli.progress import Drawn
from mixplan.cli.shown import shown


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, trained or only planned.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key under evaluate, such as evaluate.rows=50."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the tables.")] = False,
) -> None:
    """Measure the untrained model, and the trained one where there is one; what was measured is not repeated."""
    from mixplan.outcome.make import evaluate_run  # loads torch, which `--help` does not need

    console = Console(stderr=as_json, highlight=False)
    with Drawn(console) as watcher:
        evaluate_run(run, tuple(overrides or ()), watcher=watcher)
    shown(run, console, as_json=as_json)
