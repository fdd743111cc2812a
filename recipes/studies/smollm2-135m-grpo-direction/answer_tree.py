"""Reads prompts with many answers each in one pass, what they share once, and samples such answers.

Sequences that begin alike are a tree: what all prompts share, then each prompt, then each of its answers. A token looks
at its own sequence alone, so that its stream, its log-probability and its gradient are those of plain passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 256
"""Tokens of the vocabulary that are drawn from together."""
Ids = tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """A prompt with its answers.

    Attributes:
        prompt: Its token ids.
        answers: Each answer's token ids, the one that ends it included.
    """

    prompt: Ids
    answers: tuple[Ids, ...]


@dataclass(frozen=True)
class Tree:
    """Groups as one row of T tokens, of which A are answers'.

    Attributes:
        ids: `[1, T]` int64.
        positions: `[1, T]` int64, each token's place in its own sequence.
        mask: `[1, 1, T, T]` whether a token (third) may look at another (fourth).
        prompts: `[T]` which group's prompt a token is, -1 for what all share and for answers.
        answers: `[A]` places of answer tokens.
        before: `[A]` places of the tokens that predict them.
        owner: `[A]` number of the answer, counted through all groups.
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    prompts: Tensor
    answers: Tensor
    before: Tensor
    owner: Tensor


def tree_of(groups: Sequence[Group], *, most: int | None = None) -> Tree:
    """Lay out groups; what all prompts share is laid out once, but for the last token of the shortest prompt.

    Args:
        groups: At least one.
        most: Tokens that are laid out once, at most.
    """
    shared = shared_length([group.prompt for group in groups])
    shared = shared if most is None else min(shared, most)
    ids, positions, parents = list(groups[0].prompt[:shared]), list(range(shared)), list(range(-1, shared - 1))
    prompts, answers, before, owner = [-1] * shared, [], [], []
    number = 0

    def add(tokens: Ids, start: int, parent: int, group: int) -> int:
        for offset, token in enumerate(tokens):
            ids.append(token)
            positions.append(start + offset)
            parents.append(parent)
            prompts.append(group)
            parent = len(ids) - 1
        return parent

    for place, group in enumerate(groups):
        last = add(group.prompt[shared:], shared, shared - 1, place)
        for answer in group.answers:
            first = len(ids)
            add(answer, len(group.prompt), last, -1)
            answers += range(first, first + len(answer))
            before += [last, *range(first, first + len(answer) - 1)] if answer else []
            owner += [number] * len(answer)
            number += 1
    mask = torch.zeros(len(ids), len(ids), dtype=torch.bool)
    for place, parent in enumerate(parents):
        if parent >= 0:
            mask[place] = mask[parent]
        mask[place, place] = True
    return Tree(
        *(torch.tensor([values]) for values in (ids, positions)), mask[None, None],
        *(torch.tensor(values) for values in (prompts, answers, before, owner)),
    )  # fmt: skip


def shared_length(prompts: Sequence[Ids]) -> int:
    """Leading tokens that all prompts share, one less than the shortest prompt at most."""
    length = min(map(len, prompts)) - 1
    for prompt in prompts[1:]:
        same = 0
        while same < length and prompt[same] == prompts[0][same]:
            same += 1
        length = same
    return length


def log_probabilities(lm: Any, tree: Tree) -> Tensor:
    """`[A]` log-probability of each answer token behind its own sequence, with gradient where the model has one."""
    logits = lm(
        input_ids=tree.ids, position_ids=tree.positions, attention_mask=tree.mask, use_cache=False,
        logits_to_keep=tree.before,
    ).logits[0]  # fmt: skip
    chosen = tree.ids[0, tree.answers]
    return logits.float().log_softmax(-1).gather(1, chosen[:, None])[:, 0]


def drawn_tokens(logits: Tensor, generator: torch.Generator) -> Tensor:
    """`[rows, 1]` a token of each row's distribution by the inverse of its cumulated probabilities, in two levels."""
    chances = logits.float().softmax(-1)
    chances = functional.pad(chances, (0, -chances.shape[1] % BLOCK)).unflatten(1, (-1, BLOCK))
    block = inverted(chances.sum(2).double(), generator)
    inside = chances[torch.arange(len(chances)), block[:, 0]].double()
    return block * BLOCK + inverted(inside, generator)


def inverted(chances: Tensor, generator: torch.Generator) -> Tensor:
    """`[rows, 1]` a column of each row, drawn in proportion to what stands there; never one of 0."""
    heights = chances.cumsum(1)
    level = torch.rand(len(chances), 1, generator=generator, dtype=torch.float64) * heights[:, -1:]
    return torch.searchsorted(heights, level, right=True).minimum((heights < heights[:, -1:]).sum(1, keepdim=True))


def sample(
    lm: Any, prompts: Sequence[Ids], *, count: int, longest: int, ends: frozenset[int], generator: torch.Generator
) -> list[Group]:
    """Draw answers at temperature 1, without a cut-off; each prompt is read once for all of its answers.

    Args:
        lm: The model.
        prompts: Token ids.
        count: Answers to each.
        longest: Tokens of an answer at most.
        ends: Tokens that end an answer.
        generator: Of the draws.
    """
    widest = max(map(len, prompts))
    ids = torch.tensor([[0] * (widest - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (widest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    said: list[list[int]] = [[] for _ in range(len(prompts) * count)]
    with torch.no_grad():
        places = (mask.cumsum(1) - 1).clamp(min=0)
        read = lm(input_ids=ids, attention_mask=mask, position_ids=places, use_cache=True, logits_to_keep=1)
        cache, logits = read.past_key_values, read.logits[:, -1].repeat_interleave(count, 0)
        cache.batch_repeat_interleave(count)
        mask = mask.repeat_interleave(count, 0)
        place = torch.tensor([len(prompt) for prompt in prompts]).repeat_interleave(count)[:, None]
        for step in range(longest):
            token = drawn_tokens(logits, generator)
            for answer, drawn in zip(said, token[:, 0].tolist(), strict=True):
                if not answer or answer[-1] not in ends:
                    answer.append(drawn)
            if step == longest - 1 or all(answer[-1] in ends for answer in said):
                break
            mask = torch.cat([mask, torch.ones_like(token)], 1)
            read = lm(input_ids=token, attention_mask=mask, position_ids=place + step, past_key_values=cache)
            logits = read.logits[:, -1]
    answers = [tuple(answer) for answer in said]
    return [Group(prompt, tuple(answers[i * count : (i + 1) * count])) for i, prompt in enumerate(prompts)]
