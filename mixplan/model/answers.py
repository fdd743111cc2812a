"""Answers rendered prompts, greedily or sampled: many at once, each stopped at its end.

What all prompts begin with is read once, and each is answered in a slot of its own, which the next prompt takes over
once it has ended. A model that does not let itself be read so answers prompts of different lengths together behind
padding on their left. A recurrent state takes padding for text, and a model that is not told positions counts it; such
a model answers prompts of one length together, without padding, and one whose cache cannot be trusted reads each text
anew for each token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import LinearAttentionCacheLayerMixin

from mixplan.model.answer_ends import answer_ends, stated_ends
from mixplan.model.attention import has_windows, longest_row, stretches_at
from mixplan.model.beginnings import Ids
from mixplan.model.finite import refuse_scores
from mixplan.model.load import Model
from mixplan.model.selfcheck import TOGETHER, WAYS, Checked, Sample, Way, settled
from mixplan.model.slot_answers import BATCH_TOKENS, LEAVE_AT, Choose, answer_in_slots
from mixplan.model.stream import arguments_of, taken, takes_positions
from mixplan.model.unpacked_reading import own_cache


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        text: Decoded, without special tokens and surrounding white space.
        ids: Token ids; of a finished answer the last one is the token that ended it.
        finished: Whether the model ended it; otherwise it was cut at the longest length asked for.
    """

    text: str
    ids: Ids
    finished: bool


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn.

    Attributes:
        temperature: What logits are divided by, above 0.
        seeds: One for each prompt. An answer's tokens depend on its own seed and on the model's probabilities alone,
            so it is the same however prompts are batched, but for rounding.
    """

    temperature: float
    seeds: Sequence[int]


def generate(
    model: Model,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    sampling: Sampling | None = None,
    ends: frozenset[int] | None = None,
    on_answers: Callable[[int], None] | None = None,
) -> list[Answer]:
    """Answer prompts: at each step the likeliest token, or one drawn by its probability; no penalty, no cut-off.

    Args:
        model: The model.
        prompts: Rendered prompts (chat template applied).
        max_new_tokens: Longest answer, in tokens.
        sampling: How tokens are drawn; None takes the likeliest.
        ends: Tokens that end an answer; `end_tokens` when not given.
        on_answers: Told how many answers each batch gave.

    Returns:
        One answer a prompt, in order.

    Raises:
        ModelError: no way of answering gives what plain passes give.
    """
    if not prompts:
        return []
    tokenizer = model.tokenizer
    encoded = [tuple(ids) for ids in tokenizer(list(prompts), add_special_tokens=False, verbose=False)["input_ids"]]
    ends = end_tokens(model) if ends is None else ends
    found: dict[int, Answer] = {}
    lengths = [len(ids) for ids in encoded]
    way = way_of(model, max(lengths) + max_new_tokens)
    if way == "parted":
        choose = likeliest if sampling is None else drawing(sampling, range(len(prompts)), max_new_tokens)
        answered = answer_in_slots(model, encoded, max_new_tokens, choose, ends=ends, on_answers=on_answers)
        return [answer_of(model, ids, ends) for ids in answered]
    for batch in batches(lengths, max_new_tokens, BATCH_TOKENS.get(model.device.type, 8192), way):
        choose = likeliest if sampling is None else drawing(sampling, batch, max_new_tokens)
        asked = [encoded[index] for index in batch]
        for index, ids in zip(batch, answer_together(model, asked, max_new_tokens, ends, choose, way), strict=True):
            found[index] = answer_of(model, ids, ends)
        if on_answers:
            on_answers(len(batch))
    return [found[index] for index in range(len(prompts))]


def answer_of(model: Model, ids: Ids, ends: frozenset[int]) -> Answer:
    """An answer of its token ids."""
    text = str(model.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()
    return Answer(text, ids, bool(ids) and ids[-1] in ends)


def end_tokens(model: Model) -> frozenset[int]:
    """Tokens that end an answer: those that the model states, and the one that ends a turn of its chat template."""
    return answer_ends(model.lm, model.tokenizer)


def sampled_ends(model: Model) -> frozenset[int]:
    """Tokens that end an answer which TRL's GRPO samples: those that the model states alone."""
    return stated_ends(model.lm, model.tokenizer)


