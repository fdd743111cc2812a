"""Prints the closing tables of runs and writes their report.html, without torch (`mixplan report RUN...`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mixplan.cli import gate as gating
from mixplan.errors import RunError
from mixplan.report import difference, page, runs_page, terminal
from mixplan.report.runs_table import Run
from mixplan.report.text import few_words
from mixplan.saved import read_outcome, read_plan
from mixplan.saved.diff import NAME, read_diff
from mixplan.saved.outcome import Outcome
from mixplan.saved.plan import Plan
from mixplan.temporary_files import sweep


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders, each with its plan.json.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the page there; of several runs, one page side by side."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list, an entry for each run.")] = False,
    gate: gating.Asked = False,
    strict: gating.Strict = False,
    junit: gating.Junit = None,
    summary: gating.Summary = None,
) -> None:
    """Print what each run planned and, once it is trained, what was measured; write its report.html again."""
    ending = gating.Ending(gate, strict, junit, summary)
    entries, measured, problems = [], [], []
    alone = len(runs) == 1
    for run in runs:
        if not (run / "plan.json").exists() and (run / NAME).is_file():
            entries.append(_difference(run, as_json=as_json))
            continue
        try:
            plan, outcome = read_plan(run), read_outcome(run)
        except RunError as error:
            problems.append(str(error))
            continue
        written, problem = _written(plan, run, outcome, out if alone else None)
        if problem is not None and (alone or out is None):
            problems.append(problem)
        entries.append(entry(plan, run, written, outcome))
        if outcome:
            measured.append((str(run), plan, outcome))
        if not as_json:
            _show(plan, outcome, written, alone=alone)
    _together(measured, None if alone else out, as_json=as_json, problems=problems)
    if as_json:
        typer.echo(json.dumps(entries, indent=2, allow_nan=False))
    if problems:
        raise RunError("\n".join(problems))
    ending.end([gating.Measured(run, run, None if alone else str(run)) for run in runs])


def _difference(run: Path, *, as_json: bool) -> dict[str, object]:
    """Show what `mixplan diff` found, write its page again, and give it as JSON values.

    Raises:
        RunError: its file is damaged, or the page cannot be written.
    """
    found = read_diff(run)
    if found is None:
        raise RunError(f"{run / NAME}: is gone. Compare again with `mixplan diff`.")
    written = difference.write_difference(found, run)
    if not as_json:
        terminal.show_difference(found, Console(highlight=False), written)
    return {"run": str(run), "report": str(written), "diff": found.model_dump(mode="json", exclude_unset=True)}


def _written(plan: Plan, run: Path, outcome: Outcome | None, file: Path | None) -> tuple[Path | None, str | None]:
    """Write a run's page: its path, or why there is none."""
    sweep(run)
    try:
        return page.write_page(plan, run, outcome, file=file), None
    except RunError as error:
        return None, str(error)


def _show(plan: Plan, outcome: Outcome | None, written: Path | None, *, alone: bool) -> None:
    """Print one run's tables; a measured run among others has its line in the tables of all runs instead."""
    console = Console(highlight=False)
    if outcome is None:
        terminal.show(plan, console, written)
    elif alone:
        terminal.show_outcome(plan, outcome, console, written)
    else:
        terminal.show_page(console, written)


def _together(measured: list[Run], out: Path | None, *, as_json: bool, problems: list[str]) -> None:
    """Set measured runs side by side on the terminal and, where asked, on one page."""
    console = Console(highlight=False)
    if len(measured) > 1 and not as_json:
        terminal.show_several(measured, console)
    if out is None:
        return
    if not measured:
        if not problems:  # a run that cannot be read is what is wrong
            problems.append(f"{out}: nothing to write, no run is measured yet. Train first: `mixplan train RUN`.")
        return
    try:
        written = runs_page.write_several(measured, out)
    except RunError as error:
        problems.append(str(error))
        return
    if not as_json:
        terminal.show_page(console, written)


def entry(plan: Plan, run: Path, written: Path | None, outcome: Outcome | None = None) -> dict[str, object]:
    """Put a run's closing tables into JSON values.

    Args:
        plan: The saved plan.
        run: Its run folder.
        written: The page's path; None where it could not be written.
        outcome: The saved outcome; None before training.

    Returns:
        Name, places, warnings, and for each domain score, interval, the expected change of behaviour where that planned
        the rows, rows, ratio and tokens, highest first of what planned them; and the outcome as it is saved.
    """
    return {
        "name": plan.name,
        "run": str(run),
        "report": None if written is None else str(written),
        "warnings": plan.notices(),
        "score": plan.score_name,
        "planned_by": plan.forecast.planned_by,
        "distance_from_uniform": plan.allocation.distance_from_uniform,
        "distance_from_size": plan.allocation.distance_from_size,
        "domains": [_domain(plan, name) for name in plan.order()],
        **_three_ways(plan),
        **({"tolerances": plan.tolerances.values()} if plan.tolerances else {}),
        "outcome": outcome.model_dump(mode="json", exclude_unset=True) if outcome else None,
    }


def _three_ways(plan: Plan) -> dict[str, object]:
    """The plan beside its two alternatives, and the evidence behind its rows, where there are any."""
    parts = {key: getattr(plan.allocation, key) for key in ("spreads", "placement", "total")}
    return {key: part.values() for key, part in parts.items() if part is not None}


def _domain(plan: Plan, name: str) -> dict[str, object]:
    score, expected, allocation = plan.score_of(name), plan.expected_of(name), plan.allocation
    return {
        "domain": name,
        **score.model_dump(),
        "expected": expected.model_dump(include={"change", "low", "high"}) if expected else None,
        "rows": allocation.rows[name],
        "ratio": allocation.ratios[name],
        "why": few_words(plan.domains[name]),
    }
