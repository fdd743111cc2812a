"""Finds what prompts begin with in common, so that many are answered at once and each beginning is read once.

Prompts of several tasks share a chat template's first tokens, those of one task its instructions and worked examples
too, and several samples of one answer the whole prompt. Each of these beginnings is read by itself, where that saves
more than one beginning more costs at every step of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from transformers import DynamicCache

from mixplan.model.load import Model
from mixplan.model.stream import decoder_of, taken

Ids = tuple[int, ...]

STEP_COSTS = {"cpu": 2, "cuda": 100}
"""What attending to one beginning more costs at a step of an answer, in tokens that could be read instead: on a
135M model on a CPU about 2 ms, on a GPU a few kernels a layer, where reading is cheap."""


@dataclass
class Beginning:
    """What some prompts begin with.

    Attributes:
        tokens: Its token ids; may be none.
        waiting: How many prompts behind it are not answered yet.
        cache: Its keys and values, from when the first prompt is read until the last is answered; in between None where
            not all beginnings have room, and none of those behind it is being answered.
    """

    tokens: Ids
    waiting: int = 0
    cache: DynamicCache | None = None

    def read(self, model: Model) -> None:
        """Read it, where it is not yet."""
        if self.cache is None:
            self.cache = read_beginning(model, self.tokens)

    def answered(self) -> None:
        """Take note that a prompt behind it is answered; behind the last one nothing is kept."""
        self.waiting -= 1
        if not self.waiting:
            self.cache = None


def beginnings_of(prompts: Sequence[Ids], worth: int) -> list[Beginning]:
    """What each prompt is read behind: what all begin with, or what more of them do where that is worth it.

    Args:
        prompts: Token ids, none empty.
        worth: Tokens that must be saved for one beginning more.

    Returns:
        One a prompt, the same object for those that share it; no prompt's last token is in it, for that one predicts.
    """
    order = sorted(range(len(prompts)), key=prompts.__getitem__)
    near = [shared_beginning([prompts[one], prompts[other]]) for one, other in pairwise(order)]
    first = Beginning(prompts[0][: shared_beginning(prompts)])
    found = [first] * len(prompts)
    runs = [(0, len(order), first)]  # of prompts in order, with what they are read behind so far
    while runs:
        start, stop, behind = runs.pop()
        common = min(near[start : stop - 1], default=0)
        # The whole beginning is read anew, what it has in common with others too.
        if (stop - start) * (common - len(behind.tokens)) - common > worth:
            behind = Beginning(prompts[order[start]][:common])
            for row in order[start:stop]:
                found[row] = behind
        cuts = [start, *(place + 1 for place in range(start, stop - 1) if near[place] == common), stop]
        runs += [(one, other, behind) for one, other in pairwise(cuts) if other - one > 1]
    for one in found:
        one.waiting += 1
    return found


def shared_beginning(texts: Sequence[Ids]) -> int:
    """Leading tokens that all texts share, short of any one's last token: that one predicts."""
    first, last = min(texts), max(texts)
    length = min(map(len, texts)) - 1
    return next((place for place in range(length) if first[place] != last[place]), length)


def read_beginning(model: Model, beginning: Ids) -> DynamicCache:
    """Keys and values of the tokens that texts begin with."""
    cache = DynamicCache()
    if beginning:
        decoder, positions = decoder_of(model), torch.arange(len(beginning), device=model.device)[None]
        with torch.inference_mode():
            decoder(
                input_ids=torch.tensor([beginning], device=model.device),
                **taken(decoder, position_ids=positions, past_key_values=cache, use_cache=True),
            )
    return cache
