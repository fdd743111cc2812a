"""Reports every way in which a tree of located values departs from a model: where, what, what was expected."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from mixplan.errors import RecipeError
from mixplan.recipe.configs import CONFIG_FOLDERS, dotted
from mixplan.recipe.lines import KeyPath, Located, Place, Problem
from mixplan.recipe.releases import sae_hint
from mixplan.recipe.schema import Schema
from mixplan.recipe.section import Section
from mixplan.recipe.spec import Recipe
from mixplan.recipe.suggest import did_you_mean

AnySection = TypeVar("AnySection", bound=Section)
NAME_WORDS = "at most 100 letters, digits, `_`, `.` or `-`, the first a letter or digit"
LARGEST = 10**12
"""Bounds from here on say only that a number is finite; a message does not repeat them."""


def departures(tree: Located, model: type[Section] = Recipe) -> dict[KeyPath, Problem]:
    """Compare a tree with a model: the recipe's, or another file's.

    Returns:
        One problem for each key path that is wrong; a path below a wrong one is not judged.
    """
    try:
        model.model_validate(tree.plain())
    except ValidationError as error:
        errors = [(item["loc"], item["type"]) for item in error.errors(include_url=False)]
        found = {_path(tree, loc, model): kind for loc, kind in errors if loc[-1] != "[key]"}
        unnamed = [_path(tree, loc, model) for loc, _ in errors if loc[-1] == "[key]"]
        return dict(_problems(tree, found, model)) | {path: _unnameable(tree, path) for path in unnamed}
    return {}


def section(values: Mapping[str, Any], model: type[AnySection]) -> AnySection:
    """A section of values that were given in Python, numbers of NumPy among them.

    Raises:
        RecipeError: a value departs from the section's rules; one line for each.
    """
    tree = _located(values)
    if found := departures(tree, model):
        raise RecipeError("\n".join(problem.text for problem in found.values()))
    return model.model_validate(tree.plain())


def _located(value: object) -> Located:
    place = Place("", 0, Path())
    if isinstance(value, Mapping):
        return Located({str(key): _located(item) for key, item in value.items()}, place)
    if isinstance(value, list | tuple):
        return Located([_located(item) for item in value], place)
    if isinstance(value, bool | int):
        return Located(value, place)
    if isinstance(value, Integral):
        return Located(int(value), place)
    return Located(float(value) if isinstance(value, Real) else value, place)


def _unnameable(tree: Located, path: KeyPath) -> Problem:
    place = tree.nearest(path).place
    return Problem(place, f"{dotted(path[:-1])}: {path[-1]!r} is not a usable name. Expected {NAME_WORDS}.")


def _path(tree: Located, loc: tuple[int | str, ...], model: type[Section]) -> KeyPath:
    """Pydantic's location without the steps that name a branch of a union rather than a key."""
    path: list[int | str] = []
    for number, step in enumerate(loc):
        here = tree.nearest(tuple(path))
        if isinstance(here.value, list):
            is_key = isinstance(step, int)
        else:
            last = number == len(loc) - 1 and step in _properties(fragment(tuple(path), model), model)
            is_key = last or (isinstance(here.value, dict) and step in here.value)
        if is_key:
            path.append(step)
    return tuple(path)


def _problems(tree: Located, found: dict[KeyPath, str], model: type[Section]) -> Iterator[tuple[KeyPath, Problem]]:
    for path, kind in found.items():
        node = tree.nearest(path)
        deeper = any(len(other) > len(path) and other[: len(path)] == path for other in found)
        # A union fails once for each branch; the branch that got furthest says what the person meant.
        if deeper or (kind not in ("missing", "extra_forbidden") and node.broken()):
            continue
        parent = fragment(path[:-1], model)
        if kind == "missing":
            text = f"missing. Expected {words(fragment(path, model), model)}.{_sae_hint(tree, path)}"
        elif kind == "extra_forbidden":
            if path[:-1] == ("target",) and "sources" in tree.nearest(("target",)).value:
                yield path, Problem(node.place, _two_forms(path))
                continue
            named = ["config"] if model is Recipe and len(path) == 2 and path[0] in CONFIG_FOLDERS else []
            text = f"unknown key.{did_you_mean(str(path[-1]), [*_properties(parent, model), *named])}"
        else:
            text = f"found {describe(node.value)}, expected {words(fragment(path, model), model)}."
            text += _as_written(path, node.value)
        yield path, Problem(node.place, f"{dotted(path)}: {text}" if path else text)


def _two_forms(path: KeyPath) -> str:
    """What is said of a key beside the sources of a target, which then has none of its own."""
    return (
        f"{dotted(path)}: a target has either `sources` or keys of its own. Give each source this key, as "
        f"`target.sources.NAME.{path[-1]}`, or remove `target.sources`."
    )


