"""Finds what the hub's cache holds of a repository, and whether it was fetched to its end, by file names alone."""

from __future__ import annotations

from pathlib import Path

from mixplan.recipe import DataSpec

ROWS = (".parquet", ".arrow", ".jsonl", ".json", ".csv", ".tsv", ".txt", ".gz", ".zst", ".bz2", ".xz", ".zip")
"""How files of rows end; a snapshot with none of them was fetched for something else, such as its card."""
SETTINGS = ("dataset_infos.json", "dataset_dict.json", "config.json")


def snapshot(kind: str, repository: str, revision: str | None = None) -> Path | None:
    """Find where the hub's cache holds a revision of a repository.

    Args:
        kind: `model` or `dataset`.
        repository: Its hub id.
        revision: A commit, tag or branch; `main` when not given.

    Returns:
        The snapshot's folder; None where there is none.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    held = Path(HF_HUB_CACHE) / f"{kind}s--{repository.replace('/', '--')}"
    reference = held / "refs" / (revision or "main")
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision or ""
    folder = held / "snapshots" / commit
    return folder if commit and folder.is_dir() else None


def copy_with_rows(data: DataSpec) -> Path | None:
    """Find the hub cache's copy of a data set that holds files of rows."""
    folder = snapshot("dataset", str(data.hub), data.revision)
    held = folder is not None and any(
        path.suffix.lower() in ROWS and path.name not in SETTINGS for path in folder.rglob("*")
    )
    return folder if held else None


def unfinished(folder: Path, place: Path | None = None) -> str | None:
    """Say what was not fetched to its end.

    Args:
        folder: A snapshot's folder.
        place: The file or folder of it that is wanted; all of it when not given.

    Returns:
        How many files are missing or downloads were cut, in words; None where none.
    """
    place = place or folder
    files = [place] if place.is_file() else [path for path in place.rglob("*") if not path.is_dir()]
    if cut := sum(not path.exists() for path in files):
        return f"{cut} of {len(files)} files are missing"
    started = len(list((folder.parent.parent / "blobs").glob("*.incomplete")))
    return f"{started} downloads were not finished" if started else None


def read_offline(data: DataSpec) -> bool:
    """Whether a hub data set can be read without the hub, which is switched off."""
    from huggingface_hub import is_offline_mode

    if not is_offline_mode():
        return False
    folder = copy_with_rows(data)
    return folder is not None and unfinished(folder) is None
