"""Says what a plan must fetch, wholly or in part; the hub's cache and SAELens's table are read as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mixplan.domains.hub_cache import copy_with_rows, snapshot, unfinished
from mixplan.recipe import DataSpec, LoadedRecipe
from mixplan.recipe.model_folder import missing_weights
from mixplan.recipe.paths import local_path
from mixplan.recipe.releases import release


def model_downloads(loaded: LoadedRecipe) -> Iterator[str]:
    """The model and SAE, where they are neither local nor whole in the hub's cache."""
    model, sae = loaded.recipe.model, loaded.recipe.model.sae_spec
    local = loaded.folder(("model", "name")) / local_path(model.name)
    if model.name != "embedded" and not local.is_dir():
        folder = snapshot("model", model.name, model.revision)
        if folder is None or not (folder / "config.json").exists():
            yield f"model {model.name}" + (f" (there is no folder {local})" if "/" not in model.name else "")
        elif (lacks := missing_weights(folder)) is not None:
            yield f"model {model.name}, of which the cache holds a part: {lacks.removeprefix(f'{folder}').lstrip(': ')}"
    if sae is None:
        return
    repository, inside = sae.repo, sae.id or ""
    if sae.release is not None:
        entry = release(sae.release) or {}
        paths = {one["id"]: str(one["path"]) for one in entry.get("saes", [])}
        repository, inside = entry.get("repo_id"), paths.get(sae.id, inside)
    if repository is not None:
        yield from _within(f"SAE {inside} of {repository}", snapshot("model", repository), inside)


def data_downloads(data: DataSpec) -> Iterator[str]:
    """A hub data set, where it is not whole in the hub's cache."""
    if data.hub is not None:
        yield from _within(f"data set {data.hub}", copy_with_rows(data))


def _within(name: str, folder: Path | None, inside: str = "") -> Iterator[str]:
    """A repository's name where what is wanted of it is not in its snapshot, or was not fetched to its end."""
    place = None if folder is None else folder / inside
    if folder is None or place is None or not place.exists():
        yield name
    elif (lacks := unfinished(folder, place)) is not None:
        yield f"{name}, of which the cache holds a part: {lacks}"
