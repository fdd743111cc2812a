"""Decides whether an SAE and a model belong together, by what their files say rather than by their names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import try_to_load_from_cache

from mixplan import embedded
from mixplan.errors import SaeError
from mixplan.model import Model, text_config
from mixplan.recipe.releases import hub_name
from mixplan.recipe.shapes import Shape, family, shape_of

GENERATIONS = 5
"""How many models back a model's descent is followed."""


ACCEPTED = (
    "SAE '{name}' was made for {made}; it reads '{model}' because `model.sae.accept` is true. Its health on the "
    "recipe's own tokens alone says whether it fits."
)


def belonging(name: str, made_for: list[str], model: Model, *, accept: bool) -> str | None:
    """Hold what an SAE says it was made for against the model that it is to read.

    Args:
        name: The SAE's, for messages.
        made_for: The model that its own config names, and the one that SAELens's table names; either may be missing.
        model: The model.
        accept: Whether the person takes any SAE that fits in width and layer.

    Returns:
        None where the files say that the model is the SAE's own or descends from it, or where the SAE names no model;
        else one sentence on what is not known.

    Raises:
        SaeError: it was surely made for a model of another build, and is not accepted.
    """
    made_for = list(dict.fromkeys(hub_name(made) for made in made_for))
    here = embedded.MODEL_NAME if model.name == "embedded" else model.name
    families = {family(made) for made in made_for}
    if family(here) in families:
        return None
    if not made_for:
        # A folder of one's own often names no model: it is trusted as far as it is asked to be.
        return ACCEPTED.format(name=name, made="an unnamed model", model=model.name) if accept else None
    named = made_for[-1]
    expected = shape_of(named) or shape_in_cache(named)
    difference = None if expected is None else shape_of_model(model).difference(expected)
    if difference is None and families & {family(it) for it in descent(here, model.place)}:
        return None
    if accept:
        return ACCEPTED.format(name=name, made=f"'{named}'", model=model.name)
    if difference is not None:
        raise SaeError(
            f"SAE '{name}' was made for '{named}', but the recipe's model is '{model.name}', {difference}. Choose an "
            f"SAE made for this model: `mixplan sae ls --model {here}` lists them. To try this one all the same, set "
            "`model.sae.accept: true`."
        )
    return (
        f"SAE '{name}' was made for '{named}', and no file says whether '{model.name}' descends from it. Width and "
        "layer fit; its health on the recipe's own tokens alone says whether the SAE does."
    )


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


def card(place: str) -> dict[str, Any]:
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


def read_json(place: str, inside: str) -> dict[str, Any]:
    """A model's JSON file; empty where it is not here or is not JSON."""
    file = cached(place, inside)
    try:
        value = json.loads(file.read_bytes()) if file is not None else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def cached(place: str, inside: str) -> Path | None:
    """A file of a model's folder, or of its repository where the hub's cache holds it."""
    folder = Path(place).expanduser()
    if folder.is_dir():
        return folder / inside if (folder / inside).is_file() else None
    if place.count("/") > 1 or place.startswith("/"):
        return None
    found = try_to_load_from_cache(place, inside)
    return Path(found) if isinstance(found, str) else None


def shape_of_model(model: Model) -> Shape:
    """The build of a loaded model: of its config.json where that is here, since fewer blocks may be loaded."""
    config = read_json(model.place, "config.json")
    return shape_in(config) or shape_in(text_config(model.lm).to_dict()) or Shape("unknown", model.d_model, 0)


def shape_in_cache(name: str) -> Shape | None:
    """The build of a model whose config.json the hub's cache holds."""
    return shape_in(read_json(name, "config.json"))


def shape_in(config: dict[str, Any]) -> Shape | None:
    """The build that a config tells; None where it lacks any part of it."""
    inner = config.get("text_config")
    text: dict[str, Any] = inner if isinstance(inner, dict) else config
    architecture = text.get("model_type") or config.get("model_type")
    width, layers = text.get("hidden_size") or text.get("n_embd"), text.get("num_hidden_layers") or text.get("n_layer")
    if not (isinstance(architecture, str) and isinstance(width, int) and isinstance(layers, int)):
        return None
    return Shape(architecture.removesuffix("_text"), width, layers)
