"""Says what a plan must fetch; the hub's cache and SAELens's table are read as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mixplan.recipe import LoadedRecipe
from mixplan.recipe.model_folder import absent_model, untrainable
from mixplan.recipe.releases import release, release_names
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
    """What is wrong with an SAE's release or id, as one line; None when SAELens's registry has both."""
    sae = loaded.recipe.model.sae
    names = release_names()
    if sae.release is None or not names:
        return None
    entry = release(sae.release)
    if entry is None:
        where = loaded.where(("model", "sae", "release"))
        return f"{where}: SAELens has no release {sae.release!r}.{did_you_mean(sae.release, names)}"
    ids = [one["id"] for one in entry["saes"]]
    if sae.id in ids:
        return None
    where = loaded.where(("model", "sae", "id"))
    return f"{where}: release {sae.release!r} has no SAE {sae.id!r}.{did_you_mean(str(sae.id), ids)}"
