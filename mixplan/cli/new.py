"""`mixplan new NAME --from RECIPE`: a recipe in, a copy of it beside it out, its opening comment renamed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from mixplan.errors import RecipeError, RunError
from mixplan.recipe import load_recipe
from mixplan.runs import write_atomic

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new recipe's name: letters, digits, `_`, `.`, `-`.")],
    source: Annotated[Path, typer.Option("--from", metavar="RECIPE", help="The recipe to start from.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: the file written.")] = False,
) -> None:
    """Start a recipe from another one; the copy is NAME.yaml beside it, so paths and configs stay right."""
    written = copy_recipe(name, source)
    if as_json:
        typer.echo(json.dumps({"written": str(written), "from": str(source)}))
    else:
        typer.echo(f"Wrote {written}\nEdit it, then: mixplan check {written}")


def copy_recipe(name: str, source: Path) -> Path:
    """Copy a valid recipe to `NAME.yaml` in the same folder.

    Returns:
        The file written.

    Raises:
        RecipeError: the name cannot be a file's name or is taken, the source is not valid, the folder not writable.
    """
    if not NAME.fullmatch(name):
        raise RecipeError(f"{name!r} cannot name a recipe. Use letters, digits, `_`, `.` and `-`, such as 'my-job'.")
    load_recipe(source)
    written = source.with_name(f"{name.removesuffix('.yaml')}.yaml")
    if written.exists():
        raise RecipeError(f"{written}: there is a recipe of this name already. Choose another name.")
    text = source.read_bytes().decode("utf-8-sig")
    try:
        write_atomic(written, _renamed(text, source.name, written.name).encode())
    except RunError as error:
        reason = error.__cause__.strerror if isinstance(error.__cause__, OSError) else str(error)
        raise RecipeError(f"{written}: cannot be written: {reason}.") from error
    return written


def _renamed(text: str, old: str, new: str) -> str:
    """The recipe with its own file name replaced in comments, where it stands in the command to run."""
    lines = text.splitlines(keepends=True)
    word = re.compile(rf"(?<![\w.-]){re.escape(old)}(?![\w.-])")
    return "".join(word.sub(new, line) if line.startswith("#") else line for line in lines)
