"""A conversation in, the text that the model reads out: its chat template, or a plain documented format."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import TemplateError

from mixplan.errors import ModelError
from mixplan.model.load import Model


def render(model: Model, messages: Sequence[tuple[str, str]], *, awaiting: bool) -> str:
    """Write a conversation as the text the model reads.

    Args:
        model: The model; without a chat template the plain format is one block a turn, `Question: …`, `Answer: …`,
            system text as it is, blocks parted by an empty line, the sequence-start token in front where there is one.
        messages: (role, content) pairs.
        awaiting: Whether to end where the assistant's answer begins.

    Raises:
        ModelError: the chat template refuses these messages.
    """
    tokenizer = model.tokenizer
    if tokenizer.chat_template:
        dicts = [{"role": role, "content": content} for role, content in messages]
        try:
            return str(tokenizer.apply_chat_template(dicts, tokenize=False, add_generation_prompt=awaiting))
        except (TemplateError, ValueError) as error:
            raise ModelError(
                f"the chat template of '{model.name}' refuses a conversation with roles "
                f"{', '.join(role for role, _ in messages)}: {error}. Remove `system` from the domain's columns."
            ) from error
    heads = {"user": "Question: ", "assistant": "Answer: "}
    blocks = [heads.get(role, "") + content for role, content in messages]
    if awaiting:
        blocks.append("Answer:")
    return (tokenizer.bos_token or "") + "\n\n".join(blocks)


def answered(model: Model, prompt: str, answer: str) -> str:
    """A rendered prompt with the beginning of an answer behind it, without the end of its turn.

    Args:
        model: Without a chat template, a space parts `Answer:` from the answer, as in a whole rendered conversation.
        prompt: Rendered, awaiting the answer.
        answer: Its text.
    """
    return f"{prompt}{'' if model.tokenizer.chat_template else ' '}{answer}"
