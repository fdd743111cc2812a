"""Loads the model that TRL trains in the class that mixplan reads, and decides what of it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import PartialState
from peft import LoraConfig
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from trl.trainer.utils import create_model_from_path

from mixplan.model import is_wrapped, model_class
from mixplan.model.adapted import adapter_config, all_linear
from mixplan.model.load import refuse_misfits
from mixplan.train.job import Job
from mixplan.train.tokens import model_place


def model_config(job: Job) -> PreTrainedConfig:
    """The untrained model's config, as it is stored."""
    config: PreTrainedConfig = AutoConfig.from_pretrained(
        model_place(job), revision=job.model["revision"], trust_remote_code=job.model["trust_remote_code"]
    )
    return config


def untrained_model(job: Job, arguments: Mapping[str, Any]) -> PreTrainedModel:
    """Load the model to train.

    TRL would choose its class by the config's `architectures` alone, which some models lack and others fill with the
    name of a base model or a classifier.

    Args:
        job: The job.
        arguments: Of `from_pretrained`, as TRL's `model_init_kwargs`.

    Raises:
        ModelError: transformers has no class for it, or its files lack weights.
    """
    several = PartialState().distributed_type in ("MULTI_GPU", "DEEPSPEED")
    loaded: Any = create_model_from_path(
        model_place(job),
        architecture=model_class(model_config(job), job.model["name"]),
        **arguments,
        **({"device_map": None} if several else {}),
        output_loading_info=True,
    )
    refuse_misfits(loaded[0], loaded[1], job.model["name"])
    return made_trainable(loaded[0])


def weightless_model(job: Job) -> PreTrainedModel:
    """The model to train, built from its config without memory for its weights (torch's meta device).

    Raises:
        ModelError: transformers has no class for it.
    """
    config = model_config(job)
    with torch.device("meta"):
        lm: PreTrainedModel = model_class(config, job.model["name"])._from_config(config)
    return made_trainable(lm)


def made_trainable(lm: PreTrainedModel) -> PreTrainedModel:
    """Have TRL find the model's parts, and leave towers for other inputs than text out of training."""
    if lm.base_model is lm:
        # TRL takes the states in front of the output head from it; Llama 4's text model names another attribute.
        inside = [name for name, part in lm.named_children() if part is lm.get_decoder() or hasattr(part, "layers")]
        lm.base_model_prefix = inside[0] if inside else lm.base_model_prefix
    if is_wrapped(lm):
        # Text alone leaves the other towers without gradients, at which several processes would wait for ever.
        trained = {id(value) for part in (lm.get_decoder(), lm.get_output_embeddings()) for value in part.parameters()}
        for value in lm.parameters():
            value.requires_grad_(id(value) in trained)
    return lm


def adapter(job: Job, lm: PreTrainedModel) -> LoraConfig | None:
    """Peft's config of the job's adapter; None for full fine-tuning."""
    return None if job.train["lora"] is None else adapter_config(job.train["lora"], lm)


def adapts_all_layers(job: Job) -> bool:
    """Whether a job trains an adapter on all linear layers, or on those of mixplan's choice."""
    lora = job.train["lora"]
    return lora is not None and (not lora.get("target_modules") or all_linear(lora))
