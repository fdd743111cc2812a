"""Leaves out of a model what reading up to a block never runs, so that its weights are not read from the disk."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from mixplan.model.families import decoder_blocks


def partial_class(kind: type[PreTrainedModel], depth: int) -> type[PreTrainedModel]:
    """A class whose models have no weights above a block, nor in an output head of their own, nor outside the decoder.

    The config stays whole, since layers' kinds, shared keys and scales are taken from it, and so does each block as an
    object: a forward pass goes as far as the block that is read, as in the whole model, and stops there.

    Args:
        kind: The model's class in transformers.
        depth: How many blocks keep their weights.

    Returns:
        A class of the same name, by which transformers knows how weights are stored; its models count the whole
        model's parameters in `whole_parameters`.
    """

    def build(self: Any, config: PreTrainedConfig, *arguments: Any, **options: Any) -> None:
        kind.__init__(self, config, *arguments, **options)
        tied = self.all_tied_weights_keys  # they become one with another when they are loaded
        self.whole_parameters = sum(value.numel() for name, value in self.named_parameters() if name not in tied)
        leave_out(self, depth)

    entries = {
        "__init__": build,
        "__module__": kind.__module__,
        # What the file holds above the depth is no surprise.
        "_keys_to_ignore_on_load_unexpected": [".*"],
    }
    return type(kind.__name__, (kind,), entries)


def leave_out(lm: PreTrainedModel, depth: int) -> None:
    """Take the parameters away from the blocks from `depth` on, from an untied output head and from other towers."""
    for block in decoder_blocks(lm)[depth:]:
        strip(block)
    tied = {name.rpartition(".")[0] for name in lm.all_tied_weights_keys}
    strip_outside(lm, lm.get_decoder(), {module for name, module in lm.named_modules() if name in tied})


def strip_outside(module: nn.Module, decoder: nn.Module, kept: set[Any]) -> None:
    """Strip what lies beside the decoder, at any depth above it."""
    for child in module.children():
        if child is decoder or child in kept:
            continue
        if any(inner is decoder for inner in child.modules()):
            strip_outside(child, decoder, kept)
        else:
            strip(child)


def strip(module: nn.Module) -> None:
    """Take a module's parameters and buffers away; its structure and settings stay."""
    for part in module.modules():
        part._parameters.clear()
        part._buffers.clear()
        part._non_persistent_buffers_set.clear()
        # Without it transformers would fill parameters that are not there with random values.
        part._is_hf_initialized = True  # type: ignore[assignment]  # a flag of transformers' own
