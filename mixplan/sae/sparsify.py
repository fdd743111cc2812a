"""Reads SAEs in the layout of EleutherAI's sparsify as top-k SAEs of SAELens.

SAELens 6.54 has a converter of its own, which transposes the decoder that sparsify writes as `[num_latents, d_in]` and
subtracts the decoder's bias from the input only where `normalize_decoder` is false; sparsify subtracts it always.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from safetensors.torch import load_file
from torch import Tensor

from mixplan.errors import SaeError
from mixplan.recipe.sae_folder import CONFIG, SPARSIFY_WEIGHTS

LAYER = re.compile(r"(?:(?:model|language_model|transformer|gpt_neox)\.)*(?:layers|h)[._](\d+)")
"""A hook point of sparsify is a module whose output is read; a block's output is the residual stream."""

UNREAD = {"transcode": "it is a transcoder", "skip_connection": "it has a skip connection",
          "signed": "its features may be negative"}  # fmt: skip


Config = dict[str, Any]
"""An SAE's config, whose keys are SAELens's own."""


def config_on_hub(
    repo_id: str, folder_name: str, device: str | None = None, force_download: bool = False,
    cfg_overrides: Config | None = None,
) -> Config:  # fmt: skip
    """An SAE's config by SAELens's names; SAELens's protocol of a config getter."""
    file = hf_hub_download(repo_id, f"{folder_name}/{CONFIG}", force_download=force_download)
    return config_on_disk(Path(file).parent, device, cfg_overrides, hook=folder_name)


def load_from_hub(
    repo_id: str, folder_name: str, device: str = "cpu", force_download: bool = False,
    cfg_overrides: Config | None = None,
) -> tuple[Config, dict[str, Tensor], None]:  # fmt: skip
    """An SAE's config and parameters by SAELens's names; SAELens's protocol of a loader."""
    config = config_on_hub(repo_id, folder_name, device, force_download, cfg_overrides)
    weights = hf_hub_download(repo_id, f"{folder_name}/{SPARSIFY_WEIGHTS}", force_download=force_download)
    return config, parameters(Path(weights), config, device), None


def config_on_disk(
    path: str | Path, device: str | None = None, cfg_overrides: Config | None = None, hook: str | None = None
) -> Config:
    """A folder's config by SAELens's names.

    Args:
        path: The folder, named as sparsify names it: after the module whose output is read.
        device: Where the SAE will run.
        cfg_overrides: Entries that replace the folder's.
        hook: The module's name where it is not the folder's.

    Raises:
        SaeError: it is of a kind that mixplan does not read.
    """
    folder = Path(path)
    written = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    found = next((why for key, why in UNREAD.items() if written.get(key)), None)
    if found is None and written.get("activation", "topk") != "topk":
        found = f"its activation is '{written['activation']}'"
    if found is not None:
        raise SaeError(f"SAE '{folder}': {found}, which mixplan does not read. Choose a top-k SAE of sparsify.")
    layer = LAYER.fullmatch((hook or folder.name).rstrip("/").rsplit("/", 1)[-1])
    training = json.loads(file.read_text()) if (file := folder.parent / "config.json").is_file() else {}
    return {
        "architecture": "topk",
        "d_in": written["d_in"],
        "d_sae": written.get("num_latents") or written["d_in"] * written["expansion_factor"],
        "k": written["k"],
        "dtype": "float32",
        "device": device or "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "hook_name": f"blocks.{layer[1]}.hook_resid_post" if layer else (hook or folder.name),
            "model_name": training.get("model"),
            # SAELens takes a config without its version for one of before 6.0.
            "sae_lens_version": "6.0.0",
        },
        **(cfg_overrides or {}),
    }


def load_from_disk(
    path: str | Path, device: str = "cpu", cfg_overrides: Config | None = None
) -> tuple[Config, dict[str, Tensor]]:
    """A folder's config and parameters by SAELens's names; SAELens's protocol of a loader from disk."""
    config = config_on_disk(path, device, cfg_overrides)
    return config, parameters(Path(path) / SPARSIFY_WEIGHTS, config, device)


def parameters(file: Path, config: Config, device: str) -> dict[str, Tensor]:
    """Tensors of sparsify (`encoder.weight` and `W_dec`, both `[num_latents, d_in]`) by SAELens's names, in float32.

    Raises:
        SaeError: the file has a skip connection.
    """
    tensors = {name: tensor.float() for name, tensor in load_file(file, device=device).items()}
    if "W_skip" in tensors:
        raise SaeError(f"SAE '{file.parent}': {UNREAD['skip_connection']}, which mixplan does not read.")
    encoder = tensors["encoder.weight"]
    return {
        "W_enc": encoder.T.contiguous(),
        "b_enc": tensors["encoder.bias"],
        "W_dec": tensors["W_dec"],
        "b_dec": tensors.get("b_dec", encoder.new_zeros(config["d_in"])),
    }
