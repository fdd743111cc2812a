"""`mixplan report RUN...`: run folders in, their closing tables and report.html out, without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from mixplan.errors import RunError
from mixplan.report import page, read_plan, terminal
from mixplan.report.plan import Plan
from mixplan.report.text import few_words


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders, each with its plan.json.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list, an entry for each run.")] = False,
) -> None:
    """Print each plan's closing table and write its report.html."""
    entries, problems = [], []
    for run in runs:
        try:
            plan = read_plan(run)
            written = page.write_page(plan, run)
        except RunError as error:
            problems.append(str(error))
            continue
        entries.append(entry(plan, run, written))
        if not as_json:
            terminal.show(plan, Console(highlight=False), written)
    if as_json:
        typer.echo(json.dumps(entries, indent=2, allow_nan=False))
    if problems:
        raise RunError("\n".join(problems))


def entry(plan: Plan, run: Path, written: Path) -> dict[str, Any]:
    """Put a plan's closing table into JSON values.

    Args:
        plan: The saved plan.
        run: Its run folder.
        written: The page's path.

    Returns:
        Name, places, warnings, and for each domain score, interval, rows, ratio and tokens, highest score first.
    """
    return {
        "name": plan.name,
        "run": str(run),
        "report": str(written),
        "warnings": plan.notices(),
        "score": plan.score_name,
        "distance_from_uniform": plan.allocation.distance_from_uniform,
        "distance_from_size": plan.allocation.distance_from_size,
        "domains": [_domain(plan, name) for name in plan.order()],
    }


def _domain(plan: Plan, name: str) -> dict[str, Any]:
    score, allocation = plan.score_of(name), plan.allocation
    return {
        "domain": name,
        **score.model_dump(),
        "rows": allocation.rows[name],
        "ratio": allocation.ratios[name],
        "why": few_words(plan.domains[name]),
    }
