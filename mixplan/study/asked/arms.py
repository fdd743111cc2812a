"""Defines the section on arms of a study's file, and finds what in it does not fit the rest of the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from mixplan.outcome.arms import ARMS
from mixplan.recipe import Section
from mixplan.recipe.lines import Located, Problem
from mixplan.recipe.section import Positive, Yaml
from mixplan.recipe.suggest import did_you_mean
from mixplan.runs import translated
from mixplan.saved.evidence import Evidence
from mixplan.saved.read import problems_of

NEEDED = {
    "none": "what training costs each domain is measured by it",
    "uniform": "every other arm is held against it",
    "plan": "it is the mixture that the study is about",
}
"""Arms without which nothing can be said, and why."""
LEARNED = "plan_learned"
"""The plan as what halves a loss in the other targets' arms would have made it; trained when these are measured."""
STUDY_ARMS = (*ARMS, LEARNED)
FEWEST_OTHERS = 2
"""Targets that what halves a loss is learned from, each foretold from the others."""
TRAINING_KEYS = ("allocate", "forecast")
"""Recipe sections that a study of arms may set, because its plans spend something."""


class ArmsSpec(Section):
    """Which mixtures are trained for each target, and with how many extra rows."""

    names: list[str] = Field(min_length=1, description="Arms, as for `mixplan compare`; and plan_learned.")
    budgets: list[Positive] = Field(min_length=1, description="Extra rows for all domains together.")
    evidence: str | None = Field(
        default=None,
        description="evidence.json of a study of forecasts that plans learn from, relative to the YAML; a plan never "
        "learns from a target of its own target's name.",
    )


def of_arms(tree: Located) -> bool:
    """Whether a study's file asks for arms; `arms: null` asks for none."""
    return "arms" in tree.value and tree.value["arms"].value is not None


def unfit_sections(tree: Located) -> Iterator[Problem]:
    """What a study of forecasts needs and this one lacks, or what a study of arms does not read and this one has."""
    for key, expected in (("development", "a list of targets"), ("kinds", "a mapping of lists of domains")):
        node = tree.value.get(key)
        if of_arms(tree) and node is not None:
            yield Problem(node.place, f"{key}: a study of arms judges no forecast. Leave the key out.")
        elif not of_arms(tree) and node is None:
            yield Problem(tree.place, f"{key}: missing. Expected {expected} with at least one entry.")


def unfit_arms(tree: Located, arms: ArmsSpec, recipe: Yaml, folder: Path) -> Iterator[Problem]:
    """Arms that there are not, that are missing or that are given twice, trainings of unequal length, no evidence.

    Args:
        tree: The study's file.
        arms: Its section.
        recipe: Its recipe as values.
        folder: What paths in it are relative to.
    """
    for number, name in enumerate(arms.names):
        place = tree.nearest(("arms", "names", number)).place
        if name not in STUDY_ARMS:
            text = f"found '{name}', expected one of {', '.join(STUDY_ARMS)}.{did_you_mean(name, STUDY_ARMS)}"
            yield Problem(place, f"arms.names: {text}")
        elif name in arms.names[:number]:
            yield Problem(place, f"arms.names: '{name}' is named twice. Take it out once.")
        elif name == LEARNED and (others := len(tree.value["targets"].value) - 1) < FEWEST_OTHERS:
            text = f"it learns from the arms of at least {FEWEST_OTHERS} other targets, and here is {others}"
            yield Problem(place, f"arms.names: '{name}': {text}. Add a target, or take it out.")
    place = tree.nearest(("arms", "names")).place
    for name, why in NEEDED.items():
        if name not in arms.names:
            yield Problem(place, f"arms.names: '{name}' is missing, but {why}. Add it.")
    for number, budget in enumerate(arms.budgets):
        if budget in arms.budgets[:number]:
            place = tree.nearest(("arms", "budgets", number)).place
            yield Problem(place, f"arms.budgets: {budget} is given twice. Take it out once.")
    if arms.evidence is not None:
        place = tree.nearest(("arms", "evidence")).place
        if "forecast" in recipe:
            text = "recipe.forecast says what plans learn from already. Leave one of the two out."
            yield Problem(place, f"arms.evidence: {text}")
        if (unfit := unfit_evidence(folder / arms.evidence)) is not None:
            yield Problem(place, f"arms.evidence: {unfit}")
    train = recipe.get("train")
    args = train.get("args") if isinstance(train, dict) else None
    steps = args.get("max_steps") if isinstance(args, dict) else None
    if not (isinstance(steps, int) and steps > 0):
        text = (
            "arms are trained for equally many optimiser steps at every budget. "
            "Say how many with `recipe.train.args.max_steps`."
        )
        place = tree.nearest(("recipe", "train", "args", "max_steps")).place
        yield Problem(place, f"recipe.train.args.max_steps: {text}")


def unfit_evidence(place: Path) -> str | None:
    """Why a file is no evidence that plans could learn from; None where it is."""
    if not place.is_file():
        return f"there is no file {place}. `mixplan study run` leaves an evidence.json in its run folder."
    try:
        with translated(place, reading=True):
            fit = bool(Evidence.model_validate_json(place.read_bytes()).targets)
    except ValidationError as error:
        wrong = problems_of(error)[0]
        return f"{place} is no evidence of a study, or of another mixplan: {wrong}. Name another file."
    return None if fit else f"{place} is of a study of arms, which judged no scores. Name a study of forecasts'."


def led_by_scores(tree: Located) -> Located:
    """A recipe's tree whose plans follow the scores where it names no objective: a study asks what they are worth."""
    allocate = tree.value.get("allocate", Located({}, tree.place))
    if not isinstance(allocate.value, Mapping):
        return tree
    objective = {"objective": Located("alpha_fair", allocate.place)}
    return Located({**tree.value, "allocate": Located({**objective, **allocate.value}, allocate.place)}, tree.place)
