"""Puts what a recipe trains with into words that each trainer's config is written from, with TRL's defaults stated."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixplan.errors import RunError
from mixplan.export.rows import Values
from mixplan.mixture.trl_config import LORA_CONFIG, SFT_CONFIG, default_of
from mixplan.mixture.unread_rows import TRAINING_ARGUMENTS
from mixplan.recipe import Recipe
from mixplan.recipe.arguments import arguments

STATED = (
    *("learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps", "lr_scheduler_type"),
    *("warmup_steps", "weight_decay", "max_grad_norm", "adam_beta1", "adam_beta2", "adam_epsilon"),
)
"""Written into every config, since trainers differ in their defaults."""

OURS = {
    *("output_dir", "num_train_epochs", "seed", "bf16", "fp16", "use_cpu", "max_length", "truncation_mode"),
    *("train_sampling_strategy", "shuffle_dataset", "completion_only_loss", "model_init_kwargs"),
}
"""Keys of the recipe that each config sets by itself."""

PACKED = ("packing", "packing_strategy", "padding_free", "eval_packing")
"""Keys that would put several rows into one, which no exported config does."""

WARMUP = ("warmup_steps", "warmup_ratio")
"""Keys that each trainer's config or notes speak of by `Training.warmup`."""

Notes = tuple[str, ...]


