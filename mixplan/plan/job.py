"""Describes what a recipe's job trains with, so that changes measured after another job can be scaled to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixplan.errors import RunError
from mixplan.forecast import Job
from mixplan.mixture.trl_config import LORA_CONFIG, default_of
from mixplan.mixture.unread_rows import number, sources_of


def job_of(train: Mapping[str, Any], target_rows: int) -> Job | None:
    """What a job trains with on its target's rows alone.

    One process is assumed: how many there are is not settled before the job is started. How many rows of the mixture
    TRL packs into one of its own is not known before training either.

    Args:
        train: The resolved recipe's section `train`.
        target_rows: Rows of the target in the mixture.

    Returns:
        None where a number is a text or the installed TRL has no such default, or rows are packed without `max_steps`,
        so that it is not known before training.
    """
    args, sft = train["args"], train["method"] == "sft"
    sources = sources_of(train)
    try:
        rate = number(args, "learning_rate", sources)
        steps = number(args, "max_steps", sources)
        if steps <= 0:
            if packs(train):
                return None
            batch = number(args, "per_device_train_batch_size", sources)
            a_step = batch * number(args, "gradient_accumulation_steps", sources)
            answers = 1.0 if sft else number(args, "num_generations", sources)
            repeats = 1.0 if sft else number(args, "num_iterations", sources)
            steps = number(args, "num_train_epochs", sources) * target_rows * answers * repeats / a_step
        return Job(target_rows=target_rows, steps=steps, learning_rate=rate, adapter=adapter_of(train["lora"]))
    except (RunError, ValueError, TypeError, ZeroDivisionError):  # a file or value that TRL refuses later
        return None


def packs(train: Mapping[str, Any]) -> bool:
    """Whether TRL packs several rows of the mixture into one of its own, so that a step reads more than a batch."""
    return train["method"] == "sft" and bool(train["args"].get("packing"))


def uncounted_steps(train: Mapping[str, Any]) -> str | None:
    """Say that a packed job's steps are not known, so that no change is scaled to it; None where they are.

    Args:
        train: The resolved recipe's section `train`.
    """
    steps = train["args"].get("max_steps")
    if not packs(train) or (isinstance(steps, int | float) and steps > 0):
        return None
    return (
        "How many optimiser steps the job takes is not known before training, since `train.args.packing` puts several "
        "rows into one: changes that other jobs brought are not scaled to this one. Give `train.args.max_steps` to "
        "have them scaled."
    )


def adapter_of(lora: Mapping[str, Any] | None) -> str:
    """What is trained, in words that are equal where the same parameters are."""
    if lora is None:
        return "full"
    rank, alpha = (lora.get(key, default_of(LORA_CONFIG, key)) for key in ("r", "lora_alpha"))
    modules = lora.get("target_modules")
    where = modules if isinstance(modules, str) else "+".join(sorted(modules or [])) or "default modules"
    return f"LoRA r {rank} alpha {alpha} on {where}"
