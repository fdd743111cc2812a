"""Renders conversations for a loaded model, and tokenises questions and answers as training tokenises them.

What is trained, and what is measured by log-probability, is the whole conversation as the chat template renders it:
the answer is scored behind whatever the template puts before it there, an empty think block for one. Where a model is
asked to answer, the prompt ends as the template ends a prompt, which is the model's own way and may open a think block
that training leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mixplan.chat.reasoning import spoken_text
from mixplan.chat.template import ChatTemplate, Turns
from mixplan.chat.turn_spans import Place, answer_place
from mixplan.model.answers import Answer
from mixplan.model.load import Model
from mixplan.model.tokenizer_template import special_tokens, template_source
from mixplan.runs import content_hash

Ids = tuple[int, ...]


def chat_template(model: Model) -> ChatTemplate:
    """The template that a model is read, trained and measured with."""
    return ChatTemplate(template_source(model.tokenizer), special_tokens(model.tokenizer), model.name)


def text_hash(model: Model) -> str:
    """Hash what turns conversations into tokens: tokenizer, chat template, special tokens and window.

    Weights and config say nothing of these, so what is kept by a row's text and not by its tokens hangs on them too.
    """
    tokenizer: Any = model.tokenizer
    tokenizer("", add_special_tokens=False, verbose=False)  # takes out what its file may say of lengths and padding
    template = chat_template(model)
    return content_hash(tokenizer.backend_tokenizer.to_str(), template.source, dict(template.special), model.window)


def render(model: Model, turns: Turns, *, awaiting: bool) -> str:
    """Write a conversation as the text the model reads.

    Args:
        model: The model; without a chat template the plain format is one block a turn, `Question: …`, `Answer: …`,
            system text as it is, blocks parted by an empty line, the sequence-start token in front where there is one.
        turns: (role, content) pairs.
        awaiting: Whether to end where the assistant's answer begins.

    Raises:
        ModelError: the chat template refuses these turns.
    """
    return chat_template(model).render(turns, awaiting=awaiting)


def answered_tokens(model: Model, prompt: Turns, answer: str) -> tuple[Ids, int, str]:
    """Tokenise a conversation and the assistant's answer to it, up to the answer's last token, as it is trained.

    Returns:
        The token ids, how many at the end are the answer's, and the answer as the template writes it.

    Raises:
        ModelError: the template refuses the conversation, or hides the answer.
    """
    place = answer_place(chat_template(model), prompt, answer)
    return *tokens_of_place(model, place), place.content


def tokens_of_place(model: Model, place: Place) -> tuple[Ids, int]:
    """Tokenise a text up to the last token that holds any character of a place.

    Returns:
        The token ids, and how many at the end hold such characters; the text's first token is never one of them.
    """
    encoded = model.tokenizer(place.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    inside = [
        index
        for index, (left, right) in enumerate(encoded["offset_mapping"])
        if left < place.stop and right > place.start and right > left
    ]
    ids = tuple(encoded["input_ids"][: inside[-1] + 1])
    return ids, min(len(inside), len(ids) - 1)


def spoken(model: Model, answers: Sequence[Answer]) -> list[str]:
    """What a model answered, each answer's reasoning in the form in which rows hold it.

    An answer that was cut within its reasoning opens `<think>` and never closes it.
    """
    if not answers:
        return []
    tokenizer, opened = model.tokenizer, chat_template(model).opened_reasoning
    special = tokenizer.all_special_tokens
    return [
        spoken_text(
            str(tokenizer.decode(list(answer.ids), skip_special_tokens=False)), answer.text, opened=opened,
            special=special,
        )
        for answer in answers
    ]  # fmt: skip
