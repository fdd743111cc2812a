"""Runs a Slurm on this machine for as long as a test runs a job under it."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SLURM = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
SlurmctldPort={port}
SlurmdPort={next_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def own_slurm() -> Iterator[None]:
    """Run a Slurm of this machine alone, with keys, state and ports of its own."""
    folder = Path(tempfile.mkdtemp(prefix="mixplan-slurm-"))  # a short path, for the socket's sake
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin")
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        start(folder)
        yield
        for name in ("slurmd.pid", "slurmctld.pid", "munge.pid"):
            os.kill(int((folder / name).read_text()), signal.SIGTERM)
        time.sleep(1)
    shutil.rmtree(folder, ignore_errors=True)


def start(folder: Path) -> None:
    """Start its daemons."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    ports = free_ports(2)
    values = {"host": socket.gethostname(), "user": getpass.getuser(), "folder": folder}
    (folder / "slurm.conf").write_text(SLURM.format(**values, port=ports[0], next_port=ports[1]))
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    own = [f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in ("pid-file", "log-file", "seed-file")]
    munged = ["munged", "--force", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.sock", *own]
    for command in (munged, ["slurmctld"], ["slurmd"]):
        subprocess.run(command, check=True)
        time.sleep(2)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
