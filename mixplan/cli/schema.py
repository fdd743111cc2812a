"""Writes the JSON Schema of recipes to a file or the terminal (`mixplan schema [FILE]`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mixplan.recipe.schema import recipe_schema
from mixplan.runs import write_json


def schema(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to write it; the terminal when not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: the schema, or the file written.")] = False,
) -> None:
    """Write the JSON Schema that editors check recipes with."""
    if file is None:
        typer.echo(json.dumps(recipe_schema(), indent=2, ensure_ascii=False))
        return
    write_json(file, recipe_schema())
    typer.echo(json.dumps({"written": str(file)}) if as_json else f"Wrote {file}")
