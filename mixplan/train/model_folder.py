"""Puts a trained model into the run's model/ folder, whole or not at all, with the untrained one's settings."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from torch import Tensor
from transformers import AutoConfig, PreTrainedTokenizerBase

from mixplan.errors import TrainError
from mixplan.runs import translated
from mixplan.temporary_files import remove
from mixplan.train.job import Job
from mixplan.train.tokens import model_place, save_tokenizer
from mixplan.train.trainable_model import model_config

SAMPLES = 4096
"""Values of a tensor that are compared; an optimiser's step moves far more than one in so many."""
KEPT = ("*.safetensors", "*.safetensors.index.json", "adapter_config.json", "config.json", "generation_config.json")
"""What of a checkpoint is the model."""
PROCESSOR = (
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "chat_template.json",
)
"""What an image-text model's processor is made from, beside its tokenizer."""


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


def refuse_unchanged(before: set[str], folder: Path, told: Sequence[str] = ()) -> None:
    """Refuse a saved model that training left as it was, or ruined.

    Args:
        before: Digests of the trained tensors before the first step.
        folder: The saved model.
        told: What else is known against the job, which says why, and what to do.

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
            + (" ".join(told) or "Raise train.args.learning_rate, or the number of steps.")
        )


def copy_model(checkpoint: Path, folder: Path) -> None:
    """Take the model out of a checkpoint that has every step behind it."""
    with translated(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for pattern in KEPT:
            for path in checkpoint.glob(pattern):
                shutil.copyfile(path, folder / path.name)


def restore_settings(part: Path, job: Job) -> None:
    """Give a saved model the configs of the untrained one.

    Trainers leave their own settings there: TRL has a mixture of experts return its routers' logits, GRPO sets the
    padding token. What training did change stays: the type of the weights, a vocabulary that grew, an end-of-text
    token that the recipe set; a config of the model's own code is left as it was saved.

    Args:
        part: The saved model.
        job: The job.
    """
    if not (part / "config.json").exists():
        return
    saved, before = AutoConfig.from_pretrained(part), model_config(job)
    if getattr(before, "auto_map", None):
        return
    for config in (before, *(getattr(before, name, None) for name in before.sub_configs)):
        if config is not None:
            config.dtype = saved.dtype
    before.architectures = saved.architectures
    before.get_text_config().vocab_size = saved.get_text_config().vocab_size
    if hasattr(before, "quantization_config") and not hasattr(saved, "quantization_config"):
        del before.quantization_config
    own_end = job.train["args"].get("eos_token") is not None
    if own_end:
        before.get_text_config().eos_token_id = saved.get_text_config().eos_token_id
    before.save_pretrained(part)
    if own_end:
        return
    (part / "generation_config.json").unlink(missing_ok=True)
    if (stored := stored_file(job, "generation_config.json")) is not None:
        shutil.copyfile(stored, part / "generation_config.json")


def keep_processor(part: Path, job: Job) -> None:
    """Put the files of an image-text model's processor beside the trained model, which is of no use to others without.

    Args:
        part: The saved model.
        job: The job.
    """
    for name in PROCESSOR:
        if (stored := stored_file(job, name)) is not None:
            shutil.copyfile(stored, part / name)


def stored_file(job: Job, name: str) -> Path | None:
    """One of the untrained model's files, in its folder or in the hub's cache; None where it has none of that name."""
    place = model_place(job)
    if Path(place).is_dir():
        return Path(place) / name if (Path(place) / name).is_file() else None
    found = try_to_load_from_cache(place, name, revision=job.model["revision"])
    return Path(found) if isinstance(found, str) else None


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
        remove(model)
        os.replace(part, model)
