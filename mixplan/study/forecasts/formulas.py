"""Computes each training-free forecast and its competitors, by target and domain, from the untrained model's readings.

With t a target, d a domain, s(d) the mean squared shift that d's own demonstrations bring to the features of d's
question tokens, s(t) the target's likewise, a(d) mean activations, v(d) mean signed changes, D_N(t) the N features with
the largest s(t), and s(d | t) the shift that t's demonstrations bring to d's tokens:

    sts_icl = sum of s(d) over D_N(t)          sts_act = sum of a(d) over D_N(t)       (arXiv 2603.02908)
    share   = sts_icl / sum of s(d)            weighted = sum of s(d) s(t) / sum of s(t)
    direction = cosine of v(d) and v(t)        behind = sum of s(d | t)

with n in t's place for neutral prose as long as t's demonstrations, and v(d | t) the signed changes behind either,

    excess  = sum of the positive part of s(d | t) - s(d | n)
    beyond  = sum of (v(d | t) - v(d | n))^2   toward = cosine of v(d | t) - v(d | n) and v(t)

and the previews are what the model would answer behind t's demonstrations: see `mixplan.evaluate.preview`. Where jobs
train with GRPO, scores on dimensions from rollouts and from a pilot run stand beside: see
`mixplan.study.forecasts.rewarded`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixplan.drift import drift_dimensions, low_shift_dimensions
from mixplan.features.profile import Profile
from mixplan.study.files.judgement import Cost
from mixplan.study.forecasts.rewarded import RewardedReading, rewarded_scores, rewarded_shifts

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

RANDOM_SETS = 20
"""Random feature sets whose mean stands for chance."""

COMPETITORS = (
    "total_shift", "total_shift_raw", "sts_act_raw", "sts_icl_raw", "low_shift", "random_features", "similarity",
    "similarity_raw", "similarity_words", "pool_rows", "answer_entropy", "neutral_kl", "neutral_shift",
)  # fmt: skip
"""What costs next to nothing, or never looks at the target: a forecast has to beat it."""

BOUNDS = ("actual_dimensions", "actual_act", "actual_shift", "actual_shift_raw")
"""What needs the trained model."""


@dataclass(frozen=True)
class TargetReading:
    """What was read of a target's questions and answers.

    Attributes:
        own: Question tokens behind its own demonstrations.
        neutral: The same behind neutral prose of the same length.
        answers: Answer tokens behind its own demonstrations.
        words: How often each token stands in its pool rows.
        rewarded: What rollouts and a pilot run tell, where jobs train with GRPO.
    """

    own: Profile
    neutral: Profile
    answers: Profile
    words: Counter[int]
    rewarded: RewardedReading | None = None


@dataclass(frozen=True)
class DomainReading:
    """What was read of a domain, by target where targets' demonstrations stand in front.

    Attributes:
        own: Question tokens behind its own demonstrations.
        behind: By target, question tokens behind the target's demonstrations.
        neutral: By target, behind neutral prose of the same length.
        answers: By target, answer tokens behind the target's demonstrations.
        neutral_answers: By target, answer tokens behind neutral prose.
        preview: By target and quantity, mean over rows behind the target's demonstrations.
        neutral_preview: The same behind neutral prose.
        words: As a target's.
        pool_rows: Rows that could be trained on.
        answer_entropy: Mean entropy of the next token over the model's own answers to bare questions, in nats.
    """

    own: Profile
    behind: dict[str, Profile]
    neutral: dict[str, Profile]
    answers: dict[str, Profile]
    neutral_answers: dict[str, Profile]
    preview: dict[str, dict[str, float]]
    neutral_preview: dict[str, dict[str, float]]
    words: Counter[int]
    pool_rows: int
    answer_entropy: float


@dataclass(frozen=True)
class Readings:
    """All that was read of a study's targets and domains, and the forecasts made of it.

    Attributes:
        targets: By name.
        domains: By name.
        forecasts: By target, domain and name.
        cost: What they cost beside reading, with GRPO.
    """

    targets: dict[str, TargetReading]
    domains: dict[str, DomainReading]
    forecasts: dict[str, dict[str, dict[str, float]]]
    cost: Cost | None = None


def forecasts_of(
    target: str, reading: TargetReading, domain: DomainReading, *, count: int, seed: int
) -> dict[str, float]:
    """Every forecast and competitor for one target and one domain.

    Args:
        target: Its name.
        reading: What was read of it.
        domain: What was read of the domain.
        count: Drift dimensions, N.
        seed: Of the random features.

    Returns:
        By name; where more means a larger expected change, but for signed cosines, which their names say.
    """
    return {
        **by_features(reading, domain, count=count, seed=seed),
        **by_direction(reading, domain),
        **by_context(target, reading, domain, count=count),
        **by_preview(target, domain),
        **by_rewards(reading, domain, count=count),
        "similarity_words": cosine_of_counts(reading.words, domain.words),
        "pool_rows": float(domain.pool_rows),
        "answer_entropy": domain.answer_entropy,
    }


def by_features(reading: TargetReading, domain: DomainReading, *, count: int, seed: int) -> dict[str, float]:
    """Scores from the domain's own shift and activations on sets of features."""
    own, source = domain.own, reading.own
    shift, act = own.shift / own.tokens, own.act / own.tokens
    toward = source.shift / source.tokens
    drift = drift_dimensions(toward, count=count)
    low = low_shift_dimensions(toward, source.fired, drift)
    corrected = drift_dimensions(positive(toward - reading.neutral.shift / reading.neutral.tokens), count=count)
    live = np.flatnonzero((source.fired > 0) | (source.shift > 0))
    generator = np.random.default_rng([seed, len(live)])
    drawn = [generator.choice(live, min(count, len(live)), replace=False) for _ in range(RANDOM_SETS)]
    raw = drift_dimensions(source.raw_shift, count=min(count, len(source.raw_shift)))
    raw_shift = own.raw_shift / own.tokens
    total = float(shift.sum())
    return {
        "sts_icl": float(shift[drift].sum()),
        "sts_act": float(act[drift].sum()),
        "sts_icl_corrected": float(shift[corrected].sum()),
        "share": ratio(float(shift[drift].sum()), total),
        "share_act": ratio(float(act[drift].sum()), float(act.sum())),
        "weighted": float(shift @ toward / toward.sum()),
        "weighted_act": float(act @ toward / toward.sum()),
        "low_shift": float(shift[low].sum()),
        "random_features": float(np.mean([shift[chosen].sum() for chosen in drawn])),
        "total_shift": total,
        "total_shift_raw": float(raw_shift.sum()),
        "sts_icl_raw": float(raw_shift[raw].sum()),
        "sts_act_raw": float(np.abs(own.raw_sum / own.tokens)[raw].sum()),
        "similarity": cosine(act, source.act),
        "similarity_raw": cosine(own.raw_sum, source.raw_sum),
    }


