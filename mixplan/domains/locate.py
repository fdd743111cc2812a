"""Finds the file or saved data set that a data spec names, and checks that it can be read."""

from __future__ import annotations

import errno
import importlib.util
import os
import stat
from pathlib import Path, PurePosixPath

from mixplan.domains.compressed import COMPRESSED, kind_of
from mixplan.errors import DataError
from mixplan.recipe import DataSpec
from mixplan.recipe.paths import local_path
from mixplan.recipe.suggest import did_you_mean

SUFFIXES = (".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".tsv")


def python_files(spec: DataSpec) -> bool:
    """Whether a spec's `file` is a pattern of Python files, whose functions are the rows."""
    return bool(spec.file and spec.file.endswith("*.py"))


def file_pattern(spec: DataSpec) -> str:
    """The pattern of Python files below the folder that `locate` gives."""
    return _parted(spec.file or "")[1] if spec.package is None else spec.file or ""


def _parted(pattern: str) -> tuple[Path, str]:
    """A pattern's folder, where it is absolute, and what is below it."""
    path = local_path(pattern)
    if not path.is_absolute():
        return Path(), str(path)
    fixed = next(number for number, part in enumerate(path.parts) if "*" in part)
    return Path(*path.parts[:fixed]), str(Path(*path.parts[fixed:]))


def locate(spec: DataSpec, folder: Path) -> Path:
    """Find the file or saved data set that a spec names; for Python files, the folder that their pattern starts from.

    Args:
        spec: With `file`, and perhaps `package`.
        folder: What a relative `file` is relative to, unless it lies in a package.

    Returns:
        The path of a regular file with a known suffix, or of a folder.

    Raises:
        DataError: nothing is there, or it cannot be read, or it lies outside its package.
    """
    name = spec.file or ""
    if python_files(spec):
        name = "." if spec.package else str(_parted(name)[0])
    path = _in_package(spec.package, name) if spec.package else folder / local_path(name)
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        return path
    if not stat.S_ISREG(mode):
        raise DataError(f"{path}: not a regular file. Copy the data into a file and name that.")
    kind = kind_of(path)
    if kind not in SUFFIXES or (kind == ".parquet" and path.suffix.lower() != kind):
        raise DataError(
            f"{path}: data in {path.suffix or 'a file without suffix'} is not read. Known: {', '.join(SUFFIXES)}, all "
            f"but Parquet also with {', '.join(COMPRESSED)} behind it, or the folder of a saved data set."
        )
    if not os.access(path, os.R_OK):
        raise DataError(f"{path}: no permission to read it. Allow it with `chmod u+r {path}`.")
    return path


def package_folders(package: str) -> list[Path]:
    """Folders of an installed package, found without importing it (some cannot be imported).

    Raises:
        DataError: no such package is installed, or it has no folder.
    """
    if not package.isidentifier():
        raise DataError(f"package {package!r} is not a top-level package name. Put the path inside it into `file`.")
    try:
        found = importlib.util.find_spec(package)
    except ValueError:
        # A module put into `sys.modules` by hand, without a spec, cannot say where its files are.
        found = None
    if found is None:
        raise DataError(
            f"package {package!r} is not installed. Install it into this environment: pip install {package}"
        )
    if not found.submodule_search_locations:
        raise DataError(
            f"package {package!r} is a single module, so no data file lies in it. Name it with `file` alone."
        )
    return [Path(place) for place in found.submodule_search_locations]


def _in_package(package: str, name: str) -> Path:
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts:
        raise DataError(f"file {name!r} leaves the package {package!r}. Give a path inside it, without `..`.")
    places = package_folders(package)
    path = next((place / inside for place in places if os.path.lexists(place / inside)), places[0] / inside)
    real = os.path.realpath(path)
    if not any(Path(real).is_relative_to(os.path.realpath(place)) for place in places):
        raise DataError(
            f"file {name!r} is a link that leaves the package {package!r}. Name the linked file with `file`."
        )
    return path


def _mode(path: Path) -> int:
    """File type bits, links followed; each refusal of the operating system as one message."""
    try:
        return path.stat().st_mode
    except ValueError as error:
        raise DataError(f"{str(path)!r}: a path cannot hold a NUL character. Remove it.") from error
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise DataError(f"{path}: not there.{_nearby(path)}") from error
        if error.errno == errno.ELOOP:
            raise DataError(f"{path}: its symbolic links go round in a circle. Name the file itself.") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise DataError(f"{path}: no permission to read it. Allow it with `chmod u+r {path}`.") from error
        raise DataError(f"{path}: {error.strerror}. Give the path of a file or of a saved data set.") from error


def _nearby(path: Path) -> str:
    if not path.parent.is_dir():
        return f" The folder {path.parent} is not there either."
    return did_you_mean(path.name, sorted(item.name for item in path.parent.iterdir()))
