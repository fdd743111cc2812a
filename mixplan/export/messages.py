"""Writes a mixture as OpenAI messages, a conversation a line, with reasoning, calls and tools in their fields."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from mixplan.chat.reasoning import parted
from mixplan.chat.tool_calls import parted_calls
from mixplan.errors import RunError
from mixplan.export.handover import ROWS, Handover, Written, write_lines
from mixplan.export.rows import Values, mixture_rows


def write(handover: Handover) -> Written:
    """Write `rows.jsonl`; the last turn of each line is what is trained, `weight: 0` marks answers before it."""
    unparted = Counter[str]()
    write_lines(handover.folder / ROWS, lines(handover, unparted))
    notes = [
        f"{count} rows of '{name}' have tools and hold their calls as the model's own template writes them, in the "
        "text of the turn: it is no form that can be read back into `tool_calls`."
        for name, count in unparted.items()
    ]
    settings = handover.recipe.model.chat_template_kwargs
    if settings:
        notes.append(
            f"What the chat template is given ({', '.join(sorted(settings))}) stands in no message: give it to the "
            "trainer as well."
        )
    return Written("", (ROWS,), tuple(notes))


def lines(handover: Handover, unparted: Counter[str]) -> Iterator[Values]:
    """The rows.

    Args:
        handover: The mixture.
        unparted: Counts by domain the rows whose calls stay text.

    Raises:
        RunError: the mixture is one for GRPO.
    """
    for row in mixture_rows(handover.mixture.folder):
        if row.answer is None:
            raise RunError("the mixture is for GRPO: its rows have reference answers, not answers to train on.")
        messages = [message(turn["role"], turn["content"]) for turn in row.turns]
        for earlier in messages[:-1]:
            if earlier["role"] == "assistant":
                earlier["weight"] = 0
        unparted[row.domain] += calls_left(messages)
        if not unparted[row.domain]:
            del unparted[row.domain]
        yield {"messages": numbered(messages), **({"tools": row.tools} if row.tools else {}), **row.provenance}


Message = dict[str, Any]


def message(role: str, content: str) -> Message:
    """A turn in the fields that OpenAI's messages and the chat templates of reasoning models have for it."""
    if role != "assistant":
        return {"role": role, "content": content}
    reasoning, answer = parted(content) or ("", content)
    said, calls = parted_calls(answer)
    found: Message = {"role": role, "content": said}
    if reasoning:
        found["reasoning_content"] = reasoning
    if calls:
        found["tool_calls"] = [
            {
                "type": "function",
                "function": {
                    "name": call["name"],
                    "arguments": json.dumps(call["arguments"], ensure_ascii=False),
                },
            }
            for call in calls
        ]
    return found


def numbered(messages: list[Message]) -> list[Message]:
    """Messages with an id for each call, which the results behind it name in order."""
    waiting: list[str] = []
    count = 0
    for one in messages:
        for call in one.get("tool_calls", ()):
            call["id"] = f"call_{count}"
            waiting.append(call["id"])
            count += 1
        if one["role"] == "tool" and waiting:
            one["tool_call_id"] = waiting.pop(0)
    return messages


def calls_left(messages: list[Message]) -> bool:
    """Whether tools gave results to calls that none of the messages has in a field of its own."""
    results = any(one["role"] == "tool" for one in messages)
    return results and not any("tool_calls" in one for one in messages)