def by_direction(reading: TargetReading, domain: DomainReading) -> dict[str, float]:
    """Cosines of what demonstrations change in the target and in the domain."""
    own, source = domain.own, reading.own
    return {
        "direction": cosine(own.delta, source.delta),
        "direction_raw": cosine(own.raw_delta, source.raw_delta),
        "profile": cosine(own.shift, source.shift),
        "profile_root": cosine(np.sqrt(own.shift), np.sqrt(source.shift)),
    }


def by_context(target: str, reading: TargetReading, domain: DomainReading, *, count: int) -> dict[str, float]:
    """Scores from what the target's own demonstrations bring to the domain's tokens."""
    drift = drift_dimensions(reading.own.shift, count=count)
    neutral_shift = float(domain.neutral[target].shift.sum()) / domain.neutral[target].tokens
    found: dict[str, float] = {"neutral_shift": neutral_shift}
    pairs = {
        "behind": (domain.behind[target], domain.neutral[target]),
        "behind_answers": (domain.answers[target], domain.neutral_answers[target]),
    }
    for name, (with_target, with_neutral) in pairs.items():
        shift, neutral = with_target.shift / with_target.tokens, with_neutral.shift / with_neutral.tokens
        raw = with_target.raw_shift.sum() / with_target.tokens
        # What the target's rows bring beyond what any text in front brings, feature by feature.
        beyond = with_target.delta / with_target.tokens - with_neutral.delta / with_neutral.tokens
        found |= {
            name: float(shift.sum()),
            f"{name}_drift": float(shift[drift].sum()),
            f"{name}_excess": float(positive(shift - neutral).sum()),
            f"{name}_beyond": float((beyond**2).sum()),
            f"{name}_raw": float(raw),
            f"{name}_toward": cosine(beyond, reading.own.delta),
        }
    return found


