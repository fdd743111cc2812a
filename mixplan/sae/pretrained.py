"""Opens an SAE where a recipe says it lies, as SAELens reads it: tensors alone, never code from a file."""

from __future__ import annotations

import errno
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError  # torch's refusal of a file that asks to run code; nothing here unpickles
from typing import Any
from zipfile import BadZipFile

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is its client's own, whichever that is
    EntryNotFoundError,
    GatedRepoError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from sae_lens import SAE
from sae_lens.loading import pretrained_sae_loaders
from sae_lens.loading.pretrained_sae_loaders import (
    NAMED_PRETRAINED_SAE_CONFIG_GETTERS,
    NAMED_PRETRAINED_SAE_LOADERS,
    PretrainedSaeHuggingfaceLoader,
    get_conversion_loader_name,
    get_sae_lens_config_from_disk,
    sae_lens_disk_loader,
)
from sae_lens.loading.pretrained_saes_directory import get_config_overrides, get_pretrained_saes_directory
from safetensors import SafetensorError, safe_open

from mixplan import embedded
from mixplan.errors import SaeError
from mixplan.recipe import SaeSpec
from mixplan.recipe.paths import local_path
from mixplan.recipe.sae_folder import absent_sae
from mixplan.recipe.suggest import did_you_mean
from mixplan.sae import sparsify

CODE_UNASKED = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
TENSORS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"

LAYOUTS = {"sparsify": "sparsify", "dictionary_learning": "dictionary_learning_1"}
"""SAELens's names of the layouts that a recipe can name under `format`."""

FEW = 20
"""A release's ids are all named up to so many; of more, the nearest one."""

MISFITS = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, EOFError, BadZipFile, SafetensorError)
"""What SAELens's loaders raise on files that do not hold what their names promise."""

DAMAGE = (EOFError, BadZipFile, SafetensorError, json.JSONDecodeError, UnicodeDecodeError)
"""Those of them that only a file raises which is not whole."""


def open_sae(spec: SaeSpec, device: str, folder: Path) -> SAE[Any]:
    """Let SAELens load the SAE from wherever the spec says, in float32.

    Args:
        spec: Registry release, hub repository, local folder, or the embedded one.
        device: Where it will run.
        folder: Folder of the YAML that names a local folder.

    Raises:
        SaeError: it is not there, cannot be reached, is damaged, or its file asks to run code.
    """
    place = local_folder(spec, folder)
    with explained(spec), tensors_only(), shapes_from_files():
        if place is not None:
            reader = sparsify.load_from_disk if spec.format == "sparsify" else sae_lens_disk_loader
            return SAE.load_from_disk(place, device=device, dtype="float32", converter=reader)
        return SAE.from_pretrained(
            spec.release or spec.repo or "", spec.id or "", device=device, dtype="float32", converter=converter(spec)
        )


def read_config(spec: SaeSpec, folder: Path) -> sparsify.Config:
    """An SAE's config as SAELens's loader of its layout gives it, without its parameters.

    Returns:
        Among others `architecture`, `d_in`, `d_sae`; hook point and model either there or under `metadata`.

    Raises:
        SaeError: as for `open_sae`.
    """
    place = local_folder(spec, folder)
    with explained(spec), shapes_from_files():
        if place is not None:
            own = spec.format == "sparsify"
            return sparsify.config_on_disk(place) if own else get_sae_lens_config_from_disk(place)
        repository, inside = hub_place(spec)
        layout = LAYOUTS[spec.format] if spec.format else get_conversion_loader_name(spec.release or "")
        getter = sparsify.config_on_hub if layout == "sparsify" else NAMED_PRETRAINED_SAE_CONFIG_GETTERS[layout]
        overrides = get_config_overrides(spec.release or "", spec.id or "")
        return getter(repository, inside, "cpu", False, overrides)


def converter(spec: SaeSpec) -> PretrainedSaeHuggingfaceLoader | None:
    """The loader of a repository's layout; None where SAELens finds it by itself."""
    if spec.format is None:
        return None
    return sparsify.load_from_hub if spec.format == "sparsify" else NAMED_PRETRAINED_SAE_LOADERS[LAYOUTS[spec.format]]


@contextmanager
def explained(spec: SaeSpec) -> Iterator[None]:
    """While open, what SAELens, the hub's client and torch raise becomes one `SaeError` that says what to do."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (OSError, HTTPError, EntryNotFoundError) as error:
        raise SaeError(explain_absence(spec, error)) from error
    except (UnpicklingError, *MISFITS) as error:
        raise SaeError(explain_damage(spec, error)) from error


@contextmanager
def shapes_from_files() -> Iterator[None]:
    """While open, SAELens takes the shapes of a safetensors file's tensors from the file in the hub's cache.

    For Gemma Scope 2 it asks the hub over the network, also where the whole file is here; the file is needed anyway.
    """
    before = pretrained_sae_loaders.get_safetensors_tensor_shapes
    pretrained_sae_loaders.get_safetensors_tensor_shapes = shapes_in_file
    try:
        yield
    finally:
        pretrained_sae_loaders.get_safetensors_tensor_shapes = before


def shapes_in_file(repo_id: str, filename: str) -> dict[str, list[int]]:
    """The shape of every tensor in a repository's safetensors file, from its head."""
    with safe_open(hf_hub_download(repo_id, filename), framework="numpy") as file:
        return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a mapping


