"""Merges a recipe file, the configs that it names and `--set` arguments into one tree of located values."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mixplan.recipe.lines import Broken, KeyPath, Located, Place, Problem, parse, read
from mixplan.recipe.suggest import did_you_mean

CONFIG_FOLDERS = {"model": "models", "domains": "domains"}
"""The sections that may name a config, and the folder under `configs/` that holds such configs."""
CONFIG_KINDS = {"model": "model config", "domains": "domain suite"}
PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT = (PACKAGE.parent / "pyproject.toml").is_file() and (PACKAGE.parent / "configs").is_dir()
SHIPPED = PACKAGE.parent if CHECKOUT else PACKAGE / "shipped"
"""Where the recipes/ and configs/ that come with mixplan are: in its repository, or in the installed package."""


def display(path: Path) -> str:
    """A path as messages show it: relative to the current folder where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except (OSError, RuntimeError, ValueError):
        return str(path)


def assemble(path: Path, overrides: Sequence[str]) -> tuple[Located | None, list[Problem]]:
    """Read a recipe with its configs and overrides.

    An override wins over the recipe, and the recipe over the config it names, key by key.

    Returns:
        The tree, None when the recipe cannot be read at all, and every problem found on the way.
    """
    if not path.exists():
        place = Place(display(path), 0, path.parent)
        return None, [Problem(place, f"there is no such recipe.{did_you_mean(str(path), recipes_near(path))}")]
    tree, problems = read(path, display(path))
    return with_configs(tree, path, overrides, problems)


def with_configs(
    tree: Located | None, path: Path, overrides: Sequence[str], problems: list[Problem]
) -> tuple[Located | None, list[Problem]]:
    """Merge what a recipe's tree names and what overrides say; what is wrong is added to the problems.

    Args:
        tree: The recipe as it was written, None when it could not be read.
        path: The file that it was written in, beside which configs are looked for.
        overrides: `key.path=value` texts.
        problems: What is known to be wrong already.
    """
    assignments = [found for text in overrides if (found := _assignment(text, problems)) is not None]
    if tree is None:
        return None, problems
    naming = [item for item in assignments if ".".join(item[0]) in _NAMING]
    for parts, value in naming:
        tree = _assign(tree, parts, value, problems)
    suites: set[str] = set()
    for section in CONFIG_FOLDERS:
        tree = _with_config(tree, section, path, problems, suites)
    for parts, value in assignments:
        if ".".join(parts) not in _NAMING:
            tree = _assign(tree, parts, value, problems)
    return _without_removed(tree, suites, problems), problems


_NAMING = {name for section in CONFIG_FOLDERS for name in (section, f"{section}.config")}


def recipes_near(path: Path) -> list[str]:
    """Recipes beside a path and in `recipes/`, as a person would write them."""
    beside = path.parent.glob("*.yaml")
    shipped = (file.relative_to(SHIPPED) for file in (SHIPPED / "recipes").glob("*.yaml"))
    here = (file for file in (*beside, *Path("recipes").glob("*.yaml")) if file.is_file())
    return sorted({str(file) for file in (*here, *shipped)})


def found_recipe(path: Path) -> Path:
    """A recipe's file: the one here, else the one of this path that comes with mixplan."""
    if os.path.lexists(path) or path.is_absolute():
        return path
    shipped = SHIPPED / path
    return shipped if shipped.is_file() and shipped.resolve().is_relative_to(SHIPPED / "recipes") else path


def config_folders(recipe: Path) -> list[Path]:
    """Where configs are looked for, in order: beside the recipe, in the current folder, with mixplan itself."""
    beside = recipe.resolve().parent
    places = (beside.parent, beside, Path.cwd(), SHIPPED)
    return list(dict.fromkeys(place / "configs" for place in places))


def config_names(folders: Iterable[Path], kind: str) -> list[str]:
    """Names of the configs of a kind (`models` or `domains`) in these folders, sorted."""
    return sorted({file.stem for folder in folders for file in (folder / kind).glob("*.yaml")})


