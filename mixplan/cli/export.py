"""Writes a planned mixture in another trainer's form, with a config that trains it (`mixplan export RUN --to NAME`)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mixplan.runs import quoted, refuse_absent


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A planned run folder.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="TRAINER",
            help="trl, llamafactory, ms-swift, axolotl, open-instruct, verl, nemo-rl; messages: rows alone.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder to write; RUN/export/TRAINER when not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: what was written.")] = False,
) -> None:
    """Write just these rows, in this order, with loss where the plan has it, and a config that reads them once."""
    refuse_absent(run)
    from mixplan.export import export_run  # loads torch, which `--help` does not need

    done = export_run(run, to, out)
    if as_json:
        typer.echo(json.dumps(asdict(done) | {"folder": str(done.folder)}, indent=2, ensure_ascii=False))
        return
    tokens = sum(done.trained_tokens.values())
    counted = f", {tokens:,} tokens with loss" if tokens else ""
    typer.echo(f"Wrote {done.folder}: {', '.join(done.files)}")
    typer.echo(f"{sum(done.rows.values()):,} rows{counted}, in the plan's order")
    for note in done.notes:
        typer.echo(f"- {note}")
    if done.command:
        typer.echo(f"Train with {done.to}: cd {quoted(done.folder)} && {done.command}")
