"""Finds the files that decide what a task of lm-evaluation-harness measures, for the key under which that is kept."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mixplan.runs import file_hash

LARGEST = 1 << 20
"""Bytes beyond which a file is data and neither settings nor code."""
SETTINGS = ("", ".yaml", ".yml", ".py")
"""How the names of files end that may name further ones."""
PATH = re.compile(r"[^\s'\"\[\],:]*/[^\s'\"\[\],]+")


def task_files(path: Path) -> list[Any]:
    """A task's YAML file with the small files beside it, which it may include or call, and those that it names."""
    if not path.is_file():
        return []
    beside = [file for file in sorted(path.parent.iterdir()) if file.is_file() and file.stat().st_size < LARGEST]
    named = sorted(named_files(path) - {file.resolve() for file in beside})
    return [*([file.name, file_hash(file)] for file in beside), *([str(file), file_hash(file)] for file in named)]


def named_files(path: Path) -> set[Path]:
    """Files in other folders that a task's YAML file names, such as `../base.yaml`, and those that these name.

    A function is named by its module, as in `!function ../answers.graded`.
    """
    found, left = set[Path](), [path]
    while left:
        text = left.pop()
        words = PATH.findall(text.read_text(encoding="utf-8", errors="replace"))
        places = [text.parent / one for word in words for one in (word, f"{word.rpartition('.')[0]}.py")]
        new = {place.resolve() for place in places if os.path.isfile(place)} - found
        found |= new
        left += [place for place in new if place.suffix in SETTINGS and place.stat().st_size < LARGEST]
    return found
