"""Chooses the transformers class that a model is loaded and trained with, and finds its decoder blocks."""

from __future__ import annotations

from typing import Any

import transformers
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from mixplan.errors import ModelError

OUTPUT_SWITCHES = {
    "output_router_logits": False,
    "output_attentions": False,
    "output_hidden_states": False,
    "return_dict": True,
    "use_cache": True,
}
"""Entries of a config that decide what a forward pass returns. They say nothing of the model, and a trainer leaves its
own there, as TRL does for a mixture of experts, whose outputs then ask for a padding mask."""


def model_class(config: PreTrainedConfig, name: str) -> Any:
    """The class of a causal LM, alone or inside an image-text model: one choice for reading, training and adapters.

    The config's own `architectures` decide where they name such a class, as TRL's command line does; a base model's or
    a classifier's name gives way to the causal LM of its model type.

    Args:
        config: The model's.
        name: The model's, for the message.

    Raises:
        ModelError: transformers has no such class for it.
    """
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"model '{name}' is an encoder-decoder ({config.model_type}); mixplan reads decoder-only language models. "
            "Choose one."
        )
    if getattr(config, "auto_map", None) and "AutoModelForCausalLM" in config.auto_map:
        return AutoModelForCausalLM
    named = [name for name in config.architectures or () if name in language_model_classes()]
    found = [getattr(transformers, name) for name in named if hasattr(transformers, name)]
    for mapping in (MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING):
        if type(config) in mapping:
            entry = mapping[type(config)]
            found += entry if isinstance(entry, tuple) else [entry]
    for kind in found:
        # The causal LM of some image-text models is made from their text config alone; a config of one part may be
        # another family's with a name of its own, as InternLM3's is Llama's.
        if isinstance(config, kind.config_class) or not config.sub_configs:
            return kind
    raise ModelError(
        f"model '{name}' is a {config.model_type} model, for which transformers {transformers.__version__} has neither "
        "a causal language model nor an image-text model. Choose a decoder-only language model."
    )


def language_model_classes() -> set[str]:
    """Names of transformers' causal LMs and image-text models."""
    tables = (MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
    return {
        name for table in tables for entry in table.values() for name in ([entry] if isinstance(entry, str) else entry)
    }


def switch_outputs(config: PreTrainedConfig) -> None:
    """Have forward passes return what reading expects, whatever a trainer left in the config."""
    for part in {id(each): each for each in (config, config.get_text_config())}.values():
        for name, value in OUTPUT_SWITCHES.items():
            if hasattr(part, name):
                setattr(part, name, value)


def text_config(lm: PreTrainedModel) -> Any:
    """The language model's config, also where it sits inside a multi-modal one."""
    return lm.config.get_text_config()


def decoder_blocks(lm: PreTrainedModel) -> nn.ModuleList:
    """Find the stack of decoder blocks: the module list with one entry a layer.

    Raises:
        ModelError: the model has no such stack.
    """
    config = text_config(lm)
    # A config may count the caches of layers that hold two attentions each; its `num_layers` are then the blocks.
    for count in (config.num_hidden_layers, getattr(config, "num_layers", None)):
        for module in (*lm.get_decoder().modules(), *lm.modules()):
            if isinstance(module, nn.ModuleList) and len(module) == count:
                return module
    raise ModelError(
        f"{type(lm).__name__} has no stack of {config.num_hidden_layers} decoder blocks; mixplan reads decoder-only "
        "models."
    )


def is_wrapped(lm: PreTrainedModel) -> bool:
    """Whether the language model is a part of a larger one, such as an image-text model."""
    return text_config(lm) is not lm.config