@dataclass(frozen=True)
class Training:
    """What a job trains with.

    Attributes:
        model: Hub id or folder of the untrained model.
        revision: Of the model on the hub.
        trust_remote_code: Whether code from the model's repository may run.
        cpu: Whether the recipe asks for a CPU.
        bf16: Whether to compute in bfloat16.
        fp16: Whether to compute in float16.
        seed: Of the training.
        epochs: How often the rows are read.
        values: Further fields of transformers' TrainingArguments: those in STATED and those that the recipe gives.
        lora: Fields of peft's LoraConfig with rank, alpha and dropout stated; None for full fine-tuning.
        max_length: Where rows are cut, in tokens; None where they are not.
        notes: What of the recipe goes into no config, in whole sentences.
    """

    model: str
    revision: str | None
    trust_remote_code: bool
    cpu: bool
    bf16: bool
    fp16: bool
    seed: int
    epochs: float
    values: Values
    lora: Values | None
    max_length: int | None
    notes: Notes

    @property
    def by_steps(self) -> bool:
        """Whether the recipe ends the job after a number of optimiser steps, not of epochs."""
        return int(self.values.get("max_steps") or -1) > 0

    @property
    def warmup(self) -> tuple[int, float]:
        """Optimiser steps and, in their place, the share of all steps in which the learning rate rises."""
        given = float(self.values.get("warmup_steps") or 0)
        ratio = given if given < 1 else 0.0
        return int(given), float(self.values.get("warmup_ratio") or 0) or ratio

    @property
    def batch_rows(self) -> int:
        """Rows of an optimiser step in one process."""
        return int(self.values["per_device_train_batch_size"]) * int(self.values["gradient_accumulation_steps"])

    def steps_of(self, rows: int) -> tuple[int, int]:
        """Optimiser steps, and the epochs that hold them, of a trainer that reads whole batches alone.

        Args:
            rows: How many there are.
        """
        each = max(1, rows // self.batch_rows)
        steps = int(self.values["max_steps"]) if self.by_steps else math.ceil(round(each * self.epochs, 6))
        return max(1, steps), max(1, math.ceil(steps / each))


def training_of(recipe: Recipe, *, model: str, lora: Values | None, max_length: int | None) -> Training:
    """Read what a recipe trains with.

    Args:
        recipe: The recipe.
        model: Hub id or folder of its model.
        lora: Its adapter, with the layers resolved that it changes; None for full fine-tuning.
        max_length: Where TRL cuts its rows, in tokens.
    """
    args, cpu = recipe.train.args, recipe.model.device == "cpu"
    known = arguments(*TRAINING_ARGUMENTS)
    values = {key: stated(args, key) for key in STATED}
    values |= {key: value for key, value in args.items() if key in known and key not in OURS}
    epochs = float(args.get("num_train_epochs", 1))
    half, bf16 = recipe.model.dtype == "float16", args.get("bf16")
    return Training(
        model=model,
        revision=recipe.model.revision,
        trust_remote_code=recipe.model.trust_remote_code,
        cpu=cpu,
        bf16=bool(not cpu and not half and recipe.model.dtype != "float32" if bf16 is None else bf16),
        fp16=bool(args.get("fp16", not cpu and half)),
        seed=recipe.training_seed,
        epochs=epochs,
        values=values,
        lora=None if lora is None else {key: default_of(LORA_CONFIG, key) for key in STATED_LORA} | dict(lora),
        max_length=max_length,
        notes=tuple(notes_of(args, known)),
    )


STATED_LORA = ("r", "lora_alpha", "lora_dropout")


def stated(args: Values, key: str) -> Any:
    """A training argument: the recipe's, else TRL's default, else transformers'."""
    if args.get(key) is not None:
        return args[key]
    for place in (SFT_CONFIG, TRAINING_ARGUMENTS):
        if key in own_defaults(place, (key,)):
            return own_defaults(place, (key,))[key]
    return None


def own_defaults(place: tuple[str, str, str], keys: Sequence[str]) -> Mapping[str, Any]:
    """Defaults that a config class states itself, by field."""
    found = {}
    for key in keys:
        try:
            found[key] = default_of(place, key)
        except RunError:
            continue
    return found


def notes_of(args: Values, known: Mapping[str, Any]) -> list[str]:
    """What of the recipe's arguments goes into no config."""
    found = []
    packed = [key for key in PACKED if args.get(key)]
    if packed:
        found.append(
            f"`train.args.{packed[0]}` is not handed over: each row stays a sequence of its own, so that rows and "
            "order can be followed."
        )
    if "num_train_epochs" not in args and int(args.get("max_steps") or -1) <= 0:
        found.append(
            "Each row is read once. The recipe does not say `train.args.num_train_epochs`, so `mixplan train` reads "
            "each 3 times, which is TRL's default."
        )
    unknown = sorted(key for key in args if key not in known and key not in OURS and key not in PACKED)
    if unknown:
        found.append(f"TRL's own settings are not handed over: {', '.join(f'`train.args.{key}`' for key in unknown)}.")
    return found


def other_epochs(trainer: str, training: Training) -> Iterator[str]:
    """Say that a trainer reads rows another number of times than the recipe asks for, as it takes whole epochs alone.

    Args:
        trainer: Its name.
        training: What to train with.
    """
    given = max(1, round(training.epochs))
    if given != training.epochs and not training.by_steps:
        yield f"{trainer} takes whole epochs alone: each row is read {given} times, not {training.epochs:g}."


def unwritten(trainer: str, training: Training, written: Collection[str]) -> Iterator[str]:
    """Say which of a job's arguments go into no key of a trainer's config.

    Args:
        trainer: Its name.
        training: What to train with.
        written: Fields of TrainingArguments that its config or notes speak of.
    """
    lost = [
        f"`train.args.{key}`"
        for key, value in sorted(training.values.items())
        if key not in {*written, *WARMUP, "max_steps", "report_to"} and (key not in STATED or value != stated({}, key))
    ]
    if lost:
        yield f"No counterpart is written for {trainer} of {', '.join(lost)}."


def other_precision(trainer: str, training: Training) -> Iterator[str]:
    """Say that a trainer whose config is given no precision computes in another than the recipe asks for.

    Args:
        trainer: Its name.
        training: What to train with.
    """
    if not (training.bf16 or training.cpu):
        kind = "float16" if training.fp16 else "float32"
        yield f"The recipe trains in {kind}, which is not handed over: {trainer} computes in a type of its own choice."


def rounded_weights(trainer: str, training: Training, remedy: str) -> Iterator[str]:
    """Say that a trainer trains weights of bfloat16 in full, where mixplan and TRL train them in float32.

    Args:
        trainer: Its name.
        training: What to train with.
        remedy: What else keeps float32, as the end of a sentence.
    """
    if training.lora is None and training.bf16:
        yield (
            f"{trainer} loads the weights that it trains in bfloat16, where the next number is 0.4 to 0.8 % away: most "
            "updates of a small learning rate are rounded to none. TRL and `mixplan train` keep float32, as do "
            f"DeepSpeed's ZeRO stages beside {trainer}{remedy}."
        )


def other_revision(trainer: str, training: Training) -> Iterator[str]:
    """Say that a trainer whose config has no key for a model's revision takes another than the recipe's.

    Args:
        trainer: Its name.
        training: What to train with.
    """
    if training.revision is not None:
        yield (
            f"{trainer} has no key for `model.revision` and would train the newest of '{training.model}'. Give it a "
            f"folder in its place: `hf download {training.model} --revision {training.revision} --local-dir FOLDER`."
        )


def unread_rows(trainer: str, training: Training, rows: int) -> Iterator[str]:
    """Say how many rows a trainer leaves unread that takes whole batches alone.

    Args:
        trainer: Its name.
        training: What to train with.
        rows: How many there are.
    """
    batch = training.batch_rows
    if rows % batch:
        whole = next(size for size in range(batch, 0, -1) if rows % size == 0)
        yield (
            f"{trainer} reads whole batches alone: of {rows} rows the last {rows % batch} do not fill one of {batch} "
            f"and are not read. A batch of {whole} reads all."
        )
