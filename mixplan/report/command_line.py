"""Says how a command is typed so that it runs in the shell that this process was started from."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from mixplan.runs import quoted

PROGRAM = "MIXPLAN_PROGRAM"
"""Environment variable by which a script that starts mixplan names itself, as a word for a shell."""


def program() -> str:
    """How mixplan is called: by its name where that is found, else by the way this process was started."""
    if named := os.environ.get(PROGRAM):
        return named
    started = Path(sys.argv[0])
    if started.name == "__main__.py" and started.parent.name == "mixplan":
        return f"{python()} -m mixplan"
    if started.name == "mixplan" and started.is_file() and shutil.which("mixplan") != str(started.absolute()):
        return quoted(started.absolute())
    return "mixplan"


def python() -> str:
    """How this interpreter is called."""
    names = (name for name in ("python", "python3") if shutil.which(name) == os.path.abspath(sys.executable))
    return next(names, quoted(Path(sys.executable)))


def installed(name: str) -> str:
    """How a package's own command is called: by its name, or by its place beside this interpreter."""
    beside = Path(sys.executable).parent / name
    return name if shutil.which(name) or not beside.is_file() else quoted(beside)


def seen(folder: Path) -> Path:
    """A folder as the shell sees it; a script may have started mixplan in a folder of its own."""
    return folder.absolute() if os.environ.get(PROGRAM, "").startswith("/") else folder


def callable_commands(text: str) -> str:
    """A message with the commands in it as they are typed here."""
    name = program()
    return text if name == "mixplan" else text.replace("`mixplan ", f"`{name} ")
