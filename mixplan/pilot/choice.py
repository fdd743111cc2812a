"""Chooses the domains that a pilot is measured on, by earlier targets alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mixplan.forecast.completion import FEWEST_TARGETS, Seen
from mixplan.forecast.completion_choice import MOST, choose
from mixplan.forecast.earlier_changes import table_of
from mixplan.forecast.earlier_pilots import earlier_pairs
from mixplan.forecast.earlier_runs import earlier_runs
from mixplan.forecast.evidence import with_studies
from mixplan.forecast.matching import Planned
from mixplan.forecast.pilot_law import learn_law
from mixplan.forecast.target_only import comparable
from mixplan.plan.grounds import kind_of
from mixplan.recipe import LoadedRecipe
from mixplan.saved.plan import Job
from mixplan.saved.scores import Scores


def chosen(loaded: LoadedRecipe, folder: Path, planned: Planned, scores: Scores, pilot: Job) -> tuple[list[str], str]:
    """Domains to measure, and how they were chosen in a sentence.

    Args:
        loaded: The recipe.
        folder: The run folder.
        planned: What the plan is of.
        scores: Of the domains.
        pilot: What the pilot trains with.
    """
    asked = loaded.recipe.forecast.pilot.domains
    if asked != "auto":
        return list(asked), f"the pilot is measured on {len(asked)} domains, as the recipe names them"
    names = [name for name in loaded.recipe.domains if name in scores.domains]
    patterns, beneath = loaded.recipe.forecast.runs, loaded.folder(("forecast", "runs"))
    kind = kind_of(loaded, scores)
    history = earlier_runs(patterns, folder=beneath, run=folder, kind=kind)
    history, _ = with_studies(history, patterns, folder=beneath, run=folder, kind=kind)
    table = table_of(comparable(history.runs, planned, lambda: None), names)
    if len(table.logs) < FEWEST_TARGETS or not table.names:
        found = spread(names, MOST)
        return found, (
            f"the pilot is measured on {len(found)} of {len(names)} domains, evenly over the recipe's order: too few "
            f"earlier targets say which tell most ({len(table.logs)} of at least {FEWEST_TARGETS})"
        )
    pairs, _ = earlier_pairs(history.runs, patterns, folder=beneath, run=folder, model=scores.model.hash)
    ratio = math.log(planned.job.strength / pilot.strength) if planned.job is not None else 0.0
    noise = learn_law(pairs).seen(np.zeros(1, np.int64), np.zeros(1), np.zeros(1), ratio)
    choice = choose(table.logs, noise=Seen(noise.places, noise.logs, noise.variance, noise.common))
    found = [table.names[place] for place in choice.places]
    return found, (
        f"the pilot is measured on {', '.join(found)}, which tell most of the others in {len(table.logs)} earlier "
        "targets"
    )


def spread(names: Sequence[str], most: int) -> list[str]:
    """At most so many names, evenly over their order."""
    if len(names) <= most:
        return list(names)
    return [names[round(place * (len(names) - 1) / (most - 1))] for place in range(most)]
