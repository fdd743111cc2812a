"""Follows a model back to those that it was tuned from, by its own small files, without loading anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from mixplan.recipe.model_folder import Config
from mixplan.recipe.paths import is_hub_id, local_path
from mixplan.recipe.shapes import Shape

GENERATIONS = 5
"""How many models back a model's descent is followed."""


def descent(name: str, place: str) -> Iterator[str]:
    """A model's name and the names of the models that it was tuned from, as far as files that are here say.

    Args:
        name: Hub id or local folder.
        place: Where transformers found it; empty where that is not known.
    """
    seen: set[str] = set()
    waiting = [(name, place or name)]
    for _ in range(GENERATIONS):
        following = []
        for known, where in waiting:
            yield known
            seen.add(known)
            parents = [parent for parent in parents_of(where) if parent not in seen]
            following += [(parent, parent) for parent in parents]
        waiting = following


def parents_of(place: str) -> list[str]:
    """The models that a model's config.json (`_name_or_path`) and model card (`base_model`) name."""
    found = [read_json(place, "config.json").get("_name_or_path")]
    base = card(place).get("base_model")
    found += base if isinstance(base, list) else [base]
    return [name for name in dict.fromkeys(found) if isinstance(name, str) and name]


def card(place: str) -> Config:
    """The settings at the head of a model's README.md; empty where there are none."""
    file = cached(place, "README.md")
    if file is None:
        return {}
    pieces = file.read_text(encoding="utf-8", errors="replace").split("\n---", 1)
    try:
        value = yaml.safe_load(pieces[0].removeprefix("---")) if len(pieces) > 1 else None
    except yaml.YAMLError:
        return {}
    return value if isinstance(value, dict) else {}


def read_json(place: str, inside: str, revision: str | None = None) -> Config:
    """A model's JSON file; empty where it is not here or is not JSON."""
    file = cached(place, inside, revision)
    try:
        value = json.loads(file.read_bytes()) if file is not None else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def cached(place: str, inside: str, revision: str | None = None) -> Path | None:
    """A file of a model's folder, or of its repository where the hub's cache holds it.

    Args:
        place: The folder, or the repository's hub id.
        inside: The file's path inside.
        revision: A repository's commit, tag or branch; `main` where None.
    """
    folder = local_path(place)
    if folder.is_dir():
        return folder / inside if (folder / inside).is_file() else None
    if not is_hub_id(place):
        return None
    from huggingface_hub import try_to_load_from_cache  # loads an HTTP client, which a model in a folder does not need

    found = try_to_load_from_cache(place, inside, revision=revision)
    return Path(found) if isinstance(found, str) else None


def shape_in_cache(name: str) -> Shape | None:
    """The build of a model whose config.json the hub's cache holds."""
    return shape_in(read_json(name, "config.json"))


def shape_in(config: Config) -> Shape | None:
    """The build that a config tells; None where it lacks any part of it."""
    inner = config.get("text_config")
    text: Config = inner if isinstance(inner, dict) else config
    architecture = text.get("model_type") or config.get("model_type")
    width, layers = text.get("hidden_size") or text.get("n_embd"), text.get("num_hidden_layers") or text.get("n_layer")
    if not (isinstance(architecture, str) and isinstance(width, int) and isinstance(layers, int)):
        return None
    return Shape(architecture.removesuffix("_text"), width, layers)
