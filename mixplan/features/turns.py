"""Tokenises a conversation up to the end of its question or answer, and refuses a template that alters them."""

from __future__ import annotations

from collections.abc import Sequence

from mixplan.chat.reasoning import parted
from mixplan.chat.tool_calls import parted_tools
from mixplan.chat.turn_spans import answer_place, question_place
from mixplan.errors import ModelError
from mixplan.model import Model, chat_template, tokens_of_place


def query_tokens(model: Model, prompt: Sequence[tuple[str, str]]) -> tuple[tuple[int, ...], int]:
    """Tokenise a conversation up to the last token of its last user turn.

    Query tokens are the tokens of that turn's content, without role markers; the sequence-start token is never one.

    Returns:
        The token ids, and how many at the end are query tokens.

    Raises:
        ModelError: the rendered text does not hold the question as it is.
    """
    question = prompt[-1][1].strip()
    place = question_place(chat_template(model), prompt)
    if place.content != question:
        raise altered(model, "question", question, "user")
    return tokens_of_place(model, place)


def answer_tokens(model: Model, prompt: Sequence[tuple[str, str]], answer: str) -> tuple[tuple[int, ...], int]:
    """Tokenise a conversation and the assistant's answer to it, up to the answer's last token.

    An answer's reasoning counts to it, but where the template leaves it out.

    Returns:
        The token ids, and how many at the end are the answer's.

    Raises:
        ModelError: the rendered text does not hold the answer as it is.
    """
    answer = answer.strip()
    template = chat_template(model)
    place = answer_place(template, prompt, answer)
    answer = template.native("assistant", answer, parted_tools(prompt)[0]).strip()
    reasoned = parted(answer)
    # White space between reasoning and answer is the template's to choose.
    if place.content != answer and not (reasoned and place.content.endswith(reasoned[1].strip())):
        raise altered(model, "answer", answer, "assistant")
    return tokens_of_place(model, place)


def altered(model: Model, what: str, text: str, role: str) -> ModelError:
    """The error for a template that writes another text than it is given."""
    return ModelError(
        f"the chat template of '{model.name}' alters the {what} {text[:60]!r}, so its tokens cannot be "
        f"followed. Use a model whose template keeps {role} turns as they are."
    )
