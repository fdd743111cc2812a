"""Chooses the layers that an adapter changes, and keeps it off those whose weights the model reads past them."""

from __future__ import annotations

import copy
import functools
import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from mixplan.errors import TrainError
from mixplan.model.adapter_names import ALL_LINEAR, refuse_unmatched_names, refuse_unmatched_patterns
from mixplan.model.families import decoder_blocks, is_wrapped, text_config

ROUTERS = ("gate", "router", "shared_expert_gate")
"""Linear layers that choose experts, which an adapter leaves alone where the recipe does not name them."""
LINEAR = nn.Linear | Conv1D
READ = r"\bself\.{name}\.weight\b(?!\.(dtype|device|shape|size|new_|is_)|\[)"
"""How a module's source hands a layer's weight on, and not only its type, its place, its shape or a slice of it."""


def adapter_config(lora: Mapping[str, Any], lm: PreTrainedModel) -> LoraConfig:
    """Peft's config of the adapter that a recipe asks for.

    Where the recipe names no layers and peft has no default for the model's type, all linear layers of the decoder's
    blocks are adapted but for routers. Of an image-text model only the language model is. `all-linear` leaves out what
    `unadaptable` finds.

    Args:
        lora: The recipe's `train.lora`.
        lm: The model, with or without weights.

    Raises:
        TrainError: the recipe names a layer that there is not or that cannot be adapted, or a pattern that is none.
    """
    refuse_broken_patterns(lora)
    refuse_unmatched_names(lora, lm)
    lora = {"task_type": "CAUSAL_LM", **copy.deepcopy(dict(lora))}  # peft writes into the lists that it is given
    if not lora.get("target_modules") and not lora.get("target_parameters"):
        # peft's own defaults too: by itself it finds none for a Mixtral (0.21.2 with transformers 5.23).
        lora["target_modules"] = default_targets(lm)
    excluded = lora.get("exclude_modules")
    patterns = [excluded] if isinstance(excluded, str) else [rf"(.*\.)?{re.escape(name)}" for name in excluded or ()]
    if is_wrapped(lm):
        names = {id(module): name for name, module in lm.named_modules()}
        decoder, head = (re.escape(names[id(part)]) for part in (lm.get_decoder(), lm.get_output_embeddings()))
        patterns.append(rf"(?!{decoder}\.|{head}$).*")
    broken = unadaptable(lm)
    if all_linear(lora):
        patterns += left_out(broken)
    if patterns:
        lora["exclude_modules"] = "|".join(patterns)
    config = LoraConfig(**lora)
    refuse_unmatched_patterns(config, lm)
    if not all_linear(lora):
        for name, why in broken.items():
            if check_target_module_exists(config, name):
                short = name.rpartition(".")[2]
                raise TrainError(
                    f"train.lora.target_modules names {short}, on which an adapter does nothing or fails: {why}. Take "
                    f"{short} out, or set `train.lora.target_modules: all-linear`, which leaves it out."
                )
    return config


def refuse_broken_patterns(lora: Mapping[str, Any]) -> None:
    """Refuse a text that is no regular expression, which peft takes for the names of layers.

    Raises:
        TrainError: it is none.
    """
    for key in ("target_modules", "exclude_modules"):
        pattern = lora.get(key)
        try:
            re.compile(pattern if isinstance(pattern, str) else "")
        except re.error as error:
            raise TrainError(
                f"train.lora.{key}: {pattern!r} is no regular expression ({error}). Write one, such as "
                f"'.*q_proj', or a list of layers' names: `{key}: [q_proj]`."
            ) from error


def default_targets(lm: PreTrainedModel) -> list[str] | str:
    """Layers that an adapter changes where the recipe names none, as names or as peft's pattern."""
    for config in (lm.config, text_config(lm)):
        if (usual := TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.get(config.model_type)) is not None:
            if isinstance(usual, str):
                return usual
            broken = {name.rpartition(".")[2] for name in unadaptable(lm)}
            return [name for name in usual if name not in broken]
    linear = {
        name.rpartition(".")[2] for name, module in decoder_blocks(lm).named_modules() if isinstance(module, LINEAR)
    }
    broken = {name.rpartition(".")[2] for name in unadaptable(lm)}
    return sorted(linear - set(ROUTERS) - broken)


def unadaptable(lm: nn.Module) -> dict[str, str]:
    """Find linear layers on which an adapter does nothing, or fails.

    The fused kernels of state-space models are handed a layer's weight, and some routers multiply by theirs, so that
    what peft puts around the layer is passed by: it trains nothing, on some machines alone. (peft 0.21.2 refuses
    `out_proj` for five model types; Bamba, Zamba 2, Granite's hybrids and others do the same.) Routers that are linear
    layers themselves, as Llama 4's, give more than one tensor, at which peft's layer fails.

    Args:
        lm: The model, with or without weights.

    Returns:
        Why, in words, by the layer's full name.
    """
    found = {}
    for name, module in lm.named_modules():
        for short, layer in module.named_children():
            full = f"{name}.{short}" if name else short
            if not isinstance(layer, LINEAR):
                continue
            kind = type(layer)
            if re.search(READ.format(name=re.escape(short)), source(type(module))):  # type: ignore[arg-type]  # a class is hashable
                found[full] = f"{type(module).__name__} reads its weight past it"
            elif kind.forward not in (nn.Linear.forward, Conv1D.forward) and "Router" in kind.__name__:
                found[full] = f"{kind.__name__} gives more than one tensor"
    return found


def all_linear(lora: Mapping[str, Any]) -> bool:
    """Whether an adapter is asked for on all linear layers, which peft takes in any case of letters."""
    return str(lora.get("target_modules")).lower() == ALL_LINEAR


def unadapted_warning(lm: nn.Module) -> str | None:
    """Say which linear layers an adapter on all of them leaves out.

    Args:
        lm: The model with the adapter on it.

    Returns:
        A sentence; None where it leaves out none.
    """
    found = unadaptable(lm)
    if not found:
        return None
    names = ", ".join(sorted({name.rpartition(".")[2] for name in found}))
    return f"The adapter leaves out {len(found)} linear layers ({names}): {'; '.join(sorted(set(found.values())))}."


@functools.cache
def source(kind: Any) -> str:
    """What transformers' own code of a module says, that of the classes it is made from included."""
    own = (part for part in kind.__mro__ if part.__module__.startswith("transformers.models."))
    return "".join(map(inspect.getsource, own))


def left_out(broken: Iterable[str]) -> list[str]:
    """Patterns of layers' full names, those of all blocks in one."""
    return list(dict.fromkeys(re.sub(r"\\\.\d+\\\.", r"\\.\\d+\\.", re.escape(name)) for name in broken))
