"""Writes tool calls into an assistant's turn as text, and parts them from it again.

Rows hold a call as `<tool_call>`, its name and arguments as JSON, `</tool_call>`, behind whatever the turn says, as
they hold reasoning in `<think>`; what a conversation's tools are stands in a first turn of the role `tools`, as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

OPEN, CLOSE = "<tool_call>", "</tool_call>"
TOOLS = "tools"
"""The role of a first turn that holds the tools of a conversation as a JSON list."""

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