def _as_written(path: KeyPath, value: object) -> str:
    """How a mapping is written of which only a part was given; nothing where that cannot be told."""
    if path == ("budget",) and isinstance(value, int) and not isinstance(value, bool):
        return f" Write `budget: {{rows: {value}}}`."
    if path == ("domains",) and isinstance(value, list):
        return " Name one suite, `domains: everyday`, or write `domains: {config: everyday, NAME: {...}}` to add to it."
    if path == ("train", "rewards") and isinstance(value, str | list) and value:
        given = [value] if isinstance(value, str) else [getattr(one, "value", one) for one in value]
        names = [name for name in given if isinstance(name, str)]
        return f" Write `rewards: {{{', '.join(f'{json.dumps(name)}: 1.0' for name in names)}}}`." if names else ""
    if path == ("model", "sae") and value == "embedded":
        return " Write `sae: {embedded: true}`."
    return ""


def _sae_hint(tree: Located, path: KeyPath) -> str:
    """Which SAEs there are for the recipe's model, where it names none."""
    name = tree.nearest(("model", "name")).value
    return f" {sae_hint(name)}" if path == ("model", "sae") and isinstance(name, str) else ""


def describe(value: object) -> str:
    """What was found, in a few words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}" if abs(value) < 10**20 else "a number too large"
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= 40 else f"the text {value[:37] + '...'!r}"
    return "a list" if isinstance(value, list) else "a mapping"


@functools.cache
def schema(model: type[Section] = Recipe) -> Schema:
    """The JSON Schema of a model: of a recipe, the one whose configs have been merged in."""
    return model.model_json_schema()


def fragment(path: KeyPath, model: type[Section] = Recipe) -> Schema:
    """The schema at a key path; empty, which allows anything, where the path leads out of it."""
    here = schema(model)
    for step in path:
        here = next(
            (below for branch in _branches(here, model) if (below := _below(branch, step)) is not None),
            {},
        )
    return _resolved(here, model)


def words(part: Schema, model: type[Section] = Recipe) -> str:
    """Say what a schema allows."""
    part = _resolved(part, model)
    if branches := _alternatives(part):
        said = [words(branch, model) for branch in branches if branch.get("type") != "null"]
        return " or ".join(dict.fromkeys(said))
    if "const" in part:
        return repr(part["const"])
    if "enum" in part:
        return "one of " + ", ".join(map(repr, part["enum"]))
    kind = part.get("type")
    if kind in ("integer", "number"):
        return _number(part, "a whole number" if kind == "integer" else "a number")
    if kind == "array":
        least = f" of at least {part['minItems']}" if "minItems" in part else ""
        return f"a list{least}, each item {words(part['items'], model)}"
    if kind == "string" and "examples" in part:
        return f"text such as {part['examples'][0]!r}"
    if kind == "string":
        return NAME_WORDS if "pattern" in part else "text"
    if kind == "object" and part.get("minProperties"):
        least = part["minProperties"]
        return f"a mapping with at least {'one entry' if least == 1 else f'{least} entries'}"
    return {"boolean": "true or false", "object": "a mapping"}.get(str(kind), "any value")


def _number(part: Schema, noun: str) -> str:
    lowest, highest = part.get("minimum"), part.get("maximum")
    if "exclusiveMinimum" in part and part["type"] == "integer":
        lowest = part["exclusiveMinimum"] + 1
    if "exclusiveMaximum" in part and part["type"] == "integer":
        highest = part["exclusiveMaximum"] - 1
    if highest is not None and highest >= LARGEST:
        highest = None
    if lowest is None:
        above = part.get("exclusiveMinimum")
        return noun if above is None else f"{noun} above {above:g}" + (f" and up to {highest:g}" if highest else "")
    return f"{noun} from {lowest} to {highest}" if highest is not None else f"{noun} of at least {lowest}"


def _resolved(part: Schema, model: type[Section]) -> Schema:
    if "$ref" in part:
        return dict(schema(model)["$defs"][part["$ref"].rsplit("/", 1)[1]])
    return part


def _branches(part: Schema, model: type[Section]) -> list[Schema]:
    part = _resolved(part, model)
    return [_resolved(branch, model) for branch in _alternatives(part)] or [part]


def _alternatives(part: Schema) -> list[Schema]:
    """A union's branches; those of one whose form decides are `oneOf`."""
    return list(part.get("anyOf") or part.get("oneOf") or [])


def _below(part: Schema, step: int | str) -> Schema | None:
    if isinstance(step, int):
        return part.get("items")
    if step in part.get("properties", {}):
        return dict(part["properties"][step])
    named = part.get("additionalProperties", next(iter(part.get("patternProperties", {}).values()), None))
    return named if isinstance(named, dict) else None


def _properties(part: Schema, model: type[Section]) -> list[str]:
    return [name for branch in _branches(part, model) for name in branch.get("properties", {})]
