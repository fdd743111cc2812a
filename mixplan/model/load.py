"""Loads a causal LM as the recipe names it, whole or up to a block, in evaluation mode."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from mixplan.errors import ModelError
from mixplan.model.answer_ends import answer_ends
from mixplan.model.converted import embedded_folder
from mixplan.model.device import (
    DTYPES,
    is_dispatched,
    keep_freed_memory,
    main_device,
    placement,
    resolve_device,
    resolve_dtype,
)
from mixplan.model.families import OUTPUT_SWITCHES, decoder_blocks, model_class, switch_outputs, text_config
from mixplan.model.finite import refuse_weights
from mixplan.model.tokenizer_template import hold_template, template_source
from mixplan.model.truncated import partial_class
from mixplan.recipe import ModelSpec
from mixplan.recipe.model_folder import absent_model
from mixplan.recipe.paths import local_path
from mixplan.runs import content_hash
from mixplan.weights import weight_files, weights_hash

FAILURES = (OSError, ValueError, ImportError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError)
"""What transformers raises on files that do not hold what their names promise."""

SET_AT_LOADING = ("_name_or_path", "_attn_implementation", "dtype", "torch_dtype", "transformers_version")
"""Entries of a config that say where a model was found or how it was loaded, not what it is."""


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
        weights: Hash of its weights as they are stored, whatever computes with them: the model's identity.
        settings: Hash of its config with all defaults, and of the tokens that end its answers.
        place: Where transformers found it: a folder or a hub id.
        adapter: Folder of the adapter on top of it, for a trained model that is one.
        loaded_blocks: How many of the blocks hold their weights; None where all do and it can answer.
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
    weights: str
    settings: str
    place: str = ""
    adapter: Path | None = None
    loaded_blocks: int | None = None
    template_date: str | None = None

    @property
    def fingerprint(self) -> str:
        """Hash over weights, config and compute type: what its activations depend on."""
        return self.fingerprint_in(self.dtype)

    def fingerprint_in(self, dtype: str) -> str:
        """What `fingerprint` is where the same model computes in another type."""
        return content_hash(self.weights, self.settings, dtype)

    @property
    def config(self) -> str:
        """Hash of what its config states: with the weights, what function it is, whatever library runs it."""
        return content_hash(stated(json.loads(self.lm.config.to_json_string(use_diff=True))))

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(text_config(self.lm).hidden_size)

    @property
    def parameters(self) -> int:
        """Number of parameters, of the blocks that are not loaded too."""
        whole: int | None = getattr(self.lm, "whole_parameters", None)
        return sum(p.numel() for p in self.lm.parameters()) if whole is None else whole


def device_of(spec: ModelSpec) -> torch.device:
    """Where a model will run; on a CPU, what a pass frees serves the next one from here on."""
    device = resolve_device(spec.device)
    if device.type == "cpu":
        keep_freed_memory()
    return device


def load_model(spec: ModelSpec, *, folder: Path = Path(), depth: int | None = None) -> Model:
    """Load the untrained model and its tokenizer.

    Args:
        spec: A hub id, a local folder (relative to `folder`), or `embedded`.
        folder: Folder of the YAML that names a local folder.
        depth: Blocks that will be read; the weights above them are not loaded, and the model can do no more than be
            read up to there. All where None, and in a quantised model.

    Raises:
        ModelError: the model is missing or not whole, not a decoder-only LM, holds weights that are not numbers, or its
            device is not here.
    """
    device = device_of(spec)
    place = find(spec, folder)
    common: dict[str, object] = {"trust_remote_code": spec.trust_remote_code, "revision": spec.revision}
    with refusals(spec):
        config = AutoConfig.from_pretrained(place, **common)
        tokenizer = AutoTokenizer.from_pretrained(place, **common)
    kind = model_class(config, spec.name)
    switch_outputs(config)
    if not tokenizer.is_fast:
        raise ModelError(f"model '{spec.name}' has no fast tokenizer; mixplan needs token offsets. Convert it first.")
    day = hold_template(tokenizer, spec.name, settings=spec.chat_template_kwargs, date=spec.template_date)
    dtype, why = resolve_dtype(spec.dtype, device, config.get_text_config().hidden_size)
    if depth is not None and hasattr(kind, "base_model_prefix") and not hasattr(config, "quantization_config"):
        kind = partial_class(kind, depth)
    with refusals(spec):
        lm, loading = kind.from_pretrained(
            place,
            config=config,
            dtype=DTYPES[dtype],  # not cast later, which would cast the positions' frequencies too
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            **placement(spec, device),
            **common,
        )
    refuse_misfits(lm, loading, spec.name)
    refuse_weights(lm, spec.name, dtype)
    lm = lm.eval().requires_grad_(False)
    if not is_dispatched(lm) and not hasattr(lm, "hf_quantizer"):
        lm = lm.to(device=device)
    weights = stored_weights(place, spec.revision)
    return Model(
        lm=lm,
        tokenizer=tokenizer,
        name=spec.name,
        dtype=dtype,
        why_dtype=why,
        device=main_device(lm, device),
        blocks=decoder_blocks(lm),
        window=int(getattr(text_config(lm), "max_position_embeddings", 2048)),
        weights=weights,
        settings=content_hash(settings_of(lm), ends_of(lm), *unstated_ends(lm, tokenizer)),
        place=place,
        loaded_blocks=depth if isinstance(getattr(lm, "whole_parameters", None), int) else None,
        template_date=day,
    )


@contextlib.contextmanager
def refusals(spec: ModelSpec) -> Iterator[None]:
    """Turn transformers' many ways to fail at loading into one message, and keep its tables off the screen."""
    transformers_logging.disable_progress_bar()
    loudness = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    except (*FAILURES, StrictDataclassError) as error:
        raise ModelError(explain_load_failure(spec, error)) from error
    finally:
        transformers_logging.set_verbosity(loudness)


