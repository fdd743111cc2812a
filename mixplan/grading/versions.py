"""Says by which state of graders and of a user's rewards something was graded, for the keys under which it is kept."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from mixplan.grading import VERSION
from mixplan.runs import content_hash, file_hash

PACKAGES = {"math": "math-verify", "generator": "reasoning-gym"}
"""Packages that graders use."""


def package_versions(graders: Iterable[str]) -> dict[str, str]:
    """The versions of what graders use, by package."""
    return {PACKAGES[one]: importlib.metadata.version(PACKAGES[one]) for one in sorted({*graders} & PACKAGES.keys())}


def grading_state(graders: Iterable[str], rewards: Iterable[str] = ()) -> list[object]:
    """What a grade depends on beside the answer and the row, as JSON values.

    Args:
        graders: Names of graders.
        rewards: Names of rewards: a grader's, or a user's function as `package.module:function`.
    """
    names = [*rewards]
    own = {name: source_hash(name.partition(":")[0]) for name in names if ":" in name}
    return [VERSION, package_versions([*graders, *names]), own]


def source_hash(module: str) -> str | None:
    """Hash of a user's module as it lies on Python's path, of its whole package where it is in one; None if not there.

    Nothing is imported. What it imports from elsewhere is not looked at.
    """
    top = module.partition(".")[0]
    for folder in (Path(place or os.getcwd()) for place in ("", *sys.path)):
        if (package := folder / top).is_dir():
            files = sorted(package.rglob("*.py"))
            return content_hash([[str(file.relative_to(package)), file_hash(file)] for file in files])
        if (file := folder / f"{top}.py").is_file():
            return file_hash(file)
    return None
