"""Gives TRL's own command line the recipe's rewards by their names: `mixplan.train.rewards.NAME`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from mixplan.chat.reasoning import OPEN
from mixplan.grading.process import GradingProcess
from mixplan.grading.rewards import Reward, scoring
from mixplan.mixture.trl_config import BEHIND_REASONING
from mixplan.recipe import TrainSpec
from mixplan.recipe.rules import REWARDS


@functools.cache
def default_process() -> GradingProcess:
    """The grading process of TRL's own command line, with the recipe's default time limit."""
    return GradingProcess(seconds=TrainSpec().grader_seconds)


def __getattr__(name: str) -> Reward:
    """The reward that a recipe calls so, as TRL's own command line looks for it.

    Args:
        name: The recipe's name of it, such as `number`; with `_behind_reasoning` where prompts open the reasoning, so
            that an answer which never closes it has not answered.

    Raises:
        AttributeError: there is no such reward.
    """
    if name.removesuffix(BEHIND_REASONING) not in REWARDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return named(name)


@functools.cache
def named(name: str) -> Reward:
    """A reward with the recipe's default settings, by its name as in `__getattr__`."""
    own = name.removesuffix(BEHIND_REASONING)
    opened = "" if own == name else f"{OPEN}\n"
    return Reward(name, scoring(own, TrainSpec(), default_process(), opened), None)


def graded(
    completions: Sequence[Any],
    reference: Sequence[str],
    grader: Sequence[str],
    entry: Sequence[str | None],
    **columns: Any,
) -> list[float | None]:
    """Reward a batch as TRL's own command line asks for it by `reward_funcs: mixplan.train.rewards.graded`.

    Args:
        completions: One assistant turn each.
        reference: The rows' reference answers.
        grader: The rows' graders: `choice`, `exact`, `number`, `math` or `generator`.
        entry: Generator rows: the reasoning-gym entry as JSON.
        columns: What else TRL gives; of it `accepted`, the rows' other right answers, where the mixture has them.

    Returns:
        One reward a completion, 0 to 1, in order; 0 where a scorer fails or never returns.
    """
    return named("graded")(completions=completions, reference=reference, grader=grader, entry=entry, **columns)
