"""Says what a model's folder lacks, by its file names and headers, before anything of it is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mixplan.errors import MixplanError
from mixplan.recipe.paths import is_hub_id, local_path
from mixplan.weights import stored_tensors, weight_files

TOKENIZERS = (
    *("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt", "spiece.model"),
    *("sentencepiece.bpe.model", "tekken.json", "*.tiktoken"),
)
"""Files of which a folder with a tokenizer holds at least one."""
PICKLES = ("pytorch_model*.bin", "*.pth", "consolidated*.pt")
REMEDY = "Fetch the model again with `hf download`, or check `model.name`."


def absent_model(name: str, folder: Path) -> str | None:
    """What is wrong with a model's name where it can only be a folder's, or is one.

    Args:
        name: The recipe's `model.name`.
        folder: Of the YAML that names it.

    Returns:
        One line for the person; None for a hub id, and where nothing is missing.
    """
    if name == "embedded":
        return None
    local = folder / local_path(name)
    if local.is_dir():
        return incomplete_model(local)
    if local.is_file():
        return (
            f"{local} is a file. Name the folder that holds config.json and the safetensors weights, or a hub id such "
            "as 'HuggingFaceTB/SmolLM2-135M-Instruct'."
        )
    if is_hub_id(name):
        return None
    return (
        f"there is no folder {local}, and '{name}' is no hub id. Check the path, which is relative to the YAML that "
        "names it, or give a hub id such as 'HuggingFaceTB/SmolLM2-135M-Instruct'."
    )


def incomplete_model(folder: Path) -> str | None:
    """What a folder lacks of a whole model, as one line; None where all is there."""
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            return (
                f"{folder} holds an adapter, not a model. Name the model that the adapter was trained on, or merge "
                "the two with peft's `merge_and_unload` and save the result."
            )
        return f"{folder} has no config.json. {REMEDY}"
    if read_config(folder) is None:
        return f"{folder / 'config.json'} is not a JSON object. {REMEDY}"
    return missing_weights(folder) or missing_tokenizer(folder)


def untrainable(name: str, folder: Path, *, adapter: bool) -> str | None:
    """Why a local model cannot be trained as the recipe asks, as one line; None where it can, or is not here.

    Args:
        name: The recipe's `model.name`.
        folder: Of the YAML that names it.
        adapter: Whether an adapter is trained, and the model's own weights are left as they are.
    """
    local = folder / local_path(name)
    config = (read_config(local) if local.is_dir() else None) or {}
    stored = config.get("quantization_config")
    if adapter or not isinstance(stored, dict):
        return None
    return (
        f"{local} is stored quantised ({stored.get('quant_method', 'unknown')}), so its own weights cannot be trained. "
        "Train an adapter with `train.lora: {r: 16}`, or name the model's unquantised weights."
    )


Config = dict[str, Any]
"""A model's config.json, as whoever made the model wrote it."""


def read_config(folder: Path) -> Config | None:
    """A model's config.json as values; None where it is missing or damaged."""
    try:
        values = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def missing_weights(folder: Path) -> str | None:
    """What is missing or damaged of a model's weight files, as one line."""
    try:
        files = weight_files(folder)
        for file in files:
            for _ in stored_tensors(file):
                pass  # each tensor's place is held against the file's size
    except MixplanError as error:
        unfinished = list(folder.rglob("*.incomplete"))
        started = f" {len(unfinished)} downloads into it were not finished." if unfinished else ""
        return f"{error}{started}"
    if files:
        return None
    if any(path for pattern in PICKLES for path in folder.glob(pattern)):
        return (
            f"{folder} holds its weights as pickles only, which can run code, so mixplan does not read them. Load them "
            "where you trust them and save them with `model.save_pretrained(folder)`, which writes safetensors."
        )
    return f"{folder} has no weights: model.safetensors, or the files of model.safetensors.index.json. {REMEDY}"


def missing_tokenizer(folder: Path) -> str | None:
    """Say that a folder has no tokenizer, as one line."""
    if any(path for pattern in TOKENIZERS for path in folder.glob(pattern)):
        return None
    return f"{folder} has no tokenizer (tokenizer.json). {REMEDY}"
