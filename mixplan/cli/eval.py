"""Measures a run again, with other measures where asked, and prints predicted against measured (`mixplan eval RUN`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mixplan.cli import gate as gating
from mixplan.cli.progress import Drawn
from mixplan.cli.shown import beside_others, shown


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, trained or only planned.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override evaluate.KEY, such as evaluate.rows=50, or tolerances."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="FOLDER|HUB_ID", help="Measure a model or adapter that was trained without mixplan."
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", metavar="NAME", help="Name of that model's folder in RUN/judged; its own by default."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the tables.")] = False,
    gate: gating.Asked = False,
    strict: gating.Strict = False,
    junit: gating.Junit = None,
    summary: gating.Summary = None,
) -> None:
    """Measure the untrained model, and the trained one where there is one; what was measured is not repeated.

    A model that other software has left in RUN/model is measured too. With --model a model is measured that stands
    elsewhere: its outcome and page go to RUN/judged/NAME, and models that were judged before are shown beside it.
    """
    from mixplan.outcome.make import evaluate_run  # loads torch, which `--help` does not need

    ending = gating.Ending(gate, strict, junit, summary)
    ending.expect_tolerances(run, overrides or ())
    console = Console(stderr=as_json, highlight=False)
    with Drawn(console) as watcher:
        measured = evaluate_run(run, tuple(overrides or ()), watcher=watcher, model=model, label=label)
    shown(run, console, as_json=as_json, measured=measured)
    if measured != run:
        beside_others(run, console if not as_json else None)
    ending.end([gating.Measured(run, measured, None if measured == run else measured.name)])
