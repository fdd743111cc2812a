"""Finds a model's chat template in its files, and holds settings against it, before the model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateError

from mixplan.chat.named_templates import DEFAULT, FOLDER, TOOL_USE, one_template
from mixplan.chat.template import environment
from mixplan.chat.template_settings import check_settings
from mixplan.errors import ModelError
from mixplan.recipe.base_models import cached, read_json


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


def unread_setting(place: str, settings: Mapping[str, Any], name: str) -> str | None:
    """What is wrong with `model.chat_template_kwargs`, as one line; None where they are read, or no template is here.

    Args:
        place: The model's folder or hub id.
        settings: The recipe's.
        name: The model's name, for messages.
    """
    source = stored_template(place)
    if source is None or not settings:
        return None
    try:
        check_settings(environment().parse(source), settings, name)
    except TemplateError:
        return None  # said when the template is compiled, with the line in it
    except ModelError as error:
        return str(error)
    return None
