"""Takes what a pilot of the plan's job measured from its folder, with earlier pilots that say what to make of it."""

from __future__ import annotations

from pathlib import Path

from mixplan.errors import RunError
from mixplan.forecast import History, Planned
from mixplan.forecast.earlier_pilots import earlier_pairs
from mixplan.forecast.pilot_law import MeasuredPilot
from mixplan.recipe import LoadedRecipe
from mixplan.runs import quoted
from mixplan.saved.pilot import FILE, PILOT, Pilot, read_pilot
from mixplan.saved.plan import Job


def pilot_of(loaded: LoadedRecipe, folder: Path, job: Job | None, model: str) -> Pilot | None:
    """The pilot that stands in a run folder for this very job; None where there is none, or none is asked for.

    Args:
        loaded: The recipe.
        folder: The run folder.
        job: What the plan's job trains with.
        model: Hash of the untrained model.

    Raises:
        RunError: its file is damaged.
    """
    if loaded.recipe.forecast.from_ != "pilot" or job is None:
        return None
    found = read_pilot(folder / PILOT)
    if found is None or found.model != model or found.job.model_copy(update={"steps": job.steps}) != job:
        return None
    return found


def require_pilot(loaded: LoadedRecipe, folder: Path, planned: Planned, model: str) -> Planned:
    """Hand back what a plan is of; refuse to plan by a pilot that is not there.

    Raises:
        RunError: the recipe asks for one, and the run folder holds none of this job.
    """
    if loaded.recipe.forecast.from_ == "pilot" and pilot_of(loaded, folder, planned.job, model) is None:
        raise RunError(
            f"{folder / PILOT / FILE}: there is no pilot of this job, which `forecast.from: pilot` plans by. "
            f"`mixplan plan {quoted(loaded.path)} --run {quoted(folder)}` trains and measures it first."
        )
    return planned


def with_pilot(
    loaded: LoadedRecipe, folder: Path, planned: Planned, history: History, model: str
) -> tuple[Planned, tuple[str, ...]]:
    """What the plan is of, with its pilot where there is one, and sentences on earlier pilots that cannot be read.

    Args:
        loaded: The recipe.
        folder: The run folder.
        planned: What the plan is of.
        history: Earlier runs and studies.
        model: Hash of the untrained model.
    """
    pilot = pilot_of(loaded, folder, planned.job, model)
    if pilot is None:
        return planned, ()
    beneath = loaded.folder(("forecast", "runs"))
    pairs, warnings = earlier_pairs(history.runs, loaded.recipe.forecast.runs, folder=beneath, run=folder, model=model)
    changes = {name: (found.change, found.error) for name, found in pilot.domains.items()}
    return planned.with_pilot(MeasuredPilot(pilot.job, changes, pairs)), warnings