def _assignment(text: str, problems: list[Problem]) -> tuple[list[str], Located] | None:
    key, equals, value_text = text.partition("=")
    place = Place(f"--set {text}" if len(text) <= 80 else f"--set {text[:77]}...", 0, Path.cwd())
    parts = key.strip().split(".")
    if not equals or not all(parts):
        problems.append(Problem(place, "expected key=value, such as drift.features=50."))
        return None
    value, found = parse(value_text, label=place.label, folder=place.folder, text_lines=False)
    problems += found
    if value is None:
        return None if found else (parts, Located(None, place))
    return parts, value


def _assign(node: Located, parts: Sequence[str], value: Located, problems: list[Problem]) -> Located:
    """The tree with one key replaced; a key may itself hold dots where the tree already has it so."""
    if not parts:
        return value
    if node.value is None:
        node = Located({}, value.place)
    if not isinstance(node.value, Mapping):
        problems.append(Problem(value.place, f"this key holds a single value, so there is no {parts[0]!r} below it."))
        return node
    taken = next((n for n in range(len(parts), 1, -1) if ".".join(parts[:n]) in node.value), 1)
    key = ".".join(parts[:taken])
    below = node.value.get(key, Located(None, value.place))
    return Located({**node.value, key: _assign(below, parts[taken:], value, problems)}, node.place)


def _with_config(tree: Located, section: str, recipe: Path, problems: list[Problem], suites: set[str]) -> Located:
    """The tree with the config that a section names merged beneath it; the suite's domain names go into `suites`."""
    node = tree.value.get(section)
    if node is not None and isinstance(node.value, str):
        node = Located({"config": node}, node.place)
    if node is None or not isinstance(node.value, Mapping) or "config" not in node.value:
        return tree
    config = read_config(section, node, recipe, problems, folder=CONFIG_FOLDERS[section], kind=CONFIG_KINDS[section])
    if config is None:
        # Nothing below a config that is not there can be judged, so no further problem is reported in it.
        return Located({**tree.value, section: Located(Broken(), node.place)}, tree.place)
    if section == "domains":
        suites |= set(config.value)
    return Located({**tree.value, section: over_config(config, node)}, tree.place)


def read_config(
    key: str, node: Located, path: Path, problems: list[Problem], *, folder: str, kind: str
) -> Located | None:
    """Read the config that a mapping names under `config`; what is wrong is added to the problems.

    Args:
        key: The mapping's key path, for messages.
        node: The mapping.
        path: The file it was written in, beside which configs are looked for.
        problems: What is known to be wrong already.
        folder: Where such configs are, under `configs/`.
        kind: What such a config is called.
    """
    name, folders = node.value["config"], config_folders(path)
    known = config_names(folders, folder)
    if not isinstance(name.value, str) or name.value not in known:
        hint = did_you_mean(str(name.value), known)
        problems.append(Problem(name.place, f"{key}: no {kind} is named {name.value!r}.{hint}"))
        return None
    file = next(file for place in folders if (file := place / folder / f"{name.value}.yaml").exists())
    config, found = read(file, display(file))
    problems += found
    return config


def over_config(config: Located, node: Located) -> Located:
    """A mapping with the config that it names merged beneath it, key by key."""
    own = Located({key: value for key, value in node.value.items() if key != "config"}, node.place)
    return _merge(config, own)


def _merge(base: Located, over: Located) -> Located:
    """Mappings merge key by key; anything else is replaced."""
    if not isinstance(base.value, Mapping) or not isinstance(over.value, Mapping):
        return over
    merged = dict(base.value)
    for key, value in over.value.items():
        merged[key] = _merge(base.value[key], value) if key in base.value else value
    return Located(merged, over.place)


def _without_removed(tree: Located, suites: set[str], problems: list[Problem]) -> Located:
    """The tree without the domains set to null, each of which must be there to be removed."""
    domains = tree.value.get("domains")
    if domains is None or not isinstance(domains.value, Mapping):
        return tree
    kept = {name: value for name, value in domains.value.items() if value.value is not None}
    for name, value in domains.value.items():
        if value.value is None and name not in suites:
            hint = did_you_mean(name, suites)
            problems.append(Problem(value.place, f"domains.{name}: there is no such domain to remove.{hint}"))
    return Located({**tree.value, "domains": Located(kept, domains.place)}, tree.place)


def dotted(path: KeyPath) -> str:
    """A key path as a person writes it after `--set`."""
    return ".".join(str(step) for step in path)
