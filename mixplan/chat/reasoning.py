"""Parts an answer's reasoning from what it answers.

Rows and answers hold reasoning as `<think>`, the reasoning, `</think>`, and the answer; a held chat template writes it
in the model's own way. What models say is read back into that form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

OPEN, CLOSE = "<think>", "</think>"

MARKS = (
    (OPEN, CLOSE),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ("<|channel>thought", "<channel|>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
)
"""What opens and what ends reasoning in the families that mark it: Qwen, DeepSeek, GLM and Nemotron; gpt-oss; Gemma 4;
Magistral; Seed-OSS; Command A. gpt-oss ends it by opening the final channel."""

BARE_CHANNELS = re.compile(r"\Aanalysis.*?assistantfinal", re.DOTALL)
"""gpt-oss's channels once the special tokens are taken out, as TRL gives completions to rewards."""


def parted(text: str) -> tuple[str, str] | None:
    """An answer's reasoning and the answer behind it; None where it has none.

    A text that holds `</think>` without `<think>` reasons from its beginning, as answers to a prompt that opens the
    block do.
    """
    before, close, answer = text.partition(CLOSE)
    head, opened, reasoning = before.partition(OPEN)
    if not close or (opened and head.strip()):
        return None
    return (reasoning if opened else head).strip(), answer.lstrip("\n")


def joined(reasoning: str, answer: str) -> str:
    """An answer with its reasoning in front; without reasoning, the answer alone."""
    return f"{OPEN}\n{reasoning.strip()}\n{CLOSE}\n\n{answer}" if reasoning.strip() else answer


def final_answer(text: str) -> str:
    """What a text answers once its reasoning has ended: empty while it has not, the whole text where there is none."""
    if bare := BARE_CHANNELS.match(text):
        return text[bare.end() :].strip()
    for opened, close in MARKS:
        if close in text:
            return text.rpartition(close)[2].strip()
        if text.lstrip().startswith(opened):
            return ""
    return text


def spoken_text(raw: str, plain: str, *, opened: str, special: Iterable[str]) -> str:
    """What a model said, its reasoning in the form in which rows hold it.

    Args:
        raw: The decoded answer, special tokens included.
        plain: The same without special tokens, which some models mark reasoning with.
        opened: What the prompt's end opened for the answer, such as `<think>` and a line's end; empty where nothing.
        special: The tokenizer's special tokens.

    Returns:
        Reasoning and answer; an answer that ended within its reasoning opens `<think>` and never closes it.
    """
    raw = opened + raw
    for start, close in MARKS:
        reasoning, closed, answer = raw.rpartition(close)
        if closed:
            return joined(reasoning_of(reasoning, start, special), without(answer, special))
        if raw.lstrip().startswith(start):
            return f"{OPEN}\n{reasoning_of(raw, start, special)}"
    return plain.strip()


def reasoning_of(text: str, start: str, special: Iterable[str]) -> str:
    """What stands behind a mark, without the tokens that part one channel from the next."""
    text = text.partition(start)[2] if start in text else text
    # gpt-oss ends its reasoning's turn and opens another of the assistant's before the final channel.
    text = text.removesuffix("<|start|>assistant")
    return without(text, special)


def without(text: str, special: Iterable[str]) -> str:
    """A text without special tokens and surrounding white space."""
    for token in special:
        text = text.replace(token, "")
    return text.strip()
