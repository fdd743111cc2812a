"""Makes generators' entries in a process beside the one that reads all other rows."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterable

from pydantic import TypeAdapter

from mixplan.child_process import end_group, started_child
from mixplan.domains.generator import Generator
from mixplan.errors import MixplanError
from mixplan.recipe import DataSpec

LOOK_SECONDS = 0.02
FEWEST = 2
"""Generators for which another process is worth its start."""

Asked = TypeAdapter(list[tuple[DataSpec, int]])
"""Data of generators, each with the seed of its entries."""


class Beforehand:
    """Generators' entries in the making; nothing where all are kept already, or a second processor is missing.

    What goes wrong there is not said: entries that are not kept in the end are made where they are read.
    """

    def __init__(self, asked: Iterable[tuple[DataSpec, int]]) -> None:
        """Begin to make those that are not kept.

        Args:
            asked: Data of generators, each with the seed of its entries.
        """
        missing = [(spec, seed) for spec, seed in asked if spec.generator and not Generator(spec, seed).kept.is_file()]
        self.process: subprocess.Popen[bytes] | None = None
        if len(missing) >= FEWEST and (os.cpu_count() or 1) > 1:
            self.process = started_child(
                [sys.executable, "-m", "mixplan.domains.generate_ahead"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            pipe = self.process.stdin
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError), pipe:
                    pipe.write(Asked.dump_json(missing))

    def wait_for(self, spec: DataSpec, seed: int) -> None:
        """Wait until a generator's entries are made, or will not be made there.

        Args:
            spec: Data, of a generator or not.
            seed: Of its entries.
        """
        kept = Generator(spec, seed).kept if spec.generator else None
        while kept and self.process is not None and self.process.poll() is None and not kept.is_file():
            time.sleep(LOOK_SECONDS)

    def __enter__(self) -> Beforehand:
        """Nothing more: the process runs."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait until all are made, or could not be; after an error or Ctrl-C the process ends at once."""
        if self.process is None:
            return
        try:
            if kind is None:
                self.process.wait()
        finally:
            end_group(self.process)


def main() -> None:
    """Make the entries that standard input asks for, as JSON."""
    for spec, seed in Asked.validate_json(sys.stdin.buffer.read()):
        with contextlib.suppress(MixplanError):
            list(Generator(spec, seed).rows())


if __name__ == "__main__":
    main()
