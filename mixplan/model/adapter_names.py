"""Refuses names in an adapter's settings that match nothing in the model, over which peft passes without a word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from torch import nn

from mixplan.errors import TrainError
from mixplan.recipe.suggest import did_you_mean

ALL_LINEAR = "all-linear"
PATTERNS = ("rank_pattern", "alpha_pattern")


def refuse_unmatched_names(lora: Mapping[str, Any], lm: nn.Module) -> None:
    """Check that each name of a list is one of the model's.

    Peft wants one name of `target_modules` to match; of the others, as of `modules_to_save`, it says nothing, so that
    the layers they mean are not trained (peft 0.21.2).

    Args:
        lora: The recipe's `train.lora`.
        lm: The model, with or without weights.

    Raises:
        TrainError: a name matches no layer, or no parameter.
    """
    modules = [name for name, _ in lm.named_modules() if name]
    for key, names, noun in (
        ("target_modules", modules, "layer"),
        ("modules_to_save", modules, "layer"),
        ("target_parameters", [name for name, _ in lm.named_parameters()], "parameter"),
    ):
        for wanted in _listed(lora.get(key)):
            if not any(name == wanted or name.endswith(f".{wanted}") for name in names):
                weighted = [
                    name for name, part in lm.named_modules() if getattr(getattr(part, "weight", None), "ndim", 0) > 1
                ]
                raise TrainError(_refusal(key, wanted, weighted if noun == "layer" else names, noun))


def refuse_unmatched_patterns(config: LoraConfig, lm: nn.Module) -> None:
    """Check that each pattern with a rank or an alpha of its own is one of an adapted layer.

    Args:
        config: Of the adapter.
        lm: The model, with or without weights.

    Raises:
        TrainError: a pattern matches none, so that peft would not use its number.
    """
    every = str(config.target_modules).lower() == ALL_LINEAR
    adapted = [name for name, _ in lm.named_modules() if name and (every or check_target_module_exists(config, name))]
    adapted += [name for name, _ in lm.named_parameters() if _ends(name, _listed(config.target_parameters))]
    for key in PATTERNS:
        for pattern in getattr(config, key) or {}:
            try:
                matches = any(re.match(rf"(.*\.)?({pattern})$", name) for name in adapted)
            except re.error as error:
                raise TrainError(
                    f"train.lora.{key}: {pattern!r} is no regular expression ({error}). Write a layer's name, such as "
                    "q_proj."
                ) from error
            if not matches:
                raise TrainError(_refusal(key, pattern, adapted, "adapted layer"))


def _listed(value: Any) -> list[str]:
    return [] if value is None or isinstance(value, str) else [str(name) for name in value]


def _ends(name: str, wanted: Iterable[str]) -> bool:
    return any(name == one or name.endswith(f".{one}") for one in wanted)


def _refusal(key: str, wanted: str, names: Iterable[str], noun: str) -> str:
    parts = wanted.count(".") + 1
    known = {".".join(name.split(".")[-parts:]) for name in names}
    known = {name for name in known if not re.fullmatch(r"[\d.]+", name)}
    return (
        f"train.lora.{key} names {wanted!r}, but the model has no {noun} of that name, so that nothing of it would be "
        f"trained.{did_you_mean(wanted, known)} Take it out, or name one that the model has."
    )
