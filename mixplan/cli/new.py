"""Starts a recipe (`mixplan new NAME`): a starter, a copy of another recipe, or one of a job that people have."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mixplan.errors import RecipeError, RunError
from mixplan.recipe import load_recipe
from mixplan.recipe.configs import SHIPPED, found_recipe
from mixplan.recipe.foreign import read_job, recipe_of
from mixplan.report.command_line import program
from mixplan.runs import quoted, write_atomic

EDITOR_LINE = re.compile(r"(?m)^(# yaml-language-server: \$schema=).*$")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new recipe's name: letters, digits, `_`, `.`, `-`.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="RECIPE", help="The recipe to copy; a starter that explains itself without."),
    ] = None,
    configs: Annotated[
        list[Path] | None,
        typer.Option(
            "--from-config",
            metavar="FILE",
            help="A config of axolotl, LLaMA-Factory (with or beside its dataset_info.json), TRL or ms-swift, or a "
            "script with their command.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: the file written.")] = False,
) -> None:
    """Start a recipe: NAME.yaml here, or beside the recipe that it copies, so that paths and configs stay right."""
    left: dict[str, str] = {}
    if source is not None and configs:
        raise RecipeError("--from and --from-config: a recipe has one origin. Give one of them.")
    if configs:
        written, left = convert_config(name, configs)
    else:
        written = start_recipe(name) if source is None else copy_recipe(name, source)
    if as_json:
        origin = configs[0] if configs else source
        value = {"written": str(written), "from": None if origin is None else str(origin)}
        typer.echo(json.dumps(value | ({"left": left} if configs else {}), ensure_ascii=False))
        return
    typer.echo(f"Wrote {written}")
    if left:
        typer.echo("Not taken over:")
    for key, advice in left.items():
        typer.echo(f"  {key}: {advice}")
    typer.echo(f"Edit it, then: {program()} check {quoted(written)}")


def start_recipe(name: str) -> Path:
    """Write the starter to `NAME.yaml` in the current folder.

    Returns:
        The file written.

    Raises:
        RecipeError: the name cannot be a file's name or is taken, or the folder is not writable.
    """
    written = free_place(name, Path())
    text = (SHIPPED / "configs" / "starter.yaml").read_text(encoding="utf-8")
    return put(written, text.replace("NAME.yaml", written.name).replace("runs/NAME", f"runs/{written.stem}"))


def convert_config(name: str, configs: Sequence[Path]) -> tuple[Path, dict[str, str]]:
    """Write a recipe of another trainer's config to `NAME.yaml` in the current folder.

    Returns:
        The file written, and what was not taken over, by key, with what to do.

    Raises:
        RecipeError: the name cannot be a file's name or is taken, a config cannot be read, the folder is not writable.
    """
    written = free_place(name, Path())
    job = read_job(configs)
    text = recipe_of(job, name=written.name, source=configs[0].name, folder=Path())
    return put(written, text), job.left


def copy_recipe(name: str, source: Path) -> Path:
    """Copy a valid recipe to `NAME.yaml` in the same folder; one that comes with mixplan to the current folder.

    Returns:
        The file written.

    Raises:
        RecipeError: the name cannot be a file's name or is taken, the source is not valid, the folder not writable.
    """
    file = found_recipe(source)
    written = free_place(name, file.parent if file == source else Path())
    load_recipe(source)
    text = file.read_bytes().decode("utf-8-sig")
    if file != source:
        text = _renamed(text, str(source), written.name)
    return put(written, _renamed(text, source.name, written.name))


def free_place(name: str, folder: Path) -> Path:
    """Where a recipe of this name goes.

    Raises:
        RecipeError: the name cannot be a file's name or is taken.
    """
    if not NAME.fullmatch(name):
        raise RecipeError(f"{name!r} cannot name a recipe. Use letters, digits, `_`, `.` and `-`, such as 'my-job'.")
    written = folder / f"{name.removesuffix('.yaml')}.yaml"
    if os.path.lexists(written):
        raise RecipeError(f"{written}: there is a recipe of this name already. Choose another name.")
    return written


def put(written: Path, text: str) -> Path:
    """Write a recipe, its line for editors leading to the schema from where it lies.

    Raises:
        RecipeError: the folder is not writable.
    """
    near = ("configs/recipe.schema.json", "../configs/recipe.schema.json")
    found = next((place for place in near if (written.parent / place).is_file()), None)
    schema = found or SHIPPED / "configs" / "recipe.schema.json"
    text = EDITOR_LINE.sub(lambda match: f"{match[1]}{schema}", text)
    try:
        write_atomic(written, text.encode())
    except RunError as error:
        reason = error.__cause__.strerror if isinstance(error.__cause__, OSError) else str(error)
        raise RecipeError(f"{written}: cannot be written: {reason}.") from error
    return written


def _renamed(text: str, old: str, new: str) -> str:
    """The recipe with its own file's name or path replaced in comments, where it stands in the command to run."""
    lines = text.splitlines(keepends=True)
    word = re.compile(rf"(?<![\w.-]){re.escape(old)}(?![\w.-])")
    return "".join(word.sub(new, line) if line.startswith("#") else line for line in lines)
