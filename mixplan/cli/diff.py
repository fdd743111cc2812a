"""Shows what a training changed, by domain and by feature, without a plan (`mixplan diff BASE TRAINED`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mixplan.cli.progress import Drawn
from mixplan.errors import RunError
from mixplan.report import difference, terminal
from mixplan.saved.diff import NAME, read_diff


def diff(
    base: Annotated[
        str,
        typer.Argument(metavar="BASE", help="The untrained model: folder, hub id, or `embedded`."),
    ],
    trained: Annotated[
        str | None,
        typer.Argument(
            metavar="[TRAINED]", help="The trained one: folder, adapter or hub id. An adapter may stand alone."
        ),
    ] = None,
    domains: Annotated[
        str, typer.Option("--domains", metavar="SUITE|FILE", help="A domain suite, or a YAML file with domains.")
    ] = "everyday",
    sae: Annotated[
        str | None,
        typer.Option(
            "--sae", metavar="FOLDER|RELEASE:ID|none", help="The SAE to read both with; SAELens's by default."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Where to; runs/diff-BASE-TRAINED by default, with the domains where they are not the usual.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as evaluate.rows=50.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print diff.json instead of the tables.")] = False,
) -> None:
    """Measure two models on the same domains, read both with one SAE, and say what changed.

    With one model, it is an adapter, and its adapter_config.json names the base. The same command goes on where it was
    stopped; the folder gets diff.json and report.html.
    """
    from mixplan.outcome.difference.make import diff_models  # loads torch, which `--help` does not need
    from mixplan.outcome.difference.request import DiffRequest

    first, second = (None, base) if trained is None else (base, trained)
    console = Console(stderr=as_json, highlight=False)
    with Drawn(console) as watcher:
        folder = diff_models(DiffRequest(second, first, domains, sae, out, tuple(overrides or ())), watcher=watcher)
    found = read_diff(folder)
    if found is None:
        raise RunError(f"{folder / NAME}: is gone. Compare again with the same command.")
    page = difference.write_difference(found, folder)
    if as_json:
        typer.echo((folder / NAME).read_text(encoding="utf-8"), nl=False)
    else:
        terminal.show_difference(found, console, page)
