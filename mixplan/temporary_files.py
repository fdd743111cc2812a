"""Names files that are being written after their process, and sweeps away those whose process is no more."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import time
from pathlib import Path

PART = re.compile(r"\..+\.(\d+)-([0-9a-f]{6})\.\w+\.part")
OLDER = re.compile(r"\..+\.[a-z0-9_]{8}")
"""What mixplan 0.1.0 named them, without the process."""
FOLDERS = (".mixture.partial", ".mixture.old", ".model.partial")
"""In a run folder, which one process holds: what it puts in place whole, and what it has put out of place."""
OLD_SECONDS = 86_400.0
"""No file is written for so long; what another machine has left is known by its age alone."""


def affixes(name: str) -> tuple[str, str]:
    """How the name of a part of a file begins and ends, by which its process is known.

    Args:
        name: Of the file that is being written.
    """
    return f".{name}.{os.getpid()}-{machine()}.", ".part"


def machine() -> str:
    """A mark of this machine: process numbers mean nothing on another one that shares the folder."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def sweep(folder: Path) -> None:
    """Remove parts of files below a folder whose process has ended; what cannot be removed stays.

    Args:
        folder: A run folder or cache; other processes may be at work in it.
    """
    for place, folders, files in os.walk(folder):
        parts = [name for name in (*folders, *files) if abandoned(Path(place, name))]
        folders[:] = [name for name in folders if name not in parts]
        for name in parts:
            remove(Path(place, name))


def sweep_held(folder: Path) -> None:
    """Remove from a run folder what only its own process puts there; this process holds it."""
    arms = folder / "arms"
    for run in (folder, *(arms.iterdir() if arms.is_dir() else ())):
        for name in FOLDERS:
            # A crash between two renamings leaves the only whole mixture under its second name.
            if name != ".mixture.old" or os.path.lexists(run / "mixture"):
                remove(run / name)


def remove(path: Path) -> None:
    """Remove a file or a whole folder, as far as that is allowed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def abandoned(path: Path) -> bool:
    """Whether a path is the part of a file whose process is no more."""
    made = PART.fullmatch(path.name)
    if made is None and not OLDER.fullmatch(path.name):
        return False
    if made is not None and made[2] == machine():
        return not running(int(made[1]))
    try:
        return time.time() - path.lstat().st_mtime > OLD_SECONDS
    except OSError:
        return False


def running(process: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
