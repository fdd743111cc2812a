"""Keeps the weights that a training begins with, and brings them back for as long as the untrained model is read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from mixplan.errors import RunError
from mixplan.model import fingerprint_tensors
from mixplan.runs import translated

FILE = "start.safetensors"
"""In a trajectory's folder, until the untrained model has been read."""
HASH, OTHER = "weights", "other"
"""What the file says of them: the hash of all the model's tensors, and how they differ from the plan's."""


@dataclass(frozen=True)
class Start:
    """The weights that a training begins with.

    Attributes:
        fingerprint: Hash of all the model's tensors.
        other: A sentence on how they differ from the plan's; None where they are the plan's.
    """

    fingerprint: str
    other: str | None


def keep_weights(outer: nn.Module, start: Start, file: Path) -> None:
    """Write down all weights that are to be trained: a LoRA's are few, those of a training in full are all.

    Args:
        outer: The trainer's model, its adapter included.
        start: What is said of them.
        file: Where they are kept.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    part = file.with_name(f".{file.name}.partial")
    held = {name: value.detach().cpu().contiguous() for name, value in trainable(outer).items()}
    with translated(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            save_file(held, part, metadata={HASH: start.fingerprint, OTHER: start.other or ""})
            os.replace(part, file)
        except SafetensorError as error:  # so it says that the disk is full
            raise OSError(str(error)) from error
        finally:
            part.unlink(missing_ok=True)


def trainable(outer: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that an optimiser may change, each once."""
    return {name: value for name, value in outer.named_parameters() if value.requires_grad}


def kept_start(file: Path) -> Start | None:
    """What was said of the weights in a file; None where there is none, or no whole one."""
    try:
        with safe_open(file, framework="pt") as held:
            said = dict(held.metadata() or {})
    except (OSError, SafetensorError):
        return None
    return Start(said[HASH], said.get(OTHER) or None) if HASH in said else None


@contextlib.contextmanager
def untrained(outer: Any, lm: nn.Module, file: Path) -> Iterator[None]:
    """While open, the trained weights are those of the beginning; behind it those of now, to the bit.

    Weights are copied in place, so an optimiser's and a compiled graph's tensors stay what they are.

    Args:
        outer: The trainer's model, its adapter included.
        lm: The model within it.
        file: Where its weights were kept.

    Raises:
        RunError: they are not there or not whole, or weights have changed that were not to be trained at the beginning.
    """
    weights = trainable(outer)
    now = {name: value.detach().to("cpu", copy=True) for name, value in weights.items()}
    try:
        with torch.no_grad(), safe_open(file, framework="pt") as held:
            fingerprint = (held.metadata() or {}).get(HASH)
            if set(held.keys()) != weights.keys():
                raise RunError(f"{file}: other weights are trained now than when the training began. {REMEDY}")
            for name, value in weights.items():
                value.copy_(held.get_tensor(name))
        if fingerprint_tensors(lm.state_dict()) != fingerprint:
            raise RunError(f"{file}: with these weights the model is not the untrained one. {REMEDY}")
        yield
    except (OSError, SafetensorError) as error:
        raise RunError(f"{file}: the weights that the training began with cannot be read. {REMEDY}") from error
    finally:
        with torch.no_grad():
            for name, value in weights.items():
                value.copy_(now[name])


REMEDY = "Judge the model afterwards with `mixplan eval`, or begin the training anew."
