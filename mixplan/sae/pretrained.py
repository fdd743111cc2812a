"""Where a recipe says an SAE lies in, the SAE as SAELens reads it out: tensors alone, never code from a file."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError  # torch's refusal of a file that asks to run code; nothing here unpickles
from typing import Any
from zipfile import BadZipFile

from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is its client's own, whichever that is
    EntryNotFoundError,
    GatedRepoError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from sae_lens import SAE
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory
from safetensors import SafetensorError

from mixplan import embedded
from mixplan.errors import SaeError
from mixplan.recipe import SaeSpec
from mixplan.recipe.suggest import did_you_mean

CODE_UNASKED = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
TENSORS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"

FEW = 20
"""A release's ids are all named up to so many; of more, the nearest one."""

MISFITS = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, EOFError, BadZipFile, SafetensorError)
"""What SAELens's loaders raise on files that do not hold what their names promise."""


def open_sae(spec: SaeSpec, device: str, folder: Path) -> tuple[str, SAE[Any]]:
    """Let SAELens load the SAE from wherever the spec says, in float32.

    Args:
        spec: Registry release, hub repository, local folder, or the embedded one.
        device: Where it will run.
        folder: Folder of the YAML that names a local folder.

    Returns:
        The SAE's name for messages, and the SAE.

    Raises:
        SaeError: it is not there, cannot be reached, is damaged, or its file asks to run code.
    """
    name = name_of(spec)
    place = local_folder(spec, folder)
    if spec.release is not None:
        check_release(spec.release, spec.id or "")
    try:
        with warnings.catch_warnings(), tensors_only():
            warnings.simplefilter("ignore")
            if place is not None:
                return name, SAE.load_from_disk(place, device=device, dtype="float32")
            return name, SAE.from_pretrained(
                spec.release or spec.repo or "", spec.id or "", device=device, dtype="float32"
            )
    except (OSError, HTTPError, EntryNotFoundError) as error:
        raise SaeError(explain_absence(spec, error)) from error
    except (UnpicklingError, *MISFITS) as error:
        raise SaeError(explain_damage(spec, error)) from error


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
    place = folder / Path(spec.path).expanduser()
    if not (place / "cfg.json").is_file():
        raise SaeError(
            f"{place}: no SAE here: cfg.json is missing. `model.sae.path` is a folder in "
            "SAELens's layout, with cfg.json and sae_weights.safetensors."
        )
    return place


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
        return f"SAE '{name}': '{repository}' has no SAE at '{inside}'. Check `model.sae.id`."
    return explain_damage(spec, error)


def converted_release(repository: str) -> str | None:
    """The release under which SAELens converts a repository's own layout, None when it has no need to."""
    table = get_pretrained_saes_directory()
    return next((name for name, it in table.items() if it.repo_id == repository and it.conversion_func), None)


def explain_damage(spec: SaeSpec, error: Exception) -> str:
    """Say what is wrong with files that are there."""
    name, text = name_of(spec), " ".join(str(error).split())
    if isinstance(error, UnpicklingError) or "allow_pickle" in text:
        return (
            f"SAE '{name}': its weights file holds more than tensors, or is damaged. mixplan does not read it further: "
            "such a file can run code. Choose an SAE stored as tensors."
        )
    if isinstance(error, KeyError):
        what = f"it has no entry {text}"
    else:
        what = text.split(". ")[0].rstrip(".") or "a file ends too early"
    return f"SAE '{name}' cannot be read: {what}. Its files are damaged or in another layout; fetch them again."
