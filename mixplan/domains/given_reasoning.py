"""Reads an assistant's reasoning once, which messages hold beside their text, in it, or in both places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixplan.chat.reasoning import joined, parted
from mixplan.domains.fields import as_text

REASONING_FIELDS = ("reasoning_content", "thinking", "reasoning")
"""Under which names an assistant's message holds its reasoning beside its content."""
OTHER = "without their messages' `{}`, since the text holds other reasoning"
UNLIKE = "without their messages' `{}`, which is not their `{}`"


def with_reasoning(message: Mapping[str, Any], text: str, where: str) -> str:
    """A message's text with its reasoning in front.

    Reasoning that the text itself opens with is what the model is to write: it stays where a field beside the text
    holds other reasoning.

    Args:
        message: As the data has it.
        text: Its content.
        where: The message, for errors.

    Raises:
        DataError: a field of reasoning holds no text.
    """
    given = _given(message, where)
    if not given:
        return text
    reasoning = next(iter(given.values()))
    own = _opened(text, reasoning)
    if own is None:
        return joined(reasoning, text)
    return joined(reasoning, own[1]) if not own[0] or _same(own[0], reasoning) else text


def reasoning_changes(message: Mapping[str, Any], text: str, where: str) -> list[str]:
    """What `with_reasoning` leaves out of a message, in the words in which changed rows are counted."""
    given = _given(message, where)
    if not given:
        return []
    (first, reasoning), *others = given.items()
    changes = [UNLIKE.format(name, first) for name, other in others if not _same(other, reasoning)]
    own = _opened(text, reasoning)
    return [*changes, OTHER.format(first)] if own and own[0] and not _same(own[0], reasoning) else changes


def _given(message: Mapping[str, Any], where: str) -> dict[str, str]:
    """The fields of reasoning that say anything."""
    found = {name: message[name] for name in REASONING_FIELDS if message.get(name)}
    first = next(iter(found), None)
    # Beside a text, another field may hold settings of the reasoning or its parts.
    found = {name: value for name, value in found.items() if name == first or isinstance(value, str)}
    texts = {name: as_text(value, f"{where}: its reasoning") or "" for name, value in found.items()}
    return {name: text for name, text in texts.items() if text.strip()}


def _opened(text: str, reasoning: str) -> tuple[str, str] | None:
    """The reasoning that a text opens with, and the rest; None where it only speaks of such marks."""
    own = parted(text)
    opens = own is not None and (text.lstrip().startswith("<think>") or _same(own[0], reasoning))
    return own if opens else None


def _same(one: str, other: str) -> bool:
    return one.split() == other.split()
