"""Says by which settings of its generation config a model answers elsewhere than here, by its file alone."""

from __future__ import annotations

from collections.abc import Mapping

from mixplan.recipe.base_models import read_json
from mixplan.recipe.spec import TrainSpec

NEUTRAL: Mapping[str, object] = {
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "suppress_tokens": [],
    "begin_suppress_tokens": [],
    "bad_words_ids": [],
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "sequence_bias": [],
    "exponential_decay_length_penalty": None,
    "min_length": 0,
    "min_new_tokens": 0,
    "num_beams": 1,
}
"""What changes the likeliest answer in transformers' `generate`, and the value with which it does not."""
SET_BY_TRL = ("repetition_penalty",)
"""Those that GRPO's sampling does not take from the model's file, since TRL sets them; transformers fills in others."""


def answers_otherwise(place: str, name: str, train: TrainSpec, revision: str | None = None) -> str | None:
    """Say what a model's generation config changes in its answers that nothing here does.

    Args:
        place: The model's folder, or its hub id where the hub's cache holds it.
        name: The model's name, for the message.
        train: The recipe's section; TRL's GRPO samples by some of it.
        revision: Of a hub id; `main` where None.

    Returns:
        Whole sentences; None where the file is not here or changes nothing.
    """
    stated: Mapping[str, object] = read_json(place, "generation_config.json", revision)
    keys = [key for key, neutral in NEUTRAL.items() if stated.get(key) not in (None, neutral)]
    if not keys:
        return None
    text = (
        f"generation_config.json of '{name}' sets {_listed(keys, stated)}, by which transformers' `generate` answers. "
        "What is measured here, before training and after, are the model's likeliest tokens without."
    )
    sampled = [key for key in keys if key not in SET_BY_TRL]
    if train.method == "grpo" and sampled and not train.args.get("use_vllm"):
        text += f" The GRPO job itself samples by {_listed(sampled, stated)}; `drift.from` does not."
    return text


def _listed(keys: list[str], stated: Mapping[str, object]) -> str:
    """Settings with their values; lists of tokens by name alone."""
    return ", ".join(f"`{key}`" if isinstance(stated[key], list) else f"`{key}: {stated[key]}`" for key in keys)
