"""Scores answers in a child process, where a scorer that fails, hangs or exhausts memory costs one answer only."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import importlib
import inspect
import json
import math
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, BinaryIO

from mixplan.child_process import outside_group
from mixplan.grading.grade import Grade, grade
from mixplan.recipe.suggest import did_you_mean

START_SECONDS = 300.0
"""To start the child and import a grader's packages: a cold disk takes a minute for the largest."""
ORPHAN_SECONDS = 5.0
"""Beyond its time limit, a child that its parent has not ended is an orphan and ends itself."""
PRINTED_BYTES = 1 << 20
"""Of what scorers print, for each child."""
LEFT_OUT = b"\nScorers printed more, which is left out here.\n"
MEMORY_SHARE = 0.25
"""Of the machine's memory; the model that is being trained needs the rest."""


class ScorerError(Exception):
    """A scorer gave no score for an answer; the text says why."""


class ScorerTimedOut(ScorerError):
    """It took longer than it may; its process is ended."""


class GradingProcess:
    """Grades answers in a child process that is started when it is first needed and again after it was ended.

    Args:
        seconds: The time limit for one answer, without the child's start and imports.
    """

    def __init__(self, *, seconds: float) -> None:
        self.seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._ready: set[str] = set()

    def grade(
        self, text: str, reference: str, grader: str, entry: str | None = None, accepted: Sequence[str] = ()
    ) -> Grade:
        """Grade one answer as `mixplan.grading.grade.grade` does.

        Raises:
            ScorerError: the grader raised something, ended its process, or took too long (`ScorerTimedOut`).
        """
        self.prepare(grader)
        value = self._ask("grade", [text, reference, grader, entry, list(accepted)], self.seconds)
        return Grade(**value)

    def finds(self, pattern: str, text: str) -> bool:
        """Whether a regular expression finds something in a text; its `.` matches line ends too.

        Raises:
            ScorerError: as `grade`.
        """
        self.prepare("format")
        return bool(self._ask("finds", [pattern, text], self.seconds))

    def scores(self, function: str, columns: Mapping[str, Sequence[Any]]) -> list[float | None]:
        """Call a user's reward as TRL does, with a batch's columns by name.

        Args:
            function: `package.module:function`.
            columns: `prompts`, `completions` and others, JSON values, one each for an answer.

        Returns:
            One score an answer; None where the function has no opinion.

        Raises:
            ScorerError: as `grade`; the time limit is that of one answer, as often as there are answers.
        """
        self.prepare(function)
        answers = len(columns["completions"])
        scores: list[float | None] = self._ask("scores", [function, dict(columns)], self.seconds * answers)
        if len(scores) != answers:
            raise ScorerError(f"it gave {len(scores)} scores for {answers} answers")
        return scores

    def prepare(self, scorer: str) -> None:
        """Import what a grader or a user's function needs, which does not count as grading time.

        Raises:
            ScorerError: it cannot be imported, or takes longer than `START_SECONDS`.
        """
        if self._child is None or scorer not in self._ready:
            self._ask("prepare", [scorer], START_SECONDS)
            self._ready.add(scorer)

    def close(self) -> None:
        """End the child, whatever it is doing; it also ends by itself when this process does."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)  # also what a scorer started
            self._child.communicate()
        self._child = None
        self._ready.clear()

    def _ask(self, name: str, arguments: list[Any], seconds: float) -> Any:
        child = self._child = self._child or _start()
        request = json.dumps([name, arguments, seconds]).encode() + b"\n"
        try:
            _pipe(child.stdin).write(request)
            _pipe(child.stdin).flush()
            line = self._line(child, seconds)
        except BrokenPipeError:
            line = b""
        if not line.endswith(b"\n"):
            self.close()
            raise ScorerError(f"its process ended ({_end(child.returncode)})")
        reply = json.loads(line)
        if "raised" in reply:
            raise ScorerError(reply["raised"])
        return reply["value"]

    def _line(self, child: subprocess.Popen[bytes], seconds: float) -> bytes:
        """The child's next line; an unfinished one when it ended."""
        line, handle = b"", _pipe(child.stdout).fileno()
        deadline = time.monotonic() + seconds
        while not line.endswith(b"\n"):
            if not select.select([handle], [], [], max(0.0, deadline - time.monotonic()))[0]:
                self.close()
                raise ScorerTimedOut(f"it took longer than {seconds:g} seconds")
            if not (read := os.read(handle, 1 << 16)):
                child.wait()
                break
            line += read
        return line


