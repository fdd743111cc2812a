"""`mixplan check RECIPE...`: recipes in, their problems, local row counts and needed downloads out, without torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from mixplan.cli.downloads import is_cached, model_downloads
from mixplan.cli.usable import problems_of_model
from mixplan.domains import count_rows
from mixplan.errors import MixplanError, RecipeError
from mixplan.grading.generators import warnings_of
from mixplan.recipe import DataSpec, LoadedRecipe, SplitSpec, load_recipe
from mixplan.recipe.lines import KeyPath
from mixplan.train.rehearsed import problems_of_training


@dataclass
class Checked:
    """What a look at one recipe found.

    Attributes:
        recipe: Its path.
        rows: Rows in each section's data, None where it must be downloaded first.
        download: What a plan would download, in words.
        problems: One line for each problem.
        warnings: What a reader should know of a recipe that is valid.
    """

    recipe: str
    rows: dict[str, int | None] = field(default_factory=dict)
    download: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check(
    recipes: Annotated[list[Path], typer.Argument(metavar="RECIPE...", help="Recipe files.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as drift.features=50.")
    ] = None,
    launch: Annotated[
        Path | None, typer.Option(metavar="FILE", help="accelerate's config file that `mixplan train` will be given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list, an entry for each recipe.")] = False,
) -> None:
    """Validate recipes, count rows where the data is local, and say what would be downloaded."""
    results = [look(recipe, overrides or [], launch) for recipe in recipes]
    if as_json:
        typer.echo(json.dumps([asdict(result) for result in results], indent=2, ensure_ascii=False))
    else:
        for result in results:
            if not result.problems:
                typer.echo("\n".join(_lines(result)))
    problems = [line for result in results for line in result.problems]
    if problems:
        raise RecipeError("\n".join(problems))


def look(path: Path, overrides: list[str], launch: Path | None = None) -> Checked:
    """Check one recipe as far as that goes without a download, and without torch in this process."""
    result = Checked(str(path))
    try:
        loaded = load_recipe(path, overrides)
    except RecipeError as error:
        result.problems = str(error).splitlines()
        return result
    result.problems += problems_of_model(loaded)
    result.warnings += _generator_warnings(loaded)
    for key_path, data, split in _sections(loaded):
        _count(loaded, key_path, data, split, result)
    if not result.problems:
        # Libraries take seconds to ask, and a recipe with another problem is asked about again anyway.
        result.problems += problems_of_training(loaded, launch)
    result.download = list(dict.fromkeys([*model_downloads(loaded), *result.download]))
    return result


def _generator_warnings(loaded: LoadedRecipe) -> Iterator[str]:
    """What is known of the scorers that grade generated rows."""
    recipe = loaded.recipe
    specs = [recipe.target, *recipe.domains.values()]
    scored = [spec.data.generator for spec in specs if spec.data.generator and spec.grader in ("auto", "generator")]
    for name in dict.fromkeys(scored):
        yield from warnings_of(name)


def _sections(loaded: LoadedRecipe) -> Iterator[tuple[KeyPath, DataSpec, SplitSpec]]:
    """Every data source with the rows that its split takes from it."""
    recipe = loaded.recipe
    everything = [(("target",), recipe.target), *((("domains", name), spec) for name, spec in recipe.domains.items())]
    for path, domain in everything:
        own, none = domain.split, {"evaluation": 0, "query": 0}
        if domain.demonstrations is None:
            yield (*path, "data"), domain.data, own
        else:
            yield (*path, "data"), domain.data, own.model_copy(update={"demonstration": 0})
            yield (*path, "demonstrations"), domain.demonstrations, own.model_copy(update=none)


def _count(loaded: LoadedRecipe, path: KeyPath, data: DataSpec, split: SplitSpec, result: Checked) -> None:
    name = ".".join(map(str, path)).removeprefix("domains.").removesuffix(".data")
    try:
        rows = count_rows(data, loaded.folder((*path, "file")))
    except MixplanError as error:
        where = loaded.where(path)
        result.problems += [f"{where}: {line}" for line in str(error).splitlines()]
        return
    result.rows[name] = rows
    needed = split.evaluation + split.query + split.demonstration
    if rows is None:
        if data.hub is not None and not is_cached("dataset", data.hub):
            result.download.append(f"data set {data.hub}")
    elif rows < needed:
        result.problems.append(
            f"{loaded.where(path)}: {'.'.join(map(str, path))} has {rows:,} rows, but its split sets aside {needed:,}. "
            "Lower `split.evaluation`, `split.query` or `split.demonstration`."
        )


def _lines(result: Checked) -> Iterator[str]:
    yield f"{result.recipe}: valid"
    width = max(map(len, result.rows))
    for name, rows in result.rows.items():
        yield f"  {name:{width}}  {'rows not counted (hub)' if rows is None else f'{rows:,} rows'}"
    if result.download:
        yield "  a plan would download:"
        yield from (f"    {item}" for item in result.download)
    else:
        yield "  a plan downloads nothing"
    yield from (f"  warning: {sentence}" for sentence in result.warnings)
