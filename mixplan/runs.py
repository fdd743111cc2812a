"""Keeps artifacts in run folders and caches: written atomically, checked by hash, locked against a second run."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import hashlib
import importlib.metadata
import json
import os
import shlex
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mixplan.errors import RunError
from mixplan.temporary_files import affixes, sweep, sweep_held

HASH_LENGTH = 64
JUDGED = "judged"
"""Folder in a run folder that holds, by label, what was measured of models trained without mixplan."""
CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
"""Made once: hashes are taken of tens of thousands of rows."""
PROTECTED = (errno.EACCES, errno.EPERM, errno.EROFS)
"""The system's error numbers where something may not be written."""


def refuse_absent(place: Path, *, recipe: bool = False) -> None:
    """Refuse a place where nothing stands, which is known before anything is loaded.

    Args:
        place: A run folder.
        recipe: Whether a recipe may be named instead, whose own absence its reading tells.

    Raises:
        RunError: there is no run folder, or neither a folder nor a recipe's file.
    """
    if recipe and not place.exists() and place.suffix.lower() not in (".yaml", ".yml"):
        raise RunError(f"{place}: there is no such run folder or recipe. `mixplan ls` lists both.")
    if not recipe and not place.is_dir():
        refuse_recipe(place)
        raise RunError(f"{place}: there is no such run folder. `mixplan ls` lists the runs there are.")


def refuse_recipe(place: Path) -> None:
    """Refuse a recipe in the place of the run folder that its plan writes.

    Raises:
        RunError: the place is a YAML file that lies beside no plan.
    """
    if place.is_file() and place.suffix.lower() in (".yaml", ".yml") and not (place.parent / "plan.json").is_file():
        raise RunError(
            f"{place}: found a recipe, expected a run folder. `mixplan plan {quoted(place)}` writes it: "
            f"runs/{place.stem}, or what `--run` names."
        )


@functools.cache
def version_of(package: str) -> str:
    """An installed package's version, part of many keys; each asking parses the package's metadata anew.

    Raises:
        importlib.metadata.PackageNotFoundError: it is not installed.
    """
    return importlib.metadata.version(package)


def canonical_json(value: Any) -> str:
    """Write a value as JSON in one way only: sorted keys, no spaces, no NaN."""
    return CANONICAL.encode(value)


