"""Checks that what a recipe's drift is predicted from can be had: a checkpoint, graded answers, a job with a reward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mixplan.recipe.configs import dotted
from mixplan.recipe.domain_spec import DomainSpec
from mixplan.recipe.lines import KeyPath
from mixplan.recipe.reading_spec import DriftSpec
from mixplan.recipe.spec import ModelSpec, TrainSpec


def unmet_by_drift(
    drift: DriftSpec,
    targets: Mapping[KeyPath, DomainSpec | None],
    train: TrainSpec | None,
    model: ModelSpec | None,
) -> Iterator[tuple[KeyPath, str]]:
    """What each way of telling the drift needs and the recipe does not give.

    Args:
        drift: The section.
        targets: The target's sections by their paths; None for one that is not valid itself.
        train: The job; likewise.
        model: The model; likewise.

    Yields:
        A key path and what is wrong there, with a remedy.
    """
    if drift.from_ == "checkpoint" and drift.checkpoint is None:
        text = "`from: checkpoint` needs `checkpoint`, the folder of a trained model or adapter. Add it."
        yield ("drift", "from"), text
    if drift.from_ == "reward_step" and train is not None:
        yield from _reward_step(train)
    if drift.from_ == "reward_step" and model is not None and model.device_map is not None:
        yield (
            ("model", "device_map"),
            "`drift.from: reward_step` takes its gradient in float32 on one device. Leave `device_map` out, or set "
            "`drift.from` to rollouts or checkpoint.",
        )
    graded = train is None or "graded" in train.rewards
    for path, target in targets.items():
        sampled = drift.from_ in ("rollouts", "reward_step")
        if sampled and graded and target is not None and target.grader == "none":
            yield (
                ("drift", "from"),
                f"`from: {drift.from_}` grades the model's own answers, but `{dotted(path)}` has the grader none. "
                "Choose one, or set `drift.from` to icl.",
            )


def _reward_step(train: TrainSpec) -> Iterator[tuple[KeyPath, str]]:
    """What a step along the reward's gradient needs of the job: that is what was judged."""
    lora = train.lora
    begun = None if lora is None else lora.get("init_lora_weights")
    if train.method != "grpo":
        yield (
            ("drift", "from"),
            f"`from: reward_step` follows the rewards of a GRPO job, and `train.method` is {train.method}. Set "
            "`train.method: grpo`, or `drift.from` to icl or checkpoint.",
        )
    elif lora is None:
        yield (
            ("drift", "from"),
            "`from: reward_step` takes a step of a LoRA adapter, which is what it was judged for, and without "
            "`train.lora` all weights are trained. Add `train.lora`, or set `drift.from` to icl, rollouts or "
            "checkpoint.",
        )
    elif begun not in (None, True, "gaussian"):
        yield (
            ("train", "lora", "init_lora_weights"),
            f"`drift.from: reward_step` steps from an adapter that changes nothing at first, which {begun!r} does not "
            "promise. Remove it, or set `drift.from` to icl, rollouts or checkpoint.",
        )
    elif lora.get("layer_replication"):
        yield (
            ("train", "lora", "layer_replication"),
            "`drift.from: reward_step` steps from an adapter that changes nothing at first, and one that runs layers "
            "twice does. Remove it, or set `drift.from` to icl, rollouts or checkpoint.",
        )
