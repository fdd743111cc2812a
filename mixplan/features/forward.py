"""Reads the residual stream at a unit's query tokens: shared prefixes once, queries packed where that is right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from transformers import DynamicCache

from mixplan.features.prefix_cache import Kept
from mixplan.features.queries import Ids, Query, Unit
from mixplan.model import Checked, Model, Way, has_windows, masks_by_kind, own_cache, read_behind, read_stream, settled
from mixplan.model.attention import Masks, longest_row, stretches_at, unmasked
from mixplan.model.prefix_attention import parted, parts_of
from mixplan.model.selfcheck import TOGETHER, WAYS, Sample
from mixplan.model.stream import check_handed_on

PACK_TOKENS = {"cpu": 512, "cuda": 8192}
"""Tokens in one packed pass: enough to fill the machine, few enough that the mask over other queries stays small."""

CHECKED_TOKENS = 8
"""Last tokens of each text that a check compares, so that some are the shared beginning's and some lie behind it."""


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
    limit, other = pack_tokens or longest_pack(model), trained or model
    found = Kept(0) if kept is None else kept
    way = way_of(model, depth, [query.alone for query in unit.queries])
    other_way = way_of(other, depth, [query.context for query in unit.queries])

    def prefix(reader: Model, ids: Ids, how: Way) -> DynamicCache:
        return found.get((reader.fingerprint, depth, ids, how), lambda: read_prefix(reader, depth, ids, how))

    @cache
    def alone_cache() -> DynamicCache:
        return prefix(model, unit.queries[0].alone[: unit.alone_prefix], way)

    context_cache = prefix(other, unit.queries[0].context[: unit.context_prefix], other_way)
    for part in packs_of(unit, limit):
        queries = [unit.queries[index] for index in part]
        counts = [query.count for query in queries]
        alone = tuple(query.alone for query in queries)

        def read(alone: Sequence[Ids] = alone, counts: Sequence[int] = counts) -> Tensor:
            return read_together(model, depth, alone, counts, unit.alone_prefix, alone_cache(), way)

        yield Pack(
            queries=part,
            alone=found.get((model.fingerprint, depth, alone, tuple(counts), unit.alone_prefix, way), read),
            context=read_together(
                other, depth, [q.context for q in queries], counts, unit.context_prefix, context_cache, other_way
            ),
            segments=torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)),
        )


def read_alone(model: Model, depth: int, unit: Unit, *, tokens: int) -> Tensor:
    """Stream at a unit's first query tokens without demonstrations, `[about tokens, d_in]`, for a health check."""
    queries = first_queries(unit, tokens=tokens)
    sequences, counts = [query.alone for query in queries], [query.count for query in queries]
    return read_together(model, depth, sequences, counts, 0, DynamicCache(), way_of(model, depth, sequences))


def first_queries(unit: Unit, *, tokens: int) -> list[Query]:
    """A unit's first queries, until they hold so many query tokens."""
    queries, count = [], 0
    for query in unit.queries:
        queries.append(query)
        count += query.count
        if count >= tokens:
            break
    return queries


def longest_pack(model: Model) -> int:
    """Tokens in one packed pass on the model's device."""
    return PACK_TOKENS.get(model.device.type, 2048)


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


def reading_way(model: Model, depth: int) -> Checked:
    """How the model's stream after `depth` blocks is read, checked once and kept.

    Raises:
        ModelError: no way of reading gives what plain passes give.
    """

    def plain(tokens: Tensor, length: int) -> Tensor:
        check_handed_on(model, depth, tokens[:, :8])
        return read_stream(model, depth, tokens)[0, :length][-CHECKED_TOKENS:]

    def ours(way: Way, sample: Sample) -> Tensor:
        shared = sample.texts[0][: sample.prefix]
        ends = [min(CHECKED_TOKENS, len(text)) for text in sample.texts]
        counts = [min(end, len(text) - sample.prefix) for end, text in zip(ends, sample.texts, strict=True)]
        before = read_together(model, depth, [shared], [sample.prefix], 0, DynamicCache(), way)
        cache = read_prefix(model, depth, shared, way)
        behind = read_together(model, depth, sample.texts, counts, sample.prefix, cache, way).split(counts)
        parts = zip(ends, behind, strict=True)
        return torch.cat([torch.cat([before, part])[-end:] for end, part in parts])

    # A window cuts through the beginning, each token's elsewhere, which takes a mask.
    ways = WAYS if has_windows(model) else ("parted", *WAYS)
    return settled(model, f"stream after {depth} blocks", read=ours, plain=plain, ways=ways)


