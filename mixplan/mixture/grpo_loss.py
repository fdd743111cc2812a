"""Says how a GRPO job's loss weighs answers at its first step, by what `train.args` says and TRL's own defaults.

With rewards r of a group, answers of T tokens each and p the model's probability of an answer, the gradient of the loss
is at first, up to a factor that all answers share,

    - sum over answers i of w_i grad log p(answer i),    w_i = A_i by default,

A_i = (r_i - mean r) / std r. `scale_rewards` of `none` leaves the division by std r out, `batch` divides by what all
groups share; a `loss_type` of `grpo` or `sapo` takes each answer's mean over its tokens, so that w_i is divided by T_i;
`mask_truncated_completions` leaves answers out that were cut at their longest length.

Source: `GRPOTrainer._compute_loss` of TRL 1.16, where the ratio of both policies is 1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mixplan.errors import DriftError, RunError
from mixplan.mixture.trl_config import default_of
from mixplan.mixture.unread_rows import GRPO

SUMMED = ("dapo", "bnpo", "dr_grpo", "cispo", "vespo", "luspo")
AVERAGED = ("grpo", "sapo")
"""Values of `loss_type`, by whether an answer's tokens are summed or their mean is taken."""
SCALES = ("group", "none", "batch")
"""Values of `scale_rewards`."""
UNWEIGHED = {
    "top_entropy_quantile": 1.0,
    "entropy_coef": 0.0,
    "use_adaptive_entropy": False,
    "multi_objective_aggregation": "sum_then_normalize",
}
"""Arguments that change the first gradient in ways that no weight of an answer says, and the values that do not."""


@dataclass(frozen=True)
class LossWeights:
    """How answers are weighed.

    Attributes:
        scaled: Whether a group's advantages are divided by the standard deviation of its rewards.
        averaged: Whether an answer counts by the mean over its tokens.
        whole: Whether only answers that the model itself ended count.
    """

    scaled: bool = True
    averaged: bool = False
    whole: bool = False

    def of(
        self, advantages: npt.NDArray[np.float64], rewards: Sequence[float], ids: Sequence[Sequence[int]],
        ends: Collection[int],
    ) -> tuple[float, ...]:  # fmt: skip
        """Weigh a group's answers.

        Args:
            advantages: `[answers]` A of each.
            rewards: The reward of each.
            ids: Token ids of each, the one that ended it included.
            ends: Tokens that end an answer.

        Returns:
            The weight of each; as its advantage by TRL's defaults.
        """
        weights = advantages if self.scaled else advantages * np.std(rewards, ddof=1)
        if self.averaged:
            weights = weights / np.maximum(1, [len(answer) for answer in ids])
        if self.whole:
            weights = weights * [bool(answer) and answer[-1] in ends for answer in ids]
        return tuple(float(one) for one in weights)


def loss_weights(train: Mapping[str, Any]) -> LossWeights:
    """How a job's loss weighs answers.

    Args:
        train: The resolved recipe's section `train`, of a GRPO job.

    Raises:
        DriftError: it weighs tokens or rewards in a way of its own.
    """
    args = train["args"]
    for key, plain in UNWEIGHED.items():
        several = key != "multi_objective_aggregation" or len(train["rewards"]) > 1
        if args.get(key) not in (None, plain) and several:
            raise unweighed(key, args[key])
    loss, scale = (stated(args, key) for key in ("loss_type", "scale_rewards"))
    if loss not in (*SUMMED, *AVERAGED):
        raise unweighed("loss_type", loss)
    if scale not in SCALES:
        raise unweighed("scale_rewards", scale)
    return LossWeights(
        scaled=scale == "group",
        averaged=loss in AVERAGED,
        whole=bool(stated(args, "mask_truncated_completions")),
    )


def stated(args: Mapping[str, Any], key: str) -> Any:
    """An argument, or the installed TRL's default; None where it has none."""
    if args.get(key) is not None:
        return args[key]
    try:
        return default_of(GRPO[0], key)
    except RunError:
        return None


def unweighed(key: str, value: object) -> DriftError:
    """The error for an argument that a step along the reward's gradient does not follow."""
    return DriftError(
        f"drift.from: reward_step does not follow `train.args.{key}: {value}`, which changes the gradient of a GRPO "
        "job in a way of its own. Leave it out, or set `drift.from` to icl, rollouts or checkpoint."
    )
