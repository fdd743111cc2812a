"""Finds a model's chat template in its files, and holds settings against it, before the model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixplan.chat.named_templates import DEFAULT, FOLDER, TOOL_USE, one_template, without_default
from mixplan.chat.template import PLAIN, ChatTemplate
from mixplan.chat.template_settings import hold
from mixplan.errors import ModelError
from mixplan.recipe.base_models import cached, read_json
from mixplan.recipe.paths import local_path

LIKELY = {"bos_token": "<s>", "eos_token": "</s>"}
"""Special tokens that a tokenizer's class may bring without its files naming them; which text stands for them decides
nothing of what a template refuses."""


def stored_template(place: str) -> str | None:
    """The text of a model's chat template; None where it has none, or is not here.

    Args:
        place: Its folder, or its hub id where the hub's cache holds it.
    """
    if (file := cached(place, "chat_template.jinja")) is not None:
        named = {DEFAULT: file.read_text(encoding="utf-8", errors="replace")}
        if (other := cached(place, f"{FOLDER}/{TOOL_USE}.jinja")) is not None:
            named[TOOL_USE] = other.read_text(encoding="utf-8", errors="replace")
        return one_template(named)
    for inside in ("chat_template.json", "tokenizer_config.json"):
        found = read_json(place, inside).get("chat_template")
        if isinstance(found, list):
            listed = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
            found = one_template({str(name): text for name, text in listed.items() if isinstance(text, str)})
        if isinstance(found, str):
            return found
    return None


def held_template(
    place: str, settings: Mapping[str, Any], date: str | None, name: str
) -> tuple[ChatTemplate, str | None] | None:
    """A model's chat template as it will be held once the model is loaded, with the date that it prints.

    Args:
        place: The model's folder or hub id.
        settings: `model.chat_template_kwargs`.
        date: `model.template_date`.
        name: The model's name, for messages.

    Returns:
        None where the tokenizer's files are not here.

    Raises:
        ModelError: the template cannot be read, reads none of a setting's name, or is not there to read any, or none
            of several is named `default`.
    """
    config = read_json(place, "tokenizer_config.json")
    source, special = stored_template(place), special_in(place, config)
    if source is None:
        if isinstance(listed := config.get("chat_template"), list) and listed:
            names = [str(one.get("name")) for one in listed if isinstance(one, dict)]
            raise ModelError(without_default(place, names))
        # Of a folder all files are here; the hub's cache may hold some of a repository's.
        plain = local_path(place).is_dir() and bool(config)
        if plain and settings:
            raise ModelError(without_template(name, settings))
        return (ChatTemplate(PLAIN, special, name), None) if plain else None
    held = hold(source, settings=settings, date=date, special=special, name=name)
    return ChatTemplate(held.source, special, name), held.date


def special_in(place: str, config: Mapping[str, Any]) -> dict[str, str]:
    """A tokenizer's special tokens by name as far as its files tell; others are those that its class is likely to have.

    Args:
        place: The model's folder or hub id.
        config: Its tokenizer_config.json.
    """
    found: dict[str, str] = dict(LIKELY)
    for name, token in {**config, **read_json(place, "special_tokens_map.json")}.items():
        text = token.get("content") if isinstance(token, dict) else token
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
        elif name in found and token is None:
            del found[name]
    return found


def without_template(name: str, settings: Mapping[str, Any]) -> str:
    """What is wrong with settings of a model that has no chat template."""
    return (
        f"model.chat_template_kwargs: '{name}' has no chat template, so nothing reads {', '.join(settings)}. "
        "Remove the key."
    )
