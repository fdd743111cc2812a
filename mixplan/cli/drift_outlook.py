"""Says what a plan samples to predict the drift of a GRPO job, and what would predict more of it."""

from __future__ import annotations

from collections.abc import Iterator

from mixplan.recipe import Recipe


def drift_outlook(recipe: Recipe) -> Iterator[str]:
    """What a plan does beside reading to predict drift, and how a GRPO job's is predicted best, behind "a plan ...".

    Source: recipes/studies/smollm2-135m-grpo-direction/RESULTS.md, held-out targets.
    """
    drift, spec = recipe.drift, recipe.drift.rollouts
    if drift.from_ in ("rollouts", "reward_step"):
        answers = f"{spec.prompts:,} × {spec.samples:,} answers of up to {spec.answer_tokens:,} tokens"
        yield f"samples at most {answers}, for which the model is loaded whole"
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