def by_preview(target: str, domain: DomainReading) -> dict[str, float]:
    """Scores from what the model would answer behind the target's demonstrations."""
    own, neutral = domain.preview[target], domain.neutral_preview[target]
    found = {
        "neutral_kl": neutral["kl"],
        "preview_kl": own["kl"],
        "preview_kl_excess": max(own["kl"] - neutral["kl"], 0.0),
    }
    found["preview_kl_ratio"] = own["kl"] / max(neutral["kl"], 1e-12)
    for quantity in own:
        if quantity != "kl":
            found[f"preview_{quantity}"] = own[quantity]
            found[f"preview_{quantity}_corrected"] = own[quantity] - neutral[quantity]
    return found


def by_rewards(reading: TargetReading, domain: DomainReading, *, count: int) -> dict[str, float]:
    """Scores on dimensions from rollouts and from a pilot run; none where jobs do not train with GRPO."""
    if reading.rewarded is None:
        return {}
    icl = reading.own.shift / reading.own.tokens
    return rewarded_scores(reading.rewarded, icl, domain.own, count=count)


def drift_variants(reading: TargetReading, *, count: int) -> dict[str, Integers]:
    """Predicted drift dimensions of the SAE by method; `icl` is the paper's. Those from rollouts come first."""
    own, neutral, answers = reading.own, reading.neutral, reading.answers
    shift, answer_shift = own.shift / own.tokens, answers.shift / answers.tokens
    delta = own.delta / own.tokens - neutral.delta / neutral.tokens
    rewarded = {} if reading.rewarded is None else rewarded_shifts(reading.rewarded, shift)
    variants = rewarded | {
        "icl": shift,
        "icl_corrected": positive(shift - neutral.shift / neutral.tokens),
        "icl_answers": answer_shift,
        "icl_both": shift / shift.sum() + answer_shift / answer_shift.sum(),
        "icl_mean_change": (own.delta / own.tokens) ** 2,
        "icl_beyond_neutral": delta**2,
        "icl_relative": shift / np.sqrt(own.act / own.tokens + 1e-3),
        "activation": own.act / own.tokens,
        "answer_activation": answers.act / answers.tokens,
        "shift_and_activation": np.sqrt(shift * positive(own.act / own.tokens)),
    }
    return {name: drift_dimensions(values, count=count) for name, values in variants.items()}


def bounds_of(domain: DomainReading, drift: Mapping[str, Doubles], name: str, *, count: int) -> dict[str, float]:
    """Scores from what one trained model really changed; no forecast can know it."""
    own = domain.own
    actual = drift_dimensions(drift["target.shift"], count=count)
    return {
        "actual_dimensions": float(own.shift[actual].sum() / own.tokens),
        "actual_act": float(own.act[actual].sum() / own.tokens),
        "actual_shift": float(drift[f"{name}.shift"].sum()),
        "actual_shift_raw": float(drift[f"{name}.raw_shift"].sum()),
    }


def positive(values: Doubles) -> Doubles:
    """Values, 0 where they are less."""
    return np.maximum(values, 0.0)


def ratio(part: float, whole: float) -> float:
    """A part of a whole, 0 when the whole is 0."""
    return part / whole if whole > 0 else 0.0


def cosine(left: Doubles, right: Doubles) -> float:
    """Cosine of two vectors, 0 when one is 0."""
    size = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / size if size > 0 else 0.0


def cosine_of_counts(left: Counter[int], right: Counter[int]) -> float:
    """Cosine of two sets of token counts."""
    dot = float(sum(count * right[token] for token, count in left.items()))
    size = float(np.sqrt(sum(c * c for c in left.values()) * sum(c * c for c in right.values())))
    return dot / size if size > 0 else 0.0
