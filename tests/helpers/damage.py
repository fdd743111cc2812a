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
import tempfile
import traceback
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


def follow(message: str, changes: dict[str, str], *, steps: int = 1) -> Ended | None:
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
        if ended.code and steps > 1:
            # A study's remedy is to finish it, which may meet what is in the way and say how to move it.
            further = follow(ended.said, changes, steps=steps - 1)
            ended = command(*words[1:]) if further is not None and not further.code else ended
        if ended.code:
            return ended
    return ended


PLACES = {"RECIPE": "tiny.yaml", "STUDY": "study.yaml", "FOLDER": "run", "ANOTHER_FOLDER": "run2"}
"""What stands here for the words of messages that stand for a person's own."""
ANEW = "begin again in another run folder"

COMMANDS = {
    "plan": ("plan", "tiny.yaml", "--run", "run"),
    "plan again": ("plan", "run/recipe.yaml", "--run", "run"),
    "train": ("train", "run"),
    "train from the recipe": ("train", "tiny.yaml", "--run", "run"),
    "eval": ("eval", "run"),
    "compare": ("compare", "run", "--arms", "none,plan"),
    "report": ("report", "run"),
    "check": ("check", "run/recipe.yaml"),
    "ls": ("ls",),
}
"""What is tried on a run folder, in the folder above it."""

READING = ("plan", "train", "eval", "compare")
"""Those that read the cache."""


@dataclass(frozen=True)
class Case:
    """A damaged file, and the command that meets it.

    Attributes:
        file: Relative to the folder that is copied.
        way: How it is damaged, of `WAYS`.
        name: Of the command.
        words: The command.
    """

    file: Path
    way: str
    name: str
    words: tuple[str, ...]

    def wrong(self, base: Path, place: Path, patch: pytest.MonkeyPatch) -> str | None:
        """What is wrong with how the command ends on a damaged copy: a trace, or no remedy that works.

        Args:
            base: The whole run, data and cache.
            place: Where it is copied to; gone afterwards.
            patch: For the current folder and the cache.
        """
        shutil.copytree(base, place, symlinks=True)
        patch.setenv("MIXPLAN_CACHE", str(place / "cache"))
        patch.chdir(place)
        try:
            WAYS[self.way](place / self.file, random.Random(f"{self.file} {self.way}"))
            return self.told(command(*self.words))
        finally:
            patch.chdir(base)
            shutil.rmtree(place)

    def told(self, ended: Ended) -> str | None:
        """What is wrong with how a command ended."""
        if ended.code == 0:
            return None
        if ended.code != 1:
            return f"exit code {ended.code}: {ended.said}"
        done = follow(ended.said, PLACES, steps=2 if self.name in STUDYING else 1)
        if done is None:
            return f"no remedy: {ended.said}"
        if done.code:
            return f"the remedy fails: {ended.said}\n{done.said}"
        # What was registered before training is not made up again: the study begins anew elsewhere.
        words = [*self.words[:-1], PLACES["ANOTHER_FOLDER"]] if ANEW in ended.said else self.words
        again = command(*words)
        return f"the remedy did not help: {ended.said}\n{again.said}" if again.code else None


def cases(base: Path) -> list[Case]:
    """Each kind of file of a run and its cache, damaged in each way, under each command that may read it."""
    found = [(file, COMMANDS) for file in kinds(base, "run")]
    found += [(file, READING) for file in kinds(base, "cache")]
    return [Case(file, way, name, COMMANDS[name]) for file, names in found for way in WAYS for name in names]


STUDYING = {
    "study": ("study", "run", "study.yaml", "--run", "run"),
    "study so far": ("study", "judge", "study.yaml", "--run", "run"),
}
"""What is tried on a study's folder."""


def study_cases(base: Path) -> list[Case]:
    """Each kind of file of a study, damaged in each way, under each command that reads it."""
    return [Case(file, way, name, STUDYING[name]) for file in kinds(base, "run") for way in WAYS for name in STUDYING]


SECRETS = ("HF_TOKEN", "WANDB_API_KEY", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY")
"""Environment variables that a run is made under, none of which may be written anywhere."""
SECRET = "hf_thisMayNotBeWrittenAnywhere"


def build(base: Path, *, arms: bool) -> None:
    """Make a whole run on a tiny model, its data and its cache, to be copied and damaged.

    Args:
        base: An empty folder.
        arms: Whether control mixtures are trained beside it.
    """
    from conftest import save_model, save_sae
    from small_loop import lay

    lay(base, save_model("llama", base / "llama"), save_sae)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXPLAN_CACHE", str(base / "cache"))
        for name in SECRETS:
            patch.setenv(name, SECRET)
        patch.chdir(base)
        train_here(patch)
        for name in ("train from the recipe", *(("compare",) if arms else ())):
            ended = command(*COMMANDS[name])
            assert ended.code == 0, ended.said
        assert command("report", "run").code == 0


def build_study(base: Path) -> None:
    """Run a whole study on a tiny model, its data and cache beside it, to be copied and damaged."""
    from conftest import save_model, save_sae
    from small_study import lay

    lay(base, save_model("llama", base / "llama"), save_sae)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXPLAN_CACHE", str(base / "cache"))
        patch.chdir(base)
        train_here(patch)
        for words in STUDYING.values():
            ended = command(*words)
            assert ended.code == 0, ended.said


def main() -> int:
    """Try every case, or those of the files and ways whose names hold the words given; say what is wrong."""
    words, wrong = [word for word in sys.argv[1:] if word != "--study"], 0
    study = "--study" in sys.argv
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        base = Path(folder) / "base"
        base.mkdir()
        patch.setattr("mixplan.model.device.time_matmul", lambda dtype, width: 1.0)
        if study:
            build_study(base)
        else:
            build(base, arms=True)
        train_here(patch)
        chosen = [
            case
            for case in (study_cases(base) if study else cases(base))
            if all(word in f"{case.file} {case.way}" for word in words)
        ]
        for number, case in enumerate(chosen, 1):
            found = case.wrong(base, Path(folder) / "copy", patch)
            wrong += found is not None
            if found is not None:
                print(f"{case.file}, {case.way}, {case.name}: {found}", flush=True)
            if number % 100 == 0 or number == len(chosen):
                print(f"{number:,} of {len(chosen):,} tried, {wrong} wrong", flush=True)
    return min(wrong, 1)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # conftest's tiny models
    sys.exit(main())
