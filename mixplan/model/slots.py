"""Keeps the keys and values of many texts behind shared beginnings, a slot each, and attends to them in parts.

A batch that is padded on its left and grown token by token copies all keys and values at every token, keeps rows that
have ended, and holds a shared beginning once a row. Here a beginning is held once, a slot's room is allocated once,
and a text that has ended leaves its slot to another. What a token sees falls into its beginning and its own text, which
are attended to apart and put together by their log-sum-exps (see `prefix_attention`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from mixplan.model.attention import attending, unmasked
from mixplan.model.beginnings import Beginning, Ids
from mixplan.model.load import Model
from mixplan.model.prefix_attention import Parts, attention, bias, joined, own_part, parts_of, prefix_part, refuse_more

NAME = "mixplan_slots"
Attended = list[tuple[DynamicCache, Tensor | None]]
"""The beginnings that a pass attends to, each with the places of its texts' tokens; None for all."""


class Slots(DynamicCache):
    """Keys and values of texts behind their beginnings; slots in use come before those that are free.

    Attributes:
        counts: Tokens behind the beginning of each slot in use.
        behind: What the text of each slot in use begins with.
        new: How many tokens each text has that the pass under way reads into free slots, as one row; empty where the
            pass reads one more token of every slot in use.
        read: The beginnings that the pass under way attends to.
    """

    def __init__(self, model: Model, slots: int, length: int) -> None:
        """Hold nothing.

        Args:
            model: The model.
            slots: How many texts are held at once.
            length: Tokens of the longest behind its beginning.
        """
        super().__init__()
        self.model, self.size, self.length = model, slots, length
        self.counts: list[int] = []
        self.behind: list[Beginning] = []
        self.read: Attended = []
        self.new: tuple[int, ...] = ()
        self.parts: Parts | None = None
        self.at, self.mask = torch.empty(0), torch.empty(0)
        self.last: tuple[int, Tensor] | None = None
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Keep a layer's new keys and values.

        Args:
            key_states: `[1, key heads, tokens, width]` of texts read as one row; of one more token a slot
                `[slots in use, key heads, 1, width]`.
            value_states: The same.
            layer_idx: Which layer.

        Returns:
            What the layer's tokens may see behind the beginning: the row, or each slot's tokens,
            `[slots in use, key heads, longest, width]`.
        """
        given = key_states, value_states
        if layer_idx not in self._kept:
            keys, values = (new.new_zeros(self.size, new.shape[1], self.length, new.shape[3]) for new in given)
            self._kept[layer_idx] = keys, values
        for index, (kept, new) in enumerate(zip(self._kept[layer_idx], given, strict=True)):
            if self.new:
                for slot, part in enumerate(new[0].split(self.new, dim=1), len(self.counts)):
                    kept[slot, :, : part.shape[1]] = part
            else:
                kept[torch.arange(len(self.counts)), :, self.at] = new[:, :, 0]
                seen = kept[: len(self.counts), :, : max(self.counts) + 1]
                given = (seen, given[1]) if index == 0 else (given[0], seen)
        self.last = layer_idx, given[0]
        return given

    @torch.inference_mode()
    def leave(self, slot: int) -> None:
        """Free a slot; the last one in use takes its place."""
        last, count = len(self.counts) - 1, self.counts[-1]
        if slot != last:
            for kept in (part for pair in self._kept.values() for part in pair):
                kept[slot, :, :count] = kept[last, :, :count]
        self.counts[slot], self.behind[slot] = count, self.behind[last]
        self.counts.pop()
        self.behind.pop()

    def fill(self, texts: Sequence[Ids], behind: Sequence[Beginning]) -> Tensor:
        """Read texts, without their beginnings, into the first free slots; logits of each one's next token."""
        lengths = [len(text) for text in texts]
        for one in behind:
            one.read(self.model)
        self.new, self.parts = tuple(lengths), parts_of(lengths, 0, self.model.device)
        self.read = attended(behind, lengths, self.model.device)
        tokens = torch.tensor([[token for text in texts for token in text]])
        starts = [len(one.tokens) for one in behind]
        places = torch.cat([torch.arange(at, at + length) for at, length in zip(starts, lengths, strict=True)])[None]
        ends = torch.tensor(lengths).cumsum(0) - 1
        logits = self.run(tokens, places, ends)[0]
        if len(logits) != len(texts):
            logits = logits[ends.to(logits.device)]
        self.counts += lengths
        self.behind += behind
        self.new, self.parts = (), None
        return logits

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Read one more token of every slot in use; logits of each one's next token."""
        self.at = torch.tensor(self.counts)
        seen = torch.arange(max(self.counts) + 1) <= self.at[:, None]
        self.mask = seen[:, None, None, :].to(self.model.device)
        self.read = attended(self.behind, [1] * len(tokens), self.model.device)
        places = self.at + torch.tensor([len(one.tokens) for one in self.behind])
        logits = self.run(torch.tensor(tokens)[:, None], places[:, None], 1)[:, -1]
        self.counts = [count + 1 for count in self.counts]
        return logits

    def run(self, tokens: Tensor, places: Tensor, wanted: Tensor | int) -> Tensor:
        """The model's logits, `[rows, tokens wanted, vocabulary]`."""
        device = self.model.device
        given = {"logits_to_keep": wanted if isinstance(wanted, int) else wanted.to(device)}
        with torch.inference_mode(), in_slots(self.model, self):
            output = self.model.lm(
                input_ids=tokens.to(device),
                position_ids=places.to(device),
                attention_mask=unmasked(self.model),
                past_key_values=self,
                use_cache=True,
                **given,
            )
        logits: Tensor = output.logits
        return logits


