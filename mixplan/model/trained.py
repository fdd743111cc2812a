"""Loads a trained model afresh from its folder, a full one or an adapter on the untrained one."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from mixplan.errors import ModelError
from mixplan.model.answer_ends import stated_ends
from mixplan.model.device import is_dispatched, placement_around
from mixplan.model.load import Model, load_model
from mixplan.recipe import ModelSpec
from mixplan.runs import content_hash
from mixplan.weights import weights_hash

ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
FULL = "config.json"


def load_trained(spec: ModelSpec, trained: Path, *, folder: Path = Path(), depth: int | None = None) -> Model:
    """Load a trained model from its folder.

    An adapter is put on the untrained model that the recipe names. In float32 it is merged into it, which changes no
    answer; in a shorter type merging would round the change away, so there it stays beside the weights, as it does on a
    quantised model, on one that is spread over several devices, and on weights that other layers share.

    Args:
        spec: The untrained model's section; its device and type hold for the trained one too.
        trained: A folder with an adapter (`adapter_config.json`) or a full model (`config.json`).
        folder: Folder of the YAML that names a local untrained model.
        depth: Blocks that will be read, as in `load_model`; an adapter's model is loaded whole.

    Raises:
        ModelError: the folder is not there, a file is missing or damaged, or the adapter fits another model.
    """
    if (trained / ADAPTER[0]).exists():
        return load_adapter(spec, trained, folder)
    if not (trained / FULL).exists():
        raise ModelError(
            f"{trained}: no trained model here; expected {ADAPTER[0]} with {ADAPTER[1]}, or {FULL} with safetensors "
            "weights. Run `mixplan train` on the run again."
        )
    own = spec.model_copy(update={"name": str(trained.resolve()), "revision": None})
    try:
        model = load_model(own, depth=depth)
    except ModelError as error:
        raise damaged(trained, str(error)) from error
    return replace(model, name=f"{spec.name}, trained")


def load_adapter(spec: ModelSpec, trained: Path, folder: Path) -> Model:
    """The untrained model with the adapter on top."""
    from peft import PeftModel  # slow to import, and only trained models need it

    settings = read_settings(trained)
    base = load_model(spec, folder=folder)
    try:
        options = placement_around(base.lm, spec)
        with warnings.catch_warnings():
            # What it misses is held against the file below, and put in place or refused.
            warnings.filterwarnings("ignore", message="Found missing adapter keys")
            # peft asks what transformers has renamed: nobody here can mend it.
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
            wrapped: Any = PeftModel.from_pretrained(base.lm, str(trained), torch_device=str(base.device), **options)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:  # of damage
        why = " ".join(str(error).split())[:300]
        raise damaged(trained, f"the adapter cannot be put on '{spec.name}': {why}") from error
    refuse_strangers(wrapped, trained, spec.name)
    put_in_place(wrapped, trained / ADAPTER[1])
    merge = (
        base.dtype == "float32"
        and not is_dispatched(base.lm)
        and not hasattr(base.lm, "hf_quantizer")
        and not settings.get("lora_bias")
        and not on_shared_weights(wrapped)
    )
    lm = wrapped.merge_and_unload() if merge else wrapped.get_base_model()
    lm = lm.eval().requires_grad_(False)
    weights = content_hash(base.weights, weights_hash([trained / ADAPTER[1]]), settings)
    found = replace(base, lm=lm, name=f"{spec.name}, trained", weights=weights, adapter=trained.resolve())
    return ending_as_trained(found, trained)


def ending_as_trained(model: Model, trained: Path) -> Model:
    """The model with the end of text that it was trained to say, where the tokenizer beside the adapter has another.

    So it is after a training with `eos_token`, which teaches a base model to end its turns.
    """
    text = stated_end(trained)
    end = None if text is None else model.tokenizer.get_vocab().get(text)
    if end is None or end in (ends := stated_ends(model.lm, model.tokenizer)) or model.lm.generation_config is None:
        return model
    model.lm.generation_config.eos_token_id = sorted({*ends, end})
    return replace(model, settings=content_hash(model.settings, end))


def stated_end(trained: Path) -> str | None:
    """The end of text of the tokenizer in a folder; None where there is none, or its settings cannot be read."""
    with suppress(OSError, ValueError):
        values = json.loads((trained / "tokenizer_config.json").read_text(encoding="utf-8"))
        stated = values.get("eos_token") if isinstance(values, dict) else None
        text = stated.get("content") if isinstance(stated, dict) else stated
        return text if isinstance(text, str) else None
    return None


def refuse_strangers(wrapped: Any, trained: Path, name: str) -> None:
    """Hold that the adapter's file and the layers that it was put on are the same.

    Raises:
        ModelError: peft left layers as they were, or tensors of the file aside, which it says in a warning at most.
    """
    from peft import get_peft_model_state_dict  # as above

    with safe_open(trained / ADAPTER[1], framework="pt") as file:
        stored = set(file.keys())
    placed = set(get_peft_model_state_dict(wrapped, save_embedding_layers=False))
    if missing := sorted(placed - stored):
        raise damaged(trained, f"the adapter has no tensor '{missing[0]}', which '{name}' needs of it")
    if strange := sorted(key for key in stored - placed if "lora_" in key):
        raise damaged(trained, f"'{name}' has no layer for the adapter's tensor '{strange[0]}'")


def put_in_place(wrapped: Any, file: Path) -> int:
    """Put those tensors of an adapter's file in their layers that peft has passed over.

    peft renames a file's tensors by transformers' table of older names before it looks for their layers; where a new
    name looks like an old one (Laguna's shared experts, Inkling 2's short convolutions), it finds none, warns, and
    leaves the layers as they began.

    Args:
        wrapped: Peft's model, with the adapter on it.
        file: The adapter's safetensors file, whose names are those of its layers; see `refuse_strangers`.

    Returns:
        How many tensors were put in place.
    """
    from peft import get_peft_model_state_dict  # as above

    placed = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    mended = 0
    with torch.no_grad(), safe_open(file, framework="pt") as stored:
        for name in stored.keys():  # noqa: SIM118 - not a mapping
            held = placed.get(name)
            if held is None or held.is_meta:
                continue
            value = stored.get_tensor(name).to(held)
            if not torch.equal(held, value):
                held.copy_(value)  # shares its memory with the layer's
                mended += 1
    return mended


def on_shared_weights(wrapped: Any) -> bool:
    """Whether an adapter lies on a weight that another layer has too, into which merging would change that one as well.

    So it is with embeddings that are tied to the output head, and with peft's `layer_replication`.
    """
    uses = Counter(id(value) for _, value in wrapped.named_parameters(remove_duplicate=False))
    adapted = (module for module in wrapped.modules() if hasattr(module, "base_layer") and hasattr(module, "lora_A"))
    return any(uses[id(value)] > 1 for module in adapted for value in module.get_base_layer().parameters())


def read_settings(trained: Path) -> dict[str, object]:
    """An adapter's settings, once both of its files are there.

    Raises:
        ModelError: one is missing or damaged.
    """
    if not (trained / ADAPTER[1]).exists():
        raise damaged(trained, f"{ADAPTER[1]} is missing")
    try:
        settings = json.loads((trained / ADAPTER[0]).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise damaged(trained, f"{ADAPTER[0]} is not JSON") from error
    if not isinstance(settings, dict) or "peft_type" not in settings:
        raise damaged(trained, f"{ADAPTER[0]} names no `peft_type`")
    return {name: value for name, value in settings.items() if name != "base_model_name_or_path"}


def damaged(trained: Path, what: str) -> ModelError:
    """The error for a trained folder that cannot be used."""
    return ModelError(
        f"{trained}: the trained model cannot be loaded: {what.rstrip('.')}. Run `mixplan train` on the run again."
    )
