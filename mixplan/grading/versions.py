"""Says by which state of graders and of a user's rewards something was graded, for the keys under which it is kept."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path

from mixplan.grading import VERSION
from mixplan.runs import content_hash, file_hash, version_of

PACKAGES = {"math": "math-verify", "generator": "reasoning-gym"}
"""Packages that graders use."""


def package_versions(graders: Iterable[str]) -> dict[str, str]:
    """The versions of what graders use, by package."""
    return {PACKAGES[one]: version_of(PACKAGES[one]) for one in sorted({*graders} & PACKAGES.keys())}


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
    places = source_of(module)
    if places and not places[0].is_dir():
        return file_hash(places[0])
    files = [(str(file.relative_to(place)), file) for place in places for file in sorted(place.rglob("*.py"))]
    return content_hash([[name, file_hash(file)] for name, file in files]) if places else None


def source_of(module: str) -> list[Path]:
    """The file that Python would import a module from, or the folders of its package; empty where it finds none.

    A folder without `__init__.py` is no module where there is one of its name, be that further back on the path.
    """
    found = PathFinder.find_spec(module.partition(".")[0], [os.getcwd(), *sys.path])
    if found is None:
        return []
    if found.submodule_search_locations is not None:
        return [Path(place) for place in found.submodule_search_locations]
    return [Path(found.origin)] if found.origin else []


def own_sources(rewards: Iterable[str]) -> dict[str, str | None]:
    """Hashes of the user's own code behind rewards, by name; an installed package's counts by no more than its name."""
    installed = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    modules = {name: name.partition(":")[0] for name in rewards if ":" in name}
    return {
        name: source_hash(module)
        for name, module in modules.items()
        if not any(str(place.parent) in installed for place in source_of(module))
    }
