"""Writes tool calls into an assistant's turn as text, and parts them from it again.

Rows hold a call as `<tool_call>`, its name and arguments as JSON, `</tool_call>`, behind whatever the turn says, as
they hold reasoning in `<think>`; what a conversation's tools are stands in a first turn of the role `tools`, as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

OPEN, CLOSE = "<tool_call>", "</tool_call>"
TOOLS = "tools"
"""The role of a first turn that holds the tools of a conversation as a JSON list."""

STAND_IN, RESULT = "0d51 call 72be", "63aa result 19cf"
"""Rendered in the place of a call, and of what a tool gives, to see what a template writes around them."""

Fill = Callable[[Sequence[Mapping[str, Any]]], str | None]

_CALL = re.compile(rf"{OPEN}\s*(\{{.*?\}})\s*{CLOSE}", re.DOTALL)


def call_text(name: str, arguments: Any) -> str:
    """One call as rows hold it."""
    return f"{OPEN}\n{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}\n{CLOSE}"


def with_calls(text: str, calls: list[str]) -> str:
    """An assistant's turn with its calls behind what it says."""
    return "\n".join([text, *calls] if text.strip() else calls) if calls else text


def parted_calls(text: str) -> tuple[str, list[Mapping[str, Any]]]:
    """What a turn says, and the calls at its end; no calls where what stands there is not name and arguments."""
    start = text.find(OPEN)
    tail = text[start:].strip() if start >= 0 else ""
    found = _CALL.findall(tail)
    if not found or _CALL.sub("", tail).strip():
        return text, []
    calls = []
    for item in found:
        try:
            call = json.loads(item)
        except ValueError:
            return text, []
        if not isinstance(call.get("name"), str) or "arguments" not in call:
            return text, []
        calls.append(call)
    return text[:start].rstrip("\n"), calls


def parted_tools(turns: Sequence[tuple[str, str]]) -> tuple[list[Any] | None, Sequence[tuple[str, str]]]:
    """A conversation's tools, None where it has none, and its turns without them."""
    if turns and turns[0][0] == TOOLS:
        return list(json.loads(turns[0][1])), turns[1:]
    return None, turns


def native_call(fill: Fill, content: str) -> str:
    """An assistant's turn with its calls in the words in which a chat template writes them.

    The turn's text is what the template makes of a message's `tool_calls`, so that a message with this text as its
    content reads the same. Where there is no such text, as in templates that know no calls or write the turn around
    them in another way, the turn stays as rows hold it.

    Args:
        fill: Renders messages by the template, or fails.
        content: The turn, without reasoning.
    """
    said, calls = parted_calls(content)
    if not calls:
        return content
    structured = _with_calls_of_its_own(fill, said, calls)
    before, shown, after = (fill(_around({"role": "assistant", "content": STAND_IN}, len(calls))) or "").rpartition(
        STAND_IN
    )
    if not structured or not shown or not (structured.startswith(before) and structured.endswith(after)):
        return content
    written = structured[len(before) : len(structured) - len(after)]
    if said.strip() and said.strip() not in written:
        # Llama 3.1's template writes a call alone, whatever the turn says besides.
        return f"{said}\n{native_call(fill, content[len(said) :].strip())}"
    if RESULT in written or not all(call["name"] in written for call in calls):
        return content
    plain = fill(_around({"role": "assistant", "content": written}, len(calls)))
    return written if plain == structured else content


def calls_stay_text(fill: Fill, content: str) -> bool:
    """Whether an assistant's turn has calls that stay as rows hold them, where the template writes them otherwise.

    Args: see `native_call`.
    """
    said, calls = parted_calls(content)
    if not calls or native_call(fill, content) != content:
        return False
    plain = fill(_around({"role": "assistant", "content": content}, len(calls)))
    return plain != _with_calls_of_its_own(fill, said, calls)


def _with_calls_of_its_own(fill: Fill, said: str, calls: Sequence[Mapping[str, Any]]) -> str | None:
    """A conversation with calls in the message's own field; None where the template fails on them.

    Arguments are a mapping, as transformers has them, or JSON as text where the template fails on a mapping, as that of
    DeepSeek V3 does.
    """
    as_text = [{**call, "arguments": json.dumps(call["arguments"], ensure_ascii=False)} for call in calls]
    for given in (calls, as_text):
        functions = [{"type": "function", "function": dict(call)} for call in given]
        text = fill(_around({"role": "assistant", "content": said, "tool_calls": functions}, len(calls)))
        if text is not None:
            return text
    return None


def _around(message: Mapping[str, Any], calls: int) -> list[Mapping[str, Any]]:
    """A conversation around an assistant's message with so many calls."""
    results = [{"role": "tool", "content": RESULT}] * calls
    return [{"role": "user", "content": "text"}, message, *results, {"role": "assistant", "content": "text"}]
