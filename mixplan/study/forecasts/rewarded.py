"""Computes a target's drift dimensions from rollouts and a pilot run, by estimator, and scores on them.

For a study whose jobs train with GRPO, beside worked examples. With A a sampled answer's advantage (see
`mixplan.drift.rollouts`), h a feature's activation on a query token of the target alone, h(a) and h(r) the same behind
demonstrations with accepted and rejected answers, drawn as the advantages weigh them, and h' through the pilot's model:

    rollouts          = E (h(a) - h(r))^2              rollouts_signed   = (E (h(a) - h(r)))^2
    rollouts_accepted = E (h(a) - h)^2                 rollouts_rejected = E (h(r) - h)^2
    rollouts_and_icl  = rollouts_accepted / its sum + icl / its sum
    checkpoint        = E (h' - h)^2

and with g a feature's activation on a token of a sampled answer itself, means over all answers' tokens, which is how
the gradient sum of A grad log p(answer) counts them,

    rollouts_answers        = |E A g|        what tells raised answers from lowered ones
    rollouts_answers_size   = E |A| g        what is there where the gradient is not 0
    rollouts_taught         = sqrt(rollouts_accepted x rollouts_answers_size)
    rollouts_answers_shift  = sqrt(rollouts_accepted x rollouts_answers)

Each estimator's N largest features are its drift dimensions, and a domain's sts_icl and sts_act are summed over them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixplan.drift import drift_dimensions
from mixplan.drift.rollouts import Sampled
from mixplan.features.profile import Profile
from mixplan.features.weighted import Weighted

Doubles = npt.NDArray[np.float64]

SCORED = ("rollouts", "rollouts_accepted", "rollouts_answers", "checkpoint")
"""Estimators whose dimensions domains are scored on, beside icl."""


@dataclass(frozen=True)
class RewardedReading:
    """What was read of a target's questions and of the model's own answers to others of them.

    Attributes:
        against: Question tokens behind rejected answers, and behind accepted ones.
        accepted: Question tokens alone, and behind accepted answers.
        rejected: Question tokens alone, and behind rejected answers.
        answers: Tokens of sampled answers, weighed by advantage.
        pilot: Question tokens alone, through the untrained model and through the pilot's.
        told: What was sampled, in figures (see `mixplan.drift.rollouts.figures`).
    """

    against: Profile
    accepted: Profile
    rejected: Profile
    answers: Weighted
    pilot: Profile
    told: Sampled


def rewarded_shifts(reading: RewardedReading, icl: Doubles) -> dict[str, Doubles]:
    """Each estimator's value of each feature, as the module's sentence says.

    Args:
        reading: What was read.
        icl: `[d_sae]` mean squared change that the target's worked examples bring.

    Returns:
        By name `[d_sae]`, more for a feature that the job is expected to move more.
    """
    accepted, answers = mean_shift(reading.accepted), reading.answers
    return {
        "rollouts": mean_shift(reading.against),
        "rollouts_accepted": accepted,
        "rollouts_rejected": mean_shift(reading.rejected),
        "rollouts_signed": (reading.against.delta / reading.against.tokens) ** 2,
        "rollouts_and_icl": accepted / accepted.sum() + icl / icl.sum(),
        "rollouts_answers": np.abs(answers.signed),
        "rollouts_answers_size": answers.size,
        "rollouts_taught": np.sqrt(accepted * answers.size),
        "rollouts_answers_shift": np.sqrt(accepted * np.abs(answers.signed)),
        "checkpoint": mean_shift(reading.pilot),
    }


def rewarded_scores(reading: RewardedReading, icl: Doubles, domain: Profile, *, count: int) -> dict[str, float]:
    """A domain's scores on the dimensions of each of `SCORED`.

    Args:
        reading: What was read of the target.
        icl: See `rewarded_shifts`.
        domain: The domain's question tokens behind its own demonstrations.
        count: Drift dimensions, N.
    """
    values = rewarded_shifts(reading, icl)
    scores = {}
    for name in SCORED:
        chosen = drift_dimensions(values[name], count=count)
        scores[f"sts_icl_{name}"] = float(domain.shift[chosen].sum()) / domain.tokens
        scores[f"sts_act_{name}"] = float(domain.act[chosen].sum()) / domain.tokens
    return scores


def mean_shift(profile: Profile) -> Doubles:
    """`[d_sae]` mean squared change a token."""
    return profile.shift / profile.tokens
