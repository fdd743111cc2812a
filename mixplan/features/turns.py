"""A conversation in, its tokens out up to the end of its question or answer, and how many of the last ones are it."""

from __future__ import annotations

from collections.abc import Sequence

from mixplan.errors import ModelError
from mixplan.model import Model, render

STAND_IN = "0a9c answer 7e41"
"""Rendered in an answer's place to see what the chat template puts around it; no row holds this text."""


def query_tokens(model: Model, prompt: Sequence[tuple[str, str]]) -> tuple[tuple[int, ...], int]:
    """Tokenise a conversation up to the last token of its last user turn.

    Query tokens are the tokens of that turn's content, without role markers; the sequence-start token is never one.

    Returns:
        The token ids, and how many at the end are query tokens.

    Raises:
        ModelError: the rendered text does not hold the question as it is.
    """
    text = render(model, prompt, awaiting=False)
    question = prompt[-1][1].strip()
    start = text.rfind(question)
    if start < 0 or not question:
        raise ModelError(
            f"the chat template of '{model.name}' alters the question {question[:60]!r}, so its tokens cannot be "
            "followed. Use a model whose template keeps user turns as they are."
        )
    return tokens_at(model, text, start, start + len(question))


def answer_tokens(model: Model, prompt: Sequence[tuple[str, str]], answer: str) -> tuple[tuple[int, ...], int]:
    """Tokenise a conversation and the assistant's answer to it, up to the answer's last token.

    Where the answer stands is found by rendering a stand-in in its place: a short answer such as "a" may well stand
    elsewhere in the text, in a role marker too.

    Returns:
        The token ids, and how many at the end are the answer's.

    Raises:
        ModelError: the rendered text does not hold the answer as it is.
    """
    answer = answer.strip()
    text = render(model, (*prompt, ("assistant", answer)), awaiting=False)
    before, _, after = render(model, (*prompt, ("assistant", STAND_IN)), awaiting=False).rpartition(STAND_IN)
    if not answer or text != before + answer + after:
        raise ModelError(
            f"the chat template of '{model.name}' alters the answer {answer[:60]!r}, so its tokens cannot be "
            "followed. Use a model whose template keeps assistant turns as they are."
        )
    return tokens_at(model, text, len(before), len(before) + len(answer))


def tokens_at(model: Model, text: str, start: int, stop: int) -> tuple[tuple[int, ...], int]:
    """Tokenise a text up to the last token that holds any of its characters `start` to `stop`.

    Returns:
        The token ids, and how many at the end hold such characters; the text's first token is never one of them.
    """
    encoded = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    inside = [
        index
        for index, (left, right) in enumerate(encoded["offset_mapping"])
        if left < stop and right > start and right > left
    ]
    ids = tuple(encoded["input_ids"][: inside[-1] + 1])
    return ids, min(len(inside), len(ids) - 1)
