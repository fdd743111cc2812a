"""Detects whether a chat template writes reasoning, and finds a setting of it that keeps more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mixplan.chat.reasoning import joined
from mixplan.chat.template import ANY_TOOL, ChatTemplate, environment
from mixplan.chat.template_settings import ANSWER, REASONING, hold, model_template, settings_read
from mixplan.chat.tool_calls import TOOLS
from mixplan.errors import ModelError

ABOUT_REASONING = ("think", "reason")
"""What stands in the name of every setting that decides on reasoning."""


def beginning(*, tools: bool) -> list[tuple[str, str]]:
    """A conversation's first turn where it has tools."""
    return [(TOOLS, json.dumps([ANY_TOOL]))] if tools else []


def keeps_reasoning(template: ChatTemplate, *, last: bool, tools: bool = False) -> bool:
    """Whether a template writes an answer's reasoning.

    Args:
        template: The template.
        last: Of the last answer, which is trained; else of an answer with a question behind it.
        tools: Whether the conversation has tools.
    """
    turns = [("user", "text"), ("assistant", joined(REASONING, ANSWER)), *([] if last else [("user", "text")])]
    return REASONING in template.render([*beginning(tools=tools), *turns], awaiting=False)


def keeping_setting(
    template: ChatTemplate, settings: Mapping[str, Any], *, last: bool, tools: bool = False
) -> tuple[str, bool] | None:
    """A setting of the template that keeps reasoning which is left out now, found by trying each.

    Args:
        template: As it is held.
        settings: `model.chat_template_kwargs`, which it is held to.
        last: As in `keeps_reasoning`.
        tools: As in `keeps_reasoning`.

    Returns:
        Its name and value; None when no setting keeps it.
    """
    own = model_template(template.source)
    read = settings_read(environment().parse(own))
    for key in sorted(name for name in read if any(word in name for word in ABOUT_REASONING)):
        for value in (True, False):
            tried = {**settings, key: value}
            try:
                held = hold(own, settings=tried, date=None, special=template.special, name=template.name)
                if keeps_reasoning(replace(template, source=held.source), last=last, tools=tools):
                    return key, value
            except ModelError:
                continue
    return None


def asked_beyond_trained(template: ChatTemplate, *, tools: bool = False) -> str:
    """What the end of a prompt holds when the model is asked and a trained row does not; empty where nothing."""
    turns = [*beginning(tools=tools), ("user", "text")]
    asked = template.render(turns, awaiting=True)
    trained = template.render([*turns, ("assistant", ANSWER)], awaiting=False)
    if trained.startswith(asked):
        return ""
    same = next(place for place in range(len(asked) + 1) if asked[: place + 1] != trained[: place + 1])
    return asked[same:]
