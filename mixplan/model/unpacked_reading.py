"""Reads texts that begin alike one by one: behind a copy of their beginning's cache, or whole."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from mixplan.model.families import text_config
from mixplan.model.load import Model
from mixplan.model.selfcheck import Way

Ids = tuple[int, ...]
ReadText = Callable[[Tensor, Tensor | None, DynamicCache | None], Tensor]
"""Reads one text: its tokens `[length]`, their positions (None where they begin at 0) and what stands before them."""


def own_cache(model: Model) -> DynamicCache:
    """An empty cache of the kinds of layers that the model has, recurrent states among them."""
    return DynamicCache(config=text_config(model.lm))


def read_behind(
    way: Way, read: ReadText, texts: Sequence[Ids], prefix: int, cache: DynamicCache | None
) -> Iterator[Tensor]:
    """Read texts one by one.

    Args:
        way: `unpacked` reads what follows the prefix behind a copy of its cache, `whole` reads every text from its
            first token on.
        read: Reads one text.
        texts: Token ids.
        prefix: Leading tokens that they share.
        cache: Of the prefix; left as it was.

    Yields:
        `[length - prefix, width]` of each text.
    """
    for text in texts:
        if way == "whole" or not prefix or cache is None:
            yield read(torch.tensor(text), None, None)[prefix:]
        else:
            places = torch.arange(prefix, len(text))
            yield read(torch.tensor(text[prefix:]), places, copy.deepcopy(cache))
