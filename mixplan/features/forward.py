"""A unit in, residual streams at its query tokens out: shared prefixes read once, queries packed without padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from transformers import DynamicCache

from mixplan.features.kept import Kept
from mixplan.features.queries import Ids, Unit
from mixplan.model import Model, read_stream, text_config

PACK_TOKENS = {"cpu": 512, "cuda": 8192}
"""Tokens in one packed pass: enough to fill the machine, few enough that the mask over other queries stays small."""


@dataclass(frozen=True)
class Pack:
    """Consecutive queries of a unit, read together.

    Attributes:
        queries: Positions in the unit.
        alone: `[tokens, d_in]` stream at the query tokens, without demonstrations.
        context: The same tokens behind the demonstrations; through the trained model where one was given.
        segments: `[tokens]` int64, each token's position in `queries`.
    """

    queries: range
    alone: Tensor
    context: Tensor
    segments: Tensor


def read_unit(
    model: Model,
    depth: int,
    unit: Unit,
    *,
    trained: Model | None = None,
    pack_tokens: int | None = None,
    kept: Kept | None = None,
) -> Iterator[Pack]:
    """Read a unit's query tokens twice: alone, and in their context.

    Args:
        model: The model.
        depth: Blocks before the hook point.
        unit: What to read.
        trained: Reads the contexts in the model's place, for what training changed; the same architecture.
        pack_tokens: Longest packed pass; a longer query has one of its own.
        kept: Prefixes and streams of other units, which this one need not read again.

    Yields:
        Packs, covering the unit's queries in order.
    """
    limit, other = pack_tokens or PACK_TOKENS.get(model.device.type, 2048), trained or model
    found = Kept(0) if kept is None else kept

    def prefix(reader: Model, ids: Ids) -> DynamicCache:
        return found.get((reader.fingerprint, depth, ids), lambda: read_prefix(reader, depth, ids))

    @cache
    def alone_cache() -> DynamicCache:
        return prefix(model, unit.queries[0].alone[: unit.alone_prefix])

    context_cache = prefix(other, unit.queries[0].context[: unit.context_prefix])
    for part in packs_of(unit, limit):
        queries = [unit.queries[index] for index in part]
        counts = [query.count for query in queries]
        alone = tuple(query.alone for query in queries)

        def read(alone: Sequence[Ids] = alone, counts: Sequence[int] = counts) -> Tensor:
            return read_packed(model, depth, alone, counts, unit.alone_prefix, alone_cache())

        yield Pack(
            queries=part,
            alone=found.get((model.fingerprint, depth, alone, tuple(counts), unit.alone_prefix), read),
            context=read_packed(other, depth, [q.context for q in queries], counts, unit.context_prefix, context_cache),
            segments=torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)),
        )


def read_alone(model: Model, depth: int, unit: Unit, *, tokens: int) -> Tensor:
    """Stream at a unit's first query tokens without demonstrations, `[about tokens, d_in]`, for a health check."""
    queries, count = [], 0
    for query in unit.queries:
        queries.append(query)
        count += query.count
        if count >= tokens:
            break
    sequences, counts = [query.alone for query in queries], [query.count for query in queries]
    return read_packed(model, depth, sequences, counts, 0, DynamicCache())


def packs_of(unit: Unit, limit: int) -> Iterator[range]:
    """Cut the unit's queries into runs whose unshared tokens stay within `limit` in either reading."""
    start = alone = context = 0
    for index, query in enumerate(unit.queries):
        more_alone, more_context = len(query.alone) - unit.alone_prefix, len(query.context) - unit.context_prefix
        if index > start and max(alone + more_alone, context + more_context) > limit:
            yield range(start, index)
            start, alone, context = index, 0, 0
        alone, context = alone + more_alone, context + more_context
    yield range(start, len(unit.queries))


