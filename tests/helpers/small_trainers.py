"""Trains a tiny planned model by TRL's own trainers, as a person's script does, with or without a monitor."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback, TrainingArguments
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from mixplan.monitor import first_reading
from mixplan.monitor.watch import Watch
from mixplan.saved import read_plan

STEPS = 3
ARGS = {"max_steps": STEPS, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "learning_rate": 1e-2,
        "logging_steps": 2, "report_to": "none", "use_cpu": True, "bf16": False, "save_strategy": "no",
        "disable_tqdm": True, "dataloader_pin_memory": False, "seed": 3}  # fmt: skip
LORA = {"r": 4, "lora_dropout": 0.2, "target_modules": "all-linear"}


class Tracker(TrainerCallback):
    """What a tracker is given: each log with its step."""

    def __init__(self) -> None:
        self.logs: list[tuple[int, dict[str, float]]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Keep a log."""
        self.logs.append((state.global_step, dict(logs)))


class Clock(TrainerCallback):
    """A clock that each step moves on by so many seconds, and nothing else unless a test does."""

    def __init__(self, step_seconds: float = 1.0) -> None:
        self.now, self.step_seconds = 0.0, step_seconds

    def __call__(self) -> float:
        return self.now

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Let a step's time pass."""
        self.now += self.step_seconds


class Charged(Clock):
    """A clock on which measuring takes time, too, by the tokens that are read and answered.

    Attributes:
        taken: Seconds that measuring has taken, of which no monitor is asked.
        reading, answering: Seconds for each token that a measure reads of a row.
        longest: The longest answer.
    """

    def __init__(self, monkeypatch: Any, step_seconds: float, *, reading: float, answering: float = 0.0) -> None:
        super().__init__(step_seconds)
        self.taken, self.reading, self.answering, self.longest = 0.0, reading, answering, 5
        measure, answer = Watch.measure, first_reading.own_answers

        def measured(of: Watch, model: Any, *, first: Any = None) -> Any:
            asked = of.asked if first is None else first
            self.take(
                self.reading * sum(part.tokens(row, self.longest) for part in asked.values() for row in part.rows)
            )
            return measure(of, model, first=first)

        def answered(model: Any, prompts: Any, *rest: Any) -> Any:
            self.take(self.answering * sum(len(ids) + self.longest for ids in prompts.values()))
            return answer(model, prompts, *rest)

        monkeypatch.setattr(Watch, "measure", measured)
        monkeypatch.setattr(first_reading, "own_answers", answered)

    def take(self, seconds: float) -> None:
        """Let time pass that is spent on measuring."""
        self.now += seconds
        self.taken += seconds


def watch(monitor: Any, trainer: Any, clock: Clock | None = None) -> None:
    """Have a trainer watched by a clock of its own, on which measuring takes no time unless the test says so."""
    monitor.clock = clock or Clock()
    trainer.add_callback(monitor.clock)
    trainer.add_callback(monitor)


def parts_of(run: Path) -> tuple[Any, Any, Any]:
    """The planned model, its tokenizer, and the mixture's rows."""
    name = read_plan(run).model.name
    torch.manual_seed(0)
    rows = datasets.Dataset.from_parquet([str(path) for path in sorted((run / "mixture").glob("*.parquet"))])
    return AutoModelForCausalLM.from_pretrained(name), AutoTokenizer.from_pretrained(name), rows


def sft_trainer(run: Path, out: Path, *, lora: bool = False, tracker: Any = None, **args: Any) -> SFTTrainer:
    """TRL's SFT trainer of a run's model on its mixture."""
    model, tokenizer, rows = parts_of(run)
    return SFTTrainer(
        model=model,
        args=SFTConfig(output_dir=str(out), **ARGS | args),
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=LoraConfig(**LORA) if lora else None,
        callbacks=[tracker] if tracker else None,
    )


def plain_trainer(run: Path, out: Path, *, lora: bool = False, **args: Any) -> Trainer:
    """Transformers' own trainer of a run's model on the mixture's questions and answers as plain text."""
    model, tokenizer, rows = parts_of(run)
    texts = [tokenizer(row["prompt"][-1]["content"] + row["completion"][0]["content"])["input_ids"] for row in rows]
    longest = max(map(len, texts))
    padded = [{"input_ids": ids + [0] * (longest - len(ids)), "labels": ids + [-100] * (longest - len(ids))}
              for ids in texts]  # fmt: skip
    return Trainer(
        model=get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **LORA)) if lora else model,
        args=TrainingArguments(output_dir=str(out), **ARGS | args),
        train_dataset=datasets.Dataset.from_list(padded),
        processing_class=tokenizer,
    )


def grpo_trainer(run: Path, out: Path, **args: Any) -> GRPOTrainer:
    """TRL's GRPO trainer of a run's model, which rewards short answers."""
    model, tokenizer, rows = parts_of(run)

    def short(completions: Any, **_: Any) -> list[float]:
        return [-float(len(one[0]["content"])) for one in completions]

    more = {"num_generations": 2, "max_completion_length": 6, "temperature": 1.0}
    return GRPOTrainer(
        model=model,
        reward_funcs=[short],
        args=GRPOConfig(output_dir=str(out), **ARGS | more | args),
        train_dataset=rows.select_columns(["prompt"]),
        processing_class=tokenizer,
    )


def weights(trainer: Any) -> dict[str, torch.Tensor]:
    """A copy of a trainer's tensors."""
    return {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}


def train_as_rank(run: str, out: str, variables: Mapping[str, str], settings: Mapping[str, Any]) -> None:
    """What one of several processes does: train with a monitor, and keep what it ended with in a file of its own."""
    os.environ.update(variables)
    from mixplan.monitor import DomainMonitor

    trainer = plain_trainer(Path(run), Path(out))
    monitor = DomainMonitor(run, trainer, **settings)
    watch(monitor, trainer)
    trainer.train()
    torch.save(
        {"weights": weights(trainer), "step": trainer.state.global_step, "points": len(monitor.trajectory.points)},
        f"{out}/rank-{variables['RANK']}.pt",
    )
