"""Holds a tokenizer's chat template to a recipe's settings, so that all that renders with it renders the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedTokenizerBase

from mixplan.chat.named_templates import one_template, without_default
from mixplan.chat.template import PLAIN
from mixplan.chat.template_files import without_template
from mixplan.chat.template_settings import hold, model_template
from mixplan.errors import ModelError


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """A tokenizer's special tokens by name, as transformers gives them to chat templates."""
    listed: Mapping[str, Any] = tokenizer.special_tokens_map
    return {name: str(token) for name, token in listed.items() if not isinstance(token, list)}


CAME_WITH = "mixplan_came_with"
"""The attribute of a tokenizer that keeps several named templates, while one text stands in their place."""


def template_source(tokenizer: PreTrainedTokenizerBase) -> str:
    """The text of a tokenizer's chat template, held or not; the plain format's where it has none.

    Raises:
        ModelError: there are several, and none is named `default`.
    """
    template: Any = tokenizer.chat_template
    if not template:
        return PLAIN
    source = one_template(template) if isinstance(template, Mapping) else str(template)
    if source is None:
        raise ModelError(without_default(str(tokenizer.name_or_path), template))
    return source


def hold_template(
    tokenizer: PreTrainedTokenizerBase, name: str, *, settings: Mapping[str, Any], date: str | None
) -> str | None:
    """Hold a tokenizer's chat template; one that needs nothing held, and no template at all, stay as they are.

    Args:
        tokenizer: Its `chat_template` is set.
        name: The model's, for messages.
        settings: `model.chat_template_kwargs`.
        date: `model.template_date`.

    Returns:
        The day that the template prints; None where it prints none.

    Raises:
        ModelError: the template cannot be read, or does not read one of the settings.
    """
    if not tokenizer.chat_template:
        if settings:
            raise ModelError(without_template(name, settings))
        return None
    source = template_source(tokenizer)
    held = hold(source, settings=settings, date=date, special=special_tokens(tokenizer), name=name)
    if held.source != tokenizer.chat_template:
        if isinstance(tokenizer.chat_template, Mapping):
            setattr(tokenizer, CAME_WITH, dict(tokenizer.chat_template))
        tokenizer.chat_template = held.source
    return held.date


def give_back_template(tokenizer: PreTrainedTokenizerBase) -> None:
    """Set a tokenizer's chat template as the model came with it, before the tokenizer is saved."""
    source = tokenizer.chat_template
    if named := getattr(tokenizer, CAME_WITH, None):
        tokenizer.chat_template = named
    elif source == PLAIN:
        tokenizer.chat_template = None
    elif isinstance(source, str):
        tokenizer.chat_template = model_template(source)
