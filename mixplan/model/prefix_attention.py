"""Attends from many texts to their shared beginning and, each by itself, to their own tokens, without a mask.

A packed row needs a dense mask of tokens by keys, and an attention kernel that takes one is several times slower than
one that takes none. But what a token sees falls into two parts that need none: the whole shared beginning, and its own
text up to itself. Each part gives its outputs with the logarithm of its summed weights (the kernel's log-sum-exp), by
which the two are put together exactly: outputs are averaged by the parts' summed weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mixplan.model.attention import attending
from mixplan.model.load import Model

NAME = "mixplan_parted"
UNSUPPORTED = ("softcap", "s_aux", "sliding_window", "attention_chunk_size", "position_bias")
"""Arguments by which a layer asks for more than plain attention to all that stands before a token."""


@dataclass(frozen=True)
class Group:
    """Texts of about one length, padded to the longest.

    Attributes:
        texts: How many.
        longest: Tokens of the longest.
        seen: `[texts, 1, longest, longest]` boolean, which tokens of its text each sees; None where that is all up to
            itself.
    """

    texts: int
    longest: int
    seen: Tensor | None = None


@dataclass(frozen=True)
class Parts:
    """A packed row of texts behind a shared beginning.

    Attributes:
        prefix: Tokens of the beginning, which the cache holds.
        groups: The texts; a text is padded to less than 1.5 times its length.
        rows: `[padded tokens]` int64, each token's place in the packed row, group by group and in it text by text; the
            text's last one where it is padded.
        back: `[tokens]` int64, where each token of the packed row stands in `rows`.
    """

    prefix: int
    groups: tuple[Group, ...]
    rows: Tensor
    back: Tensor


def parts_of(
    lengths: Sequence[int], prefix: int, device: torch.device, *, seen: Sequence[Tensor | None] | None = None
) -> Parts:
    """Lay out texts that follow one another in a row.

    Args:
        lengths: Tokens of each behind the shared beginning, all above 0.
        prefix: Tokens of the beginning.
        device: Where attention is computed.
        seen: For each text which of its tokens, `[length, length]` boolean, each of them sees, itself among them; None
            in a text's place, or for all, where a token sees every one up to itself.
    """
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    narrowed = list(seen or [None] * len(lengths))
    kinds = [(steps(length), own is not None) for length, own in zip(lengths, narrowed, strict=True)]
    groups, rows, back = [], [], torch.empty(sum(lengths), dtype=torch.int64)
    padded_before = 0
    for kind in sorted(set(kinds)):
        alike = [index for index, other in enumerate(kinds) if other == kind]
        longest = max(lengths[index] for index in alike)
        places = torch.arange(longest)
        sizes = torch.tensor([lengths[index] for index in alike])[:, None]
        taken = torch.tensor([starts[index] for index in alike])[:, None] + torch.minimum(places, sizes - 1)
        real = (places < sizes).flatten().nonzero().flatten()
        back[taken.flatten()[real]] = padded_before + real
        masks = padded([own for index in alike if (own := narrowed[index]) is not None], longest)
        groups.append(Group(len(alike), longest, None if masks is None else masks.to(device)))
        rows.append(taken.flatten())
        padded_before += taken.numel()
    return Parts(prefix, tuple(groups), torch.cat(rows).to(device), back.to(device))


def steps(length: int) -> int:
    """Numbers the lengths that are padded to one: 1, 2, 3, 4 to 5, 6 to 7, 8 to 11, 12 to 15, 16 to 23, and so on."""
    digits = length.bit_length()
    return 2 * digits + (length >> max(digits - 2, 0) & 1 if digits > 1 else 0)


def padded(masks: Sequence[Tensor], longest: int) -> Tensor | None:
    """Texts' masks as one, `[texts, 1, longest, longest]`; a token that pads sees the first one, and none sees it."""
    if not masks:
        return None
    whole = torch.zeros(len(masks), 1, longest, longest, dtype=torch.bool)
    whole[..., 0] = True
    for place, mask in enumerate(masks):
        whole[place, 0, : len(mask), : len(mask)] = mask
    return whole


@contextmanager
def parted(model: Model, parts: Parts) -> Iterator[None]:
    """While open, the attention layers attend in parts; see `attending`."""
    _open.append(parts)
    try:
        with attending(model, NAME, attend):
            yield
    finally:
        _open.pop()


_open: list[Parts] = []
"""The layout of the pass under way; transformers hands a layer's attention nothing of ours but by the function."""