def content_hash(*parts: Any) -> str:
    """Hash values by content.

    Args:
        parts: bytes as they are; anything else as canonical JSON.

    Returns:
        64 hexadecimal digits (SHA-256).
    """
    digest = hashlib.sha256()
    for part in parts:
        data = bytes(part) if isinstance(part, bytes | bytearray | memoryview) else canonical_json(part).encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """Hash a file's bytes (SHA-256, 64 hexadecimal digits), read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unchanged(path: Path, expected: str) -> bool:
    """Whether a file is there, and its bytes have the hash that they had.

    Raises:
        RunError: it may not be read.
    """
    try:
        with translated(path, reading=True):
            return file_hash(path) == expected
    except RunError as error:
        if isinstance(error.__cause__, PermissionError):
            raise
        return False


@contextlib.contextmanager
def translated(path: Path, *, reading: bool = False, again: str = "") -> Iterator[None]:
    """Turn the operating system's refusals into one `RunError` that names the place and the remedy.

    Args:
        path: What is used.
        reading: Whether it is only read, which another run folder would not mend.
        again: How a file that cannot be read is made again, a sentence.
    """
    try:
        yield
    except OSError as error:
        raise RunError(refusal(path, error, reading=reading, again=again)) from error


def refusal(path: Path, error: OSError, *, reading: bool, again: str = "") -> str:
    """Say what the operating system refused, and what helps."""
    cached = path.is_relative_to(cache_folder())
    elsewhere = (
        "Set the environment variable MIXPLAN_CACHE to a folder that can be written, where mixplan keeps its results."
        if cached
        else "Choose another run folder with --run FOLDER, or copy this one to where you may write."
    )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        more = ", or set MIXPLAN_CACHE to a folder on another disk," if cached else ""
        return f"{path}: the disk is full. Free some space{more} and run the same command again: it resumes."
    if error.errno in (errno.EACCES, errno.EPERM) and reading:
        return f"{path}: no permission to read it. {readable(path)}"
    if error.errno in PROTECTED:
        return f"{path}: no permission to write here. {elsewhere}"
    wrong = in_the_way(path, error.errno)
    if wrong is not None:
        place, found = wrong
        aside = f"Move it away: `mv {quoted(place)} {quoted(place)}.aside`"
        if not reading and (place != path or error.errno == errno.EEXIST):
            other = "set MIXPLAN_CACHE to another folder" if cached else "choose another run folder with --run FOLDER"
            return f"{place}: {found}. {aside}, or {other}."
        return (
            f"{place}: {found}. {aside}, then {again[:1].lower()}{again[1:]}"
            if again
            else f"{place}: {found}. {aside}."
        )
    if error.errno == errno.ENOENT:
        here = reading or path.parent.is_dir()
        gone = "there is no such file" if here else "its folder was removed while mixplan worked there"
        return f"{path}: {gone}. {again or 'Run the same command again.'}"
    return f"{path}: {error.strerror or error}." + (f" {again}" if again else "")


def in_the_way(path: Path, number: int | None) -> tuple[Path, str] | None:
    """What stands where a file, or a folder above it, should be: its place, and what it is.

    Args:
        path: Where a file should be, or a folder that was to be made.
        number: The system's error number.
    """
    if number not in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENOENT, errno.ENOTEMPTY):
        return None
    above = [path, *path.parents] if number == errno.EEXIST else path.parents
    for place in reversed(above):
        if os.path.lexists(place) and not os.path.isdir(place):
            return place, "a link that leads nowhere" if place.is_symlink() else "found a file, expected a folder"
    if path.is_symlink() and not os.path.exists(path):
        return path, "a link that leads nowhere"
    if os.path.isdir(path):
        return path, "found a folder, expected a file"
    return None


def readable(path: Path) -> str:
    """The command that lets this user read a file, or enter the folder above it that forbids it."""
    for place in reversed(path.parents):
        if os.path.isdir(place) and not os.access(place, os.X_OK):
            return f"Allow it with `chmod u+rx {quoted(place)}`, or move it away."
    return f"Allow it with `chmod u+r {quoted(path)}`, or move it away."


def quoted(path: Path) -> str:
    """A path as one word for a shell."""
    return shlex.quote(str(path))


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old bytes or the new ones, never a part.

    Where nothing may be written, a file that holds these very bytes already is as good.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    with translated(path), unless_same(path, data):
        path.parent.mkdir(parents=True, exist_ok=True)
        before, after = affixes(path.name)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=before, suffix=after)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:  # Ctrl-C too leaves no half file; it goes on
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


@contextlib.contextmanager
def unless_same(path: Path, data: bytes) -> Iterator[None]:
    """Pass over a refusal to write a file that holds these bytes already."""
    try:
        yield
    except OSError as error:
        if error.errno not in PROTECTED or not path.is_file() or path.read_bytes() != data:
            raise


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically; NaN and infinity are refused by `json`."""
    text = json.dumps(value, indent=2, sort_keys=False, ensure_ascii=False, allow_nan=False)
    write_atomic(path, (text + "\n").encode())


def set_aside(path: Path) -> Path:
    """Move a damaged or foreign file out of the way, keeping it for a person to look at.

    Returns:
        Where it is now: `NAME.aside`, with a number after it when that is taken.
    """
    for number in range(1000):
        kept = path.with_name(f"{path.name}.aside{number or ''}")
        if not os.path.lexists(kept):
            with translated(path):
                os.replace(path, kept)
            return kept
    raise RunError(f"{path.parent}: a thousand files are set aside here. Delete the *.aside files.")


