"""Prompts with possible continuations in, each continuation token's log-probability out; nothing shared is read twice.

Prompts and continuations are packed one behind the other into passes without padding, each blind to the others; a
prompt stands there once for all its continuations, and what all prompts begin with is read once for all of them. The
output head runs on the positions that predict a continuation's token only, a bounded number at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache

from mixplan.errors import ModelError
from mixplan.features.forward import PACK_TOKENS, masks_by_kind
from mixplan.model import Model, text_config

Ids = tuple[int, ...]

LOGIT_VALUES = {"cpu": 1 << 24, "cuda": 1 << 28}
"""Logits held at once: 64 MB on a CPU, 1 GB on a GPU."""


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


@dataclass(frozen=True)
class Scored:
    """One continuation's tokens, scored.

    Attributes:
        logs: `[tokens]` float64, log-probability of each given all before it (natural logarithm).
        likeliest: `[tokens]` boolean, whether it is the token that greedy decoding would take.
    """

    logs: NDArray[np.float64]
    likeliest: NDArray[np.bool_]

    @property
    def log(self) -> float:
        """Log-probability of the whole continuation."""
        return float(self.logs.sum())


def score_continuations(
    model: Model,
    trees: Sequence[Tree],
    *,
    pack_tokens: int | None = None,
    on_trees: Callable[[int], None] | None = None,
) -> list[tuple[Scored, ...]]:
    """Score every continuation token given all before it.

    Args:
        model: The model.
        trees: Prompts with their continuations.
        pack_tokens: Longest packed pass; a longer tree has one of its own.
        on_trees: Told how many trees each pass scored.

    Returns:
        For each tree, each branch's scores.

    Raises:
        ModelError: the model's output head is of no kind that mixplan knows.
    """
    check_head(model)
    found: list[tuple[Scored, ...]] = []
    with torch.inference_mode():
        for part, states, layout in passes(model, trees, pack_tokens):
            scored = [
                picked(head(model, states[rows]), layout.targets[rows].to(model.device))
                for rows in slices(model, len(layout.targets))
            ]
            logs, likeliest = (torch.cat(column).cpu().numpy() for column in zip(*scored, strict=True))
            both = zip(dealt(part, logs.astype(np.float64)), dealt(part, likeliest), strict=True)
            found += [tuple(map(Scored, *columns)) for columns in both]
            if on_trees:
                on_trees(len(part))
    return found


def picked(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probability of each row's target, `[rows]` float32, and whether the target is the row's likeliest token."""
    return logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(dim=1), logits.argmax(dim=1) == targets


def dealt(trees: Sequence[Tree], values: NDArray[Any]) -> list[tuple[NDArray[Any], ...]]:
    """Target values dealt back to trees and branches."""
    ends = iter(np.cumsum([len(branch) for tree in trees for branch in tree.branches]))
    return [tuple(values[(end := next(ends)) - len(branch) : end] for branch in tree.branches) for tree in trees]


def token_divergences(
    first: Model,
    second: Model,
    trees: Sequence[Tree],
    *,
    pack_tokens: int | None = None,
    on_trees: Callable[[int], None] | None = None,
) -> list[tuple[NDArray[np.float64], ...]]:
    """KL divergence of the second model's next-token distribution from the first's, at every continuation token.

    Both distributions are whole; a bounded number of them is held at once.

    Args:
        first: KL(first || second) is an expectation under this one.
        second: Of the same vocabulary.
        trees: What is read.
        pack_tokens: Longest packed pass.
        on_trees: Told how many trees each pass read.

    Returns:
        For each tree, for each branch, `[tokens of the branch]` nats, 0 or more up to rounding.

    Raises:
        ModelError: the vocabularies differ, or a head is of no kind that mixplan knows.
    """
    check_head(first)
    check_head(second)
    if vocabulary(first) != vocabulary(second):
        raise ModelError(
            f"'{second.name}' has {vocabulary(second)} output tokens, but the untrained '{first.name}' has "
            f"{vocabulary(first)}, so they cannot be compared token by token. Leave `behaviour` out of `evaluate`."
        )
    found: list[tuple[NDArray[np.float64], ...]] = []
    with torch.inference_mode():
        both = zip(passes(first, trees, pack_tokens), passes(second, trees, pack_tokens), strict=True)
        for (part, states, layout), (_, others, _) in both:
            values = [
                divergence(head(first, states[rows]), head(second, others[rows]))
                for rows in slices(first, len(layout.targets))
            ]
            found += dealt(part, torch.cat(values).double().cpu().numpy())
            if on_trees:
                on_trees(len(part))
    return found


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """KL of each row's second distribution from its first, `[rows]` float32."""
    logs = logits.log_softmax(dim=1)
    return (logs.exp() * (logs - others.to(logs.device).log_softmax(dim=1))).sum(dim=1)


