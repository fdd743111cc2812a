"""`mixplan study STUDY.yaml`: many targets, all domains, several seeds; how good each forecast is, out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mixplan.cli.progress import Drawn


def study(
    place: Annotated[Path, typer.Argument(metavar="STUDY", help="A study's YAML file.")],
    run: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Run folder; runs/NAME when not given.")] = None,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Processes that work on cells at once.")] = 1,
    launch: Annotated[
        Path | None, typer.Option(metavar="FILE", help="accelerate's config file; by the hardware when not given.")
    ] = None,
    cells_only: Annotated[
        bool, typer.Option("--cells-only", help="Work on cells beside another process, which then judges.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json.")] = False,
) -> None:
    """Train every target of a study, measure all domains, and say how good each forecast is."""
    from mixplan.study.make import StudyRequest, make_study  # loads torch, which `--help` does not need
    from mixplan.train.launch import Launch

    console = Console(stderr=as_json, highlight=False)
    with Drawn(console) as watcher:
        folder = make_study(StudyRequest(place, run, jobs, Launch(launch), cells_only), watcher=watcher)
    if cells_only:
        return
    if as_json:
        typer.echo((folder / "results.json").read_text(encoding="utf-8"), nl=False)
    else:
        console.print(f"Results: {folder / 'results.json'}")
