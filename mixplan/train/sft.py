"""A job and its mixture in, TRL's SFT trainer and what it reads of each domain out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from mixplan.chat.calls import parted_tools
from mixplan.errors import TrainError
from mixplan.train.consumption import Consumption, read_back, trainable_tokens
from mixplan.train.job import Job
from mixplan.train.settings import defaults, model_arguments, sft_length
from mixplan.train.untrained import adapter, untrained_model


class UnpackedFirst(SFTTrainer):
    """TRL's trainer, which keeps its prepared rows before it packs them: a packed row names no domain."""

    unpacked: Dataset | None = None

    def _prepare_dataset(self, dataset: Any, tokenizer: Any, args: Any, packing: bool, *rest: Any) -> Any:
        if not packing:
            return super()._prepare_dataset(dataset, tokenizer, args, packing, *rest)
        self.unpacked = super()._prepare_dataset(dataset, tokenizer, args, False, *rest)
        return super()._prepare_dataset(self.unpacked, tokenizer, args, True, *rest)


def trl_config(job: Job, run: Path) -> SFTConfig:
    """TRL's config of the job; making it also joins the job's other processes."""
    return SFTConfig(**{**defaults(job, run), "completion_only_loss": True, "max_length": sft_length(job)})


def trl_trainer(
    job: Job, config: SFTConfig, rows: Dataset, tokenizer: PreTrainedTokenizerBase, callback: TrainerCallback
) -> UnpackedFirst:
    """TRL's trainer, its rows prepared."""
    lm = untrained_model(job, model_arguments(job))
    return UnpackedFirst(
        model=lm,
        args=config,
        train_dataset=rows,
        processing_class=tokenizer,
        callbacks=[callback],
        peft_config=adapter(job, lm),
    )


def cycle_steps(config: SFTConfig) -> int:  # noqa: ARG001 - as for GRPO
    """Optimiser steps between places where a checkpoint loses nothing: every one."""
    return 1


def consumed(job: Job, trainer: UnpackedFirst, rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> Consumption:
    """Count what the trainer has prepared, and hold it against the plan.

    Raises:
        TrainError: it is not what was planned.
    """

    def length(messages: list[dict[str, str]], awaiting: bool) -> int:
        tools, said = parted_tools([(turn["role"], turn["content"]) for turn in messages])
        text = tokenizer.apply_chat_template(
            messages[-len(said) :], tools=tools, tokenize=False, add_generation_prompt=awaiting
        )
        return len(tokenizer(str(text), add_special_tokens=False)["input_ids"])

    prepared = trainer.train_dataset if trainer.unpacked is None else trainer.unpacked
    limit: int | None = vars(trainer.args)["max_length"]
    found = read_back(rows, prepared, planned=job.planned_rows, limit=limit, length=length)
    counted = sum(entry["trainable_tokens"] for entry in found.domains.values())
    if trainer.unpacked is not None and (packed := trainable_tokens(trainer.train_dataset)) != counted:
        raise TrainError(
            f"training: the rows hold {counted} trainable tokens, but {packed} after packing. "
            "Set train.args.packing_strategy to bfd, or leave packing out."
        )
    return found