def _start() -> subprocess.Popen[bytes]:
    # Training has the processors; and each thread's stack would count as the child's memory.
    environment = outside_group() | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mixplan.grading.process"]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
    )


def _pipe(stream: Any) -> Any:
    assert stream is not None
    return stream


def _end(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


class Attempt(contextlib.AbstractContextManager["Attempt"]):
    """Runs a scorer and keeps what it raised, which may be anything, for the parent to count."""

    raised: str | None = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        """Keep an exception as text."""
        if kind is not None:
            self.raised = f"{kind.__name__}: {error}" if str(error) else kind.__name__
        return True


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests, one JSON line each, until the parent closes them."""
    quiet = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - faulthandler keeps its descriptor
    for line in requests:
        name, arguments, seconds = json.loads(line)
        faulthandler.dump_traceback_later(seconds + ORPHAN_SECONDS, exit=True, file=quiet)
        reply: dict[str, object] = {}
        with Attempt() as attempt:
            reply = {"value": CALLS[name](*arguments)}
        faulthandler.cancel_dump_traceback_later()
        reply = reply if attempt.raised is None else {"raised": attempt.raised}
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()


def graded(*arguments: Any) -> dict[str, object]:
    """A grade as JSON values."""
    found = grade(*arguments)
    return asdict(found) | {"score": finite(found.score)}


def finds(pattern: str, text: str) -> bool:
    """Whether the pattern finds something in the text."""
    import re

    return re.search(pattern, text, re.DOTALL) is not None


def imported(scorer: str) -> None:
    """Import what a scorer needs."""
    if scorer == "math":
        import math_verify  # noqa: F401
    elif scorer == "generator":
        import reasoning_gym  # noqa: F401
    elif ":" in scorer:
        function(scorer)


def function(name: str) -> Callable[..., Any]:
    """A user's function, from `package.module:function`."""
    place, _, attribute = name.partition(":")
    module = importlib.import_module(place)
    found = getattr(module, attribute, None)
    if not callable(found):
        known = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise LookupError(f"module {place!r} has no function {attribute!r}.{did_you_mean(attribute, known)}")
    called: Callable[..., Any] = found
    return called


def scores(name: str, columns: dict[str, object]) -> list[float | None]:
    """A user's scores for a batch, as plain numbers."""
    given = function(name)(**columns)
    if inspect.isawaitable(given):
        given = asyncio.run(awaited(given))
    return [None if score is None else finite(float(score)) for score in given]


async def awaited(given: Any) -> Any:
    """What an asynchronous function returns."""
    return await given


def finite(score: float) -> float:
    """A score, or a ValueError: one that is not a number would spoil the rewards of its whole group."""
    if not math.isfinite(score):
        raise ValueError(f"the score is {score}, not a finite number")
    return score


CALLS: dict[str, Callable[..., Any]] = {"prepare": imported, "grade": graded, "finds": finds, "scores": scores}
"""What a request may name."""


def limit_memory() -> None:
    """Refuse memory beyond a share of the machine's, and be the first that a short kernel ends."""
    wanted = int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * MEMORY_SHARE)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")


def bound_printing(output: int) -> None:
    """Hand on the first of what is printed from now on; the rest is read and forgotten.

    A scorer that prints without end would fill the disk with the training's log.

    Args:
        output: The descriptor that it goes to.
    """
    source, sink = os.pipe()
    for number in (1, 2):
        os.dup2(sink, number)
    os.close(sink)
    threading.Thread(target=copy_first, args=(source, output), daemon=True).start()


def copy_first(source: int, output: int) -> None:
    """Copy the first bytes of a pipe, and read it to its end."""
    left = PRINTED_BYTES
    while data := os.read(source, 1 << 16):
        if left:
            with contextlib.suppress(OSError):  # a full disk is not the scorer's fault
                os.write(output, data[:left] + (LEFT_OUT if len(data) > left else b""))
        left = max(0, left - len(data))


def main() -> None:
    """Serve on the pipes this process was started with; the first of what a scorer prints goes to standard error."""
    requests, replies, errors = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"), os.dup(2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    bound_printing(errors)
    limit_memory()
    try:
        serve(requests, replies)
    finally:
        os.dup2(errors, 2)  # what ends this process is said by the interpreter, after the thread that copies


if __name__ == "__main__":
    main()