def generation_way(model: Model) -> Checked:
    """How prompts are answered, checked once and kept: the logits of forced tokens against those of plain passes.

    Raises:
        ModelError: no way of answering gives what plain passes give.
    """
    ways = WAYS if takes_positions(model) else WAYS[1:]
    # A window cuts through the beginning, each token's elsewhere, which takes a mask.
    return answers_checked(model, ways if has_windows(model) or not takes_positions(model) else ("parted", *ways))


def padding_way(model: Model) -> Checked:
    """As `generation_way`, of batches behind padding, as other libraries make them."""
    return answers_checked(model, WAYS if takes_positions(model) else WAYS[1:])


def answers_checked(model: Model, ways: Sequence[Way]) -> Checked:
    """The fastest of the ways in which forced tokens' logits are those of plain passes."""
    forced = 2

    def plain(tokens: Tensor, length: int) -> Tensor:
        return centred(model.lm(input_ids=tokens).logits[0, length - forced - 1 : length])

    def ours(way: Way, sample: Sample) -> Tensor:
        prompts = [text[:-forced] for text in sample.texts]
        seen: dict[tuple[int, int], Tensor] = {}

        def choose(logits: Tensor, rows: Sequence[int], steps: Sequence[int], batch: Sequence[int]) -> Tensor:
            texts = [batch[row] for row in rows]
            seen.update({place: logits[at] for at, place in enumerate(zip(texts, steps, strict=True))})
            following = [(*sample.texts[text], 0)[step - forced - 1] for text, step in zip(texts, steps, strict=True)]
            return torch.tensor(following).to(logits.device)

        if way == "parted":
            answer_in_slots(model, prompts, forced + 1, partial(choose, batch=range(len(prompts))))
        else:
            for batch in batches([len(ids) for ids in prompts], forced + 1, BATCH_TOKENS["cpu"], way):
                asked = [prompts[index] for index in batch]
                answer_together(model, asked, forced + 1, frozenset(), partial(choose, batch=batch), way)
        return centred(torch.stack([seen[key] for key in sorted(seen)]))

    return settled(model, "answers", read=ours, plain=plain, ways=ways)


def centred(logits: Tensor) -> Tensor:
    """Logits less their mean over the vocabulary, which no probability depends on."""
    return logits - logits.mean(dim=-1, keepdim=True)


def way_of(model: Model, longest: int) -> Way:
    """How texts of at most so many tokens are answered.

    They are read whole where a text's length turns its positions, and without padding where it counts as a place.
    """
    stretch = stretches_at(model)
    if stretch is not None and longest > stretch:
        return "whole"
    way = generation_way(model).way
    return "unpacked" if way in TOGETHER and longest > longest_row(model) else way


def batches(lengths: Sequence[int], new_tokens: int, limit: int, way: Way = "packed") -> Iterator[list[int]]:
    """Positions of prompts that are answered together, the longest prompts first; at least one a batch."""
    batch: list[int] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        apart = way == "whole" or (way == "unpacked" and lengths[index] != longest)
        if batch and (apart or (len(batch) + 1) * (longest + new_tokens) > limit):
            yield batch
            batch = []
        longest = longest if batch else lengths[index]
        batch.append(index)
    if batch:
        yield batch


def likeliest(logits: Tensor, rows: Sequence[int], steps: Sequence[int]) -> Tensor:  # noqa: ARG001 - as for drawing
    """The likeliest token of each row, `[rows]` int64; the lower id wins a tie."""
    return logits.argmax(dim=-1)


