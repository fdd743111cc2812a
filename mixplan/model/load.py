"""A model spec in, a loaded causal LM out, in evaluation mode, with its fingerprint."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from mixplan import embedded
from mixplan.errors import ModelError
from mixplan.model.held import hold_template
from mixplan.model.place import DTYPES, resolve_device, resolve_dtype
from mixplan.recipe import ModelSpec
from mixplan.runs import content_hash, translated


@dataclass(frozen=True)
class Model:
    """A loaded causal LM, in evaluation mode, with what the plan must know of it.

    Attributes:
        lm: The transformers model.
        tokenizer: Its fast tokenizer.
        name: The recipe's name for it.
        dtype: Compute type, one of `float32`, `bfloat16`, `float16`.
        why_dtype: How the type was chosen, for the report.
        device: Where it runs.
        blocks: The decoder blocks, in order.
        window: Longest context in tokens.
        fingerprint: Hash over config and sampled tensor bytes (64 hexadecimal digits).
        place: Where transformers found it: a folder or a hub id.
        adapter: Folder of the adapter on top of it, for a trained model that is one.
        template_date: The day, as in `2026-01-31`, that its chat template prints; None where it prints none.
    """

    lm: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    dtype: str
    why_dtype: str
    device: torch.device
    blocks: nn.ModuleList
    window: int
    fingerprint: str
    place: str = ""
    adapter: Path | None = None
    template_date: str | None = None

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(text_config(self.lm).hidden_size)

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(p.numel() for p in self.lm.parameters())


def load_model(spec: ModelSpec, *, folder: Path = Path()) -> Model:
    """Load the untrained model and its tokenizer.

    Args:
        spec: A hub id, a local folder (relative to `folder`), or `embedded`.
        folder: Folder of the YAML that names a local folder.

    Raises:
        ModelError: the model is missing, not a decoder-only LM, or its device is not here.
    """
    device = resolve_device(spec.device)
    place = find(spec, folder)
    transformers_logging.disable_progress_bar()
    try:
        common: dict[str, Any] = {"trust_remote_code": spec.trust_remote_code, "revision": spec.revision}
        tokenizer = AutoTokenizer.from_pretrained(place, **common)
        lm = AutoModelForCausalLM.from_pretrained(place, dtype="auto", use_safetensors=True, **common)
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise ModelError(explain_load_failure(spec, error)) from error
    if not tokenizer.is_fast:
        raise ModelError(f"model '{spec.name}' has no fast tokenizer; mixplan needs token offsets. Convert it first.")
    day = hold_template(tokenizer, spec.name, settings=spec.chat_template_kwargs, date=spec.template_date)
    dtype, why = resolve_dtype(spec.dtype, device, text_config(lm).hidden_size)
    lm = lm.eval().requires_grad_(False).to(device=device, dtype=DTYPES[dtype])
    return Model(
        lm=lm,
        tokenizer=tokenizer,
        name=spec.name,
        dtype=dtype,
        why_dtype=why,
        device=device,
        blocks=decoder_blocks(lm),
        window=int(getattr(text_config(lm), "max_position_embeddings", 2048)),
        fingerprint=fingerprint(lm, dtype),
        place=place,
        template_date=day,
    )


def find(spec: ModelSpec, folder: Path) -> str:
    """Where transformers finds the model: the embedded one's folder, a local folder, or a hub id."""
    if spec.name == "embedded":
        return str(embedded_folder())
    local = folder / Path(spec.name).expanduser()
    return str(local) if local.is_dir() else spec.name


def embedded_folder() -> Path:
    """The embedded model as an ordinary folder that transformers and TRL load, made once from its GGUF file.

    transformers refuses to save a model it read from GGUF, so the model is rebuilt from its config (without the
    quantisation entry) and its state dict.
    """
    folder = embedded.converted_folder()
    if (folder / "config.json").exists():
        return folder
    gguf = embedded.gguf_file()
    transformers_logging.disable_progress_bar()
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars cannot be switched off otherwise
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        lm = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = lm.config.to_dict()
    config.pop("quantization_config", None)
    rebuilt = AutoModelForCausalLM.from_config(type(lm.config).from_dict(config), dtype=torch.float32)
    rebuilt.load_state_dict(lm.state_dict())
    with translated(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as part:
            made = Path(part) / "model"
            rebuilt.save_pretrained(made)
            tokenizer.save_pretrained(made)
            # Another process may have made it meanwhile; the first one stands.
            with contextlib.suppress(OSError):
                made.rename(folder)
    return folder


def explain_load_failure(spec: ModelSpec, error: Exception) -> str:
    """One message for transformers' many ways to fail at loading, with what to do."""
    text = " ".join(str(error).split())
    if "trust_remote_code" in text:
        return (
            f"model '{spec.name}' brings code of its own, which mixplan does not run unasked. "
            "If you have read and trust it, set `model.trust_remote_code: true`."
        )
    if "gated" in text or "401" in text or "403" in text:
        return f"model '{spec.name}' is gated or private. Accept its terms on the hub and run `hf auth login`."
    if isinstance(error, OSError):
        return (
            f"model '{spec.name}' is neither a local folder with safetensors weights nor reachable on the hub. "
            f"Check `model.name`, or fetch it once with `hf download {spec.name}`. (transformers: {text[:300]})"
        )
    return f"model '{spec.name}' cannot be loaded as a causal LM: {text[:400]}"


def text_config(lm: PreTrainedModel) -> Any:
    """The language model's config, also where it sits inside a multi-modal one."""
    return lm.config.get_text_config()


def decoder_blocks(lm: PreTrainedModel) -> nn.ModuleList:
    """Find the stack of decoder blocks: the module list with one entry a layer.

    Raises:
        ModelError: the model has no such stack.
    """
    count = text_config(lm).num_hidden_layers
    for module in lm.get_decoder().modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ModelError(f"{type(lm).__name__} has no stack of {count} decoder blocks; mixplan reads decoder-only models.")


def fingerprint(lm: PreTrainedModel, dtype: str) -> str:
    """Hash of a loaded model's tensors and compute type (64 hexadecimal digits)."""
    return content_hash(fingerprint_tensors(lm.state_dict()), dtype)


def fingerprint_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Hash, for every tensor, its name, shape, type and at least 1,024 evenly spaced values.

    A full hash of a large model takes minutes; an edit that misses every sampled value of every tensor is not a
    trained or converted model but a crafted one.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        flat = tensor.detach().reshape(-1)
        step = max(1, flat.numel() // 1024)
        sample = flat[::step].to(device="cpu", dtype=torch.float32).contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()
