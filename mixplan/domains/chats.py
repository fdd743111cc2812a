"""Reads conversations in the forms in which people export them, as turns of four roles."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixplan.chat.tool_calls import TOOLS, call_text, with_calls
from mixplan.domains.fields import as_text, listed
from mixplan.domains.given_reasoning import REASONING_FIELDS, reasoning_changes, with_reasoning
from mixplan.domains.limits import value_kind
from mixplan.domains.row_problems import Lacking
from mixplan.errors import DataError

Messages = tuple[tuple[str, str], ...]

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
"""What the role names of OpenAI's, ShareGPT's, Gemma's and LLaMA-Factory's formats mean."""
LEAVE_OUT = "leave_out"
CALLING_ROLE = "function_call"
"""A role whose turns are calls alone, as JSON in their text."""
ROLE_KEYS, CONTENT_KEYS = ("role", "from"), ("content", "value")
TEXT_PARTS = ("text", "input_text", "output_text")
MEDIA_PARTS = re.compile(r"(?:input_)?(?:image|audio|video)(?:_url)?")
NOT_TRAINED = ("train", "training", "loss")
"""Under which names axolotl's and ms-swift's rows say with `false` that a message is not trained."""

CUT = "cut behind the last answer"
JOINED = "with neighbouring answers joined"
ASKED_JOINED = "with neighbouring questions joined"
OPENING = "without answers before the first question"
LAST = "with the last of several answers alone (`turns: all` takes each)"


@dataclass(frozen=True)
class ChatForm:
    """How a domain's messages are written.

    Attributes:
        role, content: The keys of a message that hold its role and its text; the usual ones when None.
        roles: Role names of the data with what they mean, beside those in `ROLES`; `leave_out` leaves the row out.
        alternating: Whether turns are made to alternate, see `joined_turns`.
        met: Filled with the role names that messages have, in order of their first use.
    """

    role: str | None = None
    content: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    alternating: bool = False
    met: dict[str, None] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Example:
    """A conversation up to one of its answers.

    Attributes:
        prompt: What stands before the answer; a user turn is among it.
        answer: The assistant's turn.
        number: Which of the conversation's answers it is, from 1.
        changes: What was changed to come to it.
    """

    prompt: Messages
    answer: str
    number: int
    changes: tuple[str, ...] = ()


def read_turns(value: Any, place: str, key: str, form: ChatForm) -> Messages:
    """Read a list of messages, or its JSON text, as (role, content) pairs.

    Raises:
        Lacking: there is none, or a turn of a role that is to be left out.
        DataError: a message cannot be read.
    """
    if value is None:
        raise Lacking("no question")
    if isinstance(value, str) and value.lstrip().startswith("["):
        items = listed(value)
        if items is None:
            raise DataError(f"{place}: {key} is text that is not a JSON list. Write a list of messages.")
        value = items
    if not isinstance(value, list | tuple):
        raise DataError(f"{place}: {key} is {value_kind(value)}, not a list of messages. Map a column of messages.")
    for message in value:
        # Of the whole row, since reading stops at a turn that leaves it out.
        name = _key(message, form.role, ROLE_KEYS)
        if name is not None:
            form.met[str(message[name])] = None
    return tuple(_turn(message, f"{place}: message {number} of {key}", form) for number, message in enumerate(value, 1))


def examples(
    turns: Messages, *, every: bool, untrained: Collection[int] = (), alternating: bool = False
) -> list[Example]:
    """The answers of a conversation, each with what stands before it.

    Neighbouring turns of the assistant are one answer, an empty line between them. An answer without a user turn before
    it, and an empty one, is none.

    Args:
        turns: The conversation.
        every: Whether all answers are wanted; else the last one.
        untrained: Turns by number, from 0, that the data says are not to be trained.
        alternating: Whether turns are made to alternate, see `joined_turns`.

    Raises:
        Lacking: no user turn says anything, or none is answered.
    """
    joined_all = joined_turns(turns, untrained, alternating=alternating)
    merged = joined_all.turns
    asked = next((number for number, (role, text) in enumerate(merged) if role == "user" and text.strip()), None)
    if asked is None:
        raise Lacking("no question")
    answers = [
        number
        for number, (role, text) in enumerate(merged)
        if number > asked and role == "assistant" and text.strip() and number not in joined_all.untrained
    ]
    if not answers:
        raise Lacking("no answer")
    several = (LAST,) if len(answers) > 1 and not every else ()
    changes = (*joined_all.changes, *((CUT,) if answers[-1] + 1 < len(merged) else ()), *several)
    found = [Example(merged[:at], merged[at][1], number, changes) for number, at in enumerate(answers, 1)]
    return found if every else found[-1:]


def not_trained(value: Any) -> set[int]:
    """Turns by number, from 0, on which no loss falls: of `weight` 0, or with `false` under a name of `NOT_TRAINED`."""
    items = listed(value) if isinstance(value, str) else value
    messages = items if isinstance(items, list | tuple) else []
    return {
        number
        for number, message in enumerate(messages)
        if isinstance(message, Mapping)
        and (
            (message.get("weight") is not None and message["weight"] == 0)
            or any(message.get(name) is False for name in NOT_TRAINED)
        )
    }


def repeated_reasoning(value: Any, form: ChatForm) -> tuple[str, ...]:
    """What messages that were read lose of reasoning which they hold twice, in the words of changed rows."""
    items = listed(value) if isinstance(value, str) else value
    changes: dict[str, None] = {}
    for message in items if isinstance(items, list | tuple) else []:
        if isinstance(message, Mapping) and any(message.get(name) for name in REASONING_FIELDS):
            content = message.get(_key(message, form.content, CONTENT_KEYS) or "")
            calling = message.get(_key(message, form.role, ROLE_KEYS) or "") == CALLING_ROLE
            if _role(message, form) == "assistant" and not calling:
                changes |= dict.fromkeys(reasoning_changes(message, _content(content, "", json_text=False), ""))
    return tuple(changes)


def written_messages(value: Any, form: ChatForm) -> Any:
    """A prompt or completion that is a list of messages as JSON text, as that list; any other value as it is."""
    items = listed(value) if isinstance(value, str) else None
    said = [
        _key(item, form.role, ROLE_KEYS) and (_key(item, form.content, CONTENT_KEYS) or item.get("tool_calls"))
        for item in items or [None]
    ]
    return items if all(said) else value


def with_tools(turns: Messages, tools: Any, place: str) -> Messages:
    """A conversation with its tools in a first turn of their own, where it has any.

    Raises:
        DataError: the tools are neither a list nor a JSON list as text.
    """
    if tools is None or (isinstance(tools, str) and not tools.strip()):
        return turns
    items = listed(tools) if isinstance(tools, str) else tools
    if items is None:
        raise DataError(f"{place}: tools is text that is not a JSON list. Write a list of tools.")
    if not isinstance(items, list | tuple) or not all(isinstance(item, Mapping) for item in items):
        raise DataError(f"{place}: tools is {value_kind(items)}, not a list of objects. Map a column of tools.")
    if not items:
        return turns
    # Only an object of a table has nulls for the keys of all the others.
    described = list(items) if isinstance(tools, str) else [_without_null(item) for item in items]
    return ((TOOLS, _json(described, f"{place}: tools")), *turns)


def _without_null(value: Any) -> Any:
    """A value without the nulls that tables give each object for the keys of all the others."""
    if isinstance(value, Mapping):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list | tuple) else value


def _json(value: Any, where: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError as error:  # tables hold dates and bytes, too
        raise DataError(f"{where} cannot be written as JSON ({error}). Write it as text.") from error


@dataclass(frozen=True)
class Joined:
    """A conversation whose neighbouring turns were joined.

    Attributes:
        turns: The turns.
        untrained: Which of them, by number from 0, end in one that is not trained.
        changes: What was changed, in words.
    """

    turns: Messages
    untrained: frozenset[int]
    changes: tuple[str, ...]


def joined_turns(turns: Messages, untrained: Collection[int] = (), *, alternating: bool = False) -> Joined:
    """Join neighbouring turns of the assistant, an empty line between them.

    Args:
        turns: The conversation.
        untrained: Turns by number, from 0, that the data says are not to be trained.
        alternating: Whether the user's neighbouring turns are joined too, and answers before the first question left
            out, so that a chat template which wants user and assistant to alternate takes them.

    Raises:
        Lacking: of neighbouring answers one is trained and another is not, so that no text is right to train on.
    """
    found: list[tuple[str, str]] = []
    skipped: set[int] = set()
    changes: dict[str, None] = {}
    words = {"assistant": JOINED} | ({"user": ASKED_JOINED} if alternating else {})
    asked = False
    for number, (role, text) in enumerate(turns):
        asked = asked or role == "user"
        if alternating and not asked and role in ("assistant", "tool"):
            changes[OPENING] = None
            continue
        if found and role == found[-1][0] and role in words:
            if (number in untrained) is not (len(found) - 1 in skipped):
                raise Lacking("an answer of weight 0 beside one that is trained")
            found[-1] = (role, "\n\n".join(part for part in (found[-1][1], text) if part.strip()))
            changes[words[role]] = None
        else:
            found.append((role, text))
        place = len(found) - 1
        skipped = skipped | {place} if number in untrained else skipped - {place}
    return Joined(tuple(found), frozenset(skipped), tuple(changes))


def _turn(message: Any, where: str, form: ChatForm) -> tuple[str, str]:
    role_key = _key(message, form.role, ROLE_KEYS)
    content_key = _key(message, form.content, CONTENT_KEYS)
    calls = list(_calls(message, where)) if isinstance(message, Mapping) else []
    if role_key is None or (content_key is None and not calls):
        raise _no_message(message, where, form)
    named, role = message[role_key], _role(message, form)
    if role is None:
        raise DataError(
            f"{where} has the role {named!r}, not {', '.join(list(ROLES)[:-1])} or {list(ROLES)[-1]}. Say in this "
            f"section of the recipe what it means, as in `roles: {{{named}: assistant}}`; `leave_out` leaves such rows "
            "out."
        )
    if role == LEAVE_OUT:
        raise Lacking(f"a turn of role {named}")
    content = message.get(content_key) if content_key is not None else None
    if named == CALLING_ROLE:
        return role, with_calls("", list(_calls({"tool_calls": _parsed(content)}, where)))
    text = _content(content, where, json_text=role == "tool")
    if role == "assistant":
        text = with_reasoning(message, with_calls(text, calls), where)
    return role, text


def _role(message: Mapping[str, Any], form: ChatForm) -> str | None:
    """What a message's role means; None where that is not known."""
    named = message.get(_key(message, form.role, ROLE_KEYS) or "")
    return form.roles.get(named, ROLES.get(named.lower())) if isinstance(named, str) else None


