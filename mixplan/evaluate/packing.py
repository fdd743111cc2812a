"""Reads the final states that predict each token of prompts' possible continuations, pass by pass.

Prompts and continuations are packed one behind the other into passes without padding, each blind to the others; a
prompt stands there once for all its continuations, and what all prompts begin with is read once for all of them. Their
tokens attend to that beginning and to their own prompt apart, without a mask over the whole pass, where the model lets
them. Where a model cannot be packed, every continuation is read by itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from mixplan.features.forward import PACK_TOKENS
from mixplan.model import Checked, Model, Way, decoder_of, masks_by_kind, own_cache, read_behind, settled, taken
from mixplan.model.attention import Masks, has_windows, longest_row, stretches_at, unmasked
from mixplan.model.beginnings import shared_beginning
from mixplan.model.finite import refuse_activations
from mixplan.model.prefix_attention import Parts, parted, parts_of
from mixplan.model.selfcheck import TOGETHER, WAYS, Sample
from mixplan.model.stream import kept_stream

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Tree:
    """A prompt and what may follow it.

    Attributes:
        trunk: The prompt's token ids, at least one.
        branches: Each continuation's token ids, at least one each.
    """

    trunk: Ids
    branches: tuple[Ids, ...]

    @property
    def longest(self) -> int:
        """Tokens of the prompt with its longest continuation."""
        return len(self.trunk) + max(map(len, self.branches))

    def tokens(self, prefix: int) -> int:
        """Tokens that are read behind a shared prefix; a continuation's last one is predicted, never read."""
        return len(self.trunk) - prefix + sum(len(branch) - 1 for branch in self.branches)


@dataclass(frozen=True)
class Layout:
    """Trees laid out as one row of tokens.

    Attributes:
        tokens: `[tokens]` int64.
        places: `[tokens]` int64, position of each in its own text.
        tree, branch: `[tokens]` int64; branch -1 is the trunk.
        predictors: `[targets]` int64, the token whose output predicts each target.
        targets: `[targets]` int64 token ids: tree by tree, branch by branch.
    """

    tokens: Tensor
    places: Tensor
    tree: Tensor
    branch: Tensor
    predictors: Tensor
    targets: Tensor


def passes(
    model: Model, trees: Sequence[Tree], pack_tokens: int | None, *, way: Way | None = None, depth: int | None = None
) -> Iterator[tuple[Sequence[Tree], Tensor, Layout]]:
    """Read the trees pass by pass.

    Args:
        model: The model.
        trees: What to read.
        pack_tokens: Longest packed pass; a longer tree has one of its own.
        way: How to read; as the model's check found when not given.
        depth: Also the stream after so many blocks.

    Yields:
        The trees read, the final states `[targets, d_model]` that predict their targets, and their layout. With a
        depth the stream at the same tokens stands behind each state, `[targets, 2 * d_model]`.

    Raises:
        ModelError: no way of reading gives what plain passes give.
    """
    limit = pack_tokens or PACK_TOKENS.get(model.device.type, 2048)
    how = way or way_of(model, trees)
    prefix = shared_prefix(trees)
    cache = DynamicCache() if how in TOGETHER else own_cache(model)
    if prefix and how != "whole":
        start = torch.tensor(trees[0].trunk[:prefix])
        final_states(model, start, torch.arange(prefix), None, cache)
    most = longest_row(model) - prefix
    for part in packs(trees, prefix, min(limit, most)):
        layout = laid_out(part, prefix)
        if how in TOGETHER and part[0].tokens(prefix) > most and len(part[0].branches) > 1:
            states = apart(model, part[0], prefix, cache, "whole", depth)
        elif how in TOGETHER:
            states = packed_states(model, part, layout, prefix, cache, parts=how == "parted", depth=depth)
        else:
            states = torch.cat([apart(model, tree, prefix, cache, how, depth) for tree in part])
        refuse_activations(states, model.name, model.dtype, "last layer's output")
        yield part, states, layout


def packed_states(
    model: Model, part: Sequence[Tree], layout: Layout, prefix: int, cache: DynamicCache, *,
    parts: bool, depth: int | None = None,
) -> Tensor:  # fmt: skip
    """Final states that predict a pass's targets, read as one row behind the shared prefix."""
    if parts:
        with parted(model, tree_parts(part, layout, prefix, model.device)):
            states = final_states(model, layout.tokens, layout.places, unmasked(model), cache, depth)
    else:
        chain = len(part) == 1 and len(part[0].branches) == 1
        mask = None if chain else masks_of(model, layout, prefix)
        states = final_states(model, layout.tokens, layout.places, mask, cache, depth)
    if prefix:
        cache.crop(-len(layout.tokens))
    else:
        cache.layers.clear()
    return states[layout.predictors.to(model.device)]


def apart(model: Model, tree: Tree, prefix: int, cache: DynamicCache, way: Way, depth: int | None = None) -> Tensor:
    """Final states that predict a tree's targets, branch by branch, each continuation read by itself."""

    def read(tokens: Tensor, places: Tensor | None, before: DynamicCache | None) -> Tensor:
        return final_states(model, tokens, places, None, before, depth)

    # What a continuation's last token predicts is not asked for.
    texts = [(*tree.trunk, *branch[:-1]) for branch in tree.branches]
    states = read_behind(way, read, texts, prefix, cache)
    return torch.cat([part[-len(branch) :] for part, branch in zip(states, tree.branches, strict=True)])


