"""Measures a run again, with other measures where asked, and prints predicted against measured (`mixplan eval RUN`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mixplan.cli import gate as gating
from mixplan.cli.progress import Drawn
from mixplan.cli.show_run import beside_others, shown
from mixplan.errors import RunError
from mixplan.runs import refuse_absent


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
    before: Annotated[
        Path | None,
        typer.Option(
            "--before", metavar="RESULTS", help="Results of another harness for the untrained model: file or folder."
        ),
    ] = None,
    after: Annotated[
        Path | None, typer.Option("--after", metavar="RESULTS", help="The same for the trained model.")
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--tasks",
            metavar="DOMAIN=TASK",
            help="Which task or group of tasks of these results stands for a domain; by name otherwise.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the tables.")] = False,
    gate: gating.Asked = False,
    strict: gating.Strict = False,
    junit: gating.Junit = None,
    summary: gating.Summary = None,
) -> None:
    """Measure the untrained model, and the trained one where there is one; what was measured is not repeated.

    A model that other software has left in RUN/model is measured too. With --model a model is measured that stands
    elsewhere: its outcome and page go to RUN/judged/NAME, and models that were judged before are shown beside it. With
    --before and --after nothing is measured: results of lm-evaluation-harness (results_DATE.json with its samples) or
    logs of inspect_ai are paired item by item and judged by the plan, in RUN/judged/NAME too.
    """
    ending = gating.Ending(gate, strict, junit, summary)
    refuse_absent(run)
    ending.expect_tolerances(run, overrides or ())
    console = Console(stderr=as_json, highlight=False)
    if before or after or tasks:
        measured = from_results(run, before, after, tasks or [], overrides or [], model=model, label=label)
    else:
        from mixplan.outcome.make import evaluate_run  # loads torch, which `--help` does not need

        with Drawn(console) as watcher:
            measured = evaluate_run(run, tuple(overrides or ()), watcher=watcher, model=model, label=label)
    closed(run, measured, console, ending, as_json=as_json)


def closed(run: Path, measured: Path, console: Console, ending: gating.Ending, *, as_json: bool) -> None:
    """Show what was measured, models that were judged before beside it, and end as its tolerances say.

    Raises:
        RunError: a file of the run is damaged, or one cannot be written.
        typer.Exit: a tolerance was broken, and the exit code was asked to say so.
    """
    shown(run, console, as_json=as_json, measured=measured)
    if measured != run:
        beside_others(run, console if not as_json else None)
    ending.end([gating.Measured(run, measured, None if measured == run else measured.name)])


def from_results(
    run: Path,
    before: Path | None,
    after: Path | None,
    tasks: list[str],
    overrides: list[str],
    *,
    model: str | None,
    label: str | None,
) -> Path:
    """Judge by what another harness measured.

    Raises:
        RunError: one of the two results is missing, or a model is to be measured too.
    """
    from mixplan.outcome.from_results import ResultsRequest, judge_results

    if before is None or after is None:
        missing = "--before and --after" if before is after else "--before" if before is None else "--after"
        raise RunError(f"{missing}: not given. Results are compared in pairs: give both --before and --after.")
    if model is not None:
        raise RunError("--model measures a model, --before and --after take measures that there are. Give one of them.")
    return judge_results(run, ResultsRequest(before, after, tuple(tasks), label), tuple(overrides))
