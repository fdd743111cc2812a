"""Gives TRL's own command line the recipe's default rewards."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from mixplan.grading.process import GradingProcess
from mixplan.grading.rewards import Reward, scoring
from mixplan.recipe import TrainSpec


@functools.cache
def default_process() -> GradingProcess:
    """The grading process of TRL's own command line, with the recipe's default time limit."""
    return GradingProcess(seconds=TrainSpec().grader_seconds)


def graded(
    completions: Sequence[Any],
    reference: Sequence[str],
    grader: Sequence[str],
    entry: Sequence[str | None],
    accepted: Sequence[Sequence[str]] | None = None,
    **_columns: object,
) -> list[float | None]:
    """Reward a batch as TRL's own command line asks for it by `reward_funcs: mixplan.train.rewards.graded`.

    Args:
        completions: One assistant turn each.
        reference: The rows' reference answers.
        grader: The rows' graders: `choice`, `exact`, `number`, `math` or `generator`.
        entry: Generator rows: the reasoning-gym entry as JSON.
        accepted: The rows' further answers that count as right; None where no row of the mixture has any.

    Returns:
        One reward a completion, 0 to 1, in order; 0 where a scorer fails or never returns.
    """
    reward = Reward("graded", scoring("graded", TrainSpec(), default_process()), None)
    further = {} if accepted is None else {"accepted": accepted}
    return reward(completions=completions, reference=reference, grader=grader, entry=entry, **further)
