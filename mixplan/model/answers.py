"""Rendered prompts in, the model's greedy answers out: batched by length, each row stopped at its own end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from mixplan.model.load import Model, text_config

Ids = tuple[int, ...]

BATCH_TOKENS = {"cpu": 8192, "cuda": 32768}
"""Rows times their longest possible length in one batch: what keys and values may take, a few GB on large models."""

LEAVE_AT = 4
"""Ended rows leave a batch once they are one in so many: taking them out copies the keys and values of the others."""


@dataclass(frozen=True)
class Answer:
    """One greedy answer.

    Attributes:
        text: Decoded, without special tokens and surrounding white space.
        ids: Token ids; of a finished answer the last one is the token that ended it.
        finished: Whether the model ended it; otherwise it was cut at the longest length asked for.
    """

    text: str
    ids: Ids
    finished: bool


def generate(
    model: Model,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    on_answers: Callable[[int], None] | None = None,
) -> list[Answer]:
    """Answer prompts greedily: at each step the likeliest token, no sampling and no penalty.

    Args:
        model: The model.
        prompts: Rendered prompts (chat template applied).
        max_new_tokens: Longest answer, in tokens.
        on_answers: Told how many answers each batch gave.

    Returns:
        One answer a prompt, in order.
    """
    if not prompts:
        return []
    tokenizer = model.tokenizer
    encoded = [tuple(ids) for ids in tokenizer(list(prompts), add_special_tokens=False, verbose=False)["input_ids"]]
    ends = end_tokens(model)
    found: dict[int, Answer] = {}
    for batch in batches([len(ids) for ids in encoded], max_new_tokens, BATCH_TOKENS.get(model.device.type, 8192)):
        for index, ids in zip(
            batch, greedy(model, [encoded[index] for index in batch], max_new_tokens, ends), strict=True
        ):
            text = str(tokenizer.decode(list(ids), skip_special_tokens=True)).strip()
            found[index] = Answer(text, ids, bool(ids) and ids[-1] in ends)
        if on_answers:
            on_answers(len(batch))
    return [found[index] for index in range(len(prompts))]


def end_tokens(model: Model) -> frozenset[int]:
    """Tokens that end an answer: the generation config's and the tokenizer's end of sequence."""
    stated = getattr(model.lm.generation_config, "eos_token_id", None)
    listed = stated if isinstance(stated, list) else [stated]
    return frozenset(token for token in (*listed, model.tokenizer.eos_token_id) if token is not None)


def batches(lengths: Sequence[int], new_tokens: int, limit: int) -> Iterator[list[int]]:
    """Positions of prompts that are answered together, the longest prompts first; at least one a batch."""
    batch: list[int] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if batch and (len(batch) + 1) * (longest + new_tokens) > limit:
            yield batch
            batch = []
        longest = longest if batch else lengths[index]
        batch.append(index)
    if batch:
        yield batch


def greedy(model: Model, prompts: Sequence[Ids], max_new_tokens: int, ends: frozenset[int]) -> list[Ids]:
    """Answer one left-padded batch.

    Returns:
        Each answer's token ids, the token that ended it included.
    """
    tokens, mask = left_padded(model, prompts)
    cache = DynamicCache(config=text_config(model.lm))
    rows = list(range(len(prompts)))
    answers: list[list[int]] = [[] for _ in prompts]
    ended: set[int] = set()
    for _ in range(max_new_tokens):
        chosen = next_tokens(model, tokens, mask, cache)
        for row, token in zip(rows, chosen.tolist(), strict=True):
            if row not in ended:
                answers[row].append(token)
                if token in ends:
                    ended.add(row)
        if len(ended) == len(prompts):
            break
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        gone = sum(row in ended for row in rows)
        if gone * LEAVE_AT >= len(rows):
            kept = torch.tensor([place for place, row in enumerate(rows) if row not in ended], device=model.device)
            rows = [row for row in rows if row not in ended]
            cache.batch_select_indices(kept)
            mask, chosen = mask[kept], chosen[kept]
        tokens = chosen[:, None]
    return [tuple(answer) for answer in answers]


def left_padded(model: Model, prompts: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, `[rows, longest]` int64 each."""
    tokenizer = model.tokenizer
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    longest = max(map(len, prompts))
    tokens = [[pad] * (longest - len(ids)) + list(ids) for ids in prompts]
    mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]
    return torch.tensor(tokens, device=model.device), torch.tensor(mask, device=model.device)


def next_tokens(model: Model, tokens: Tensor, mask: Tensor, cache: DynamicCache) -> Tensor:
    """The likeliest next token of each row, `[rows]` int64; the lower id wins a tie."""
    positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
    with torch.inference_mode():
        output = model.lm(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
    logits: Tensor = output.logits
    return logits[:, -1].argmax(dim=-1)