def drawing(sampling: Sampling, batch: Sequence[int], steps: int) -> Choose:
    """A choice by inverse transform: the first token at which the cumulated probability passes a row's own number.

    Args:
        sampling: How tokens are drawn.
        batch: Which prompts are answered together.
        steps: Longest answer, in tokens.
    """
    numbers = np.stack([np.random.default_rng(sampling.seeds[index]).random(steps) for index in batch])

    def choose(logits: Tensor, rows: Sequence[int], steps: Sequence[int]) -> Tensor:
        cumulated = (logits.double() / sampling.temperature).softmax(dim=-1).cumsum(dim=-1)
        wanted = torch.from_numpy(numbers[list(rows), list(steps)]).to(logits.device)[:, None] * cumulated[:, -1:]
        return torch.searchsorted(cumulated, wanted, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)

    return choose


def answer_together(
    model: Model, prompts: Sequence[Ids], max_new_tokens: int, ends: frozenset[int], choose: Choose, way: Way = "packed"
) -> list[Ids]:
    """Answer one batch, left-padded where its prompts differ in length.

    Args:
        model: The model.
        prompts: Token ids.
        max_new_tokens: Longest answer, in tokens.
        ends: Tokens that end an answer.
        choose: Takes the next tokens.
        way: `whole` keeps no cache.

    Returns:
        Each answer's token ids, the token that ended it included.
    """
    tokens, mask = left_padded(model, prompts)
    cache = None if way == "whole" else own_cache(model)
    rows = list(range(len(prompts)))
    answers: list[list[int]] = [[] for _ in prompts]
    ended: set[int] = set()
    for step in range(max_new_tokens):
        chosen = choose(next_logits(model, tokens, mask, cache), rows, [step] * len(rows))
        for row, token in zip(rows, chosen.tolist(), strict=True):
            if row not in ended:
                answers[row].append(token)
                if token in ends:
                    ended.add(row)
        if len(ended) == len(prompts):
            break
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        if cache is None:
            tokens = torch.cat([tokens, chosen[:, None]], dim=1)
            continue
        gone = sum(row in ended for row in rows)
        if gone * LEAVE_AT >= len(rows) and rows_can_leave(cache):
            kept = torch.tensor([place for place, row in enumerate(rows) if row not in ended], device=model.device)
            rows = [row for row in rows if row not in ended]
            cache.batch_select_indices(kept)
            mask, chosen = mask[kept], chosen[kept]
        tokens = chosen[:, None]
    return [tuple(answer) for answer in answers]


def rows_can_leave(cache: DynamicCache) -> bool:
    """Whether transformers can take rows out of a cache: it leaves recurrent states as they are, without a word."""
    return not any(isinstance(layer, LinearAttentionCacheLayerMixin) for layer in cache.layers)


def left_padded(model: Model, prompts: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, `[rows, longest]` int64 each."""
    tokenizer = model.tokenizer
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    longest = max(map(len, prompts))
    tokens = [[pad] * (longest - len(ids)) + list(ids) for ids in prompts]
    mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]
    return torch.tensor(tokens, device=model.device), torch.tensor(mask, device=model.device)


def next_logits(model: Model, tokens: Tensor, mask: Tensor, cache: DynamicCache | None) -> Tensor:
    """The logits of each row's next token, `[rows, vocabulary]`.

    Raises:
        ModelError: one is not a number.
    """
    given: dict[str, object] = {"use_cache": cache is not None, "logits_to_keep": 1}
    if cache is not None:
        given |= {"past_key_values": cache, "attention_mask": mask}
        if takes_positions(model):
            given["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
    if "kwargs" not in arguments_of(type(model.lm).forward):
        given = taken(model.lm, **given)
    with torch.inference_mode():
        output = model.lm(input_ids=tokens, **given)
    logits: Tensor = output.logits[:, -1].to(model.device)
    refuse_scores(logits, model.name, model.dtype)
    return logits