def read_prefix(model: Model, depth: int, ids: Ids) -> DynamicCache:
    """Keys and values of a shared prefix, for the blocks before the hook point.

    The cache is made without the model's config: a config with sliding windows would make it forget tokens that
    another packed query still needs; the window is kept by the mask.
    """
    cache = DynamicCache()
    if ids:
        positions = torch.arange(len(ids), device=model.device)[None]
        mask = attention_masks(model, [len(ids)], 0) if has_windows(model) else None
        read_stream(model, depth, torch.tensor([ids]), positions=positions, mask=mask, cache=cache)
    return cache


def read_packed(
    model: Model, depth: int, sequences: Sequence[Ids], counts: Sequence[int], prefix: int, cache: DynamicCache
) -> Tensor:
    """Read sequences that share a cached prefix as one row, each blind to the others.

    Args:
        model: The model.
        depth: Blocks to run.
        sequences: Whole sequences, prefix included.
        counts: How many tokens at each one's end to return.
        prefix: Length of the cached prefix.
        cache: Of the prefix; left as it was.

    Returns:
        `[sum(counts), d_in]` in the model's type.
    """
    tails = [ids[prefix:] for ids in sequences]
    lengths = [len(tail) for tail in tails]
    tokens = torch.tensor([[token for tail in tails for token in tail]])
    positions = torch.cat([torch.arange(prefix, prefix + length) for length in lengths])[None].to(model.device)
    stream = read_stream(
        model, depth, tokens, positions=positions, mask=attention_masks(model, lengths, prefix), cache=cache
    )[0]
    if prefix:
        cache.crop(-sum(lengths))
    else:
        cache.layers.clear()
    ends = torch.tensor(lengths).cumsum(0).tolist()
    return torch.cat([stream[end - count : end] for end, count in zip(ends, counts, strict=True)])


def has_windows(model: Model) -> bool:
    """Whether any block attends through a sliding window."""
    return getattr(text_config(model.lm), "sliding_window", None) is not None


def attention_masks(model: Model, lengths: Sequence[int], prefix: int) -> Tensor | dict[str, Tensor]:
    """Additive masks for packed sequences behind a shared prefix.

    Returns:
        `[1, 1, tokens, prefix + tokens]` in the model's type: 0 where a token may look, the type's lowest value where
        it may not; for models whose blocks differ in attention, one mask for each kind.
    """
    segments = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    places = torch.cat([torch.arange(prefix, prefix + length) for length in lengths])
    index = torch.arange(len(segments))
    own = (segments[:, None] == segments[None, :]) & (index[:, None] >= index[None, :])
    allowed = torch.cat([torch.ones(len(segments), prefix, dtype=torch.bool), own], dim=1)
    seen = torch.cat([torch.arange(prefix), places])
    return masks_by_kind(model, allowed, places, seen)


def masks_by_kind(model: Model, allowed: Tensor, places: Tensor, seen: Tensor) -> Tensor | dict[str, Tensor]:
    """Additive masks from who may look at whom, narrowed where a block attends through a sliding window.

    Args:
        model: The model.
        allowed: `[tokens, keys]` boolean.
        places: `[tokens]` int64, each token's position in its own sequence.
        seen: `[keys]` int64, the same of each key.
    """
    config = text_config(model.lm)
    window = getattr(config, "sliding_window", None)
    near = allowed if window is None else allowed & (places[:, None] - seen[None, :] < window)
    kinds = getattr(config, "layer_types", None)
    if kinds and takes_mask_by_kind(model):
        return {"full_attention": additive(allowed, model), "sliding_attention": additive(near, model)}
    return additive(near, model)


def takes_mask_by_kind(model: Model) -> bool:
    """Whether the decoder takes a mask for each attention kind: those families of transformers that mix kinds."""
    return text_config(model.lm).model_type in ("qwen2", "qwen3", "gemma2", "gemma3", "gemma3_text")


def additive(allowed: Tensor, model: Model) -> Tensor:
    """A boolean mask as one to be added to attention scores."""
    dtype = next(model.lm.parameters()).dtype
    mask = torch.zeros(allowed.shape, dtype=dtype).masked_fill_(~allowed, torch.finfo(dtype).min)
    return mask[None, None].to(model.device)