def way_of(model: Model, depth: int, texts: Sequence[Ids]) -> Way:
    """How these texts are read: as the model's check found, but whole where a text's length turns its positions."""
    stretch = stretches_at(model)
    if stretch is not None and max(map(len, texts)) > stretch:
        return "whole"
    return reading_way(model, depth).way


def read_prefix(model: Model, depth: int, ids: Ids, way: Way) -> DynamicCache:
    """Keys and values of a shared prefix, for the blocks before the hook point.

    For texts that are read as one row, the cache is made without the model's config: a config with sliding windows
    would make it forget tokens that another packed query still needs; the window is kept by the mask.
    """
    cache = DynamicCache() if way in TOGETHER else own_cache(model)
    if ids and way != "whole":
        positions = torch.arange(len(ids), device=model.device)[None]
        mask = attention_masks(model, [len(ids)], 0) if way in TOGETHER and has_windows(model) else None
        read_stream(model, depth, torch.tensor([ids]), positions=positions, mask=mask, cache=cache)
    return cache


def read_together(
    model: Model, depth: int, sequences: Sequence[Ids], counts: Sequence[int], prefix: int, cache: DynamicCache,
    way: Way,
) -> Tensor:  # fmt: skip
    """Read sequences that share a prefix, packed or one by one.

    Args: see `read_packed`, and how to read.

    Returns:
        `[sum(counts), d_in]` in the model's type.
    """
    if way in TOGETHER:
        return read_packed(model, depth, sequences, counts, prefix, cache, parts=way == "parted")

    def read(tokens: Tensor, places: Tensor | None, before: DynamicCache | None) -> Tensor:
        positions = None if places is None else places[None].to(model.device)
        return read_stream(model, depth, tokens[None], positions=positions, cache=before)[0]

    streams = read_behind(way, read, sequences, prefix, cache)
    return torch.cat([stream[len(stream) - count :] for stream, count in zip(streams, counts, strict=True)])


def read_packed(
    model: Model, depth: int, sequences: Sequence[Ids], counts: Sequence[int], prefix: int, cache: DynamicCache, *,
    parts: bool = False,
) -> Tensor:  # fmt: skip
    """Read sequences that share a cached prefix as one row, each blind to the others.

    Args:
        model: The model.
        depth: Blocks to run.
        sequences: Whole sequences, prefix included.
        counts: How many tokens at each one's end to return.
        prefix: Length of the cached prefix.
        cache: Of the prefix; left as it was.
        parts: Whether tokens attend to the prefix and to their own sequence apart, rather than under a mask.

    Returns:
        `[sum(counts), d_in]` in the model's type.
    """
    tails = [ids[prefix:] for ids in sequences]
    lengths = [len(tail) for tail in tails]
    if len(tails) > 1 and prefix + sum(lengths) > longest_row(model):  # two rows, then, or more
        halves = (slice(len(tails) // 2), slice(len(tails) // 2, None))
        read = [read_packed(model, depth, sequences[at], counts[at], prefix, cache, parts=parts) for at in halves]
        return torch.cat(read)
    tokens = torch.tensor([[token for tail in tails for token in tail]])
    positions = torch.cat([torch.arange(prefix, prefix + length) for length in lengths])[None].to(model.device)
    if parts:
        with parted(model, parts_of(lengths, prefix, model.device)):
            stream = read_stream(model, depth, tokens, positions=positions, mask=unmasked(model), cache=cache)[0]
    else:
        mask = attention_masks(model, lengths, prefix)
        stream = read_stream(model, depth, tokens, positions=positions, mask=mask, cache=cache)[0]
    if prefix:
        cache.crop(-sum(lengths))
    else:
        cache.layers.clear()
    ends = torch.tensor(lengths).cumsum(0).tolist()
    return torch.cat([stream[end - count : end] for end, count in zip(ends, counts, strict=True)])


def attention_masks(model: Model, lengths: Sequence[int], prefix: int) -> Masks:
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
