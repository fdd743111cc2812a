"""Measures the peak memory and time of training rows of the quickstart's job, beside an earlier checkout of mixplan.

    bin/bench --training-memory [--rows 24] [--rounds 5] [--against OLD]

Each job is trained by a process of its own, whose peak of resident memory the system tells; both checkouts take turns.
Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent


def side(checkout: Path, rows: int, folder: Path) -> dict[str, Any]:
    """One job by one checkout, in a process of its own."""
    paths = os.pathsep.join([str(checkout), str(checkout / "bin"), os.environ.get("PYTHONPATH", "")])
    command = [
        sys.executable,
        str(Path(__file__).resolve()),
        "--rows",
        str(rows),
        "--side",
        str(checkout),
        "--out",
        str(folder),
    ]
    environment = {**os.environ, "PYTHONPATH": paths}
    # The worker of a job looks where it is started first.
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=checkout)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def trained(checkout: Path, rows: int, folder: Path) -> dict[str, Any]:
    """Train with the quickstart's settings by the checkout's mixplan."""
    sys.path[:0] = [str(checkout), str(checkout / "bin")]
    import bench_training
    import yaml

    import mixplan

    assert Path(str(mixplan.__file__)).is_relative_to(checkout)
    quick = yaml.safe_load((HERE / "recipes" / "quickstart.yaml").read_text(encoding="utf-8"))["train"]
    for given, wanted in ((bench_training.ARGS, quick["args"]), (bench_training.LORA, quick["lora"])):
        given.clear()
        given.update(wanted)
    figures = bench_training.ours(folder, rows)
    done = json.loads((folder / "run" / "training" / "done.json").read_text(encoding="utf-8"))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "peak_mb": round(used.ru_maxrss / 1024, 1),
        "planner_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "step_seconds": figures["steps"],
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "losses": [entry["loss"] for entry in done["log"]],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=24, help="rows of the target")
    parser.add_argument("--rounds", type=int, default=5, help="both checkouts in turn, so many times")
    parser.add_argument("--against", type=Path, help="an earlier checkout; this one is measured alone without it")
    parser.add_argument("--side", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(trained(given.side, given.rows, given.out)))  # noqa: T201 - a script's output
        return
    sides = {"now": HERE, **({"before": given.against.resolve()} if given.against else {})}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as name:
        for number in range(given.rounds):
            for which, checkout in sides.items():
                found[which].append(side(checkout, given.rows, Path(name) / f"{which}-{number}"))
    result: dict[str, Any] = {"rows": given.rows, **found}
    if given.against:
        pairs = list(zip(found["now"], found["before"], strict=True))

        def ratio(figure: str) -> float:
            return round(float(statistics.median(now[figure] / before[figure] for now, before in pairs)), 3)

        gaps = [abs(a - b) for now, before in pairs for a, b in zip(now["losses"], before["losses"], strict=True)]
        result |= {name: ratio(name) for name in ("peak_mb", "step_seconds", "processor_seconds")}
        result["largest_difference_of_a_loss"] = max(gaps)
    print(json.dumps(result, indent=2))  # noqa: T201 - a script's output


if __name__ == "__main__":
    main()
