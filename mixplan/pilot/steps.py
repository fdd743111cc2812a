"""Settles how many steps a pilot takes, and what it trains with, before anything is loaded."""

from __future__ import annotations

import math

from mixplan.errors import RecipeError, RunError
from mixplan.mixture.unread_rows import number, sources_of
from mixplan.plan.job import job_of
from mixplan.recipe import LoadedRecipe
from mixplan.saved.plan import Job

PART = 0.1
"""Of the job's steps."""
LEAST = 3
"""Steps: of fewer, warm-up and decay leave none at the schedule's height."""
STEPS = ("forecast", "pilot", "steps")


def pilot_job(loaded: LoadedRecipe, target_rows: int) -> tuple[Job, Job]:
    """What the recipe's pilot and its whole job train with.

    A pilot has the job's settings with a schedule of its own: it warms up and decays over its own steps.

    Args:
        loaded: The recipe.
        target_rows: Rows of the target in its mixture.

    Raises:
        RecipeError: the job's steps are not known, or no pilot of it can be shorter than the job and longer than its
            warm-up.
    """
    train, asked = loaded.resolved["train"], loaded.recipe.forecast.pilot.steps
    where = loaded.where(STEPS if asked is not None else ("forecast", "from"))
    job = job_of(train, target_rows)
    if job is None:
        raise RecipeError(
            f"{where}: forecast.from: how many steps the job takes is not known before training, so no part of it can "
            "be taken as a pilot. Give `train.args.max_steps` and `train.args.learning_rate` as numbers."
        )
    steps = asked if asked is not None else max(LEAST, math.ceil(PART * job.steps))
    key = "forecast.pilot.steps" if asked is not None else "forecast.from"
    if steps >= job.steps:
        remedy = f"Set `forecast.pilot.steps` below {math.ceil(job.steps)}" if job.steps > 1 else "Train for longer"
        raise RecipeError(
            f"{where}: {key}: a pilot of {steps} steps is no shorter than the job, which takes {job.steps:.3g} on its "
            f"target's rows. {remedy}, or leave `forecast.from` out."
        )
    warm = warm_up(loaded)
    if warm >= steps:
        raise RecipeError(
            f"{where}: {key}: a pilot of {steps} steps ends within the job's warm-up of {warm} steps "
            f"(`train.args.warmup_steps`), before the learning rate is reached. Set `forecast.pilot.steps` to at least "
            f"{2 * warm}, or give the warm-up as a part of the steps, such as 0.1."
        )
    return job.model_copy(update={"steps": float(steps)}), job


def warm_up(loaded: LoadedRecipe) -> int:
    """Steps of the job's warm-up where they are a number of steps; 0 where they are a part of them, or not known."""
    train = loaded.resolved["train"]
    try:
        steps = number(train["args"], "warmup_steps", sources_of(train))
    except (RunError, ValueError, TypeError):
        return 0
    return int(steps) if steps >= 1 else 0


def cost(loaded: LoadedRecipe, target_rows: int) -> str:
    """What a pilot will cost, in words.

    Args:
        loaded: The recipe.
        target_rows: See `pilot_job`.

    Raises:
        RecipeError: see `pilot_job`.
    """
    pilot, job = pilot_job(loaded, target_rows)
    spec, evaluate = loaded.recipe.forecast.pilot, loaded.recipe.evaluate
    domains = len(loaded.recipe.domains)
    count = f"3 to {min(10, domains)}" if domains > 3 else str(domains)
    measured = f"{count} domains" if spec.domains == "auto" else ", ".join(spec.domains)
    rows = spec.rows or evaluate.rows
    each = "all their evaluation rows" if rows is None else f"at most {rows} evaluation rows each"
    return (
        f"trains a pilot first: {pilot.steps:.0f} steps on the target alone, where the job takes {job.steps:.3g} on "
        f"its target's rows, and measures {measured} before and after it, {each}"
    )
