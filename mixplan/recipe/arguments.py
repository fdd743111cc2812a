"""Reads the fields and types of a TRL or peft config class from its source, so that no torch loads."""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixplan.errors import RecipeError

ELSEWHERE = {"TrainingArguments": ("transformers", "training_args.py")}
"""Base classes that are imported through a package's lazy top level, and the file that defines them."""
SIMPLE: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "dict": lambda value: isinstance(value, Mapping),
    "list": lambda value: isinstance(value, list),
    "None": lambda value: value is None,
}


@dataclass(frozen=True)
class Argument:
    """A field of a config class.

    Attributes:
        kinds: Names of the simple types it takes; empty when any value may do, as for a class of the library's.
        choices: The values it takes, where its type lists them.
    """

    kinds: tuple[str, ...]
    choices: tuple[Any, ...] = ()

    def takes(self, value: object) -> bool:
        """Whether a YAML value is of a type this field is annotated with."""
        if not self.kinds and not self.choices:
            return True
        return value in self.choices or any(SIMPLE[kind](value) for kind in self.kinds)

    def words(self) -> str:
        """The types and choices as text: `float or None`, `one of 'a', 'b'`."""
        listed = [f"one of {', '.join(map(repr, self.choices))}"] if self.choices else []
        return " or ".join([*listed, *self.kinds])


@functools.cache
def arguments(package: str, file: str, name: str) -> dict[str, Argument]:
    """Read a config dataclass's fields, those of its base classes included.

    Args:
        package: Top-level package, such as `trl`.
        file: The file that defines the class, inside the package.
        name: The class.

    Returns:
        Field names to what they take; fields that the constructor does not take are left out.

    Raises:
        RecipeError: the package is not installed.
    """
    folder = _folder(package)
    if folder is None:
        raise RecipeError(f"the package {package!r} is not installed, so `train` cannot be checked. Install {package}.")
    return _fields(folder / file, name)


@functools.cache
def parsed(file: Path) -> ast.Module:
    """A source file's syntax tree, made once in a process."""
    return ast.parse(file.read_text(encoding="utf-8"))


def _fields(file: Path, name: str) -> dict[str, Argument]:
    module = parsed(file)
    definition = next((node for node in module.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    if definition is None:
        return {}
    fields: dict[str, Argument] = {}
    for base in reversed(definition.bases):
        if isinstance(base, ast.Name) and (place := _defining_file(module, file, base.id)) is not None:
            fields |= _fields(place, base.id)
    fields |= dict(_own_fields(definition))
    return fields


def _defining_file(module: ast.Module, file: Path, name: str) -> Path | None:
    """The file that defines a base class; None for one not found, which adds no fields then."""
    if any(isinstance(node, ast.ClassDef) and node.name == name for node in module.body):
        return file
    if name in ELSEWHERE:
        package, inside = ELSEWHERE[name]
        folder = _folder(package)
        return folder / inside if folder else None
    for node in module.body:
        if not isinstance(node, ast.ImportFrom) or not node.module or all(alias.name != name for alias in node.names):
            continue
        first, *rest = node.module.split(".")
        folder = file.parents[node.level - 1] / first if node.level else _folder(first)
        place = folder.joinpath(*rest).with_suffix(".py") if folder else None
        return place if place and place.exists() else None
    return None


def _folder(package: str) -> Path | None:
    """Where a top-level package lies, found without importing it."""
    found = importlib.util.find_spec(package)
    return Path(found.submodule_search_locations[0]) if found and found.submodule_search_locations else None


def _own_fields(definition: ast.ClassDef) -> Iterator[tuple[str, Argument]]:
    for node in definition.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        name, kind = node.target.id, ast.unparse(node.annotation)
        if not name.startswith("_") and not kind.startswith("ClassVar") and not _set_by_class(node.value):
            yield name, _argument(node.annotation)


def _set_by_class(value: ast.expr | None) -> bool:
    """Whether a dataclass field says `init=False`."""
    if not isinstance(value, ast.Call):
        return False
    return any(
        word.arg == "init" and isinstance(word.value, ast.Constant) and word.value.value is False
        for word in value.keywords
    )


def _argument(annotation: ast.expr) -> Argument:
    kinds: list[str] = []
    choices: list[Any] = []
    for part in _union(annotation):
        name = ast.unparse(part.value if isinstance(part, ast.Subscript) else part).removeprefix("typing.")
        if name == "Literal" and isinstance(part, ast.Subscript):
            listed = part.slice.elts if isinstance(part.slice, ast.Tuple) else [part.slice]
            choices += [item.value for item in listed if isinstance(item, ast.Constant)]
        elif (simple := name.lower() if name in ("Dict", "List") else name) in SIMPLE:
            kinds.append(simple)
        else:
            return Argument(())
    return Argument(tuple(dict.fromkeys(kinds)), tuple(choices))


def _union(annotation: ast.expr) -> Iterator[ast.expr]:
    """The branches of `A | B`, `Union[A, B]`, `Optional[A]` or a quoted annotation."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        yield from _union(ast.parse(annotation.value, mode="eval").body)
    elif isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        yield from _union(annotation.left)
        yield from _union(annotation.right)
    elif isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) in ("Union", "Optional"):
        inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        for part in inner:
            yield from _union(part)
        if ast.unparse(annotation.value) == "Optional":
            yield ast.Constant(None)
    else:
        yield annotation
