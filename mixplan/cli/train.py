"""Trains on the planned mixture, planned first where needed, and measures before and after (`mixplan train`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from mixplan.cli import gate as gating
from mixplan.cli.progress import Drawn, waiting
from mixplan.cli.show_run import shown
from mixplan.recipe import load_recipe
from mixplan.runs import refuse_absent


def train(
    place: Annotated[Path, typer.Argument(metavar="RECIPE|RUN", help="A recipe's YAML file, or a planned run folder.")],
    flags: Annotated[
        list[str] | None, typer.Argument(metavar="[-- FLAG...]", help="After `--`: flags for accelerate launch.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="N[,N...]|auto", help="Budget in the recipe's unit; several give the curve.")
    ] = None,
    run: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Run folder; runs/NAME when not given.")] = None,
    launch: Annotated[
        Path | None, typer.Option(metavar="FILE", help="accelerate's config file; by the hardware when not given.")
    ] = None,
    processes: Annotated[int | None, typer.Option(min=1, metavar="N", help="Training processes.")] = None,
    cluster: Annotated[
        Literal["slurm", "skypilot"] | None,
        typer.Option("--emit", help="Write a cluster's job file and print its path, instead of training here."),
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, metavar="N", help="Machines, for --emit.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print outcome.json instead of the tables.")] = False,
    gate: gating.Asked = False,
    strict: gating.Strict = False,
    junit: gating.Junit = None,
    summary: gating.Summary = None,
) -> None:
    """Train on the planned mixture, measure every domain before and after, and say how right the plan was."""
    refuse_absent(place, recipe=True)
    from mixplan.outcome.make import OutcomeRequest, make_outcome, planned  # loads torch, which `--help` does not need
    from mixplan.train.dry_run import refuse_untrainable_job
    from mixplan.train.emit import emit
    from mixplan.train.launch import Launch
    from mixplan.train.verify import AsPlanned

    request = OutcomeRequest(place, tuple(overrides or ()), budget, run, Launch(launch, processes, tuple(flags or ())))
    console = Console(stderr=as_json, highlight=False)
    recipe = place / "recipe.yaml" if place.is_dir() else place
    ending = gating.Ending(gate, strict, junit, summary)
    ending.expect_tolerances(place, request.overrides)
    if cluster is not None and ending.asked:
        raise typer.BadParameter(f"{ending.asked} judges a trained model; --emit trains none here. Leave one out.")
    if recipe.is_file():
        loaded = load_recipe(recipe, request.overrides)
        with waiting("asking TRL whether it trains the job"):
            refuse_untrainable_job(loaded, launch)
    with Drawn(console) as watcher:
        if cluster is not None:
            ready = planned(request, watcher)
            file = emit(
                cluster, ready.folder, ready.loaded, AsPlanned.of(ready.plan), launch=request.launch, nodes=nodes
            )
        else:
            folder = make_outcome(request, watcher=watcher)
    if cluster is not None:
        typer.echo(str(file))
        return
    shown(folder, console, as_json=as_json)
    ending.end([gating.Measured(folder, folder)])
