"""A run folder, its recipe and its plan in; the mixture that may be trained on out, or which hash no longer matches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixplan.errors import RunError
from mixplan.mixture import Mixture, read_mixture
from mixplan.plan import standalone
from mixplan.plan.identity import model_folder
from mixplan.recipe import LoadedRecipe
from mixplan.runs import content_hash
from mixplan.weights import weight_files, weights_hash


def verify(run: Path, loaded: LoadedRecipe, plan: Mapping[str, Any], *, mixture: Path | None = None) -> Mixture:
    """Refuse to train on a plan that does not describe what is there now.

    Args:
        run: The run folder, or an arm's.
        loaded: The recipe.
        plan: What plan.json holds.
        mixture: An arm's mixture, known by its own record; `run`/mixture, known by the plan, when None.

    Returns:
        The mixture, every file of it checked.

    Raises:
        RunError: the recipe, the mixture or the model is not the one that was planned; says which and how to re-plan.
    """
    again = replan(run, loaded)
    if content_hash(standalone(loaded)) != plan["hashes"].get("recipe"):
        raise RunError(f"{run}: the recipe is not the one that was planned{changed(plan, loaded)}. {again}")
    found = read_mixture(mixture or run / "mixture")
    if found is None:
        raise RunError(f"{mixture or run / 'mixture'}: the mixture is missing, or a file in it was changed. {again}")
    if mixture is None and found.hash != plan["hashes"]["mixture"]:
        raise RunError(f"{found.folder}: the mixture's rows are not those of {run / 'plan.json'}. {again}")
    if found.method != loaded.recipe.train.method:
        raise RunError(
            f"{found.folder}: the mixture is for {found.method}, but the recipe trains with "
            f"{loaded.recipe.train.method}. {again}"
        )
    if model_hash(loaded) != plan["hashes"]["model"]:
        raise RunError(
            f"{run}: the model '{loaded.recipe.model.name}' has other weights than the one that was planned with. "
            f"{again}"
        )
    refuse_other_settings(run, loaded, plan)
    return found


def refuse_other_settings(run: Path, loaded: LoadedRecipe, plan: Mapping[str, Any]) -> None:
    """Hold the model's config and chat template against those that were planned with: weights alone are no function.

    Raises:
        RunError: one of them was changed.
    """
    planned = {"config.json": plan["model"].get("config"), "chat template": plan["model"].get("chat_template")}
    if None in planned.values():
        return
    from mixplan.model.load import settings_now  # loads transformers, which a plan without these does not need

    now = settings_now(loaded.recipe.model, loaded.folder(("model", "name")))
    for (what, before), after in zip(planned.items(), now, strict=True):
        if before != after:
            raise RunError(
                f"{run}: the {what} of the model '{loaded.recipe.model.name}' is not the one that was planned with. "
                f"{replan(run, loaded)}"
            )


def replan(run: Path, loaded: LoadedRecipe) -> str:
    """The command that makes plan and files agree again."""
    return f"Plan again: `mixplan plan {loaded.path} --run {run}`."


def changed(plan: Mapping[str, Any], loaded: LoadedRecipe) -> str:
    """The recipe keys whose values differ, as a clause; empty when only the places of files do."""
    before, now = flat(plan["recipe"]), flat(loaded.resolved)
    keys = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    places = {key for key in keys if key.endswith((".file", ".path")) or key in ("model.name", "forecast.runs")}
    told = [key for key in keys if key not in places] or keys
    more = f" and {len(told) - 5} more" if len(told) > 5 else ""
    return f": {', '.join(told[:5])}{more} changed" if told else ""


def flat(value: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested keys as dotted ones."""
    found: dict[str, Any] = {}
    for key, below in value.items():
        name = f"{above}.{key}" if above else str(key)
        found |= flat(below, name) if isinstance(below, Mapping) and below else {name: below}
    return found


def model_hash(loaded: LoadedRecipe) -> str:
    """Hash of the model's weights as stored; the model is loaded only where its files are not on this machine yet."""
    folder = model_folder(loaded)
    files = weight_files(folder) if folder is not None and folder.is_dir() else []
    if files:
        return weights_hash(files)
    from mixplan.model import load_model  # loads torch, which a model that is here does not need

    return load_model(loaded.recipe.model, folder=loaded.folder(("model", "name"))).weights
