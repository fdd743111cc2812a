"""Says what a plan must fetch; the hub's cache and SAELens's table are read as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mixplan.recipe import LoadedRecipe
from mixplan.recipe.model_folder import absent_model, untrainable
from mixplan.recipe.releases import hub_name, listed_sae, release, release_names
from mixplan.recipe.shapes import shape_of
from mixplan.recipe.suggest import did_you_mean


def is_cached(kind: str, repository: str, inside: str = "") -> bool:
    """Whether the hub's cache has a snapshot of a repository.

    Args:
        kind: `model` or `dataset`.
        repository: Its hub id.
        inside: A file or folder that the snapshot must hold.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE) / f"{kind}s--{repository.replace('/', '--')}" / "snapshots"
    return any((snapshot / inside).exists() for snapshot in snapshots.glob("*"))


def model_downloads(loaded: LoadedRecipe) -> Iterator[str]:
    """The model and SAE, where they are neither local nor in the hub's cache."""
    model, sae = loaded.recipe.model, loaded.recipe.model.sae
    local = loaded.folder(("model", "name")) / Path(model.name).expanduser()
    if model.name != "embedded" and not local.is_dir() and not is_cached("model", model.name, "config.json"):
        yield f"model {model.name}"
    repository, inside = sae.repo, sae.id or ""
    if sae.release is not None:
        entry = release(sae.release) or {}
        paths = {one["id"]: str(one["path"]) for one in entry.get("saes", [])}
        repository, inside = entry.get("repo_id"), paths.get(sae.id, inside)
    if repository is not None and not is_cached("model", repository, inside):
        yield f"SAE {inside} of {repository}"


def unusable_model(loaded: LoadedRecipe) -> str | None:
    """What is wrong with the model's folder, or with training it, as one line; None where it is a hub id or whole."""
    model, folder = loaded.recipe.model, loaded.folder(("model", "name"))
    where = loaded.where(("model", "name"))
    if (problem := absent_model(model.name, folder)) is not None:
        return f"{where}: model.name: {problem}"
    if (problem := untrainable(model.name, folder, adapter=loaded.recipe.train.lora is not None)) is not None:
        return f"{where}: model.name: {problem}"
    return None


def unknown_sae(loaded: LoadedRecipe) -> str | None:
    """What is wrong with an SAE's release or id, as one line.

    None when SAELens's table has both, its SAE is one of a residual stream, and its model is not surely of another
    build than the recipe's; what only the files say is held against them when they are loaded.
    """
    sae = loaded.recipe.model.sae
    names = release_names()
    if sae.release is None or not names:
        return None
    entry = release(sae.release)
    if entry is None:
        where = loaded.where(("model", "sae", "release"))
        return f"{where}: SAELens has no release {sae.release!r}.{did_you_mean(sae.release, names)}"
    one = listed_sae(sae.release, str(sae.id))
    where = loaded.where(("model", "sae", "id"))
    if one is None:
        ids = [str(listed["id"]) for listed in entry["saes"]]
        return f"{where}: release {sae.release!r} has no SAE {sae.id!r}.{did_you_mean(str(sae.id), ids)}"
    model = loaded.recipe.model.name
    remedy = f"`mixplan sae ls --model {model}` lists those that do."
    if not one.readable:
        return f"{where}: SAE '{sae.release}/{sae.id}' does not sit between two blocks of the residual stream. {remedy}"
    # A folder's name may be any model's.
    local = (loaded.folder(("model", "name")) / Path(model).expanduser()).is_dir()
    expected, found = shape_of(one.model), None if local else shape_of(hub_name(model))
    difference = found.difference(expected) if expected is not None and found is not None else None
    if difference is not None and not sae.accept:
        return (
            f"{where}: SAE '{sae.release}/{sae.id}' was made for '{one.model}', but the recipe's model is '{model}', "
            f"{difference}. Choose one made for this model: `mixplan sae ls --model {model}` lists them."
        )
    return None