def _key(message: Any, named: str | None, usual: Sequence[str]) -> str | None:
    if not isinstance(message, Mapping):
        return None
    return next((key for key in ([named] if named else usual) if key in message), None)


def _no_message(message: Any, where: str, form: ChatForm) -> DataError:
    role, content = form.role or "role", form.content or "content"
    has = f"; it has {', '.join(map(str, list(message)[:8])) or 'no key'}" if isinstance(message, Mapping) else ""
    return DataError(
        f"{where} is not an object with `{role}` and `{content}`{has}. Name its keys in the recipe, as in "
        "`columns: {role: speaker, content: text}`."
    )


def _content(value: Any, where: str, *, json_text: bool) -> str:
    """A message's text: as it is, or that of its text parts, joined; of a tool's result the JSON."""
    listing = isinstance(value, list | tuple)
    if listing and not (json_text and _is_result(value)):
        return "".join(_part(part, where) for part in value)
    if json_text and (listing or isinstance(value, Mapping)):
        value = _json(_without_null(value), where)
    return as_text(value, where) or ""


def _is_result(items: Sequence[Any]) -> bool:
    """Whether a tool's list is what the tool found, rather than parts of which one is a text part or a picture."""
    if len(items) == 1 and isinstance(items[0], str):
        return False
    return not any(isinstance(item, Mapping) and _is_part(item) for item in items)


