"""What a mixture holds, as values, and the record of it that lies beside the shards."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mixplan.runs import content_hash, translated, unchanged, write_json

RECORD = "mixture.json"

FORMAT = 4
"""Raised when the same inputs would give other files, so that no older mixture is taken for a present one."""

Messages = list[dict[str, str]]
"""A conversation as chat templates take it: `role` and `content` of each turn."""

Progress = Callable[[str, int, int], None]
"""Called with the step's name, how many are done, and how many there are."""


@dataclass(frozen=True)
class Part:
    """One domain's rows in the mixture (the target's under the name `target`).

    Attributes:
        name: The recipe's name for it.
        rows: Rows in the mixture, repeats counted.
        distinct_rows: Different pool rows among them.
        most_uses: How often the most used row stands in the mixture; 0 without rows.
        answers: Rows by whose answer they carry: `gold`, `rationale`, `self`; for GRPO `reference`.
        empty_answers: Pool rows passed over because the untrained model's answer had no text.
        cut_answers: Pool rows passed over because the untrained model's answer was cut at its longest length; where
            such answers are kept, the rows that carry one.
        tokens: Tokens of its rows, prompt and answer, when a counter was given.
        longest_tokens: Tokens of its longest row, when a counter was given.
        data: Where its rows come from, in one line.
        licence: As the recipe states it.
    """

    name: str
    rows: int
    distinct_rows: int
    most_uses: int
    answers: dict[str, int]
    empty_answers: int
    cut_answers: int
    tokens: int | None
    longest_tokens: int | None
    data: str
    licence: str | None


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
    parts: tuple[Part, ...]
    warnings: tuple[str, ...] = ()
    set_aside: Path | None = field(default=None, compare=False)

    @property
    def rows(self) -> int:
        """All rows, the target's included."""
        return sum(part.rows for part in self.parts)


def describe(mixture: Mixture) -> dict[str, Any]:
    """A mixture as JSON values, free of the place it lies in, for the plan."""
    return {
        "format": FORMAT,
        "method": mixture.method,
        "hash": mixture.hash,
        "inputs": mixture.inputs,
        "rows": mixture.rows,
        "files": mixture.files,
        "parts": [asdict(part) for part in mixture.parts],
        "warnings": list(mixture.warnings),
    }


def write_record(mixture: Mixture, folder: Path) -> None:
    """Write the record that lets a later run know the mixture by its hashes."""
    value = describe(mixture)
    write_json(folder / RECORD, value | {"record": content_hash(value)})


def read_mixture(folder: Path) -> Mixture | None:
    """Read a mixture back, with every file in its folder checked by hash.

    Returns:
        The mixture, or None when the folder is not there, or holds a damaged, missing or foreign file.
    """
    try:
        with translated(folder / RECORD, reading=True):
            value = json.loads((folder / RECORD).read_bytes()) if (folder / RECORD).is_file() else {}
    except ValueError:
        return None
    if not isinstance(value, dict) or value.pop("record", None) != content_hash(value) or value["format"] != FORMAT:
        return None
    if {path.name for path in folder.iterdir()} != {RECORD, *value["files"]}:
        return None
    if not all(unchanged(folder / name, expected) for name, expected in value["files"].items()):
        return None
    return Mixture(
        folder=folder,
        method=value["method"],
        hash=value["hash"],
        inputs=value["inputs"],
        files=value["files"],
        parts=tuple(Part(**part) for part in value["parts"]),
        warnings=tuple(value["warnings"]),
    )
