"""Damages the files of a run, a cache and a study in seven ways, and sees what each command makes of it."""

import contextlib
import io
import os
import random
import re
import shlex
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.exceptions import Exit

from mixplan.cli import app
from mixplan.errors import MixplanError


def flip(path: Path, draw: random.Random) -> None:
    """One bit is another one."""
    data = bytearray(path.read_bytes())
    if data:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def cut(path: Path, draw: random.Random) -> None:
    """The end is missing."""
    data = path.read_bytes()
    path.write_bytes(data[: draw.randrange(max(1, len(data)))])


def empty(path: Path, draw: random.Random) -> None:
    """All is missing."""
    path.write_bytes(b"")


def noise(path: Path, draw: random.Random) -> None:
    """As long, of random bytes."""
    path.write_bytes(draw.randbytes(path.stat().st_size or 10))


def gone(path: Path, draw: random.Random) -> None:
    """The file is not there."""
    path.unlink()


def folder(path: Path, draw: random.Random) -> None:
    """A folder is in its place."""
    path.unlink()
    path.mkdir()


def loop(path: Path, draw: random.Random) -> None:
    """A link to itself is in its place."""
    path.unlink()
    path.symlink_to(path)


WAYS = {way.__name__: way for way in (flip, cut, empty, noise, gone, folder, loop)}


class Worker:
    """Stands in for the training processes: the same work, in this process."""

    def __init__(self, run: Path) -> None:
        from accelerate.state import AcceleratorState, PartialState

        from mixplan.train import worker
        from mixplan.train.failure import record_failure

        self.stdin, self.returncode, self.pid = None, 0, -1
        kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        hook, self.trace = sys.excepthook, ""
        try:
            worker.main([str(run)])
        except MixplanError as error:
            self.returncode = 1
            record_failure(error, run, None)
        except BaseException as error:
            self.returncode, self.trace = 1, traceback.format_exc()
            record_failure(error, run, None)
        finally:
            sys.excepthook = hook
            for number, action in kept.items():
                signal.signal(number, action)
            AcceleratorState._reset_state(True)
            PartialState._reset_state()

    def poll(self) -> int:
        """The exit code."""
        return self.returncode


def train_here(patch: pytest.MonkeyPatch) -> None:
    """Have training processes work in this process, which spares their start."""
    patch.setenv("ACCELERATE_USE_CPU", "true")
    patch.setattr("mixplan.train.make.start", lambda command, run, variables: Worker(run))


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: 0 done, 1 with a message, 2 wrong usage, -1 by an exception that is no message.
        said: The message, or the trace.
        output: What it printed.
    """

    code: int
    said: str
    output: str


def command(*words: object) -> Ended:
    """Run mixplan in this process."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            app(list(map(str, words)), prog_name="mixplan", standalone_mode=False)
        except MixplanError as error:
            return Ended(1, str(error), output.getvalue())
        except Exit as end:
            return Ended(end.exit_code, "", output.getvalue())
        except SystemExit as end:
            return Ended(int(end.code or 0), "", output.getvalue())
        except BaseException:
            return Ended(-1, traceback.format_exc(), output.getvalue())
    return Ended(0, "", output.getvalue())


def kinds(folder: Path, *parts: str) -> list[Path]:
    """One file of each kind below some parts of a folder, relative to it: those told apart by more than digits."""
    found: dict[str, Path] = {}
    for part in parts:
        for path in sorted((folder / part).rglob("*")):
            if path.is_file() and path.name != ".lock":
                inside = path.relative_to(folder)
                found.setdefault(re.sub(r"\b[0-9a-f]{2}\b|[0-9a-f]{12,}|\d+", "N", str(inside)), inside)
    return list(found.values())


REMEDY = re.compile(r"`((?:mixplan|mv|chmod) [^`]+)`")


def follow(message: str, changes: dict[str, str]) -> Ended | None:
    """Do what a message says: the commands that it names, with what stands for a person's own words replaced.

    Returns:
        How the last one ended, or the first that failed; None when the message names none.
    """
    ended = None
    for found in REMEDY.findall(message):
        words = [changes.get(word, word) for word in shlex.split(found)]
        if words[0] == "mv":
            os.rename(*words[1:])
        ended = command(*words[1:]) if words[0] == "mixplan" else Ended(0, "", "")
        if ended.code:
            return ended
    return ended


def copied(base: Path, place: Path) -> Iterator[Path]:
    """A copy of a folder that is gone afterwards."""
    shutil.copytree(base, place, symlinks=True)
    yield place
    shutil.rmtree(place)
