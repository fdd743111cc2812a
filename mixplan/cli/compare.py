"""Trains control mixtures beside the planned one and tabulates all arms (`mixplan compare RECIPE|RUN`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mixplan.cli import gate as gating
from mixplan.cli.progress import Drawn
from mixplan.cli.show_run import shown
from mixplan.runs import refuse_absent


def compare(
    place: Annotated[Path, typer.Argument(metavar="RECIPE|RUN", help="A recipe's YAML file, or a run folder.")],
    flags: Annotated[
        list[str] | None, typer.Argument(metavar="[-- FLAG...]", help="After `--`: flags for accelerate launch.")
    ] = None,
    arms: Annotated[
        str | None,
        typer.Option(
            metavar="ARM[,ARM...]",
            help="Mixtures to train; none,uniform,proportional_to_size,random,plan when not given, and of a plan that "
            "spreads evenly proportional_to_sts in place of random.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Trainings of each arm.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="How many may train at once.")] = 1,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe.")
    ] = None,
    budget: Annotated[str | None, typer.Option(metavar="N", help="Budget in the recipe's unit.")] = None,
    run: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Run folder; runs/NAME when not given.")] = None,
    launch: Annotated[
        Path | None, typer.Option(metavar="FILE", help="accelerate's config file; by the hardware when not given.")
    ] = None,
    processes: Annotated[int | None, typer.Option(min=1, metavar="N", help="Training processes of each job.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print outcome.json instead of the tables.")] = False,
    gate: gating.Asked = False,
    strict: gating.Strict = False,
    junit: gating.Junit = None,
    summary: gating.Summary = None,
) -> None:
    """Train control mixtures with equal steps and equal target rows, and hold each against an even spread.

    With --gate the planned mixture is judged, over all its seeds.
    """
    refuse_absent(place, recipe=True)
    from mixplan.outcome.compare import make_comparison  # loads torch, which `--help` does not need
    from mixplan.outcome.compare_request import CompareRequest
    from mixplan.outcome.make import OutcomeRequest
    from mixplan.train.launch import Launch

    request = CompareRequest(
        OutcomeRequest(place, tuple(overrides or ()), budget, run, Launch(launch, processes, tuple(flags or ()))),
        tuple(arms.split(",")) if arms else (),
        seeds,
        jobs,
    )
    ending = gating.Ending(gate, strict, junit, summary, seeds=True)
    ending.expect_tolerances(place, request.outcome.overrides)
    console = Console(stderr=as_json, highlight=False)
    with Drawn(console) as watcher:
        folder = make_comparison(request, watcher=watcher)
    shown(folder, console, as_json=as_json)
    ending.end([gating.Measured(folder, folder)])