def slices(model: Model, targets: int) -> Iterator[slice]:
    """Targets in pieces whose logits fit `LOGIT_VALUES`."""
    step = max(1, LOGIT_VALUES.get(model.device.type, 1 << 24) // vocabulary(model))
    for start in range(0, targets, step):
        yield slice(start, min(targets, start + step))


def passes(
    model: Model, trees: Sequence[Tree], pack_tokens: int | None
) -> Iterator[tuple[Sequence[Tree], Tensor, Layout]]:
    """Read the trees pass by pass.

    Yields:
        The trees read, the final states `[targets, d_model]` that predict their targets, and their layout.
    """
    limit = pack_tokens or PACK_TOKENS.get(model.device.type, 2048)
    prefix = shared_prefix(trees)
    cache = DynamicCache()
    if prefix:
        start = torch.tensor(trees[0].trunk[:prefix])
        final_states(model, start, torch.arange(prefix), None, cache)
    for part in packs(trees, prefix, limit):
        layout = laid_out(part, prefix)
        chain = len(part) == 1 and len(part[0].branches) == 1
        mask = None if chain else masks_of(model, layout, prefix)
        states = final_states(model, layout.tokens, layout.places, mask, cache)
        if prefix:
            cache.crop(-len(layout.tokens))
        else:
            cache.layers.clear()
        yield part, states[layout.predictors.to(model.device)], layout


def shared_prefix(trees: Sequence[Tree]) -> int:
    """Leading tokens that all trunks share, short of any trunk's last token: that one predicts."""
    if not trees:
        return 0
    first, last = min(tree.trunk for tree in trees), max(tree.trunk for tree in trees)
    length = min(len(tree.trunk) for tree in trees) - 1
    return next((place for place in range(length) if first[place] != last[place]), length)


def packs(trees: Sequence[Tree], prefix: int, limit: int) -> Iterator[list[Tree]]:
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


def masks_of(model: Model, layout: Layout, prefix: int) -> Tensor | dict[str, Tensor]:
    """A token sees the shared prefix, its own trunk and its own branch, up to itself."""
    index = torch.arange(len(layout.tokens))
    same_tree = layout.tree[:, None] == layout.tree[None, :]
    own = (layout.branch[None, :] == -1) | (layout.branch[:, None] == layout.branch[None, :])
    allowed = same_tree & own & (index[:, None] >= index[None, :])
    whole = torch.cat([torch.ones(len(index), prefix, dtype=torch.bool), allowed], dim=1)
    return masks_by_kind(model, whole, layout.places, torch.cat([torch.arange(prefix), layout.places]))


def final_states(
    model: Model, tokens: Tensor, places: Tensor, mask: Tensor | dict[str, Tensor] | None, cache: DynamicCache
) -> Tensor:
    """The states that the output head reads, `[tokens, d_model]`; the cache is extended."""
    output = model.lm.get_decoder()(
        input_ids=tokens[None].to(model.device),
        position_ids=places[None].to(model.device),
        attention_mask=mask,
        past_key_values=cache,
        use_cache=True,
    )
    states: Tensor = output.last_hidden_state[0]
    return states


def vocabulary(model: Model) -> int:
    """Output tokens, those that pad the embedding's size included."""
    return int(text_config(model.lm).vocab_size)


def head(model: Model, states: Tensor) -> Tensor:
    """Logits of final states: `[rows, d_model]` in the model's type in, `[rows, vocabulary]` float32 out."""
    logits: Tensor = model.lm.get_output_embeddings()(states).float()
    cap = getattr(text_config(model.lm), "final_logit_softcapping", None)
    return logits if cap is None else torch.tanh(logits / cap) * cap


def check_head(model: Model) -> None:
    """Hold `head` against the model's own logits on a few tokens.

    Raises:
        ModelError: they differ: the model does more to its logits than the families that mixplan knows.
    """
    tokens = torch.arange(1, min(9, vocabulary(model)))
    with torch.inference_mode():
        own = model.lm(input_ids=tokens[None].to(model.device), use_cache=False).logits[0].float()
        ours = head(model, final_states(model, tokens, torch.arange(len(tokens)), None, DynamicCache()))
    # Rounding in a short type is a few per cent of the logits' size; another head is off by far more.
    if (own - ours).abs().max() > 0.05 * own.abs().max():
        raise ModelError(
            f"{type(model.lm).__name__} does more to its logits than an output head with soft capping, so mixplan "
            "cannot score its answers. Use a Llama, Qwen, Gemma, Mistral, GPT-2 or GPT-NeoX model."
        )