def seal(data: bytes) -> bytes:
    """Append a SHA-256 trailer to an artifact's bytes, so that damage is noticed on reading."""
    return data + hashlib.sha256(data).hexdigest().encode()


def store(path: Path, data: bytes) -> None:
    """Store what was made under a path that names what it was made from, for `unseal` to find it again.

    Raises:
        RunError: the file system refused.
    """
    write_atomic(path, seal(data))


def unseal(path: Path) -> bytes | None:
    """Read a sealed file.

    Returns:
        The bytes without their trailer, or None when the file is not there, or was damaged (a folder or a
        broken link among them) and is now set aside.
    """
    try:
        with translated(path, reading=True):
            sealed = path.read_bytes()
    except RunError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        if os.path.isdir(path) or (path.is_symlink() and not path.exists()):
            set_aside(path)
            return None
        raise
    data, trailer = sealed[:-HASH_LENGTH], sealed[-HASH_LENGTH:]
    if len(sealed) >= HASH_LENGTH and hashlib.sha256(data).hexdigest().encode() == trailer:
        return data
    set_aside(path)
    return None


def cached(kind: str, key: str, make: Callable[[], Any], *, keep: Callable[[], bool] = lambda: True) -> Any:
    """Take what was made before from the same inputs, or make it and keep it.

    It is made anew where what was kept is damaged. A cache in which nothing may be written keeps nothing.

    Args:
        kind: The cache's folder.
        key: Hash of all that the result depends on.
        make: Makes it, as JSON values; numbers may be infinite.
        keep: Says, once it is made, whether it is to be kept.

    Returns:
        The value as it is read back, so that it is the same whether it was made or kept.

    Raises:
        RunError: the file system refused.
    """
    place = cache_folder() / kind / f"{key}.json"
    data = unseal(place)
    if data is None:
        data = json.dumps(make(), ensure_ascii=False).encode()
        try:
            if keep():
                store(place, data)
        except RunError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in PROTECTED:
                raise
    return json.loads(data)


@contextlib.contextmanager
def locked(folder: Path, *, protected: bool = False) -> Iterator[None]:
    """Hold a run folder for this process alone; the lock goes with the process, however it ends.

    What processes that are no more have left half written, here and in the cache, is swept away.

    Args:
        folder: The run folder.
        protected: Whether it may be one where nothing may be written, which then needs no lock.

    Raises:
        RunError: another process holds it, or the folder cannot be written.
    """
    if protected and may_not_write(folder):
        yield
        return
    with translated(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "a+", encoding="utf-8")  # noqa: SIM115 - held open for the lock's life
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise RunError(
                f"{folder}: another mixplan run (process {holder}) is using this folder. "
                "Wait for it to end, or choose another folder with --run FOLDER."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        sweep(folder)
        sweep_held(folder)
        sweep_cache(cache_folder())
        yield
    finally:
        file.close()


def may_not_write(folder: Path) -> bool:
    """Whether a folder is there in which this user, or anyone, may write nothing."""
    try:
        with open(folder / ".lock", "a+", encoding="utf-8"):
            return False
    except OSError as error:
        return error.errno in PROTECTED


@functools.cache
def sweep_cache(folder: Path) -> None:
    """Sweep a cache, once in a process's life."""
    sweep(folder)


def cache_folder() -> Path:
    """Where results are kept: `$MIXPLAN_CACHE`, else `$XDG_CACHE_HOME/mixplan`, else `~/.cache/mixplan`.

    Raises:
        RunError: there is no home folder either.
    """
    if chosen := os.environ.get("MIXPLAN_CACHE"):
        return Path(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mixplan"
    except RuntimeError as error:
        raise RunError(
            "This user has no home folder to keep results in. Set the environment variable MIXPLAN_CACHE to a folder "
            "that can be written."
        ) from error
