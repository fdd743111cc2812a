"""Says what a plan must fetch; the hub's cache and SAELens's table are read as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mixplan.recipe import LoadedRecipe
from mixplan.recipe.paths import local_path
from mixplan.recipe.releases import release


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
    local = loaded.folder(("model", "name")) / local_path(model.name)
    if model.name != "embedded" and not local.is_dir() and not is_cached("model", model.name, "config.json"):
        yield f"model {model.name}"
    repository, inside = sae.repo, sae.id or ""
    if sae.release is not None:
        entry = release(sae.release) or {}
        paths = {one["id"]: str(one["path"]) for one in entry.get("saes", [])}
        repository, inside = entry.get("repo_id"), paths.get(sae.id, inside)
    if repository is not None and not is_cached("model", repository, inside):
        yield f"SAE {inside} of {repository}"