def attend(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None = None,
    **asked: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' attention functions do, in parts.

    Args:
        query: `[1, heads, tokens, width]`.
        key: `[1, key heads, prefix + tokens, width]`.
        value: The same.
        mask: The one number that hides nothing; see `unmasked`.
        scaling: What scores are multiplied by; the root of the width when not given.
        **asked: What else a layer asks for.

    Returns:
        `[1, tokens, heads, width]`, and no weights.

    Raises:
        NotImplementedError: the layer asks for more than plain attention.
    """
    refuse_more(asked, mask)
    parts, scale = _open[-1], query.shape[-1] ** -0.5 if scaling is None else scaling
    prefix = parts.prefix
    own = own_part(query, key[:, :, prefix:], value[:, :, prefix:], parts, scale)
    out = own[0]
    if prefix:
        out = joined(own, prefix_part(query, key[:, :, :prefix], value[:, :, :prefix], scale))
    return out.to(query.dtype).transpose(1, 2).contiguous(), None


def refuse_more(asked: Mapping[str, Any], mask: Tensor | None) -> None:
    """Hold that a layer asks for plain attention, and has not made a mask of its own of the one that hides nothing.

    Raises:
        NotImplementedError: it asks for more.
    """
    if mask is not None and mask.numel() > 1:
        raise NotImplementedError("attention in parts has no mask of a layer's own")
    if wanted := [name for name in UNSUPPORTED if asked.get(name) is not None]:
        raise NotImplementedError(f"attention in parts has no {wanted[0]}")


def joined(own: tuple[Tensor, Tensor], shared: tuple[Tensor, Tensor]) -> Tensor:
    """Attention to two sets of keys, each with its log-sum-exps, as attention to both; float32, in place of `own`'s."""
    share = torch.sigmoid(shared[1] - own[1])[..., None]
    return own[0].float().lerp_(shared[0].float(), share.float())


def prefix_part(query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """All tokens' attention to the whole beginning: outputs as `query`, and `[1, heads, tokens]` log-sum-exps.

    Query heads that share a key head stand one behind the other as that head's queries, so that no key is copied.
    """
    heads, tokens, width = query.shape[1:]
    shared = key.shape[1]
    folded = query.reshape(1, shared, heads // shared * tokens, width)
    out, weight = attention(folded, key, value, causal=False, scale=scale)
    # A token's heads stand together in memory, as in `own_part` and as transformers wants them.
    out = out.unflatten(2, (-1, tokens)).permute(0, 3, 1, 2, 4).reshape(1, tokens, heads, -1).transpose(1, 2)
    return out, weight.reshape(1, heads, tokens)


def own_part(query: Tensor, key: Tensor, value: Tensor, parts: Parts, scale: float) -> tuple[Tensor, Tensor]:
    """Each text's attention to itself: outputs as `query`, and `[1, heads, tokens]` log-sum-exps.

    Padding stands behind a text, where no token of it looks.
    """
    # PyTorch's kernel for CPU takes fewer key heads as they are; those for GPUs want one a head, of own tokens alone.
    repeats = 1 if query.device.type == "cpu" else query.shape[1] // key.shape[1]
    sizes = [group.texts * group.longest for group in parts.groups]
    laid = (part[0].transpose(0, 1).index_select(0, parts.rows).split(sizes) for part in (query, key, value))
    outs, weights = [], []
    for group, *texts in zip(parts.groups, *laid, strict=True):
        # [texts, heads, longest, width]
        queries, keys, values = (one.unflatten(0, (-1, group.longest)).transpose(1, 2) for one in texts)
        if repeats > 1:
            keys, values = (part.repeat_interleave(repeats, dim=1) for part in (keys, values))
        mask = None if group.seen is None else bias(group.seen, queries)
        found, sums = attention(queries, keys, values, causal=mask is None, scale=scale, mask=mask)
        outs.append(found.transpose(1, 2).flatten(0, 1))
        weights.append(sums.transpose(1, 2).flatten(0, 1))
    out, weight = (torch.cat(found).index_select(0, parts.back) for found in (outs, weights))
    return out.transpose(0, 1)[None], weight.transpose(0, 1)[None]


def bias(seen: Tensor, query: Tensor) -> Tensor:
    """What is added to scores, `[texts, heads, tokens, keys]` in the queries' type: nothing where a key is seen.

    Args:
        seen: `[texts, 1, tokens, keys]` boolean; one token stands for all.
        query: `[texts, heads, tokens, width]`.

    Returns:
        Rows that begin at multiples of eight numbers, as the kernels for GPUs want them.
    """
    keys = seen.shape[-1]
    room = torch.zeros(*seen.shape[:-1], -(-keys // 8) * 8, dtype=query.dtype, device=query.device)
    room[..., :keys].masked_fill_(~seen, float("-inf"))
    return room[..., :keys].expand(-1, query.shape[1], query.shape[2], -1)


def attention(
    query: Tensor, key: Tensor, value: Tensor, *, causal: bool, scale: float, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """PyTorch's attention kernels that also return log-sum-exps.

    Args:
        query: `[texts, heads, tokens, width]`.
        key: `[texts, heads, keys, width]`.
        value: The same.
        causal: Whether a token sees those up to itself alone.
        scale: What scores are multiplied by.
        mask: What is added to scores (see `bias`); not with `causal`.

    Returns:
        Outputs as `query`, and `[texts, heads, tokens]` float32 log-sum-exps.
    """
    operators: Any = torch.ops.aten
    if query.device.type == "cpu":
        out, sums = operators._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=mask, scale=scale
        )
    elif query.dtype in (torch.float16, torch.bfloat16) and mask is None:
        out, sums = operators._scaled_dot_product_flash_attention(query, key, value, 0.0, causal, scale=scale)[:2]
    else:
        out, sums = operators._scaled_dot_product_efficient_attention(
            query, key, value, mask, True, 0.0, causal, scale=scale
        )[:2]
    return out, sums[..., : query.shape[2]]
