"""Says what a plan samples to predict the drift of a GRPO job, and what would predict more of it."""

from __future__ import annotations

from collections.abc import Iterator

from mixplan.mixture.grpo_loss import stated
from mixplan.recipe import Recipe

LIKE_THE_JOB = {"temperature": "temperature", "answer_tokens": "max_completion_length"}
"""Keys of `drift.rollouts`, and the arguments that the job samples by."""
NOT_FOLLOWED = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
"""Arguments by which a job samples otherwise, and the values that change nothing."""


def drift_outlook(recipe: Recipe) -> Iterator[str]:
    """What a plan does beside reading to predict drift, and how a GRPO job's is predicted best, behind "a plan ...".

    Source: recipes/studies/smollm2-135m-grpo-direction/RESULTS.md, held-out targets.
    """
    drift, spec = recipe.drift, recipe.drift.rollouts
    if drift.from_ in ("rollouts", "reward_step"):
        answers = f"{spec.prompts:,} × {spec.samples:,} answers of up to {spec.answer_tokens:,} tokens"
        yield f"samples at most {answers}, for which the model is loaded whole"
        if apart := list(unlike_the_job(recipe)):
            yield f"samples otherwise than the job does: {'; '.join(apart)}"
    if drift.from_ == "reward_step":
        yield (
            "takes one step along the reward's gradient, which reads each answer forth and back in float32; where the "
            "plan reads in a shorter type, the model is loaded once more in float32 beside it"
        )
    adapted = recipe.train.method == "grpo" and recipe.train.lora is not None
    if drift.from_ in ("icl", "rollouts") and adapted and recipe.model.sae_spec is not None:
        told = "worked examples, which named 26.0" if drift.from_ == "icl" else "such answers, which named 20.5"
        yield (
            f"predicts the features that the job moves by {told} of the 100 that GRPO moved most on four held-out "
            "targets of SmolLM2-135M-Instruct; `drift.from: reward_step` named 43.2, a pilot of ten steps 39.5 "
            "(docs/grpo-and-pilots.md)"
        )


def unlike_the_job(recipe: Recipe) -> Iterator[str]:
    """Where answers are sampled for the drift otherwise than the GRPO job samples them."""
    if recipe.train.method != "grpo":
        return
    args = recipe.train.args
    for key, argument in LIKE_THE_JOB.items():
        mine, job = getattr(recipe.drift.rollouts, key), stated(args, argument)
        if job is not None and job != mine:
            yield f"`drift.rollouts.{key}` is {mine:g}, `train.args.{argument}` {job:g}"
    for argument, plain in NOT_FOLLOWED.items():
        if args.get(argument) not in (None, plain):
            yield f"`train.args.{argument}: {args[argument]:g}` is not followed"
