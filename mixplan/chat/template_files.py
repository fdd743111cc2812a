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

PROCESSORS = ("chat_template.json", "processor_config.json")
"""Where a processor of images and text keeps its chat template, beside the files of its tokenizer."""
LIKELY = {"bos_token": "<begin, by its class>", "eos_token": "<end, by its class>"}
"""Special tokens that a tokenizer's class may bring without its files naming them; which text stands for them decides
nothing of what a template refuses, and this one stands in no row."""


def stored_template(place: str, revision: str | None = None) -> str | None:
    """The text of the chat template of a model's tokenizer; None where it has none, or is not here.

    Args:
        place: Its folder, or its hub id where the hub's cache holds it.
        revision: Of a hub id; `main` where None.
    """
    if (file := cached(place, "chat_template.jinja", revision)) is not None:
        named = {DEFAULT: file.read_text(encoding="utf-8", errors="replace")}
        if (other := cached(place, f"{FOLDER}/{TOOL_USE}.jinja", revision)) is not None:
            named[TOOL_USE] = other.read_text(encoding="utf-8", errors="replace")
        return one_template(named)
    found = read_json(place, "tokenizer_config.json", revision).get("chat_template")
    if isinstance(found, list):
        listed = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
        found = one_template({str(name): text for name, text in listed.items() if isinstance(text, str)})
    return found if isinstance(found, str) else None


def processors_alone(place: str, name: str, revision: str | None = None) -> str | None:
    """Say that a model's chat template stands where transformers' processors look for it, and its tokenizers do not.

    Args:
        place: The model's folder or hub id.
        name: The model's name, for the message.
        revision: Of a hub id; `main` where None.

    Returns:
        A whole sentence; None where its tokenizer has a template, or no processor has one.
    """
    if stored_template(place, revision) is not None:
        return None
    for inside in PROCESSORS:
        if isinstance(read_json(place, inside, revision).get("chat_template"), str):
            return (
                f"The chat template of '{name}' stands in {inside} alone, which transformers reads for images and not "
                "for a tokenizer, so rows are read and trained as plain text (`Question: …`, `Answer: …`). Write its "
                "text into chat_template.jinja in a copy of the model's folder, and name that copy as `model.name`."
            )
    return None


def held_template(
    place: str, settings: Mapping[str, Any], date: str | None, name: str, revision: str | None = None
) -> tuple[ChatTemplate, str | None] | None:
    """A model's chat template as it will be held once the model is loaded, with the date that it prints.

    Args:
        place: The model's folder or hub id.
        settings: `model.chat_template_kwargs`.
        date: `model.template_date`.
        name: The model's name, for messages.
        revision: Of a hub id; `main` where None.

    Returns:
        None where the tokenizer's files are not here.

    Raises:
        ModelError: the template cannot be read, reads none of a setting's name, or is not there to read any, or none
            of several is named `default`.
    """
    config = read_json(place, "tokenizer_config.json", revision)
    source, special = stored_template(place, revision), special_in(place, config, revision)
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


def special_in(place: str, config: Mapping[str, Any], revision: str | None = None) -> dict[str, str]:
    """A tokenizer's special tokens by name as far as its files tell; others are those that its class is likely to have.

    Args:
        place: The model's folder or hub id.
        config: Its tokenizer_config.json.
        revision: Of a hub id; `main` where None.
    """
    found: dict[str, str] = dict(LIKELY)
    listed = config.get("extra_special_tokens")
    stated = {**config, **(listed if isinstance(listed, dict) else {})}
    # transformers reads the map of a tokenizer whose config does not list its added tokens.
    if "added_tokens_decoder" not in config:
        stated |= read_json(place, "special_tokens_map.json", revision)
    for name, token in stated.items():
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
