"""Says which of a recipe's own reward functions are not where a training would look for them; nothing is imported."""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from mixplan.errors import RecipeError
from mixplan.recipe import LoadedRecipe
from mixplan.recipe.suggest import did_you_mean

DYNAMIC = ("globals", "vars", "exec", "setattr")
"""What can give a module names that its text does not show."""


def unfindable_rewards(loaded: LoadedRecipe) -> Iterator[str]:
    """One line for each reward function of the user's own whose module or name is surely not there."""
    train = loaded.recipe.train
    for name in train.rewards if train.method == "grpo" else ():
        module, _, function = name.partition(":")
        problem = missing(module, function) if function else None
        if problem is not None:
            where = loaded.where(("train", "rewards", name))
            yield f"{where}: train.rewards.{name}: {problem}"


def refuse_unfindable_rewards(loaded: LoadedRecipe) -> None:
    """Refuse a job whose rewards are surely not there, before anything is read for it.

    Raises:
        RecipeError: one or more are not; the message has a line for each.
    """
    if problems := list(unfindable_rewards(loaded)):
        raise RecipeError("\n".join(problems))


def missing(module: str, function: str) -> str | None:
    """What is not there of `module:function`, with its remedy; None where it is, or may be.

    A module is looked for as Python would: in the folder that the command is started in, then on its path. Names are
    looked for in a module that is a single file and takes none from elsewhere by `import *`.
    """
    if module.endswith(".py"):
        return f"a module is named without its suffix. Write `{module.removesuffix('.py')}:{function}`."
    top, _, inside = module.partition(".")
    found = PathFinder.find_spec(top, [os.getcwd(), *sys.path]) or importlib.util.find_spec(top)
    if found is None:
        near = did_you_mean(top, [path.stem for path in Path.cwd().glob("*.py")])
        return (
            f"no module '{top}' is in this folder or installed.{near} Start mixplan in the folder that holds {top}.py, "
            "or install its package."
        )
    if found.submodule_search_locations is not None or not str(found.origin).endswith(".py"):
        return None
    file = Path(str(found.origin))
    if lays_modules(file):
        return None
    if inside:
        return f"'{top}' is a file, not a package. Write `{top}:{function}`."
    known = names_in(file)
    if known is None or function in known:
        return None
    return f"{file.name} has no function '{function}'.{did_you_mean(function, known)} Name one that it has."


def lays_modules(file: Path) -> bool:
    """Whether a file may lay modules of other names, or another one in its own place, as `os` does with `os.path`."""
    try:
        return b"sys.modules" in file.read_bytes()
    except OSError:
        return True


def names_in(file: Path) -> set[str] | None:
    """The names that a file gives its module, outside of functions and classes; None where they are not all known."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    if any(isinstance(node, ast.Global) or getattr(node, "id", None) in DYNAMIC for node in ast.walk(tree)):
        return None
    found: set[str] = set()
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        pending += ast.iter_child_nodes(node)
    return None if {"*", "__getattr__"} & found else found
