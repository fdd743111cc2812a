"""Tokens in, the residual stream after any block out, without running the blocks above it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from mixplan.errors import ModelError
from mixplan.model.finite import refuse_activations
from mixplan.model.load import Model


class _Reached(Exception):
    """The residual stream was read; the blocks above need not run."""

    def __init__(self, stream: Tensor) -> None:
        self.stream = stream


@contextmanager
def stopping_after(model: Model, depth: int) -> Iterator[None]:
    """While open, a forward pass ends (by `_Reached`) once `depth` blocks have run.

    Raises:
        ModelError: the model has fewer blocks, or they were not loaded.
    """

    def stop(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _Reached(args[0] if args else kwargs["hidden_states"])

    if not 0 <= depth <= len(model.blocks):
        raise ModelError(f"model '{model.name}' has {len(model.blocks)} blocks; the SAE reads after block {depth}.")
    if model.loaded_blocks is not None and depth > model.loaded_blocks:
        raise ModelError(
            f"model '{model.name}': its blocks were loaded up to {model.loaded_blocks}, but {depth} are to be read."
        )
    reader = model.blocks[depth] if depth < len(model.blocks) else final_norm(model)
    handle = reader.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def final_norm(model: Model) -> nn.Module:
    """The norm that reads the last block's output."""
    for name, module in model.lm.get_decoder().named_modules():
        if name.split(".")[-1] in ("norm", "ln_f", "final_layer_norm"):
            return cast("nn.Module", module)
    raise ModelError(f"{type(model.lm).__name__} has no final norm that mixplan knows; use an SAE of a lower layer.")


def read_stream(
    model: Model,
    depth: int,
    tokens: Tensor,
    *,
    positions: Tensor | None = None,
    mask: Tensor | dict[str, Tensor] | None = None,
    cache: DynamicCache | None = None,
) -> Tensor:
    """Run the first `depth` blocks and return the residual stream.

    Args:
        model: The model.
        depth: How many blocks to run; 0 reads the embeddings.
        tokens: `[batch, length]` int64.
        positions: `[batch, length]` int64; consecutive from the cache's end when not given.
        mask: `[batch, 1, length, cached + length]` additive, or one for each attention kind.
        cache: Keys and values in front; extended in place by this call's.

    Returns:
        `[batch, length, d_model]` in the model's type.
    """
    with torch.inference_mode(), stopping_after(model, depth):
        try:
            model.lm.get_decoder()(
                input_ids=tokens.to(model.device),
                position_ids=positions,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=cache is not None,
            )
        except _Reached as reached:
            refuse_activations(reached.stream, model.name, model.dtype, f"after block {depth - 1}")
            return reached.stream.to(model.device)
    raise ModelError(f"{type(model.lm).__name__} never ran the module after block {depth}.")