def refuse_misfits(lm: PreTrainedModel, loading: Mapping[str, Any], name: str) -> None:
    """Hold that every weight came from the files: transformers fills those that did not with random values.

    Raises:
        ModelError: a weight is not in the files, or has another shape there.
    """
    if mismatched := sorted(str(entry[0]) for entry in loading["mismatched_keys"]):
        raise ModelError(
            f"model '{name}': {len(mismatched)} weights have another shape in the files than config.json says, "
            f"'{mismatched[0]}' first. The two belong to different models; fetch both again."
        )
    if missing := sorted(loading["missing_keys"]):
        raise ModelError(
            f"model '{name}': its files lack {len(missing)} weights of a {type(lm).__name__}, '{missing[0]}' first. "
            "They were cut, or are of a model of another kind; fetch it again, or choose a causal language model."
        )


def find(spec: ModelSpec, folder: Path) -> str:
    """Where transformers finds the model: the embedded one's folder, a local folder, or a hub id.

    Raises:
        ModelError: the name can only be a folder's, and none is there, or the folder is not whole.
    """
    if spec.name == "embedded":
        return str(embedded_folder())
    if problem := absent_model(spec.name, folder):
        raise ModelError(f"model '{spec.name}' cannot be loaded: {problem}")
    local = folder / local_path(spec.name)
    return str(local) if local.is_dir() else spec.name


def explain_load_failure(spec: ModelSpec, error: Exception) -> str:
    """One message for one failure, with what to do."""
    text = " ".join(str(error).split())
    first = text.split(". ")[0][:300].rstrip(".")
    if "trust_remote_code" in text:
        return (
            f"model '{spec.name}' brings code of its own, which mixplan does not run unasked. "
            "If you have read and trust it, set `model.trust_remote_code: true`."
        )
    if "gated" in text or "401" in text or "403" in text:
        return f"model '{spec.name}' is gated or private. Accept its terms on the hub and run `hf auth login`."
    if "out of memory" in text.lower():
        return (
            f"model '{spec.name}' does not fit the memory of its device. Set `model.dtype: bfloat16`, or place it over "
            "several devices and the CPU with `model.device_map: auto`."
        )
    if isinstance(error, ImportError):
        return (
            f"model '{spec.name}' needs a package that is not installed: {first}. Install it, or choose weights that "
            "are stored without it."
        )
    if isinstance(error, OSError):
        return (
            f"model '{spec.name}' is neither a local folder with safetensors weights nor reachable on the hub. "
            f"Check `model.name`, or fetch it once with `hf download {spec.name}`. (transformers: {first})"
        )
    return f"model '{spec.name}' cannot be loaded as a causal LM: {first}. Check its files, or choose another model."


def stored_weights(place: str, revision: str | None) -> str:
    """Hash of a model's weight files, in a folder or in the hub's cache.

    Raises:
        ModelError: a file is missing or cut.
    """
    config = try_to_load_from_cache(place, "config.json", revision=revision) if not Path(place).is_dir() else None
    folder = Path(config).parent if isinstance(config, str) else Path(place)
    files = weight_files(folder) if folder.is_dir() else []
    if not files:
        raise ModelError(f"model '{place}' is not whole: its weight files are not where its config is. Fetch it again.")
    return weights_hash(files)


def settings_of(lm: PreTrainedModel) -> dict[str, object]:
    """The config's values on which activations depend, as JSON values."""
    values: dict[str, object] = json.loads(lm.config.to_json_string(use_diff=False))
    return {name: value for name, value in values.items() if name not in SET_AT_LOADING}


def ends_of(lm: PreTrainedModel) -> Any:
    """The tokens that end an answer by the generation config, which a person may mend without a new config."""
    return getattr(lm.generation_config, "eos_token_id", None)


def unstated_ends(lm: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Those that the tokenizer or its chat template says beside, in one list; none where they say no others."""
    stated = ends_of(lm)
    further = answer_ends(lm, tokenizer) - {*(stated if isinstance(stated, list) else [stated])}
    return [sorted(further)] if further else []


def stated(value: Any) -> Any:
    """A config's JSON values without those that say how it was loaded or what a forward pass returns."""
    if not isinstance(value, dict):
        return value
    left_out = (*SET_AT_LOADING, *OUTPUT_SWITCHES, "architectures", "pad_token_id")
    return {name: stated(part) for name, part in value.items() if name not in left_out}


def settings_now(spec: ModelSpec, folder: Path) -> tuple[str, str]:
    """What a model's config states and its chat template, held to the recipe, without loading its weights.

    Args:
        spec: The recipe's section.
        folder: Folder of the YAML that names a local folder.

    Returns:
        Hashes as in `Model.config` and in a plan's `model.chat_template`.

    Raises:
        ModelError: a file is missing or damaged.
    """
    place = find(spec, folder)
    common: dict[str, object] = {"trust_remote_code": spec.trust_remote_code, "revision": spec.revision}
    with refusals(spec):
        config = AutoConfig.from_pretrained(place, **common)
        tokenizer = AutoTokenizer.from_pretrained(place, **common)
    hold_template(tokenizer, spec.name, settings=spec.chat_template_kwargs, date=spec.template_date)
    values = stated(json.loads(config.to_json_string(use_diff=True)))
    return content_hash(values), content_hash(template_source(tokenizer))


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
