"""Says what a row holds in columns that trainers read by their names alone and its recipe does not name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mixplan.domains.fields import listed
from mixplan.recipe import DomainSpec

CONVERSATIONS = ("messages", "prompt_completion")
TEXTS = ("prompt_completion", "question_answer")
ALL = (*CONVERSATIONS, "question_answer")
UNNAMED = "without their `{}`, which `columns` does not name"
READ_BY_NAME = {
    "tools": (CONVERSATIONS, UNNAMED),
    "functions": (CONVERSATIONS, UNNAMED),
    "chat_template_kwargs": (
        CONVERSATIONS,
        "without their own `{}`, which `model.chat_template_kwargs` sets for all",
    ),
    "system": (ALL, UNNAMED),
    "system_prompt": (ALL, UNNAMED),
    "history": (TEXTS, "without the earlier turns in their `{}`, which `format: messages` reads"),
    "input": (TEXTS, UNNAMED),
}
"""Columns that hold a part of what a row says, with the formats in which they do and what is told of it. TRL reads
`tools` and `chat_template_kwargs`, OpenAI's older files have `functions`, axolotl, ms-swift and LLaMA-Factory read
`system` and Alpaca's `input` and `history`."""
SAME = {"functions": "tools", "system_prompt": "system"}
"""Under which key of `columns` a recipe names a column of another name."""
BESIDE = {"input": "instruction"}
"""A column that says something only where the recipe reads another one."""
LABEL, UNWANTED = "label", "with a `label` of false, by which data for KTO says that an answer is not wanted"
"""How TRL's and ms-swift's data for KTO mark answers to be trained against."""
MEDIA = re.compile(r"(?:image|video|audio)s?(?:_\d+)?")
NO_TEXT = "without their {}, which no text model reads"

KEYS = ("tool_plan", "reasoning_details")
"""What Cohere's templates and OpenRouter's answers call reasoning, of a message."""
UNREAD_KEY = "without their {}, which is not read"


@dataclass(frozen=True)
class UnreadColumns:
    """The columns that a domain's rows may have beside those of its recipe.

    Attributes:
        format: The domain's.
        named: The keys of its `columns`, and the columns that it reads or selects rows by.
    """

    format: str
    named: frozenset[str]

    @classmethod
    def of(cls, spec: DomainSpec, keys: Collection[str], columns: Collection[str]) -> UnreadColumns:
        """Those of a domain.

        Args:
            spec: The recipe's section.
            keys: Of its `columns`.
            columns: What these name, perhaps dotted.
        """
        heads = [name.partition(".")[0] for name in (*columns, *spec.data.where)]
        return cls(spec.format, frozenset({*keys, *columns, *heads}))

    def beside(self, columns: Collection[str]) -> tuple[list[str], list[str]]:
        """Which of a table's columns are to be read, and of which it is enough to know whether they hold anything."""
        return [name for name in columns if self._says(name)], [name for name in columns if self._shows(name)]

    def changes(self, values: Mapping[str, Any], roles: Collection[str]) -> Iterator[str]:
        """What a row loses, in the words in which changed rows are counted.

        Args:
            values: By column; of those with images or sound it is enough whether they hold anything.
            roles: Of the turns that were read.
        """
        for name, value in values.items():
            if self._shows(name):
                if value is not False and holds(value):
                    yield NO_TEXT.format(f"`{name}`")
            elif self._says(name):
                if name == LABEL:
                    yield from [UNWANTED] * (value is False)
                elif holds(value) and not (name.startswith("system") and "system" in roles):
                    yield READ_BY_NAME[name][1].format(name)

    def _says(self, name: str) -> bool:
        if name in self.named:
            return False
        if name == LABEL:
            return self.format in CONVERSATIONS
        formats, _ = READ_BY_NAME.get(name, ((), ""))
        meant = name not in BESIDE or BESIDE[name] in self.named
        return self.format in formats and meant and SAME.get(name) not in self.named

    def _shows(self, name: str) -> bool:
        return name not in self.named and MEDIA.fullmatch(name) is not None


def message_changes(value: Any) -> tuple[str, ...]:
    """What a conversation loses in keys of its messages, in the words in which changed rows are counted.

    Args:
        value: A list of messages, or its JSON text; anything else has no keys.
    """
    items = listed(value) if isinstance(value, str) else value
    messages = [item for item in items if isinstance(item, Mapping)] if isinstance(items, list | tuple) else []
    lost = [name for item in messages for name, held in item.items() if _unread_key(str(name), item) and holds(held)]
    return tuple(
        (NO_TEXT if MEDIA.fullmatch(name) else UNREAD_KEY).format(f"messages' `{name}`") for name in dict.fromkeys(lost)
    )


def _unread_key(name: str, message: Mapping[str, Any]) -> bool:
    known = name == "reasoning_details" and any(message.get(other) for other in ("reasoning", "reasoning_content"))
    return MEDIA.fullmatch(name) is not None or (name in KEYS and not known)


def holds(value: Any) -> bool:
    """Whether a value says anything; an object of a table has nulls for the keys of all the others."""
    if isinstance(value, Mapping):
        return any(map(holds, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds, value))
    return bool(value.strip()) if isinstance(value, str) else value is not None
