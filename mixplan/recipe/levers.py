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
    for name, why in UNFIT.items():
        if train.args.get(name):
            yield REPLAY_KL, f"`train.args.{name}` {why}. Leave one of the two out."


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
