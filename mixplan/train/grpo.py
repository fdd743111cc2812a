"""A job and its mixture in, TRL's GRPO trainer with the recipe's rewards out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from mixplan.chat.template import ChatTemplate
from mixplan.errors import TrainError
from mixplan.grading.rewards import reward_functions
from mixplan.model import special_tokens, template_source
from mixplan.train.consumption import Consumption, count_prompts
from mixplan.train.job import Job
from mixplan.train.settings import defaults, model_arguments
from mixplan.train.untrained import adapter, untrained_model


def trl_config(job: Job, run: Path) -> GRPOConfig:
    """TRL's config of the job; making it also joins the job's other processes."""
    return GRPOConfig(**{**defaults(job, run), "reward_weights": list(job.train["rewards"].values())})


def trl_trainer(
    job: Job,
    config: GRPOConfig,
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    callback: TrainerCallback,
    lm: PreTrainedModel | None = None,
) -> GRPOTrainer:
    """TRL's trainer with the recipe's rewards; of the job's model, loaded, where none is given.

    What fails of the rewards is tallied in training/rewards.json.

    Raises:
        TrainError: the mixture is smaller than one batch of prompts, so that no step would be made.
    """
    prompts = prompts_a_batch(config)
    if len(rows) < prompts:
        raise TrainError(
            f"training: one step of this job takes {prompts} different prompts, but the mixture has {len(rows)} rows. "
            "Lower train.args.per_device_train_batch_size or gradient_accumulation_steps, or raise num_generations."
        )
    template = ChatTemplate(template_source(tokenizer), special_tokens(tokenizer), str(job.model["name"]))
    tally = Path(str(config.output_dir)).parent / "rewards.json"
    functions, _ = reward_functions(job.spec, tally=tally, opened=template.opened_reasoning)
    lm = lm or untrained_model(job, model_arguments(job))
    return GRPOTrainer(
        model=lm,
        reward_funcs=[*functions],
        args=config,
        train_dataset=rows,
        processing_class=tokenizer,
        callbacks=[callback],
        peft_config=adapter(job, lm),
    )


def cycle_steps(config: GRPOConfig) -> int:
    """Optimiser steps between places where a checkpoint loses nothing: those that share one batch of answers."""
    micro_steps = (config.steps_per_generation or 1) * config.num_iterations
    return max(1, -(-micro_steps // config.gradient_accumulation_steps))


def prompts_a_batch(config: Any) -> int:
    """Different prompts that are answered together."""
    return int(config.generation_batch_size) // int(config.num_generations)


def consumed(job: Job, trainer: GRPOTrainer, rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> Consumption:  # noqa: ARG001 - as for SFT
    """Count the prompts that the trainer draws from, and hold them against the plan.

    Raises:
        TrainError: they are not what was planned.
    """
    return count_prompts(trainer.train_dataset, planned=job.planned_rows, batch=prompts_a_batch(trainer.args))
