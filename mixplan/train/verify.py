"""Refuses to train on a mixture, recipe or model that is not the one that was planned, and says which it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mixplan.chat.named_templates import further_files
from mixplan.errors import RunError
from mixplan.mixture import Mixture, read_mixture
from mixplan.reading import standalone
from mixplan.reading.identity import model_folder
from mixplan.recipe import LoadedRecipe
from mixplan.recipe.changed_keys import changed
from mixplan.runs import content_hash, file_hash
from mixplan.saved import Plan
from mixplan.saved.base_types import JsonObject
from mixplan.weights import weight_files, weights_hash

SETTINGS = (
    *("config.json", "generation_config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json"),
    *("chat_template.*", "vocab.*", "merges.txt", "*.py"),
)
"""Names of a model's files beside its weights on which depends what a job makes of it."""


@dataclass(frozen=True)
class AsPlanned:
    """What a job was planned with, against which is held what is there now.

    Attributes:
        recipe: Hash of the recipe's values.
        values: The recipe's values, by which changed keys are named.
        model: Hash of the untrained model's weights.
        mixture: Hash of the mixture's rows; None of a job without a plan of its own.
        config: Hash of what the model's config states; None where that was not kept.
        chat_template: Hash of its chat template; None where that was not kept.
    """

    recipe: str | None
    values: JsonObject
    model: str
    mixture: str | None = None
    config: str | None = None
    chat_template: str | None = None

    @classmethod
    def of(cls, plan: Plan) -> AsPlanned:
        """What a plan was made with."""
        return cls(
            plan.hashes.get("recipe"),
            plan.recipe.given if plan.recipe else {},
            plan.model.hash,
            plan.hashes["mixture"],
            plan.model.config,
            plan.model.chat_template,
        )


def verify(run: Path, loaded: LoadedRecipe, planned: AsPlanned, *, mixture: Path | None = None) -> Mixture:
    """Refuse to train on a plan that does not describe what is there now.

    Args:
        run: The run folder, or an arm's.
        loaded: The recipe.
        planned: What the plan was made with.
        mixture: An arm's mixture, known by its own record; `run`/mixture, known by the plan, when None.

    Returns:
        The mixture, every file of it checked.

    Raises:
        RunError: the recipe, the mixture or the model is not the one that was planned; says which and how to re-plan.
    """
    again = replan(run, loaded)
    if content_hash(standalone(loaded)) != planned.recipe:
        raise RunError(
            f"{run}: the recipe is not the one that was planned{changed(planned.values, loaded.resolved)}. {again}"
        )
    found = read_mixture(mixture or run / "mixture")
    if found is None:
        raise RunError(f"{mixture or run / 'mixture'}: the mixture is missing, or a file in it was changed. {again}")
    if mixture is None and found.hash != planned.mixture:
        raise RunError(f"{found.folder}: the mixture's rows are not those of {run / 'plan.json'}. {again}")
    if found.method != loaded.recipe.train.method:
        raise RunError(
            f"{found.folder}: the mixture is for {found.method}, but the recipe trains with "
            f"{loaded.recipe.train.method}. {again}"
        )
    if model_hash(loaded) != planned.model:
        raise RunError(
            f"{run}: the model '{loaded.recipe.model.name}' has other weights than the one that was planned with. "
            f"{again}"
        )
    refuse_other_settings(run, loaded, planned)
    return found


def refuse_other_settings(run: Path, loaded: LoadedRecipe, planned: AsPlanned) -> None:
    """Hold the model's config and chat template against those that were planned with: weights alone are no function.

    Raises:
        RunError: one of them was changed.
    """
    before = {"config.json": planned.config, "chat template": planned.chat_template}
    if None in before.values():
        return
    from mixplan.model.load import settings_now  # loads transformers, which a plan without these does not need

    now = settings_now(loaded.recipe.model, loaded.folder(("model", "name")))
    for (what, then), after in zip(before.items(), now, strict=True):
        if then != after:
            raise RunError(
                f"{run}: the {what} of the model '{loaded.recipe.model.name}' is not the one that was planned with. "
                f"{replan(run, loaded)}"
            )


def settings_hash(loaded: LoadedRecipe) -> str | None:
    """Hash of the small files that say, with the weights, what a model is trained on and how it answers.

    None for the embedded model, whose files are mixplan's own, and for one that is not on this machine.
    """
    folder = None if loaded.recipe.model.name == "embedded" else model_folder(loaded)
    if folder is None:
        return None
    found = (*(path for pattern in SETTINGS for path in folder.glob(pattern)), *further_files(folder))
    return content_hash({path.relative_to(folder).as_posix(): file_hash(path) for path in found if path.is_file()})


def replan(run: Path, loaded: LoadedRecipe) -> str:
    """The command that makes plan and files agree again."""
    return f"Plan again: `mixplan plan {loaded.path} --run {run}`."


def model_hash(loaded: LoadedRecipe) -> str:
    """Hash of the model's weights as stored; the model is loaded only where its files are not on this machine yet."""
    folder = model_folder(loaded)
    files = weight_files(folder) if folder is not None and folder.is_dir() else []
    if files:
        return weights_hash(files)
    from mixplan.model import load_model  # loads torch, which a model that is here does not need

    return load_model(loaded.recipe.model, folder=loaded.folder(("model", "name"))).weights
