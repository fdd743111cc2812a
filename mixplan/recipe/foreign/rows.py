"""Finds how rows are read from the columns that a data set's first row has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mixplan.errors import RecipeError
from mixplan.recipe.paths import local_path
from mixplan.recipe.section import Yaml

PAIRS = (
    ("prompt", "completion"),
    ("query", "response"),
    ("question", "answer"),
    ("input", "output"),
    ("problem", "solution"),
)
"""Columns of a question and its answer, as trainers know them."""

CHATS = ("messages", "conversations", "conversation", "chat")


def local_file(place: str, folders: Sequence[Path]) -> Path | None:
    """A data set's file or folder on this machine; None where there is none.

    Args:
        place: As the config names it.
        folders: What it may be relative to, the likeliest first.
    """
    found = (folder / local_path(place) for folder in folders)
    return next((path for path in found if path.exists()), None)


def section_of(row: Yaml) -> Yaml | None:
    """How a row of these columns is read: format and columns; None where neither chat nor answer is found."""
    for name in CHATS:
        if isinstance(row.get(name), list | str):
            tools = {"tools": "tools"} if row.get("tools") is not None else {}
            return {"format": "messages", "columns": {"messages": name, **tools}}
    if "instruction" in row and "output" in row:
        return alpaca("instruction", "input" if "input" in row else None, "output", joint="\n")
    for asked, answered in PAIRS:
        if asked in row and answered in row:
            return {"format": "prompt_completion", "columns": {"prompt": asked, "completion": answered}}
    return None


def alpaca(prompt: str, query: str | None, response: str, *, joint: str, system: str | None = None) -> Yaml:
    """How rows of an instruction, an input to it and an output are read.

    Args:
        prompt: The column of the instruction.
        query: The column of its input.
        response: The column of the output.
        joint: What stands between instruction and input.
        system: The column of a system turn.
    """
    asked = f"{{{prompt}}}{joint}{{{query}}}" if query else prompt
    columns = {"prompt": asked, "completion": response, **({"system": system} if system else {})}
    return {"format": "prompt_completion", "columns": columns}


def first_row(path: Path) -> Yaml | None:
    """The first row of a file; None where it is of a kind that is not looked into, or is empty.

    Raises:
        RecipeError: it cannot be read.
    """
    try:
        if path.is_dir():
            inside = sorted(file for kind in ("*.jsonl", "*.json", "*.parquet") for file in path.glob(kind))
            return first_row(inside[0]) if inside else None
        if path.suffix == ".parquet":
            rows = next(pq.ParquetFile(path).iter_batches(batch_size=1)).to_pylist()
            return dict(rows[0]) if rows else None
        if path.suffix not in (".json", ".jsonl", ".ndjson"):
            return None
        return json_row(path)
    except (OSError, ValueError, StopIteration) as error:
        raise RecipeError(f"{path}: its first row cannot be read: {error}. Mend the file.") from error


def json_row(path: Path) -> Yaml | None:
    """The first object of a file of JSON lines, or of one JSON list."""
    with path.open(encoding="utf-8") as file:
        line = next((text for text in file if text.strip()), "")
    if line.lstrip().startswith("["):
        rows: Any = json.loads(path.read_text(encoding="utf-8"))
        return dict(rows[0]) if rows else None
    try:
        row = json.loads(line)
    except ValueError:
        row = json.loads(path.read_text(encoding="utf-8"))
    return row if isinstance(row, dict) else None
