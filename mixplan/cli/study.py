"""Trains many targets and says how good each forecast is: `mixplan study run | work | judge | emit | restate`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from mixplan.cli.progress import Drawn
from mixplan.runs import quoted, write_atomic
from mixplan.study.files.arms import ArmsResults
from mixplan.study.files.judgement import Results
from mixplan.study.files.read import looked_into, read_file
from mixplan.study.files.registration import Registered
from mixplan.study.judged.table import read_table
from mixplan.study.results.ablation_plots import further_plots
from mixplan.study.results.arms import arms_markdown
from mixplan.study.results.page import results_markdown
from mixplan.study.results.plots import plots

FLAGS = {"--emit": "emit", "--restate": "restate", "--so-far": "judge", "--cells-only": "work"}
"""What earlier versions said in the place of a verb; without any of them a study is run."""
WITH_VALUE = ("--run", "--jobs", "--launch", "--processes", "--measured", "--emit", "--restate")
WITHOUT_VALUE = ("--so-far", "--cells-only", "--ablations", "--json")
TAKEN = {
    "run": ("--run", "--jobs", "--launch", "--processes", "--measured", "--json", "--ablations"),
    "work": ("--run", "--launch", "--processes", "--ablations"),
    "judge": ("--run", "--ablations", "--json"),
    "emit": ("--run", "--jobs", "--launch", "--processes", "--measured"),
    "restate": (),
}
"""Of the options of earlier versions, those that have an effect with a verb; `run` refuses `--ablations`."""

Place = Annotated[Path, typer.Argument(metavar="STUDY", help="A study's YAML file.")]
Run = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Run folder; runs/NAME when not given.")]
Config = Annotated[
    Path | None, typer.Option(metavar="FILE", help="accelerate's config file; by the hardware when not given.")
]
Processes = Annotated[int, typer.Option(min=1, metavar="N", help="Training processes of each job.")]
MeasuredElsewhere = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="trainings.jsonl of another run of this or a like study of arms: not trained again."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print results.json.")]


class Verbs(TyperGroup):
    """Understands the form of earlier versions: a study's file or an option where a verb should stand."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the arguments name."""
        if self.get_command(ctx, args[0]) is None and (args[0].startswith("-") or Path(args[0]).suffix):
            verb, args = in_verbs(args)
            now = shlex.join(["mixplan", "study", verb, *args])
            typer.echo(f"Without a verb, `mixplan study` is understood in this version only. Now: {now}", err=True)
            args = [verb, *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Train many targets; say how good each forecast is.",
    context_settings={"ignore_unknown_options": True},
)


@app.callback()
def study() -> None:
    """Train every target of a study, measure all domains, and say how good each forecast is."""


@app.command()
def run(
    place: Place,
    run: Run = None,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Processes that work on cells at once.")] = 1,
    launch: Config = None,
    processes: Processes = 1,
    measured: MeasuredElsewhere = None,
    as_json: AsJson = False,
) -> None:
    """Register a study, write its forecasts down, train and measure every target, and judge; resumes."""
    from mixplan.study.asked.request import StudyRequest  # loads torch, which `--help` does not need
    from mixplan.study.work import run_study
    from mixplan.train.launch import Launch

    console = Console(stderr=as_json, highlight=False)
    with Drawn(console) as watcher:
        folder = run_study(
            StudyRequest(place, run, jobs, Launch(launch, processes), measured=measured), watcher=watcher
        )
    show(folder, place, console, as_json=as_json)


@app.command()
def work(
    place: Place,
    run: Run = None,
    launch: Config = None,
    processes: Processes = 1,
    ablations: Annotated[bool, typer.Option("--ablations", help="Only train the SAEs that `ablations` need.")] = False,
) -> None:
    """Train and measure beside the process that runs the study, on this machine or another one."""
    from mixplan.study.asked.request import StudyRequest  # loads torch, which `--help` does not need
    from mixplan.study.work import work_on_study
    from mixplan.train.launch import Launch

    with Drawn(Console(highlight=False)) as watcher:
        work_on_study(StudyRequest(place, run, 1, Launch(launch, processes), ablations), watcher=watcher)


@app.command()
def judge(
    place: Place,
    run: Run = None,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="Also what the file's `ablations` ask, which takes long.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Judge the seeds and budgets that are finished for all targets, without training anything."""
    from mixplan.study.asked.request import StudyRequest  # loads torch, which `--help` does not need
    from mixplan.study.judge import judge_study

    console = Console(stderr=as_json, highlight=False)
    with Drawn(console) as watcher:
        folder = judge_study(StudyRequest(place, run, ablations=ablations), watcher=watcher)
    show(folder, place, console, as_json=as_json)


@app.command()
def emit(
    place: Place,
    run: Run = None,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Tasks of the array.")] = 1,
    launch: Config = None,
    processes: Processes = 1,
    measured: MeasuredElsewhere = None,
) -> None:
    """Write a Slurm array that runs the study and works beside it, and print its path."""
    from mixplan.study.asked.emit import emit_study  # loads torch, which `--help` does not need
    from mixplan.study.asked.request import StudyRequest
    from mixplan.train.launch import Launch

    request = StudyRequest(place, run, jobs, Launch(launch, processes), measured=measured)
    typer.echo(str(emit_study(request)))


@app.command()
def restate(
    place: Place,
    evidence: Annotated[Path, typer.Argument(metavar="EVIDENCE", help="The study's evidence.json, written again.")],
) -> None:
    """Write a study's evidence.json again, with all that is recorded of the same numbers."""
    from mixplan.study.restate_evidence import restate as write_again  # loads torch, which `--help` does not need

    console = Console(highlight=False)
    with Drawn(console) as watcher:
        write_again(place, evidence, watcher=watcher)
    console.print(f"Evidence: {evidence}", soft_wrap=True)


def in_verbs(args: Sequence[str]) -> tuple[str, list[str]]:
    """The form of earlier versions, with flags in the place of verbs, as a verb with its arguments.

    Args:
        args: What stood behind `mixplan study`.

    Returns:
        The verb, and its arguments: options that had no effect with it are left out.
    """
    named = {arg.partition("=")[0] for arg in args}
    verb = next((verb for flag, verb in FLAGS.items() if flag in named), "run")
    found: list[str] = []
    behind: list[str] = []
    rest = iter(args)
    for arg in rest:
        name, equals, value = arg.partition("=")
        if name in WITH_VALUE:
            value = value if equals else next(rest, "")
            if name == "--restate":
                behind.append(value)
            elif name in TAKEN[verb]:
                found += [name, value]
        elif name not in WITHOUT_VALUE or name in TAKEN[verb]:
            found.append(arg)
    return verb, [*found, *behind]


def show(folder: Path, place: Path, console: Console, *, as_json: bool) -> None:
    """Print a judged study's results, or where they are.

    Raises:
        RunError: a file of the study is damaged, or the folder cannot be written.
    """
    if as_json:
        typer.echo((folder / "results.json").read_text(encoding="utf-8"), nl=False)
    else:
        console.print(f"Results: {write_results(folder, place)}")


def write_results(folder: Path, place: Path) -> Path:
    """Write a judged study's RESULTS.md with its pictures into the run folder.

    Raises:
        RunError: a file of the study is damaged, or the folder cannot be written.
    """
    command, run = f"mixplan study run {place}", folder.parent if folder.name == "so-far" else folder
    again = f"Judge again from what is kept: `mixplan study run {quoted(place)} --run {quoted(run)}`."
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
