"""Ends a command, and all that it started in its group, when the process that asked for it ends, whatever ends that.

A process that is killed outright can end nothing itself, so a small one stands between: it holds the read end of a pipe
whose write end only the asking process has, and the system closes that with the process.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import weakref
from typing import Any

LOOK_SECONDS = 0.1
GROUP = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK"),
    *("ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT"),
)
"""What torchrun tells each of several processes, beside names that begin with TORCHELASTIC_."""


def outside_group() -> dict[str, str]:
    """The environment without a launcher's, for a child that is none of the processes that it started.

    With it the child would take this process's place in their group, and wait for the others without end.
    """
    return {
        name: value for name, value in os.environ.items() if name not in GROUP and not name.startswith("TORCHELASTIC_")
    }


def started_child(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, tied to this process.

    Args:
        command: Its words.
        options: As `subprocess.Popen` takes them.

    Returns:
        What stands between; its process group holds the command too. Signals that it is sent reach the command, and
        its exit code is the command's (128 and the number of a signal that ended it).
    """
    read, write = os.pipe()
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-m", "mixplan.child_process", str(read), *command],
            pass_fds=(read,),
            start_new_session=True,
            **options,
        )
    except BaseException:  # Ctrl-C too leaves no open pipe; it goes on
        os.close(write)
        raise
    finally:
        os.close(read)
    weakref.finalize(process, os.close, write)
    return process


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End what a command so started has left running, and what stands between."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main(arguments: list[str]) -> int:
    """Run a command until it ends or the pipe is closed; all of the group ends with the pipe."""
    pipe = int(arguments[0])
    process = subprocess.Popen(arguments[1:])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _: process.send_signal(got))
    while process.poll() is None:
        if select.select([pipe], [], [], LOOK_SECONDS)[0]:
            os.killpg(os.getpgrp(), signal.SIGKILL)
    code = process.returncode
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
