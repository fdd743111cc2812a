"""Scores continuation tokens by the final states that predict them, and compares two models' next tokens.

The output head runs on the positions that predict a continuation's token only, a bounded number at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mixplan.errors import ModelError
from mixplan.evaluate.packing import Ids, Tree, final_states, passes
from mixplan.model import Model, decoder_of, text_config
from mixplan.model.finite import refuse_activations, refuse_scores, same_scores

LOGIT_VALUES = {"cpu": 1 << 24, "cuda": 1 << 28}
"""Logits held at once: 64 MB on a CPU, 1 GB on a GPU."""

HEAD_NOISE = {"float32": 1e-5, "bfloat16": 0.02, "float16": 0.003}
"""Rounding of the output head and its soft capping, of the largest logit; a factor that is left out shows above it."""


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
        for part, states, _ in passes(model, trees, pack_tokens):
            scored = iter(score_states(model, states, [branch for tree in part for branch in tree.branches]))
            found += [tuple(next(scored) for _ in tree.branches) for tree in part]
            if on_trees:
                on_trees(len(part))
    return found


def score_states(model: Model, states: Tensor, continuations: Sequence[Ids]) -> list[Scored]:
    """Score continuations by the final states that predict them.

    Args:
        model: For its output head.
        states: `[tokens, d_model]`, one for each token of the continuations, in their order.
        continuations: Token ids.

    Returns:
        Each continuation's scores.

    Raises:
        ModelError: a score is not a number.
    """
    if not continuations:
        return []
    targets = torch.tensor([token for ids in continuations for token in ids], device=model.device)
    parts = [picked(head(model, states[rows]), targets[rows]) for rows in slices(model, len(targets))]
    scores, first = (torch.cat(column) for column in zip(*parts, strict=True))
    refuse_scores(scores, model.name, model.dtype)
    logs, likeliest = scores.cpu().numpy(), first.cpu().numpy()
    ends = np.cumsum([len(ids) for ids in continuations])[:-1]
    return [
        Scored(values, greedy)
        for values, greedy in zip(np.split(logs.astype(np.float64), ends), np.split(likeliest, ends), strict=True)
    ]


def picked(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probability of each row's target, `[rows]` float32, and whether the target is the row's likeliest token.

    The logits are used up: at the size of a vocabulary a further copy takes as long as a third of the output head.
    """
    own = logits.gather(1, targets[:, None])[:, 0]
    peak, likeliest = logits.max(dim=1)
    return own - peak - logits.sub_(peak[:, None]).exp_().sum(dim=1).log(), likeliest == targets


def divergences(first: Model, states: Tensor, second: Model, others: Tensor) -> NDArray[np.float64]:
    """KL divergence of the second model's next-token distribution from the first's, at every token.

    Both distributions are whole; a bounded number of them is held at once.

    Args:
        first: KL(first || second) is an expectation under this one.
        states: `[tokens, d_model]`, the first model's final states.
        second: Of the same vocabulary; at its end tokens may have been added, or padding removed.
        others: `[tokens, d_model]`, the second model's final states at the same tokens.

    Returns:
        `[tokens]` nats, 0 or more up to rounding.
    """
    values = [torch.zeros(0)]
    with torch.inference_mode():
        for rows in slices(first, len(states)):
            logits = head(first, states[rows].to(first.device))
            values.append(divergence(logits, head(second, others[rows].to(second.device))).cpu())
    return np.asarray(torch.cat(values).double().numpy())


def entropies(model: Model, states: Tensor) -> NDArray[np.float64]:
    """Entropy of a model's next-token distribution at every token.

    Args:
        model: The model.
        states: `[tokens, d_model]`, its final states.

    Returns:
        `[tokens]` nats.
    """
    values = [torch.zeros(0)]
    with torch.inference_mode():
        for rows in slices(model, len(states)):
            logs = head(model, states[rows].to(model.device)).log_softmax(dim=1)
            values.append(-expected(logs, logs.clone()).cpu())
    return np.asarray(torch.cat(values).double().numpy())


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """KL of each row's second distribution from its first, `[rows]` float32.

    Tokens that only the second has get no probability from the first. Tokens that only the first has, which
    `check_vocabularies` holds to be padding, are left out of it.
    """
    logs = logits[:, : others.shape[1]].log_softmax(dim=1)
    gap = others.to(logs.device).log_softmax(dim=1)[:, : logs.shape[1]].neg_().add_(logs)
    return expected(logs, gap)


