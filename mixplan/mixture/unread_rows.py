"""Says which rows of a mixture a job would not read: it ends too early, or leaves out batches that are not full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mixplan.errors import RunError
from mixplan.mixture.trl_config import default_of

Place = tuple[str, str, str]

SFT: tuple[Place, ...] = (("trl", "trainer/sft_config.py", "SFTConfig"),)
GRPO: tuple[Place, ...] = (("trl", "trainer/grpo_config.py", "GRPOConfig"),)
TRAINING_ARGUMENTS: Place = ("transformers", "training_args.py", "TrainingArguments")
SHORT, LEFT = "The job is too short for its mixture: ", "The job leaves "
"""How what a job would not read begins: expected of it until it has run, when what it read is counted."""


def too_short(train: Mapping[str, Any], rows: int, *, processes: int = 1) -> str | None:
    """Say that a job ends before it has read its mixture once; None where it does not, or where that is not known.

    Args:
        train: The resolved recipe's section `train`.
        rows: Rows of the mixture.
        processes: Training processes.
    """
    args, sft = train["args"], train["method"] == "sft"
    sources = sources_of(train)
    if args.get("packing"):
        return None
    try:
        steps = number(args, "max_steps", sources)
        a_step = processes * number(args, "per_device_train_batch_size", sources)
        a_step *= number(args, "gradient_accumulation_steps", sources)
        if not sft:
            a_step /= number(args, "num_generations", sources) * number(args, "num_iterations", sources)
        read = steps * a_step if steps > 0 else number(args, "num_train_epochs", sources) * rows
    except (RunError, ValueError, TypeError, ZeroDivisionError):  # a file or value that TRL refuses later
        return None
    if read >= rows:
        return None
    key = "max_steps" if steps > 0 else "num_train_epochs"
    needed = f"{-(-rows // a_step):.0f}" if steps > 0 else "1"
    amount = f"{steps:.0f} steps of {a_step:g} rows" if steps > 0 else f"{args['num_train_epochs']:g} epochs"
    return f"{SHORT}{amount} read {read:,.0f} of {rows:,} rows. Set `train.args.{key}: {needed}` to read each once."


def left_unread(train: Mapping[str, Any], rows: int, *, processes: int = 1) -> str | None:
    """Say how many rows each epoch leaves out, since they do not fill a batch.

    GRPO always leaves such rows out (RepeatSampler of TRL 1.16.0); SFT does with `dataloader_drop_last`.

    Args:
        train: The resolved recipe's section `train`.
        rows: Rows of the mixture.
        processes: Training processes.

    Returns:
        A sentence; None where all rows fill batches, or where that is not known.
    """
    args, sft = train["args"], train["method"] == "sft"
    sources = sources_of(train)
    if sft and (args.get("packing") or not args.get("dataloader_drop_last")):
        return None
    try:
        batch = processes * number(args, "per_device_train_batch_size", sources)
        if not sft:
            once = "gradient_accumulation_steps" if args.get("steps_per_generation") is None else "steps_per_generation"
            batch = args.get("generation_batch_size") or batch * number(args, once, sources)
            batch /= number(args, "num_generations", sources)
        left = rows % int(batch)
    except (RunError, ValueError, TypeError, ZeroDivisionError):  # a file or value that TRL refuses later
        return None
    if not left:
        return None
    whole = "none" if left == rows else f"{rows - left:,}"
    why = "`dataloader_drop_last` drops" if sft else "GRPO drops"
    remedy = (
        "Set `train.args.dataloader_drop_last: false`."
        if sft
        else (f"A multiple of {int(batch)} rows is read whole: see `budget.rows` and `mixture.target_rows`.")
    )
    return (
        f"{LEFT}{left:,} of {rows:,} rows unread in each epoch and trains on {whole}: {why} a batch of fewer "
        f"than {int(batch)}. {remedy}"
    )


def number(args: Mapping[str, Any], key: str, sources: Sequence[Place]) -> float:
    """A trainer's argument, or its default in the first class that has one.

    Raises:
        RunError: no class has a default.
        ValueError: it is no number.
    """
    if args.get(key) is not None:
        return float(args[key])
    for place in sources[:-1]:
        try:
            return float(default_of(place, key))
        except RunError:
            continue
    return float(default_of(sources[-1], key))


def sources_of(train: Mapping[str, Any]) -> tuple[Place, ...]:
    """Where a job's method has its defaults, the nearest class first."""
    return (*(SFT if train["method"] == "sft" else GRPO), TRAINING_ARGUMENTS)
