"""Measures the peak memory and the verdicts of the quickstart with its training, beside an earlier checkout.

    bin/bench --whole-memory [--against OLD] [--rounds 1]

Runs `mixplan train recipes/quickstart.yaml` of both checkouts in turn, each in an empty run folder and cache, and adds
up the proportional set sizes of the command and of all that it started, every half second (Linux): memory that several
processes share counts once. A verdict is whether a measure of a domain has changed, and in which direction. Prints one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]

HERE = Path(__file__).resolve().parent.parent
COMMAND = ("-m", "mixplan", "train", "recipes/quickstart.yaml", "--run")
SECONDS = 0.5
"""Between two looks."""


def memory_of(process: psutil.Process) -> float:
    """Proportional set size of a process and its descendants in MB; one that has just ended counts nothing."""
    total = 0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0
    for one in family:
        try:
            total += one.memory_full_info().pss
        except psutil.Error:
            continue
    return total / 2**20


def peak_of(command: Sequence[str], folder: Path, variables: dict[str, str]) -> float:
    """The highest memory of a command that succeeds, in MB.

    Raises:
        CalledProcessError: it fails.
    """
    started = subprocess.Popen(command, cwd=folder, env=os.environ | variables, stdout=subprocess.DEVNULL)
    process, peak = psutil.Process(started.pid), 0.0
    while started.poll() is None:
        peak = max(peak, memory_of(process))
        time.sleep(SECONDS)
    if started.returncode:
        raise subprocess.CalledProcessError(started.returncode, list(command))
    return peak


def verdicts_of(run: Path) -> dict[tuple[str, str, str], tuple[bool, str]]:
    """What an outcome says of each quantity of each measure of the target and the domains."""
    found = json.loads((run / "outcome.json").read_bytes())
    return {
        (name, measure, quantity): (change["changed"], change["direction"])
        for name, part in {"target": found["target"], **found["domains"]}.items()
        for measure, quantities in part["measures"].items()
        for quantity, change in quantities.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1, help="both checkouts in turn, so many times")
    parser.add_argument("--against", type=Path, help="an earlier checkout; this one is measured alone without it")
    given = parser.parse_args()
    sides = {"now": HERE, **({"before": given.against.resolve()} if given.against else {})}
    peaks: dict[str, list[float]] = {name: [] for name in sides}
    said: dict[str, list[dict[tuple[str, str, str], tuple[bool, str]]]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory(prefix="mixplan-bench-") as base:
        for number in range(given.rounds):
            for name, folder in sides.items():
                place = Path(base) / f"{name}-{number}"
                variables = {"MIXPLAN_CACHE": str(place / "cache"), "PYTHONPATH": str(folder)}
                peak = peak_of([sys.executable, *COMMAND, str(place / "run")], folder, variables)
                peaks[name].append(round(peak))
                said[name].append(verdicts_of(place / "run"))
    found: dict[str, object] = {"peak_mb": peaks, "verdicts": {name: [*map(len, one)] for name, one in said.items()}}
    if given.against:
        both = zip(said["now"], said["before"], strict=True)
        found["equal_verdicts"] = [sum(now[key] == before.get(key) for key in now) for now, before in both]
        pairs = zip(peaks["now"], peaks["before"], strict=True)
        found["ratio"] = round(statistics.median(now / before for now, before in pairs), 3)
    print(json.dumps(found, indent=2))  # noqa: T201 - a script's output


if __name__ == "__main__":
    main()
