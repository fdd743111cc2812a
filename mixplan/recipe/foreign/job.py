"""Holds a job that another trainer's config describes, in a recipe's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixplan.recipe.arguments import arguments
from mixplan.recipe.foreign.rows import local_file
from mixplan.recipe.section import Yaml

SFT_CONFIG = ("trl", "trainer/sft_config.py", "SFTConfig")

NOT_TAKEN = {"output_dir", "report_to", "run_name", "overwrite_output_dir", "logging_dir", "resume_from_checkpoint",
             "hub_model_id", "push_to_hub", "deepspeed", "fsdp", "fsdp_config",
             "ddp_timeout", "local_rank"}  # fmt: skip
"""Arguments of transformers that are a run's own and not the job's: where it writes, how it is launched."""

LAUNCH = {"deepspeed", "fsdp", "fsdp_config"}


@dataclass(frozen=True)
class DataSet:
    """One data set of the job.

    Attributes:
        name: What the recipe calls it.
        section: Its section in the recipe: `data`, `format`, `columns` and others.
    """

    name: str
    section: Yaml


@dataclass
class ForeignJob:
    """What another trainer's config says.

    Attributes:
        trainer: Whose config it is.
        model: Hub id or folder of the untrained model; None where the config names none.
        revision: Of the model on the hub.
        trust_remote_code: Whether code from the model's repository may run.
        data: The data sets, in the config's order.
        args: Fields of TRL's SFTConfig.
        lora: Fields of peft's LoraConfig; None for full fine-tuning.
        left: What is not taken over, by key, with what to do.
    """

    trainer: str
    model: str | None = None
    revision: str | None = None
    trust_remote_code: bool = False
    data: list[DataSet] = field(default_factory=list)
    args: Yaml = field(default_factory=dict)
    lora: Yaml | None = None
    left: dict[str, str] = field(default_factory=dict)

    def leave_of_entry(self, entry: str, given: Yaml, read: Mapping[str, tuple[object, ...]]) -> None:
        """Tell each key of a data set's entry that nothing was taken from.

        Args:
            entry: What the entry is called, such as `datasets: org/data`.
            given: The entry.
            read: Keys from which all is taken, each with the values that say what a recipe does anyway; with none, any.
        """
        for key in sorted(given):
            value = given[key]
            if value in (None, False, "", [], {}) or (key in read and (not read[key] or value in read[key])):
                continue
            self.left[f"{entry}: {key}"] = "no counterpart in a recipe; see what `mixplan check` counts"

    def leave(self, values: Mapping[str, Any], advice: Mapping[str, str]) -> None:
        """Tell each key that is still there: by its own advice, or by what it is.

        Args:
            values: What was not taken.
            advice: What to do, by key.
        """
        for key, value in values.items():
            if value in (None, False, "", "none", "None", [], {}) and key not in advice:
                continue
            if key in LAUNCH:
                self.left[key] = "give accelerate's config to `mixplan train --launch FILE`"
            elif key in NOT_TAKEN or key.startswith(("wandb_", "mlflow_", "comet_", "swanlab_", "hub_")):
                self.left[key] = "nothing to do: a run folder takes its place, `train.args.report_to` a tracker's"
            else:
                self.left[key] = advice.get(key, "no counterpart in a recipe; what it does is not planned for")


def take_arguments(job: ForeignJob, values: Yaml, renamed: Mapping[str, str]) -> None:
    """Move transformers' and TRL's own arguments from a config into a job.

    `warmup_ratio` becomes `warmup_steps`, which transformers 5 takes below 1 as a share of all steps.

    Args:
        job: Filled.
        values: The config; what is taken is removed.
        renamed: The config's name of an argument, with TRL's.
    """
    known = arguments(*SFT_CONFIG)
    ratio = values.pop("warmup_ratio", None)
    if ratio and not values.get("warmup_steps"):
        values["warmup_steps"] = float(ratio)
    for key in ("do_train", "do_eval"):
        values.pop(key, None)
    for key in list(values):
        name = renamed.get(key, key)
        if name in known and name not in NOT_TAKEN:
            value = plain(values.pop(key))
            if value is not None:
                job.args[name] = value


def plain(value: Any) -> Any:
    """A value as YAML means it: `1e-4` without a point is a text in YAML 1.1, and configs write it so."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
        return float(value)
    return value


def each_file(given: Yaml, folders: Sequence[Path]) -> list[Yaml]:
    """A data set's entry, or one for each of its several `data_files` where all lie on this machine."""
    files = given.get("data_files")
    if not isinstance(files, list) or len(files) < 2 or any(local_file(str(file), folders) is None for file in files):
        return [given]
    return [{**given, "data_files": [file]} for file in files]


def called(given: Yaml) -> str:
    """What a data set's entry is called: by its path, and by its file where it lists one."""
    files = given.get("data_files")
    return f"{given['path']}/{files[0]}" if isinstance(files, list) and len(files) == 1 else str(given["path"])


def files_taken(given: Yaml, path: Path | None) -> tuple[str, ...]:
    """`data_files` where the file that is taken is all that it names, else nothing."""
    files = given.get("data_files")
    return () if path is None or (isinstance(files, list) and len(files) > 1) else ("data_files",)


def name_of(place: str, others: Iterable[str]) -> str:
    """What a recipe calls a data set: the last part of its path, in the letters that a name may have."""
    stem = Path(place.rstrip("/")).name.split(".")[0]
    plain_name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_") or "data"
    taken, number = set(others), 2
    name = plain_name
    while name in taken:
        name, number = f"{plain_name}-{number}", number + 1
    return name


def truth(value: Any) -> bool:
    """Whether a value of a config or of a command line says yes."""
    return value is True or str(value).lower() in ("true", "1", "yes", "on")