def attended(behind: Sequence[Beginning], lengths: Sequence[int], device: torch.device) -> Attended:
    """The beginnings that texts of so many tokens, one behind the other, attend to in a pass."""
    found: dict[int, tuple[Beginning, list[int]]] = {}
    at = 0
    for one, length in zip(behind, lengths, strict=True):
        if one.tokens:
            found.setdefault(id(one), (one, []))[1].extend(range(at, at + length))
        at += length
    return [
        (one.cache, None if len(places) == at else torch.tensor(places, device=device))
        for one, places in found.values()
        if one.cache is not None
    ]


@contextmanager
def in_slots(model: Model, slots: Slots) -> Iterator[None]:
    """While open, the attention layers attend to slots; see `attending`."""
    _open.append(slots)
    try:
        with attending(model, NAME, attend):
            yield
    finally:
        _open.pop()


_open: list[Slots] = []
"""The slots of the pass under way; transformers hands a layer's attention nothing of ours but by the function."""


def attend(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None = None,
    **asked: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers' attention functions do, to each slot's beginning and to its own text.

    Args:
        query: `[1, heads, tokens, width]` of texts in one row; of one token a slot `[slots in use, heads, 1, width]`.
        key: What the layer has just kept (see `Slots.update`).
        value: The same.
        mask: The one number that hides nothing; see `unmasked`.
        scaling: What scores are multiplied by; the root of the width when not given.
        **asked: What else a layer asks for.

    Returns:
        `[rows, tokens, heads, width]`, and no weights.

    Raises:
        NotImplementedError: the layer asks for more than plain attention, or to other keys than it has just kept.
    """
    refuse_more(asked, mask)
    slots, scale = _open[-1], query.shape[-1] ** -0.5 if scaling is None else scaling
    if slots.last is None or slots.last[1] is not key:
        raise NotImplementedError("a layer attends to other keys than it has just kept")
    layer = slots.last[0]
    if slots.parts is not None:
        own = own_part(query, key, value, slots.parts, scale)
    else:
        own = slot_part(query, key, value, slots.mask, scale)
        query = query[:, :, 0].transpose(0, 1)[None]  # [1, heads, slots in use, width]
    out = with_beginnings(query, own, slots.read, layer, scale)
    found = out.to(query.dtype).transpose(1, 2).contiguous()
    return (found if slots.parts is not None else found.transpose(0, 1)), None


def with_beginnings(query: Tensor, own: tuple[Tensor, Tensor], read: Attended, layer: int, scale: float) -> Tensor:
    """Attention to texts themselves, put together with that to their beginnings, `[1, heads, tokens, width]`."""
    out = own[0]
    for cache, places in read:
        beginning: Any = cache.layers[layer]
        keys, values = beginning.keys, beginning.values
        if places is None:
            return joined(own, prefix_part(query, keys, values, scale))
        part = own[0][:, :, places], own[1][:, :, places]
        found = joined(part, prefix_part(query[:, :, places], keys, values, scale))
        if out is own[0]:
            out = out.float().clone()
        out[:, :, places] = found
    return out


def slot_part(query: Tensor, key: Tensor, value: Tensor, seen: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """One token's attention to its own text in each slot.

    Query heads that share a key head are that head's queries, so that no key is copied.

    Args:
        query: `[slots, heads, 1, width]`.
        key: `[slots, key heads, longest, width]`.
        value: The same.
        seen: `[slots, 1, 1, longest]` boolean, which keys are a slot's own.
        scale: What scores are multiplied by.

    Returns:
        Outputs `[1, heads, slots, width]`, and `[1, heads, slots]` log-sum-exps.
    """
    slots, heads, _, width = query.shape
    folded = query.reshape(slots, key.shape[1], heads // key.shape[1], width)
    out, weight = attention(folded, key, value, causal=False, scale=scale, mask=bias(seen, folded))
    return out.reshape(slots, heads, -1).transpose(0, 1)[None], weight.reshape(slots, heads).transpose(0, 1)[None]
