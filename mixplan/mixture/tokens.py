"""Counts a row's tokens by a model's tokenizer and chat template, kept as text, without loading transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tokenizers import Tokenizer

from mixplan.chat.template import PLAIN, ChatTemplate
from mixplan.mixture.result import Messages
from mixplan.runs import content_hash


@dataclass(frozen=True)
class TokenCounter:
    """What counts a row's tokens.

    Attributes:
        count: Tokens of a row, from its prompt and its answer.
        fingerprint: Hash of what it counts with; a mixture counted otherwise is another one.
        template: The model's chat template, held to the recipe's settings; None when not known.
        question: Tokens of a row's prompt with the opening of an answer; None when not known.
        window: The model's window, where it is shorter than where TRL cuts rows; else None.
    """

    count: Callable[[Messages, str], int]
    fingerprint: str
    template: ChatTemplate | None = None
    question: Callable[[Messages], int] | None = None
    window: int | None = None


def token_counter(kept: Mapping[str, Any], name: str) -> TokenCounter:
    """Count as the model's own tokenizer does, at a tenth of the time that loading transformers takes.

    Args:
        kept: `tokenizer` (the text of its tokenizer.json), `template` (None for the plain format), and `special`, its
            special tokens by name; `window` where the model's is short.
        name: The model's, for messages.

    Raises:
        ModelError: on counting, when the template refuses a conversation.
    """
    tokenizer = cache(lambda: Tokenizer.from_str(kept["tokenizer"]))  # a tenth of a plan whose counts are kept
    template = ChatTemplate(kept["template"] or PLAIN, kept["special"], name)

    def count(prompt: Messages, answer: str) -> int:
        turns = [*((turn["role"], turn["content"]) for turn in prompt), ("assistant", answer)]
        return len(tokenizer().encode(template.render(turns, awaiting=False), add_special_tokens=False))

    def question(prompt: Messages) -> int:
        turns = [(turn["role"], turn["content"]) for turn in prompt]
        return len(tokenizer().encode(template.render(turns, awaiting=True), add_special_tokens=False))

    return TokenCounter(count, content_hash(dict(kept)), template, question, kept.get("window"))
