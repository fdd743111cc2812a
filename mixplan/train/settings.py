"""Puts the recipe's values over defaults that fit a job of any length, in TRL's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mixplan.mixture.trl_config import SFT_LENGTH
from mixplan.train.job import Job
from mixplan.train.trackers import tracked_run
from mixplan.train.trainable_model import model_config

Arguments = dict[str, Any]
"""Arguments of TRL or of `from_pretrained`, whose values only these know."""


def defaults(job: Job, run: Path) -> Arguments:
    """What a recipe need not say, in TRL's words.

    Logs and checkpoints come by share of all steps: 100 points a curve at most, and no more than a tenth lost to a
    kill. A loss that is not a number is shown as it is.
    """
    gpu = on_gpu(job)
    return {
        "report_to": "none",
        "logging_strategy": "steps",
        "logging_steps": 0.01,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": 0.1,
        "save_total_limit": 2,
        "disable_tqdm": True,
        "ddp_find_unused_parameters": False,
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        **mixed_precision(job),
        **router_loss(job),
        **given(job),
        **tracked_name(run),
        # Not the recipe's to say: where checkpoints are looked for, and how the model is loaded.
        "output_dir": str(run / "training" / "checkpoints"),
        "model_init_kwargs": model_arguments(job),
    }


def given(job: Job) -> Arguments:
    """What the recipe says in TRL's words; its `bf16: null` is as if it said nothing, which TRL takes for true."""
    return {key: value for key, value in job.train["args"].items() if (key, value) != ("bf16", None)}


def tracked_name(run: Path) -> dict[str, str]:
    """The name of the job's run on its trackers, under which a later start goes on with it."""
    tracked = tracked_run(run)
    return {"run_name": tracked.name} if tracked else {}


def router_loss(job: Job) -> dict[str, float]:
    """No auxiliary loss where TRL fails at it: it asks for `num_experts`, which Llama 4 and Phi-MoE call otherwise."""
    config = model_config(job).get_text_config()
    countless = hasattr(config, "output_router_logits") and not hasattr(config, "num_experts")
    return {"router_aux_loss_coef": 0.0} if countless else {}


def on_gpu(job: Job) -> bool:
    """Whether the job computes on a GPU."""
    return bool(job.model["device"] != "cpu" and (torch.cuda.is_available() or torch.backends.mps.is_available()))


def mixed_precision(job: Job) -> dict[str, bool]:
    """Compute in bfloat16 on a GPU that has it; on a CPU only where `model.dtype` asks for it, as few are faster so."""
    dtype = job.model["dtype"]
    if not on_gpu(job):
        return {"bf16": dtype == "bfloat16", "fp16": False}
    able = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    half = dtype == "float16" or (dtype == "auto" and torch.cuda.is_available() and not able)
    return {"bf16": dtype == "bfloat16" or (dtype == "auto" and able), "fp16": half}


def model_arguments(job: Job) -> Arguments:
    """How transformers loads the model: float32 where its own weights are trained, so that small updates are kept.

    Under an adapter the frozen weights may be bfloat16.
    """
    given = job.train["args"].get("model_init_kwargs") or {}
    frozen = job.train["lora"] is not None and on_gpu(job) and mixed_precision(job)["bf16"]
    return {
        "dtype": "bfloat16" if frozen else "float32",
        "revision": job.model["revision"],
        "trust_remote_code": job.model["trust_remote_code"],
        "use_safetensors": True,
        **given,
    }


def sft_length(job: Job) -> int | None:
    """Where a row is cut: the recipe's `max_length`, else TRL's own or the model's window, whichever is shorter."""
    if "max_length" in job.train["args"]:
        length: int | None = job.train["args"]["max_length"]
        return length
    config = model_config(job).get_text_config()
    return min(SFT_LENGTH, int(getattr(config, "max_position_embeddings", SFT_LENGTH)))
