"""Computes what predicts the features that a GRPO job moves, from what was read of its target and of a pilot of it.

With h a feature's activation on a question token of the untrained model, h' the same through the pilot's model, A an
answer's advantage, g the activation on a token of a sampled answer, d the feature's decoder row, and r the gradient of
the sum of A log p over sampled answers with respect to the stream at the hook point of a token:

    pilot            = E (h' - h)^2                     activation        = E h
    answers          = |E A g|                          behind and icl: see mixplan.study.forecasts.rewarded
    gradient         = E (r d)^2 [h > 0], questions     attribution       = E |r d| h, questions
    answer_gradient  = E (r d)^2 [g > 0], answers       answer_attribution = E |r d| g, answers
    step             = E (h'' - h)^2, with h'' through the model whose adapter has taken one more step of ten times the
                       learning rate along the sign of the gradient of that sum over all sampled answers
    step_far         the same with a step of as many learning rates as the job has steps
    step_dealt       the same as step with each prompt's rewards dealt anew to its answers, a control
    step_drawn       the same with signs drawn at random, a control
    pilot_longer     = E (h'' - h)^2, with h'' through the pilot's adapter, its change multiplied by the job's steps and
                       divided by the pilot's

    pilot_N, own_N   = E (h'' - h)^2, with h'' through the pilot's, or the job's own, adapter after N steps

and of two predictors x and y

    x * y  = sqrt(x y)                                  x + y             = x / sum x + y / sum y

Each predictor's N largest features are what it predicts. Where no prompt's answers differ in reward at a pilot's
policy, what is read of them is 0: it predicts nothing by itself, and its product with the pilot is the pilot.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from mixplan.drift import drift_dimensions

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def product(left: Doubles, right: Doubles) -> Doubles:
    """`[d_sae]` root of the product; what is below 0 counts as 0."""
    return np.asarray(np.sqrt(np.maximum(left, 0) * np.maximum(right, 0)))


def total(left: Doubles, right: Doubles) -> Doubles:
    """`[d_sae]` sum of both, each over its own sum."""
    return left / left.sum() + right / right.sum()


def predictions(read: Mapping[str, Doubles], *, count: int) -> dict[str, Integers]:
    """By predictor its `[count]` features, of what was read by name: see `values_of`."""
    return {name: drift_dimensions(value, count=count) for name, value in values_of(read).items()}


def values_of(read: Mapping[str, Doubles]) -> dict[str, Doubles]:
    """By predictor `[d_sae]`, more for a feature that the job is expected to move more.

    Args:
        read: `icl`, `activation` and `untrained/NAME` with NAME one of `answers`, `gradient`, `attribution`,
            `answer_gradient`, `answer_attribution` and `step`; where there is a pilot `pilot` and `pilot_longer`; where
            answers were sampled from it `pilot/NAME` and `pilot/answers_untrained`; and anything else, which is taken
            as it is.
    """
    made = {name: value for name, value in read.items() if value.any()}
    prior = made["icl * activation"] = product(read["icl"], read["activation"])
    for name in ("answers", "gradient", "attribution", "step"):
        made[f"activation * untrained/{name}"] = product(read["activation"], read[f"untrained/{name}"])
    if "pilot" not in read:
        return made
    pilot = read["pilot"]
    for name in ("icl", "activation", "pilot_longer"):
        made[f"pilot * {name}"] = product(pilot, read[name])
        made[f"pilot + {name}"] = total(pilot, read[name])
    made["pilot * icl * activation"] = product(pilot, prior)
    made["pilot + icl * activation"] = total(pilot, prior)
    made["pilot + untrained/step"] = total(pilot, read["untrained/step"])
    if "pilot/step" not in read:
        return made
    for name in ("answers", "answers_untrained", "gradient", "attribution", "answer_gradient", "answer_attribution"):
        told = read[f"pilot/{name}"]
        made[f"pilot * pilot/{name}"] = product(pilot, told) if told.any() else pilot
    made["pilot * pilot/step"] = product(pilot, read["pilot/step"])
    made["pilot + pilot/step"] = total(pilot, read["pilot/step"])
    return made
