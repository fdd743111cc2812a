"""Writes the planned rows as a mixture; the model is loaded only when its own answers are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mixplan import embedded
from mixplan.domains import Domain
from mixplan.mixture import Progress, build_mixture, describe
from mixplan.plan.untrained import ReadBy, untrained_of
from mixplan.reading.progress import Watcher
from mixplan.reading.tokenizer import kept_counter
from mixplan.recipe import LoadedRecipe
from mixplan.recipe.paths import local_path
from mixplan.saved import plan as saved


def write_mixture(
    loaded: LoadedRecipe,
    folder: Path,
    target: Domain,
    domains: Mapping[str, Domain],
    rows: Mapping[str, int],
    read_by: ReadBy,
    watcher: Watcher,
) -> saved.Mixture:
    """Write the mixed data set.

    Args:
        loaded: The recipe.
        folder: The run folder.
        target: The opened target.
        domains: The opened domains.
        rows: Planned rows by domain.
        read_by: The model.
        watcher: Told of progress.

    Returns:
        The mixture, for the plan.
    """
    recipe = loaded.recipe
    own_answers = recipe.mixture.answers == "self" and any(rows.values())
    asked = own_answers or recipe.mixture.target_answers == "own_voice"
    made = build_mixture(
        target=target,
        domains=domains,
        rows=rows,
        spec=recipe.mixture,
        budget_max_repeats=recipe.budget.max_repeats,
        train=recipe.train,
        model=recipe.model,
        model_path=model_path(loaded),
        seed=recipe.seed,
        folder=folder / "mixture",
        untrained=untrained_of(loaded, read_by, watcher) if asked else None,
        count_tokens=kept_counter(loaded, read_by.tokenizer, (*target.parts, *domains.values()), watcher),
        progress=in_steps(watcher),
    )
    if made.set_aside is not None:
        watcher.say(f"{made.folder} held a damaged or foreign file; it is now {made.set_aside}")
    return saved.Mixture.model_validate(
        describe(made).fields()
        | {
            "folder": "mixture",
            "config": f"mixture/{recipe.train.method}.yaml",
            "target_rows": sum(part.rows for part in made.parts[: len(target.parts)]),
        }
    )


def in_steps(watcher: Watcher) -> Progress:
    """What tells a watcher how far each step is, from how many of its rows are done."""
    step, last = "", 0

    def progress(name: str, done: int, total: int) -> None:
        nonlocal step, last
        if name != step:
            step, last = name, 0
            watcher.stage(name, total, "rows")
        watcher.advance(done - last)
        last = done

    return progress


def model_path(loaded: LoadedRecipe) -> str:
    """From where TRL loads the model: a hub id, or an absolute folder."""
    name = loaded.recipe.model.name
    if name == "embedded":
        return str(embedded.converted_folder())
    local = loaded.folder(("model", "name")) / local_path(name)
    return str(local.resolve()) if local.is_dir() else name
