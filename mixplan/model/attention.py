"""Builds the attention masks of texts read together, one for each kind of layer that the model has."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from mixplan.model.device import DTYPES
from mixplan.model.families import text_config
from mixplan.model.load import Model

Masks = Tensor | dict[str, Tensor]
"""One additive mask, or one for each entry of the config's `layer_types`."""

REACHES = {"sliding": "sliding_window", "chunked": "attention_chunk_size"}
"""What a windowed kind of layer is called by, and the config's field that says how far such a layer sees."""

REACH = re.compile(r"window|chunk|index_topk")
"""Fields of a config that may bound what a token sees; one too many only makes the check's text longer."""


def masks_by_kind(model: Model, allowed: Tensor, places: Tensor, seen: Tensor) -> Masks:
    """Additive masks from who may look at whom, narrowed where a layer sees only so far.

    A decoder that mixes kinds of layers takes its masks by kind; one with a single kind takes a single mask.

    Args:
        model: The model.
        allowed: `[tokens, keys]` boolean.
        places: `[tokens]` int64, each token's position in its own sequence.
        seen: `[keys]` int64, the same of each key.
    """
    config = text_config(model.lm)
    kinds = list(dict.fromkeys(getattr(config, "layer_types", None) or ()))
    if not kinds:
        return additive(narrowed(config, "sliding", allowed, places, seen), model)
    if len({reach_of(kind) for kind in kinds}) == 1:
        return additive(narrowed(config, kinds[0], allowed, places, seen), model)
    return {kind: additive(narrowed(config, kind, allowed, places, seen), model) for kind in kinds}


def unmasked(model: Model) -> Masks:
    """Masks that hide nothing, for layers whose attention asks for none; transformers makes its own where it has none.

    Of one token and one key, as they hold for every other too.
    """
    kinds = list(dict.fromkeys(getattr(text_config(model.lm), "layer_types", None) or ()))
    nothing = torch.zeros(1, 1, 1, 1, dtype=DTYPES[model.dtype], device=model.device)
    if len({reach_of(kind) for kind in kinds}) <= 1:
        return nothing
    return dict.fromkeys(kinds, nothing)


def reach_of(kind: str) -> str | None:
    """The config's field that bounds a kind of layer; None for one that sees everything before it."""
    return next((field for name, field in REACHES.items() if name in kind), None)


def narrowed(config: Any, kind: str, allowed: Tensor, places: Tensor, seen: Tensor) -> Tensor:
    """Who may look at whom in one kind of layer; a window of 0 or None is none."""
    field = reach_of(kind)
    size = int(getattr(config, field, None) or 0) if field else 0
    if not size:
        return allowed
    if field == REACHES["chunked"]:
        return allowed & (places[:, None] // size == seen[None, :] // size)
    return allowed & (places[:, None] - seen[None, :] < size)


def has_windows(model: Model) -> bool:
    """Whether any layer may see less than everything before a token."""
    config = text_config(model.lm)
    return any(getattr(config, field, None) for field in REACHES.values())


def additive(allowed: Tensor, model: Model) -> Tensor:
    """A boolean mask as one to be added to attention scores."""
    dtype = DTYPES[model.dtype]
    mask = torch.zeros(allowed.shape, dtype=dtype).masked_fill_(~allowed, torch.finfo(dtype).min)
    return mask[None, None].to(model.device)


def reaches(model: Model) -> dict[str, int]:
    """Each field of the config that may bound what a token sees, where it is shorter than the model's window."""
    values = vars(text_config(model.lm))
    return {
        name: value
        for name, value in values.items()
        if REACH.search(name) and isinstance(value, int) and not isinstance(value, bool) and 1 < value < model.window
    }


@contextmanager
def shrunk(model: Model, size: int | None) -> Iterator[None]:
    """While open, layers that see no further than a window see `size` tokens, in plain passes as in ours.

    transformers makes its masks from the config in every pass, so a window that is too long to be crossed in a check
    can be crossed all the same; the size does not enter the parameters. None changes nothing.
    """
    config = text_config(model.lm)
    before = {field: getattr(config, field) for field in REACHES.values() if getattr(config, field, None)}
    try:
        for field, value in before.items():
            setattr(config, field, value if size is None else min(size, value))
        yield
    finally:
        for field, value in before.items():
            setattr(config, field, value)


@contextmanager
def attending(model: Model, name: str, function: Any) -> Iterator[None]:
    """While open, every layer that asks transformers for its attention gets this function.

    A layer that computes attention in a way of its own does not ask, and sees what the mask lets it see.

    Args:
        model: The model.
        name: What transformers knows the function by.
        function: Takes what transformers' attention functions take.
    """
    config = text_config(model.lm)
    before = config._attn_implementation
    ALL_ATTENTION_FUNCTIONS.register(name, function)
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before


def longest_row(model: Model) -> float:
    """Tokens, the cached ones among them, of the longest row that may hold several texts; infinite for most models.

    Some of Llama 4's layers scale what a token asks for by its place in steps of `floor_scale` tokens, and count places
    in the row that they are given, whatever positions they are told: up to the first step all are alike.
    """
    config = text_config(model.lm)
    step = getattr(config, "floor_scale", None) if getattr(config, "attn_temperature_tuning", None) else None
    return math.inf if step is None else float(step) - 1


def stretches_at(model: Model) -> int | None:
    """The length beyond which a text's rotary angles depend on its length; None where they never do.

    `longrope` and `dynamic` ropes turn every position of a longer text otherwise, those that a cache holds too, so
    that a longer text can only be read whole.
    """
    return rope_stretches_at(text_config(model.lm), model.window)


def rope_stretches_at(config: Any, window: int | None) -> int | None:
    """The same of a text decoder's config; `window` stands in where it names no length of its own."""
    given = getattr(config, "rope_parameters", None) or {}
    kinds = [given, *(value for value in given.values() if isinstance(value, dict))]
    found = []
    for kind in kinds:
        name = str(kind.get("rope_type", ""))
        if name == "longrope" or "dynamic" in name:
            stated = kind.get("original_max_position_embeddings")
            found.append(stated or getattr(config, "original_max_position_embeddings", None) or window)
    lengths = [int(length) for length in found if length]
    return min(lengths) if lengths else None
