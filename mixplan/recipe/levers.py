"""Checks what ways of keeping abilities beside rows ask of the job: answers in the model's own voice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mixplan.recipe.configs import dotted
from mixplan.recipe.domain_spec import DomainSpec
from mixplan.recipe.lines import KeyPath
from mixplan.recipe.spec import MixtureSpec, TrainSpec

TARGET_ANSWERS = ("mixture", "target_answers")


def wrong_levers(
    mixture: MixtureSpec | None, train: TrainSpec | None, targets: Mapping[KeyPath, DomainSpec | None]
) -> Iterator[tuple[KeyPath, str]]:
    """What a lever asks for that the recipe does not give.

    Args:
        mixture: The recipe's section; None where that is not valid itself.
        train: Likewise.
        targets: The target's section, or those of its sources, by their keys.

    Yields:
        A key path and what is wrong there, with a remedy.
    """
    if mixture is None or mixture.target_answers != "own_voice":
        return
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
