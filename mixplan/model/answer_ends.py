"""Finds the tokens that end an answer: those that the model states, and what its chat template ends a turn with.

Tokenizers of base models often bring a chat template whose turns end in `<|im_end|>`, while their generation config and
their end of text are `<|endoftext|>`. Training teaches what the template writes, so such a model ends its turn, and
what it says behind it is no part of the answer.
"""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from mixplan.chat.reasoning import joined
from mixplan.chat.template import ChatTemplate
from mixplan.chat.template_settings import ANSWER, REASONING
from mixplan.errors import ModelError
from mixplan.model.tokenizer_template import special_tokens, template_source


def answer_ends(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Tokens that end an answer."""
    stated = stated_ends(lm, tokenizer)
    end = turn_end(tokenizer, stated)
    return stated | (frozenset() if end is None else {end})


def stated_ends(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The generation config's ends and the tokenizer's end of sequence, by which TRL's GRPO ends what it samples."""
    stated: Any = getattr(lm.generation_config, "eos_token_id", None)
    listed = stated if isinstance(stated, list) else [stated]
    return frozenset(int(token) for token in (*listed, tokenizer.eos_token_id) if token is not None)


def turn_end(tokenizer: PreTrainedTokenizerBase, stated: frozenset[int]) -> int | None:
    """The special token that the chat template writes right behind an answer.

    Args:
        tokenizer: With its template.
        stated: The ends that the model states.

    Returns:
        None where a stated end stands behind an answer anyhow, where no special token stands right behind it, or where
        the same token parts an answer from its reasoning.
    """
    template = ChatTemplate(template_source(tokenizer), special_tokens(tokenizer), "")
    try:
        text = template.render([("user", "text"), ("assistant", joined(REASONING, ANSWER))], awaiting=False)
    except ModelError:
        return None
    before, found, after = text.rpartition(ANSWER)

    def tokens(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    ids = tokens(after.lstrip()) if found else []
    held = tokenizer.added_tokens_decoder.get(ids[0]) if ids else None
    if held is None or not held.special or stated & {*ids} or ids[0] in tokens(before.partition(REASONING)[2]):
        return None
    return ids[0]
