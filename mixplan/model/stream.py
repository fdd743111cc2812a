"""Reads the residual stream after any block of a model, without running the blocks above it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from mixplan.errors import ModelError
from mixplan.model.attention import Masks
from mixplan.model.finite import refuse_activations
from mixplan.model.load import Model


class _Reached(Exception):
    """The residual stream was read; the blocks above need not run."""

    def __init__(self, stream: Tensor) -> None:
        self.stream = stream


@contextmanager
def at_depth(model: Model, depth: int, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """While open, every forward pass's residual stream after `depth` blocks is what `change` makes of it.

    Below the last block the stream is what the next block is given; after the last block it is what that block gives,
    whatever module reads it then.

    Raises:
        ModelError: the model has fewer blocks, they were not loaded, or its stream is no single vector a token.
    """

    def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, object]) -> Any:
        if args:
            return (change(checked(model, args[0])), *args[1:]), kwargs
        return args, kwargs | {"hidden_states": change(checked(model, kwargs.get("hidden_states")))}

    def after(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
        if isinstance(output, tuple | list):
            return type(output)([change(checked(model, output[0])), *output[1:]])
        return change(checked(model, output))

    check_depth(model, depth)
    if depth < len(model.blocks):
        handle = model.blocks[depth].register_forward_pre_hook(before, with_kwargs=True)
    else:
        handle = model.blocks[-1].register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def kept_stream(model: Model, depth: int) -> Iterator[list[Tensor]]:
    """While open, a whole pass leaves its residual stream after `depth` blocks here, `[batch, length, d_model]`.

    Raises:
        ModelError: the model has fewer blocks, or the pass gave no stream there.
    """
    held: list[Tensor] = []

    def keep(stream: Tensor) -> Tensor:
        held.append(stream.clone())  # a block may add to its input in place
        return stream

    with at_depth(model, depth, keep):
        yield held
    if not held:
        raise not_run(model, depth)


def not_run(model: Model, depth: int) -> ModelError:
    """A text was read without the block that the stream is read before or after."""
    return ModelError(
        f"model '{model.name}': {type(model.lm).__name__} reads a text without running its block {max(depth, 1)} of "
        f"{len(model.blocks)}, so there is no stream to read after block {depth}. Choose an SAE of a block that is "
        "run on text, or another model."
    )


def check_handed_on(model: Model, depth: int, tokens: Tensor) -> None:
    """Hold that a block gives what the next one reads, which makes it a block of one residual stream.

    Args:
        model: The model.
        depth: Where the stream is to be read; after the last block, the two blocks below it are held instead.
        tokens: `[batch, length]` int64, of a short pass.

    Raises:
        ModelError: something stands between the blocks.
    """
    place = min(depth, len(model.blocks) - 1)
    if not place:
        return
    held: list[Tensor] = []

    def keep(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        held.append(checked(model, output[0] if isinstance(output, tuple | list) else output))

    handle = model.blocks[place - 1].register_forward_hook(keep)
    try:
        read = read_stream(model, place, tokens)
    finally:
        handle.remove()
    # A block that is passed over in text (cross attention to images) gives nothing to be held against.
    if held and (held[0].shape != read.shape or (held[0].to(read) - read).norm() > 0.01 * read.norm()):
        raise ModelError(
            f"model '{model.name}': between blocks {place} and {place + 1} of {type(model.lm).__name__} something "
            "changes what passes, so what its blocks give is no residual stream. Choose a model whose blocks hand "
            "their output on."
        )


def check_depth(model: Model, depth: int) -> None:
    """Hold that the model has so many blocks, with their weights.

    Raises:
        ModelError: it has fewer, or they were not loaded.
    """
    if not 0 <= depth <= len(model.blocks):
        raise ModelError(f"model '{model.name}' has {len(model.blocks)} blocks; the SAE reads after block {depth}.")
    if model.loaded_blocks is not None and depth > model.loaded_blocks:
        raise ModelError(
            f"model '{model.name}': its blocks were loaded up to {model.loaded_blocks}, but {depth} are to be read."
        )


def checked(model: Model, stream: Any) -> Tensor:
    """The stream, `[batch, length, d_model]`.

    Raises:
        ModelError: it is something else, such as several streams side by side.
    """
    if isinstance(stream, Tensor) and stream.ndim == 3:
        return stream
    shape = f"of shape {tuple(stream.shape)}" if isinstance(stream, Tensor) else f"a {type(stream).__name__}"
    raise ModelError(
        f"model '{model.name}': what passes between the blocks of {type(model.lm).__name__} is {shape}; expected one "
        "vector a token, [batch, length, d_model], which is what an SAE reads. Choose a model with one residual stream."
    )


@functools.cache
def arguments_of(forward: Callable[..., Any]) -> frozenset[str]:
    """Arguments that a forward pass names."""
    return frozenset(inspect.signature(forward).parameters)


def taken(module: nn.Module, **given: Any) -> dict[str, object]:
    """The arguments that a module's forward pass names; a model without position ids must not be handed any."""
    return {name: value for name, value in given.items() if name in arguments_of(type(module).forward)}


def takes_positions(model: Model) -> bool:
    """Whether the model is told each token's position, rather than counting the tokens it is given."""
    return "position_ids" in arguments_of(type(decoder_of(model)).forward)


def decoder_of(model: Model) -> nn.Module:
    """The innermost module that takes token ids and runs the blocks, whatever stands around it.

    Raises:
        ModelError: there is none.
    """
    found = None
    for module in model.lm.modules():
        if "input_ids" in arguments_of(type(module).forward) and any(part is model.blocks for part in module.modules()):
            found = module
    if found is None:
        raise ModelError(
            f"model '{model.name}': no module of {type(model.lm).__name__} takes token ids and runs its "
            f"{len(model.blocks)} blocks. Choose a decoder-only model."
        )
    return found


def read_stream(
    model: Model,
    depth: int,
    tokens: Tensor,
    *,
    positions: Tensor | None = None,
    mask: Masks | None = None,
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

    Raises:
        ModelError: the model has fewer blocks, or its stream is no single vector a token.
    """

    def stop(stream: Tensor) -> Tensor:
        raise _Reached(stream)

    decoder = decoder_of(model)
    given = taken(decoder, position_ids=positions, past_key_values=cache, use_cache=cache is not None)
    with torch.inference_mode(), at_depth(model, depth, stop):
        try:
            decoder(input_ids=tokens.to(model.device), attention_mask=mask, **given)
        except _Reached as reached:
            refuse_activations(reached.stream, model.name, model.dtype, f"residual stream after {depth} blocks")
            return reached.stream.to(model.device)
    raise not_run(model, depth)