def expected(logs: Tensor, values: Tensor) -> Tensor:
    """Means of values by each row's distribution, `[rows]`; both are written over.

    What a token that may never come has does not count: its value may be infinite, and 0 times that is no number.
    """
    never = logs.isneginf()
    if bool(never.any()):
        values.masked_fill_(never, 0.0)
    return logs.exp_().mul_(values).sum(dim=1)


def slices(model: Model, targets: int) -> Iterator[slice]:
    """Targets in pieces whose logits fit `LOGIT_VALUES`."""
    step = max(1, LOGIT_VALUES.get(model.device.type, 1 << 24) // vocabulary(model))
    for start in range(0, targets, step):
        yield slice(start, min(targets, start + step))


def vocabulary(model: Model) -> int:
    """Output tokens, those that pad the embedding's size included."""
    return int(text_config(model.lm).vocab_size)


def check_vocabularies(first: Model, second: Model) -> None:
    """Hold that two models can be compared token by token.

    Trainers that add a token of their own resize the output head to the tokenizer's length: some tokens more, or less
    where the untrained model's head was padded to a round number.

    Raises:
        ModelError: the second lacks tokens that the first one's tokenizer has.
    """
    if vocabulary(second) < min(vocabulary(first), len(first.tokenizer)):
        raise ModelError(
            f"'{second.name}' has {vocabulary(second)} output tokens, but the untrained '{first.name}' has "
            f"{vocabulary(first)}, so they cannot be compared token by token. Leave `behaviour` out of `evaluate`."
        )


def head(model: Model, states: Tensor) -> Tensor:
    """Compute the logits of final states, `[rows, vocabulary]` float32, from `[rows, d_model]` in the model's type."""
    if model.lm not in _HEADS:
        check_head(model)
    return _HEADS[model.lm](model, states)


def plain_head(model: Model, states: Tensor) -> Tensor:
    """Logits by the output embeddings and soft capping alone, as most families make them."""
    logits: Tensor = model.lm.get_output_embeddings()(states).float()
    cap = getattr(text_config(model.lm), "final_logit_softcapping", None)
    return logits if cap is None else torch.tanh(logits / cap) * cap


def own_head(model: Model, states: Tensor) -> Tensor:
    """Logits as the model's own forward pass makes them of final states, whatever it does to them.

    The pass is over one token, whose final state the given ones take the place of.
    """

    def put(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
        if isinstance(output, tuple):
            return (states[None], *output[1:])
        output.last_hidden_state = states[None]
        return output

    handle = decoder_of(model).register_forward_hook(put)
    try:
        logits: Tensor = model.lm(input_ids=torch.ones(1, 1, dtype=torch.int64, device=model.device)).logits
    finally:
        handle.remove()
    return logits[0].float()


_HEADS: WeakKeyDictionary[nn.Module, Callable[[Model, Tensor], Tensor]] = WeakKeyDictionary()
"""How each loaded model's logits are made, as `check_head` found."""


def check_head(model: Model) -> None:
    """Find, once for each loaded model, how it makes logits of final states, held against its own on a few tokens.

    Raises:
        ModelError: neither way gives them, or they are not numbers.
    """
    if model.lm in _HEADS:
        return
    tokens, noise = torch.arange(1, min(9, vocabulary(model))), HEAD_NOISE[model.dtype]
    with torch.inference_mode():
        own = model.lm(input_ids=tokens[None].to(model.device)).logits[0].float()
        states = final_states(model, tokens, None, None, None)
        refuse_activations(states, model.name, model.dtype, "last layer's output")
        refuse_scores(own, model.name, model.dtype)
        for made in (plain_head, own_head):
            try:
                ours = made(model, states)
            except RuntimeError:  # the output embeddings read something other than the final states
                continue
            if same_scores(ours, own, noise):
                _HEADS[model.lm] = made
                return
    raise ModelError(
        f"model '{model.name}': {type(model.lm).__name__} makes its logits of more than its final states, so mixplan "
        "cannot score its answers. Choose a model whose output head reads the last layer's states alone."
    )