def name_of(spec: SaeSpec) -> str:
    """How messages name an SAE: `embedded`, its folder, or `release/id`."""
    return "embedded" if spec.embedded else spec.path or f"{spec.release or spec.repo}/{spec.id}"


def local_folder(spec: SaeSpec, folder: Path) -> Path | None:
    """The folder of a local or the embedded SAE, None for one on the hub.

    Raises:
        SaeError: it holds no SAE.
    """
    if spec.embedded:
        return embedded.sae_folder()
    if spec.path is None:
        return None
    if (problem := absent_sae(spec, folder, weights_too=False)) is not None:
        raise SaeError(problem)
    return folder / local_path(spec.path)


def check_release(release: str, sae_id: str) -> None:
    """Hold a release and an id against SAELens's table.

    Raises:
        SaeError: the table has no such release, or the release no such SAE.
    """
    table = get_pretrained_saes_directory()
    if release not in table:
        raise SaeError(
            f"SAELens's table of pretrained SAEs has no release '{release}'.{did_you_mean(release, table)} "
            "Check `model.sae.release`; a hub repository goes under `model.sae.repo`."
        )
    ids = table[release].saes_map
    if sae_id not in ids:
        hint = f" It has {', '.join(ids)}." if len(ids) <= FEW else did_you_mean(sae_id, ids)
        raise SaeError(f"release '{release}' has no SAE '{sae_id}'.{hint} Check `model.sae.id`.")


@contextmanager
def tensors_only() -> Iterator[None]:
    """While open, torch reads tensors from a file and refuses all else, whatever the environment asks for.

    Some SAEs come as pickles (`ae.pt`), whose format can name code to run. torch reads them safely unless
    an environment variable tells it not to.
    """
    before = {key: os.environ.pop(key, None) for key in (CODE_UNASKED, TENSORS_ONLY)}
    os.environ[TENSORS_ONLY] = "1"
    try:
        yield
    finally:
        del os.environ[TENSORS_ONLY]
        os.environ.update({key: value for key, value in before.items() if value is not None})


def hub_place(spec: SaeSpec) -> tuple[str, str]:
    """The hub repository and the folder or file in it."""
    if spec.release is None:
        return str(spec.repo), str(spec.id)
    entry = get_pretrained_saes_directory()[spec.release]
    return str(entry.repo_id), str(entry.saes_map[str(spec.id)])


def explain_absence(spec: SaeSpec, error: Exception) -> str:
    """Say why files did not arrive, and how to get them."""
    name = name_of(spec)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"SAE '{name}': the disk is full. Free some space, or point HF_HOME to another disk."
    if spec.embedded or spec.path is not None:
        return explain_damage(spec, error)
    repository, inside = hub_place(spec)
    if spec.repo is not None and (release := converted_release(repository)):
        return (
            f"SAE '{name}': the repository's files are not in SAELens's own layout, but SAELens reads them as release "
            f"'{release}'. Set `model.sae.release: {release}` in place of `repo`, with one of its ids."
        )
    if isinstance(error, GatedRepoError):
        return f"SAE '{name}': '{repository}' is gated. Accept its terms on the hub and run `hf auth login`."
    if isinstance(error, RepositoryNotFoundError):
        return f"SAE '{name}': the hub has no repository '{repository}', or it is private. Check `model.sae`."
    if isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled | ConnectionError | HTTPError):
        return (
            f"SAE '{name}' is neither in the hub's cache nor reachable on the hub. "
            f"Fetch it once with: hf download {repository} --include '{inside}*'"
        )
    if isinstance(error, EntryNotFoundError):
        hint = "" if spec.format or spec.release else ", or name the library that wrote it under `model.sae.format`"
        return f"SAE '{name}': '{repository}' has no SAE at '{inside}'. Check `model.sae.id`{hint}."
    return explain_damage(spec, error)


def converted_release(repository: str) -> str | None:
    """The release under which SAELens converts a repository's own layout, None when it has no need to."""
    table = get_pretrained_saes_directory()
    return next((name for name, it in table.items() if it.repo_id == repository and it.conversion_func), None)


def explain_damage(spec: SaeSpec, error: Exception) -> str:
    """Say what is wrong with files that are there: cut short or garbled, or whole but not what SAELens expects."""
    name, text = name_of(spec), " ".join(str(error).split())
    if isinstance(error, UnpicklingError) or "allow_pickle" in text:
        return (
            f"SAE '{name}': its weights file holds more than tensors, or is damaged. mixplan does not read it further: "
            "such a file can run code. Choose an SAE stored as tensors."
        )
    if "finetuning_scaling_factor" in text or "Scaling factor is present" in text:
        return (
            f"SAE '{name}' asks for finetuned scaling factors of its features, which SAELens no longer applies. "
            "Choose another SAE."
        )
    if isinstance(error, FileNotFoundError):
        found = error.filename or text.rsplit(": ", 1)[-1]
        return f"SAE '{name}' is not complete: {found} is missing. Fetch or save it again."
    what = f"it has no entry {text}" if isinstance(error, KeyError) else text.split(". ")[0].rstrip(".")
    if isinstance(error, DAMAGE) or "zip archive" in text or not what:
        return f"SAE '{name}' cannot be read: {what or 'a file ends too early'}. A file is damaged; fetch it again."
    return (
        f"SAE '{name}' cannot be read: {what}. Its files are whole, but not in the layout that SAELens expects here. "
        "Check `model.sae`."
    )
