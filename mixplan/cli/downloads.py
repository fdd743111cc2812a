"""A loaded recipe in, what a plan must fetch out; the hub's cache and SAELens's registry are read as files."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mixplan.recipe import LoadedRecipe
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
        release = registry_release(sae.release) or {}
        paths = {entry["id"]: entry["path"] for entry in release.get("saes", [])}
        repository, inside = release.get("repo_id"), paths.get(sae.id, inside)
    if repository is not None and not is_cached("model", repository, inside):
        yield f"SAE {inside} of {repository}"


def unknown_sae(loaded: LoadedRecipe) -> str | None:
    """What is wrong with an SAE's release or id, as one line; None when SAELens's registry has both."""
    sae = loaded.recipe.model.sae
    names = _registry_names()
    if sae.release is None or not names:
        return None
    release = registry_release(sae.release)
    if release is None:
        where = loaded.where(("model", "sae", "release"))
        return f"{where}: SAELens has no release {sae.release!r}.{did_you_mean(sae.release, names)}"
    ids = [entry["id"] for entry in release["saes"]]
    if sae.id in ids:
        return None
    where = loaded.where(("model", "sae", "id"))
    return f"{where}: release {sae.release!r} has no SAE {sae.id!r}.{did_you_mean(str(sae.id), ids)}"


def registry_release(name: str) -> dict[str, Any] | None:
    """One release's entry in SAELens's registry; None when there is none."""
    text, names = _registry_text(), _registry_names()
    if name not in names:
        return None
    # The whole file takes seconds to parse; a release is the lines from its name to the next one's.
    start = f"\n{text}".index(f"\n{name}:\n")
    following = names.index(name) + 1
    end = text.index(f"\n{names[following]}:\n", start) if following < len(names) else len(text)
    entry: dict[str, Any] = yaml.safe_load(text[start:end])[name]
    return entry


def _registry_names() -> list[str]:
    return [line[:-1] for line in _registry_text().splitlines() if line[:1].isalnum() and line.endswith(":")]


def _registry_text() -> str:
    found = importlib.util.find_spec("sae_lens")
    if found is None or not found.submodule_search_locations:
        return ""
    return (Path(found.submodule_search_locations[0]) / "pretrained_saes.yaml").read_text(encoding="utf-8")