def _is_part(item: Mapping[str, Any]) -> bool:
    """Whether an object in a tool's list is a part of a message: what it found may have a `type` or a `text`, too."""
    kind = item.get("type")
    if kind is None:
        return [key for key, value in item.items() if value is not None] == ["text"]
    return (kind in TEXT_PARTS and "text" in item) or (isinstance(kind, str) and bool(MEDIA_PARTS.fullmatch(kind)))


def _part(part: Any, where: str) -> str:
    if isinstance(part, str):
        return as_text(part, where) or ""
    kind = (part.get("type") or "text") if isinstance(part, Mapping) else value_kind(part)
    if not isinstance(part, Mapping) or kind not in TEXT_PARTS:
        raise DataError(f"{where} has a part of type {kind!r}, which is not text and no text model reads.")
    if "text" not in part:
        has = ", ".join(map(str, list(part)[:8])) or "no key"
        raise DataError(f"{where} has a part without `text`; it has {has}. Write its text as `text`.")
    return as_text(part["text"], f"{where}: its text") or ""


def _calls(message: Mapping[str, Any], where: str) -> Iterator[str]:
    """An assistant's tool calls as text."""
    given = message.get("tool_calls") or []
    given = [*given, message["function_call"]] if message.get("function_call") else given
    for call in given if isinstance(given, list | tuple) else [given]:
        inner = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
            raise DataError(
                f"{where} has a tool call without a name. Write {{function: {{name: ..., arguments: ...}}}}."
            )
        yield call_text(inner["name"], _arguments(inner.get("arguments")))


def _arguments(given: Any) -> Any:
    """A call's arguments, which many files hold as JSON text, and some as JSON of JSON text.

    Raises:
        Lacking: they are anything else, which would teach calls that nothing can read.
    """
    value = given if isinstance(given, str) else _without_null(given)
    for _ in range(2):
        value = _parsed(value) if value else value
    if value in (None, "", []):
        return {}
    if not isinstance(value, Mapping):
        raise Lacking("a tool call whose arguments are not a JSON object")
    return value


def _parsed(value: Any) -> Any:
    """JSON that is written as text, as a value; other text as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
