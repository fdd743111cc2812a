"""A trained model in, the run's model/ folder out: safetensors and tokenizer, whole or not at all, and its hash."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mixplan.errors import TrainError
from mixplan.runs import translated
from mixplan.train.tokens import save_tokenizer

SAMPLES = 4096
"""Values of a tensor that are compared; an optimiser's step moves far more than one in so many."""
KEPT = ("*.safetensors", "*.safetensors.index.json", "adapter_config.json", "config.json", "generation_config.json")
"""What of a checkpoint is the model."""


def trained_tensors(model: Any) -> Mapping[str, Tensor]:
    """The tensors that a job trains and saves: the adapter's, or all."""
    if isinstance(model, PeftModel):
        adapter: Mapping[str, Tensor] = get_peft_model_state_dict(model)
        return adapter
    whole: Mapping[str, Tensor] = model.state_dict()
    return whole


def digest(tensor: Tensor) -> str:
    """Hash a tensor's shape and evenly spaced values, in float32 whatever its type."""
    flat = tensor.detach().reshape(-1)
    sample = flat[:: max(1, flat.numel() // SAMPLES)].to(device="cpu", dtype=torch.float32).contiguous()
    return hashlib.sha256(str(tuple(tensor.shape)).encode() + sample.numpy().tobytes()).hexdigest()


def saved_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Read a saved model's tensors one by one."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - the file is no mapping
                yield name, file.get_tensor(name)


def refuse_unchanged(before: set[str], folder: Path) -> None:
    """Refuse a saved model that training left as it was, or ruined.

    Args:
        before: Digests of the trained tensors before the first step.
        folder: The saved model.

    Raises:
        TrainError: every saved tensor is one from before, or one holds a value that is not a number.
    """
    unchanged = True
    for name, tensor in saved_tensors(folder):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise TrainError(
                f"training: '{name}' of the trained model holds values that are not numbers. "
                "Lower train.args.learning_rate."
            )
        unchanged &= digest(tensor) in before
    if unchanged:
        raise TrainError(
            "training: the job changed no weight: every saved tensor is as it was before the first step. "
            "Raise train.args.learning_rate, or the number of steps."
        )


def copy_model(checkpoint: Path, folder: Path) -> None:
    """Take the model out of a checkpoint that has every step behind it."""
    with translated(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for pattern in KEPT:
            for path in checkpoint.glob(pattern):
                shutil.copyfile(path, folder / path.name)


def put_model(part: Path, run: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Put a saved model where a run's model belongs, in place of an earlier one.

    Args:
        part: The saved model, beside its place.
        run: The run folder.
        tokenizer: Saved with it.
    """
    save_tokenizer(tokenizer, part)
    with translated(part):
        for path in part.iterdir():
            # Pickles, and cards and templates that describe the training's own view of the model.
            if path.suffix in (".bin", ".pt", ".pth") or path.name == "README.md":
                path.unlink()
        model = run / "model"
        shutil.rmtree(model, ignore_errors=True)
        os.replace(part, model)
