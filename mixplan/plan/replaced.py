"""Says that a run folder holds a plan by other settings, which is about to be replaced, and what stays there of it."""

from __future__ import annotations

from pathlib import Path

from mixplan.errors import RunError
from mixplan.reading import standalone
from mixplan.recipe import LoadedRecipe
from mixplan.recipe.changed_keys import changed
from mixplan.runs import content_hash
from mixplan.saved import read_plan

MADE_FROM_PLANS = ("training", "model", "export")
"""Folders of a run that hold what was made from its plan, until it is made again."""


def replaced_line(folder: Path, loaded: LoadedRecipe) -> str | None:
    """What planning in a run folder replaces, as whole sentences.

    Args:
        folder: The run folder.
        loaded: What is planned now.

    Returns:
        None where there is no plan that can be read, or it was made by the same recipe.
    """
    try:
        plan = read_plan(folder)
    except RunError:
        return None
    if plan.hashes.get("recipe") == content_hash(standalone(loaded)):
        return None
    stays = [f"{name}/" for name in MADE_FROM_PLANS if (folder / name).is_dir()]
    differ = changed(plan.recipe.given if plan.recipe else {}, loaded.resolved)
    line = f"{folder} holds a plan by another recipe or other settings{differ}. It is replaced once this plan is made."
    return f"{line} What is in {' and '.join(stays)} stays that plan's until it is made again." if stays else line