def way_of(model: Model, trees: Sequence[Tree]) -> Way:
    """How these trees are read: as the model's check found, but whole where a text's length turns its positions."""
    stretch = stretches_at(model)
    if stretch is not None and max((tree.longest for tree in trees), default=0) > stretch:
        return "whole"
    return scoring_way(model).way


def scoring_way(model: Model) -> Checked:
    """How the final states that score continuations are read, checked once and kept.

    Raises:
        ModelError: no way of reading gives what plain passes give.
    """

    def fork(length: int) -> int:
        return length - min(3, length - 1)

    def plain(tokens: Tensor, length: int) -> Tensor:
        states: Tensor = decoder_of(model)(input_ids=tokens).last_hidden_state[0, fork(length) - 1 : length - 1]
        return torch.cat([states, states, states])

    def ours(way: Way, sample: Sample) -> Tensor:
        # Each prompt with twice the same continuation, so that one stands in the other's sight, and with one alone.
        trees = [
            Tree(text[: fork(len(text))], (text[fork(len(text)) :],) * branches)
            for text in sample.texts
            for branches in (2, 1)
        ]
        return torch.cat([states for _, states, _ in passes(model, trees, None, way=way)])

    # A window cuts through the beginning, each token's elsewhere, which takes a mask.
    ways = WAYS if has_windows(model) else ("parted", *WAYS)
    return settled(model, "final states", read=ours, plain=plain, ways=ways)


def shared_prefix(trees: Sequence[Tree]) -> int:
    """Leading tokens that all trunks share, short of any trunk's last token: that one predicts."""
    return shared_beginning([tree.trunk for tree in trees]) if trees else 0


def packs(trees: Sequence[Tree], prefix: int, limit: float) -> Iterator[list[Tree]]:
    """Cut trees into runs that are read together, in order."""
    part: list[Tree] = []
    held = 0
    for tree in trees:
        more = tree.tokens(prefix)
        if part and held + more > limit:
            yield part
            part, held = [], 0
        part.append(tree)
        held += more
    if part:
        yield part


def laid_out(trees: Sequence[Tree], prefix: int) -> Layout:
    """Trees one behind the other: a trunk without the shared prefix, then its branches without their last tokens."""
    rows: list[tuple[int, int, int, int]] = []
    predictors: list[int] = []
    targets: list[int] = []
    for number, tree in enumerate(trees):
        rows += [(token, place, number, -1) for place, token in enumerate(tree.trunk) if place >= prefix]
        fork = len(rows) - 1
        for index, branch in enumerate(tree.branches):
            predictors += [fork, *range(len(rows), len(rows) + len(branch) - 1)]
            targets += branch
            start = len(tree.trunk)
            rows += [(token, start + place, number, index) for place, token in enumerate(branch[:-1])]
    tokens, places, tree_of, branch_of = (torch.tensor(column) for column in zip(*rows, strict=True))
    return Layout(tokens, places, tree_of, branch_of, torch.tensor(predictors), torch.tensor(targets))


def tree_parts(trees: Sequence[Tree], layout: Layout, prefix: int, device: torch.device) -> Parts:
    """Trees as texts behind the shared prefix; a token of one with branches sees its trunk and its own branch."""
    lengths = [tree.tokens(prefix) for tree in trees]
    seen: list[Tensor | None] = []
    for tree, branch in zip(trees, layout.branch.split(lengths), strict=True):
        own = (branch[None, :] == -1) | (branch[:, None] == branch[None, :])
        seen.append(own.tril() if len(tree.branches) > 1 else None)
    return parts_of(lengths, prefix, device, seen=seen)


def masks_of(model: Model, layout: Layout, prefix: int) -> Masks:
    """A token sees the shared prefix, its own trunk and its own branch, up to itself."""
    index = torch.arange(len(layout.tokens))
    same_tree = layout.tree[:, None] == layout.tree[None, :]
    own = (layout.branch[None, :] == -1) | (layout.branch[:, None] == layout.branch[None, :])
    allowed = same_tree & own & (index[:, None] >= index[None, :])
    whole = torch.cat([torch.ones(len(index), prefix, dtype=torch.bool), allowed], dim=1)
    return masks_by_kind(model, whole, layout.places, torch.cat([torch.arange(prefix), layout.places]))


def final_states(
    model: Model,
    tokens: Tensor,
    places: Tensor | None,
    mask: Masks | None,
    cache: DynamicCache | None,
    depth: int | None = None,
) -> Tensor:
    """The states that the output head reads, `[tokens, d_model]`; the cache, where there is one, is extended.

    With a depth the stream after so many blocks, of the same pass, stands behind each state, `[tokens, 2 * d_model]`.
    """
    decoder = decoder_of(model)
    positions = None if places is None else places[None].to(model.device)
    given = taken(decoder, position_ids=positions, past_key_values=cache, use_cache=cache is not None)
    with contextlib.ExitStack() as stack:
        streams = [] if depth is None else stack.enter_context(kept_stream(model, depth))
        output = decoder(input_ids=tokens[None].to(model.device), attention_mask=mask, **given)
    states: Tensor = output.last_hidden_state[0]
    return states if not streams else torch.cat([states, streams[0][0].to(states.device)], dim=1)
