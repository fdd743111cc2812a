"""Holds a mixture as values, and writes and reads the record of it that lies beside the shards."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mixplan.runs import content_hash, translated, unchanged, write_json
from mixplan.saved.plan import MixturePart, MixtureRecord

RECORD = "mixture.json"

FORMAT = 4
"""Raised when the same inputs would give other files, so that no older mixture is taken for a present one."""

Messages = list[dict[str, str]]
"""A conversation as chat templates take it: `role` and `content` of each turn."""

Progress = Callable[[str, int, int], None]
"""Called with the step's name, how many are done, and how many there are."""


@dataclass(frozen=True)
class Mixture:
    """A mixed data set on disk.

    Attributes:
        folder: Where it is.
        method: `sft` or `grpo`.
        hash: SHA-256 over every row's content, in order; free of file formats and library versions.
        inputs: Hash of all it was made from; equal inputs need no second writing.
        files: SHA-256 of each file, by name.
        parts: The target, then the domains in the recipe's order.
        warnings: What a reader should know before training, in whole sentences.
        set_aside: Where a damaged or foreign folder that stood in this place was put.
    """

    folder: Path
    method: str
    hash: str
    inputs: str
    files: dict[str, str]
    parts: tuple[MixturePart, ...]
    warnings: tuple[str, ...] = ()
    set_aside: Path | None = field(default=None, compare=False)

    @property
    def rows(self) -> int:
        """All rows, the target's included."""
        return sum(part.rows for part in self.parts)


def describe(mixture: Mixture) -> MixtureRecord:
    """What a mixture is, free of the place it lies in: for the record beside it, and for the plan."""
    return MixtureRecord(
        format=FORMAT,
        method=mixture.method,
        hash=mixture.hash,
        inputs=mixture.inputs,
        rows=mixture.rows,
        files=mixture.files,
        parts=list(mixture.parts),
        warnings=list(mixture.warnings),
    )


def write_record(mixture: Mixture, folder: Path) -> None:
    """Write the record that lets a later run know the mixture by its hashes."""
    values = describe(mixture).values()
    write_json(folder / RECORD, values | {"record": content_hash(values)})


def read_mixture(folder: Path) -> Mixture | None:
    """Read a mixture back, with every file in its folder checked by hash.

    Returns:
        The mixture, or None when the folder is not there, or holds a damaged, missing or foreign file.
    """
    try:
        with translated(folder / RECORD, reading=True):
            values = json.loads((folder / RECORD).read_bytes()) if (folder / RECORD).is_file() else None
        if not isinstance(values, dict) or values.pop("record", None) != content_hash(values):
            return None
        record = MixtureRecord.model_validate_json(json.dumps(values))
    except (ValueError, RecursionError):
        return None
    if record.format != FORMAT or {path.name for path in folder.iterdir()} != {RECORD, *record.files}:
        return None
    if not all(unchanged(folder / name, expected) for name, expected in record.files.items()):
        return None
    return Mixture(
        folder=folder,
        method=record.method,
        hash=record.hash,
        inputs=record.inputs,
        files=record.files,
        parts=tuple(record.parts),
        warnings=tuple(record.warnings),
    )
