"""Checks what ways of keeping abilities beside rows ask of the job: answers in the model's own voice, KL on replay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mixplan.recipe.configs import dotted
from mixplan.recipe.domain_spec import DomainSpec
from mixplan.recipe.lines import KeyPath
from mixplan.recipe.spec import MixtureSpec, TrainSpec

Finding = tuple[KeyPath, str]
TARGET_ANSWERS = ("mixture", "target_answers")
REPLAY_KL = ("train", "replay_kl")

UNFIT = {
    "packing": "puts rows of the target and of domains into one",
    "padding_free": "puts rows of the target and of domains into one",
    "use_liger_kernel": "computes the loss without the states that it reads",
    "label_smoothing_factor": "computes the loss by another pass than the one that it reads",
    "torch_compile": "compiles the pass that it reads",
    "fsdp": "shares the model out among processes, and it trains in one alone",
    "deepspeed": "shares the model out among processes, and it trains in one alone",
}
"""TRL's settings beside which the loss term at domain rows cannot be computed, with why."""
AS_BEFORE = (True, False, "gaussian")
"""Beginnings of an adapter that leave the model as it is; the others change its own weights, or add to it at once."""


def wrong_levers(
    mixture: MixtureSpec | None, train: TrainSpec | None, targets: Mapping[KeyPath, DomainSpec | None]
) -> Iterator[Finding]:
    """What a lever asks for that the recipe does not give.

    Args:
        mixture: The recipe's section; None where that is not valid itself.
        train: Likewise.
        targets: The target's section, or those of its sources, by their keys.

    Yields:
        A key path and what is wrong there, with a remedy.
    """
    if train is not None and train.replay_kl is not None:
        yield from _replay_kl(train)
    if mixture is not None and mixture.target_answers == "own_voice":
        yield from _own_voice(train, targets)


def _replay_kl(train: TrainSpec) -> Iterator[Finding]:
    """What the loss term at domain rows cannot be added to."""
    if train.method == "grpo":
        yield (
            REPLAY_KL,
            "it is a term of SFT's loss, and `train.method` is grpo, which has one of its own. Set `train.args.beta`, "
            "the weight of its KL from the untrained model, and leave this key out.",
        )
        return
    if (why := unfit_for_replay_kl(train)) is not None:
        yield REPLAY_KL, f"{why}. Leave one of the two out."


def unfit_for_replay_kl(train: TrainSpec) -> str | None:
    """Why a job's loss can have no KL from the untrained model, of a weight above 0; None where it can."""
    if train.replay_kl is not None and train.replay_kl.weight == 0:
        return None
    for name, why in UNFIT.items():
        if train.args.get(name):
            return f"`train.args.{name}` {why}"
    lora = train.lora or {}
    if lora.get("bias", "none") != "none":
        return (
            f"`train.lora.bias: {lora['bias']}` trains biases of the model itself, so that without its adapter it is "
            "not the untrained one"
        )
    if (begins := lora.get("init_lora_weights", True)) not in AS_BEFORE:
        return (
            f"`train.lora.init_lora_weights: {begins}` may change the model's own weights, so that without its adapter "
            "it is not the untrained one"
        )
    return None


def _own_voice(train: TrainSpec | None, targets: Mapping[KeyPath, DomainSpec | None]) -> Iterator[Finding]:
    """What answers in the model's own words cannot be asked or graded for."""
    if train is not None and train.method == "grpo":
        yield (
            TARGET_ANSWERS,
            "found 'own_voice', but `train.method` is grpo, whose rows carry no answers: GRPO rewards the model's own "
            "attempts. Leave the key out, or set `train.method: sft`.",
        )
        return
    for path, target in targets.items():
        if target is not None and target.grader == "none":
            yield (
                TARGET_ANSWERS,
                f"found 'own_voice', which takes an answer in other words only where a grader accepts it, but "
                f"`{dotted(path)}` has the grader none. Set `{dotted((*path, 'grader'))}` to choice, exact, number, "
                "math or generator, or leave `target_answers` out.",
            )
