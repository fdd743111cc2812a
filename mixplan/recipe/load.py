"""Loads a recipe from its path and `--set` arguments, and remembers where each of its keys was written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mixplan.errors import RecipeError
from mixplan.recipe.configs import assemble, display, found_recipe
from mixplan.recipe.lines import KeyPath, Located, Problem
from mixplan.recipe.rules import broken_rules
from mixplan.recipe.section import Yaml
from mixplan.recipe.spec import Recipe
from mixplan.recipe.validate import departures

HEAD = "# What was planned: {name} with its configs and overrides merged in.\n"
"""The first line of a run's recipe.yaml."""
PLANNED = re.compile(r"# What was planned: (\S.*?\.ya?ml) with its configs and overrides merged in\.\n")


@dataclass(frozen=True)
class LoadedRecipe:
    """A valid recipe, its configs and overrides merged in.

    Attributes:
        recipe: The validated values.
        path: The recipe's file.
        resolved: Every value with its default written out, as JSON values; recipes that mean the same are equal.
    """

    recipe: Recipe
    path: Path
    resolved: Yaml
    _tree: Located = field(repr=False, compare=False)

    @property
    def file_name(self) -> str:
        """The name of its file, or that of the file which a run's own recipe.yaml was written from."""
        if self.path.name != "recipe.yaml":
            return self.path.name
        with suppress(OSError, UnicodeDecodeError), self.path.open(encoding="utf-8") as file:
            if written := PLANNED.match(file.readline()):
                return written[1]
        return self.path.name

    def where(self, key_path: KeyPath) -> str:
        """Where a key, or the nearest one above it, was written: `file:line`, or the `--set` argument."""
        return str(self._tree.nearest(key_path).place)

    def folder(self, key_path: KeyPath) -> Path:
        """What a relative path at this key is relative to: the folder of its YAML, the current folder for `--set`.

        Give the key that holds the path, as in `("target", "data", "file")`: a section may be merged from two files.
        """
        return self._tree.nearest(key_path).place.folder


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Read and check a recipe, the configs it names, and `--set` overrides.

    Args:
        path: The recipe's YAML file; where there is none here, one that comes with mixplan, by its short path.
        overrides: `key.path=value` texts, the value in YAML; later ones win, but those that name a config, such as
            `domains=everyday`, go before all others.

    Raises:
        RecipeError: anything is wrong; one line for each problem, those in configs and overrides included.
    """
    path = found_recipe(Path(path))
    tree, problems = assemble(path, overrides)
    if tree is not None and {"recipe", "targets"} <= tree.value.keys():
        raise RecipeError(f"{display(path)}: this is a study, not a recipe. Give it to `mixplan study run`.")
    return checked(tree, path, problems)


def checked(tree: Located | None, path: Path, problems: Sequence[Problem]) -> LoadedRecipe:
    """A recipe from its tree, its configs merged in.

    Args:
        tree: The values with their places, None when they could not be read.
        path: The recipe's file.
        problems: What is known to be wrong already.

    Raises:
        RecipeError: anything is wrong; one line for each problem.
    """
    if tree is not None:
        problems = [*problems, *departures(tree).values(), *broken_rules(tree)]
    if problems or tree is None:
        raise RecipeError("\n".join(lines_of(problems)))
    recipe = Recipe.model_validate(tree.plain())
    return LoadedRecipe(recipe, path, recipe.model_dump(mode="json"), tree)


def lines_of(problems: Iterable[Problem]) -> list[str]:
    """One line for each problem, file by file in the order met, each file's from its top."""
    problems = list(problems)
    files = list(dict.fromkeys(problem.place.label for problem in problems))
    ordered = sorted(problems, key=lambda problem: (files.index(problem.place.label), problem.place.line))
    return list(dict.fromkeys(map(str, ordered)))
