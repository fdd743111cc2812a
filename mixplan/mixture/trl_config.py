"""The recipe's `train` section in, the YAML that TRL's own command line trains from out; TRL itself is not loaded."""

from __future__ import annotations

import ast
import difflib
import functools
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mixplan.errors import RecipeError, RunError
from mixplan.recipe import ModelSpec, TrainSpec

FIELDS_OF = {
    "SFTConfig": (
        ("trl", "trainer/sft_config.py", "SFTConfig"),
        ("trl", "trainer/base_config.py", "_BaseConfig"),
        ("transformers", "training_args.py", "TrainingArguments"),
    ),
    "GRPOConfig": (
        ("trl", "trainer/grpo_config.py", "GRPOConfig"),
        ("trl", "trainer/base_config.py", "_BaseConfig"),
        ("transformers", "training_args.py", "TrainingArguments"),
    ),
    "LoraConfig": (
        ("peft", "tuners/lora/config.py", "LoraConfig"),
        ("peft", "config.py", "PeftConfig"),
        ("peft", "config.py", "PeftConfigMixin"),
    ),
}
"""Where each class and the classes it inherits from are written, nearest first."""

LORA_IN_TRL = {
    "r": "lora_r",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "target_modules": "lora_target_modules",
    "target_parameters": "lora_target_parameters",
    "modules_to_save": "lora_modules_to_save",
    "task_type": "lora_task_type",
    "use_rslora": "use_rslora",
    "use_dora": "use_dora",
}
"""peft's names in the words of TRL's command line, which knows these alone."""

ALWAYS_STATED = ("r", "lora_alpha", "lora_dropout")
"""TRL's command line has other defaults for these than peft, so they are written even when the recipe is silent."""

REWARD = "mixplan.train.rewards.graded"


@dataclass(frozen=True)
class Job:
    """One TRL job, checked.

    Attributes:
        name: `sft.yaml` or `grpo.yaml`.
        text: The YAML.
        max_length_tokens: Where TRL's SFT cuts a row; None when it does not.
        warnings: What the YAML cannot say.
    """

    name: str
    text: str
    max_length_tokens: int | None
    warnings: tuple[str, ...]


def trl_job(train: TrainSpec, *, model: ModelSpec, model_path: str, seed: int, folder_name: str) -> Job:
    """Write the job as TRL's command line reads it, started in the run folder.

    Args:
        train: The recipe's section.
        model: The recipe's model.
        model_path: Hub id or folder that TRL can load; for the embedded model, its folder.
        seed: The recipe's seed.
        folder_name: The mixture's folder, relative to the run folder.

    Raises:
        RecipeError: a key that TRL or peft does not have, or that would break the mixture's promise.
    """
    config = "SFTConfig" if train.method == "sft" else "GRPOConfig"
    known = fields(config)
    refuse_unknown(train.args, known, where="train.args", config=config)
    refuse_unknown(train.lora or {}, fields("LoraConfig"), where="train.lora", config="LoraConfig")
    refuse_contrary(train)
    values: dict[str, Any] = {"model_name_or_path": model_path}
    if model.revision is not None:
        values["model_revision"] = model.revision
    if model.trust_remote_code:
        values["trust_remote_code"] = True
    values["dataset_name"] = f"./{folder_name}"
    if train.method == "sft":
        values["completion_only_loss"] = True
    else:
        values["reward_funcs"] = [REWARD]
    values |= {"output_dir": "model", "seed": seed, **train.args, **lora_values(train.lora)}
    unsaid = sorted(set(train.lora or {}) - set(LORA_IN_TRL))
    warnings = tuple(
        f"`train.lora.{key}` has no counterpart in TRL's command line, so {train.method}.yaml leaves it out."
        for key in unsaid
    )
    head = [f"In the run folder: trl {train.method} --config {folder_name}/{train.method}.yaml", *warnings]
    text = "".join(f"# {line}\n" for line in head) + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    length = train.args.get("max_length", known.get("max_length")) if train.method == "sft" else None
    return Job(f"{train.method}.yaml", text, length, warnings)


def lora_values(lora: Mapping[str, Any] | None) -> dict[str, Any]:
    """Peft's keys in TRL's words, with peft's own defaults where TRL's differ."""
    if lora is None:
        return {}
    stated = {key: fields("LoraConfig")[key] for key in ALWAYS_STATED} | dict(lora)
    values = {LORA_IN_TRL[key]: value for key, value in stated.items() if key in LORA_IN_TRL}
    for key in ("lora_target_modules", "lora_target_parameters", "lora_modules_to_save"):
        if isinstance(values.get(key), str):
            values[key] = [values[key]]
    return {"use_peft": True, **values}


def refuse_unknown(given: Mapping[str, Any], known: Mapping[str, Any], *, where: str, config: str) -> None:
    """Name every key that the class lacks, with the nearest it has.

    Raises:
        RecipeError: there is such a key.
    """
    problems = []
    for key in sorted(set(given) - set(known)):
        near = difflib.get_close_matches(key, known, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        problems.append(f"{where}.{key}: {config} has no such field.{hint}")
    if problems:
        raise RecipeError("\n".join(problems))


def refuse_contrary(train: TrainSpec) -> None:
    """Refuse settings that would make TRL do something else than the mixture was made for.

    Raises:
        RecipeError: the loss would fall on prompts, or TRL would look for a test split.
    """
    if train.method == "sft" and train.args.get("completion_only_loss", True) is not True:
        raise RecipeError(
            f"train.args.completion_only_loss: found {train.args['completion_only_loss']!r}, expected true. "
            "The mixture's loss falls on completions only. Leave the key out."
        )
    if train.args.get("eval_strategy", "no") not in ("no", False):
        raise RecipeError(
            f"train.args.eval_strategy: found {train.args['eval_strategy']!r}, expected no. The mixture has a train "
            "split alone; mixplan evaluates on rows of its own before and after. Leave the key out."
        )


@functools.cache
def fields(config: str) -> dict[str, Any]:
    """A configuration class's fields with their defaults, read from its source file.

    Importing the class would load torch, which planning a mixture does not need.

    Returns:
        Default by field name; None also where the default is not a plain value.

    Raises:
        RunError: the package is not installed.
    """
    found: dict[str, Any] = {}
    for package, file, name in FIELDS_OF[config]:
        tree = ast.parse((package_folder(package) / file).read_text(encoding="utf-8"))
        definition = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
        for node in definition.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.setdefault(node.target.id, default(node.value))
    return {name: value for name, value in found.items() if not name.startswith("_")}


def package_folder(package: str) -> Path:
    """Folder of an installed package, without importing it.

    Raises:
        RunError: it is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise RunError(f"the Python package '{package}' is not installed. Install it with `pip install {package}`.")
    return Path(found.submodule_search_locations[0])


def default(value: ast.expr | None) -> object:
    """A field's default, from `= 3` or `= field(default=3)`; None where it is not a literal."""
    if isinstance(value, ast.Call):
        value = next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
    try:
        return ast.literal_eval(value) if value is not None else None
    except ValueError:
        return None
