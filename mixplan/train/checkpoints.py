"""Seals checkpoints by hash once every process has written, and finds the newest whole one.

A checkpoint is in transformers' own format: weights as safetensors; the optimiser's, scheduler's and random
generators' states through `torch.save`, which transformers reads back with `weights_only=True`, so that nothing in them
is run. The pickled `training_args.bin`, which a resumption does not read, is removed before the checkpoint is sealed.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mixplan.runs import file_hash, set_aside, translated, unchanged, write_json
from mixplan.saved.base_types import JsonObject, Saved

SEAL = "mixplan.json"
PICKLED = "training_args.bin"


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint.

    Attributes:
        folder: Where it is.
        step: Optimiser steps it has behind it.
        processes: How many processes wrote it; the same number must read it.
        seconds: Of training behind it, over all starts.
        seen: What the optimiser had read, as `Seen.as_json` writes it.
    """

    folder: Path
    step: int
    processes: int
    seconds: float
    seen: JsonObject


class Seal(Saved):
    """What a whole checkpoint is recorded with: its job's hash, what `Checkpoint` holds, and its files' hashes."""

    job: str
    processes: int
    seconds: float
    seen: JsonObject
    files: dict[str, str]


def seal_checkpoint(folder: Path, *, key: str, processes: int, seconds: float, seen: JsonObject) -> None:
    """Record every file's hash, last of all: a checkpoint without the record was interrupted.

    Args:
        folder: The checkpoint, written whole.
        key: The job's hash.
        processes: How many wrote it.
        seconds: Of training behind it.
        seen: What the optimiser has read.
    """
    (folder / PICKLED).unlink(missing_ok=True)
    files = {str(path.relative_to(folder)): file_hash(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    files.pop(SEAL, None)
    record = Seal(job=key, processes=processes, seconds=seconds, seen=seen, files=files)
    write_json(folder / SEAL, record.values())


def newest_checkpoint(folder: Path, *, key: str) -> Checkpoint | None:
    """Find the newest whole checkpoint of a job and clear away those after it.

    One that was interrupted, or is another job's, is removed; one whose files no longer have their hashes is set aside
    beside `folder`.

    Args:
        folder: `training/checkpoints`.
        key: The job's hash.
    """
    for step, path in sorted(numbered(folder), reverse=True):
        record = read_seal(path)
        if record is None or record.job != key:
            with translated(path):
                shutil.rmtree(path)
        elif damaged(path, record.files):
            outside = folder.parent / path.name
            with translated(path):
                os.replace(path, outside)
            set_aside(outside)
        else:
            return Checkpoint(path, step, record.processes, record.seconds, record.seen)
    return None


def damaged(folder: Path, files: dict[str, str]) -> bool:
    """Whether a file of a sealed checkpoint is missing or no longer has its hash."""
    return not all(unchanged(folder / name, kept) for name, kept in files.items())


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """Checkpoint folders with their steps."""
    if not folder.is_dir():
        return []
    found = [(re.fullmatch(r"checkpoint-(\d+)", path.name), path) for path in folder.iterdir()]
    return [(int(match[1]), path) for match, path in found if match]


def read_seal(path: Path) -> Seal | None:
    """The record of a checkpoint; None when it was not reached."""
    try:
        return Seal.model_validate_json((path / SEAL).read_bytes())
    except (OSError, ValidationError):
        return None
