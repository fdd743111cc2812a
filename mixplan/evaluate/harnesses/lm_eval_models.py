"""Says of which model an evaluation of lm-evaluation-harness was, and holds those of a folder together."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from mixplan.errors import EvaluateError

Json = dict[str, JsonValue]
OF_MODEL = ("pretrained", "model", "peft", "delta", "revision", "subfolder", "gguf_file", "lora_local_path")
"""Arguments of the harness that say which weights are measured, an adapter's included."""


def text_of(value: JsonValue) -> str:
    """A value as text; empty where there is none."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, sort_keys=True)


def arguments_of(config: Json) -> dict[str, str]:
    """The model's arguments as text, in whichever of its two forms the harness wrote them."""
    arguments = config.get("model_args")
    if isinstance(arguments, dict):
        return {name: text_of(value) for name, value in arguments.items()}
    return dict(re.findall(r"(?:^|,)(\w+)=([^,]*)", text_of(arguments)))


def named_in(config: Json) -> str:
    """The model's name where the results do not state it apart."""
    arguments = arguments_of(config)
    return arguments.get("pretrained") or arguments.get("model") or text_of(config.get("model"))


def model_of(name: str | None, config: Json) -> str:
    """Which weights were measured: the model's name with what else says so, such as an adapter; empty if unknown."""
    name = name or named_in(config)
    further = [
        f"{key}={value}"
        for key, value in arguments_of(config).items()
        if key in OF_MODEL and value not in ("", name) and (key, value) != ("revision", "main")
    ]
    return f"{name} ({', '.join(further)})" if further else name


def hold_one_model(place: Path, models: Mapping[Path, str]) -> None:
    """Hold that results which are to count together are of one model.

    Args:
        place: What the person named.
        models: By results file.

    Raises:
        EvaluateError: they are of several.
    """
    first: dict[str, Path] = {}
    for file, model in models.items():
        if model:
            first.setdefault(model, file)
    if len(first) > 1:
        listed = ", ".join(f"{model} in {shown(place, file)}" for model, file in first.items())
        raise EvaluateError(f"{place}: holds results of several models ({listed}). Name the results of one.")


def shown(place: Path, file: Path) -> str:
    """A file by its path in the folder that was named."""
    return str(file.relative_to(place)) if file != place else file.name


def together(values: Mapping[Path, str]) -> str:
    """What results files say of themselves, each once."""
    return " and ".join(sorted({*values.values()} - {""}))


def unequal(place: Path, what: str, values: Mapping[Path, str]) -> list[str]:
    """Say that results files of one folder differ."""
    first: dict[str, Path] = {}
    for file, value in values.items():
        first.setdefault(value, file)
    if len(first) < 2:
        return []
    listed = ", ".join(f"{value or 'not stated'} in {shown(place, file)}" for value, file in first.items())
    return [f"The results in {place} differ in the {what} ({listed}): tasks may not be measured alike."]
