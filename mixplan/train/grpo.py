"""Makes TRL's GRPO trainer of a job, with the recipe's rewards and a count of what it answers and learns from."""

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
from mixplan.train.consumption import Consumption, PreparedRow, count_prompts
from mixplan.train.job import Job
from mixplan.train.rows_read import Answered
from mixplan.train.settings import defaults, model_arguments
from mixplan.train.trainable_model import adapter, untrained_model

ROW = ("domain", "row_id", "repeat")
"""The columns that tell a row of the mixture from every other."""


class CountedTrainer(GRPOTrainer):
    """TRL's trainer, which counts the prompts that it has answered and the tokens of the answers that it learns from.

    Attributes:
        seen: What was read; a prompt is counted once for each of its answers until `together` is asked.
        positions: A row's position in the mixture, by domain, id and repeat.
    """

    seen: Answered
    positions: dict[tuple[Any, ...], int]

    def number_rows(self, rows: Dataset) -> None:
        """Note which row is which."""
        keys = zip(*(rows[name] for name in ROW), strict=True)
        self.positions = {key: place for place, key in enumerate(keys)}
        self.seen = Answered(rows["domain"], answers=int(vars(self.args)["num_generations"]))

    def _generate_and_score_completions(self, inputs: list[PreparedRow]) -> PreparedRow:
        """Answer prompts by TRL, each counted with the tokens of its answer that loss falls on."""
        made: PreparedRow = super()._generate_and_score_completions(inputs)
        model: Any = self.model
        if model.training:
            tokens = made["completion_mask"].sum(dim=1).tolist()
            self.seen.read(
                (self.positions[tuple(row[name] for name in ROW)], int(count), True)
                for row, count in zip(inputs, tokens, strict=True)
            )
        return made


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
) -> CountedTrainer:
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
    functions, _ = reward_functions(
        job.spec, tally=tally, opened=template.opened_reasoning, group=config.num_generations
    )
    lm = lm or untrained_model(job, model_arguments(job))
    trainer = CountedTrainer(
        model=lm,
        reward_funcs=[*functions],
        args=config,
        train_dataset=rows,
        processing_class=tokenizer,
        callbacks=[callback],
        peft_config=adapter(job, lm),
    )
    trainer.number_rows(rows)
    return trainer


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
