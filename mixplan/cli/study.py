"""Runs `mixplan study STUDY.yaml`: many targets, all domains, several seeds, and how good each forecast is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from mixplan.cli.progress import Drawn
from mixplan.runs import quoted, write_atomic
from mixplan.study.files.arms import ArmsResults
from mixplan.study.files.judgement import Results
from mixplan.study.files.read import looked_into, read_file
from mixplan.study.files.registration import Registered
from mixplan.study.judged.table import read_table
from mixplan.study.results.arms import arms_markdown
from mixplan.study.results.further_plots import further_plots
from mixplan.study.results.page import results_markdown
from mixplan.study.results.plots import plots

Restated = Annotated[
    Path | None,
    typer.Option(
        "--restate",
        metavar="FILE",
        help="Only write this study's evidence.json FILE again, with all that is recorded of the same numbers.",
    ),
]


def study(
    place: Annotated[Path, typer.Argument(metavar="STUDY", help="A study's YAML file.")],
    run: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Run folder; runs/NAME when not given.")] = None,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Processes that work on cells at once.")] = 1,
    launch: Annotated[
        Path | None, typer.Option(metavar="FILE", help="accelerate's config file; by the hardware when not given.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, metavar="N", help="Training processes of each job.")] = 1,
    cells_only: Annotated[
        bool, typer.Option("--cells-only", help="Work on cells beside another process, which then judges.")
    ] = False,
    so_far: Annotated[
        bool,
        typer.Option(
            "--so-far", help="Work on nothing; judge the seeds and budgets that are finished for all targets."
        ),
    ] = False,
    ablations: Annotated[
        bool,
        typer.Option(
            "--ablations",
            help="With --so-far: also what the file's `ablations` ask, which takes long. "
            "With --cells-only: train the SAEs for it.",
        ),
    ] = False,
    measured: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="trainings.jsonl of another run of this or a like study of arms: not trained again."
        ),
    ] = None,
    cluster: Annotated[
        Literal["slurm"] | None,
        typer.Option("--emit", help="Write a Slurm array of N tasks and print its path, instead of working here."),
    ] = None,
    restated: Restated = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json.")] = False,
) -> None:
    """Train every target of a study, measure all domains, and say how good each forecast is."""
    from mixplan.study.asked.emit import emit_study  # loads torch, which `--help` does not need
    from mixplan.study.asked.request import StudyRequest
    from mixplan.study.make import make_study
    from mixplan.train.launch import Launch

    request = StudyRequest(place, run, jobs, Launch(launch, processes), cells_only, so_far, ablations, measured)
    if cluster is not None:
        typer.echo(str(emit_study(request)))
        return
    console = Console(stderr=as_json, highlight=False)
    if restated is not None:
        write_again(place, restated, console)
        return
    with Drawn(console) as watcher:
        folder = make_study(request, watcher=watcher)
    if cells_only:
        return
    if as_json:
        typer.echo((folder / "results.json").read_text(encoding="utf-8"), nl=False)
    else:
        console.print(f"Results: {write_results(folder, place)}")


def write_again(place: Path, evidence: Path, console: Console) -> None:
    """Write a study's evidence.json again in its place, and say so."""
    from mixplan.study.restate import restate  # loads torch, which `--help` does not need

    with Drawn(console) as watcher:
        restate(place, evidence, watcher=watcher)
    console.print(f"Evidence: {evidence}", soft_wrap=True)


def write_results(folder: Path, place: Path) -> Path:
    """Write a judged study's RESULTS.md with its pictures into the run folder.

    Raises:
        RunError: a file of the study is damaged, or the folder cannot be written.
    """
    command, run = f"mixplan study {place}", folder.parent if folder.name == "so-far" else folder
    again = f"Judge again from what is kept: `mixplan study {quoted(place)} --run {quoted(run)}`."
    registered = read_file(Registered, run / "registered.json", again)
    if registered.study.arms is not None:
        text = arms_markdown(registered, read_file(ArmsResults, folder / "results.json", again), command=command)
        write_atomic(folder / "RESULTS.md", text.encode())
        return folder / "RESULTS.md"
    judged, table = read_file(Results, folder / "results.json", again), read_table(folder / "table.json")
    further = looked_into(folder, again)
    for name, picture in (plots(judged, table) | further_plots(further.ablations)).items():
        write_atomic(folder / name, picture.encode())
    text = results_markdown(registered, judged, table, further, command=command)
    write_atomic(folder / "RESULTS.md", text.encode())
    return folder / "RESULTS.md"
