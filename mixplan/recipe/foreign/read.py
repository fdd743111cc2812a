"""Reads a job that people already have: finds whose config a file is, and what it says in a recipe's words."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mixplan.errors import RecipeError
from mixplan.recipe.foreign import axolotl, llama_factory, swift, trl
from mixplan.recipe.foreign.job import ForeignJob, plain
from mixplan.recipe.section import Yaml

COMMANDS = {"trl": r"\btrl\s+sft\b|\btrl/scripts/sft\.py|\bsft\.py\b", "ms-swift": r"\bswift\s+sft\b"}
"""How a script calls each trainer that takes its settings on the command line."""


def read_job(files: Sequence[Path]) -> ForeignJob:
    """Read a job from another trainer's config.

    Args:
        files: Its YAML, JSON or shell script; for LLaMA-Factory with or without dataset_info.json, or that alone.

    Raises:
        RecipeError: a file cannot be read, or is none that is known.
    """
    infos = [file for file in files if file.name == llama_factory.INFO]
    configs = [file for file in files if file not in infos]
    if len(configs) > 1 or len(infos) > 1:
        raise RecipeError(
            f"--from-config: {configs[-1]}: one config makes one recipe. Name one, and its {llama_factory.INFO}."
        )
    if not configs:
        return llama_factory.take_info(readable(infos[0]))
    file = readable(configs[0])
    values, told = values_of(file)
    trainer = told or trainer_of(values)
    folders = [file.parent, Path(), *file.parent.parents[:2]]
    if trainer == "llamafactory":
        return llama_factory.take(values, folders, infos[0] if infos else None)
    takers = {"axolotl": axolotl.take, "trl": trl.take, "ms-swift": swift.take}
    if trainer not in takers:
        raise RecipeError(
            f"{file}: is no config of axolotl (`base_model`), LLaMA-Factory (`stage` or `finetuning_type`), TRL "
            "(`model_name_or_path`) or ms-swift (`model` and `dataset`). Start with `mixplan new NAME` instead."
        )
    return takers[trainer](values, folders)


def readable(file: Path) -> Path:
    """A file that is there.

    Raises:
        RecipeError: it is not.
    """
    if not file.is_file():
        raise RecipeError(f"--from-config: {file}: there is no such file.")
    return file


def values_of(file: Path) -> tuple[Yaml, str | None]:
    """What a config says, and whose it is where its form tells.

    Raises:
        RecipeError: it cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix in (".sh", ".bash", ".txt"):
            return command_values(text, file)
        values = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RecipeError(f"{file}: cannot be read: {error}. Mend the file.") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{file}: holds no keys, so it is no trainer's config.")
    return {str(key): plain(value) for key, value in values.items()}, None


def command_values(text: str, file: Path) -> tuple[Yaml, str]:
    """The settings of a trainer's command in a shell script, and whose it is.

    Raises:
        RecipeError: the script calls no trainer that is known.
    """
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*$", "", text))
    for trainer, pattern in COMMANDS.items():
        if found := re.search(pattern, joined):
            line = joined[found.end() :].split("\n", 1)[0]
            return flags(shlex.split(line, comments=True)), trainer
    raise RecipeError(f"{file}: calls neither `trl sft` nor `swift sft`. Name the YAML that the script trains with.")


def flags(words: Sequence[str]) -> Yaml:
    """Values by flag: one, several, or true for a flag that stands alone."""
    found: Yaml = {}
    key = None
    for word in words:
        if word.startswith("--"):
            name, given, value = word[2:].partition("=")
            key = name.replace("-", "_")
            found[key] = [read_word(value)] if given else []
        elif key is not None:
            found[key].append(read_word(word))
    return {key: True if not values else values[0] if len(values) == 1 else values for key, values in found.items()}


def read_word(word: str) -> Any:
    """A word of a command line as YAML reads it; text that YAML cannot read stays text."""
    try:
        value = yaml.safe_load(word)
    except yaml.YAMLError:
        return word
    return plain(value) if isinstance(value, str | int | float | bool) else word


def trainer_of(values: Yaml) -> str | None:
    """Whose config these keys are; None where they are nobody's."""
    if "base_model" in values:
        return "axolotl"
    if "model_name_or_path" in values:
        ours = {"stage", "finetuning_type", "template", "cutoff_len", "dataset_dir"}
        return "llamafactory" if ours & set(values) else "trl"
    if "model" in values and "dataset" in values:
        return "ms-swift"
    return None
