"""Measures one plan by several processes of one machine against one process, side by side.

    bin/bench --processes 2,4 [--rounds 5] [--against OLD] [--tokens 3000] [--dtype float32]

Plans four of the quickstart's domains on the embedded model, one of which is ten times as large as the others, from a
cache that holds the converted model alone, each process with one thread. OLD is the folder of another checkout that
uses the same libraries; it plans the same, in turn within a round. The drift dimensions, scores and rows of all plans
of one build must be equal. Prints one JSON object: medians of the rounds' ratios, of the seconds that scores took
(loading the model, reading, scoring) and of those of whole plans. More processes than cores tell nothing and are
refused.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_targets import LEFT_OUT, RECIPE

HERE = Path(__file__).resolve().parent.parent


def overrides(tokens: int, dtype: str) -> list[str]:
    """One large domain of so many query tokens; the target and the other domains have a tenth of them."""
    small = max(1, tokens // 10)
    return [
        *(f"domains.{name}=null" for name in LEFT_OUT),
        *(f"model.dtype={dtype}", f"sts.query_tokens={tokens}", f"drift.query_tokens={small}"),
        # Rows bound what is read: a question has about 60 tokens.
        *(f"domains.{name}.split.query={max(4, small // 60)}" for name in ("commonsense", "physical", "science")),
        f"domains.arithmetic.split.query={max(40, tokens // 20)}",
    ]


def planned(folder: Path, base: Path, processes: int, asked: list[str]) -> tuple[dict[str, float], str]:
    """Seconds of a cold plan by so many processes, and its drift dimensions, scores and rows."""
    run = base / "run"
    command = [sys.executable, "-m"]
    if processes > 1:
        config = str(folder / "configs" / "launch" / "multi-cpu.yaml")
        command += [
            *("accelerate.commands.launch", "--config_file", config, "--num_processes", str(processes)),
            *("--main_process_port", "0", "--num_cpu_threads_per_process", "1", "-m"),
        ]
    command += ["mixplan", "plan", RECIPE, "--run", str(run), *(part for one in asked for part in ("--set", one))]
    there = os.environ | {"MIXPLAN_CACHE": str(base / "cache"), "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    # Processes of earlier builds that convert it at once may leave it without weights.
    convert = [sys.executable, "-c", "from mixplan.model import embedded_folder; embedded_folder()"]
    subprocess.run(convert, cwd=folder, env=there, check=True, capture_output=True)
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=there, capture_output=True, text=True)
    wall = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{folder}: planning failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    plan = json.loads((run / "plan.json").read_text())
    taken = {"plan": wall, "scores": float((plan.get("seconds") or {}).get("scores", float("nan")))}
    return taken, json.dumps([plan["drift"], plan["domains"]])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", default="2", help="how many, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=3000, help="query tokens of the large domain")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--against", type=Path, help="the folder of another checkout")
    given = parser.parse_args()
    counts = [int(count) for count in given.processes.split(",")]
    if max(counts) > (os.cpu_count() or 1):
        parser.error(f"{max(counts)} processes on {os.cpu_count()} cores tell nothing. Ask for fewer.")
    builds = {"new": HERE} | ({"old": given.against.resolve()} if given.against else {})
    asked = overrides(given.tokens, given.dtype)
    rounds: list[dict[str, dict[str, float]]] = []
    for _ in range(given.rounds):
        found, plans = {}, {}
        for build, folder in builds.items():
            for count in (1, *counts):
                with tempfile.TemporaryDirectory(prefix="mixplan-bench-") as base:
                    found[f"{build} {count}"], plan = planned(folder, Path(base), count, asked)
                sys.stderr.write(f"{build}, {count} processes: {found[f'{build} {count}']}\n")
                if plans.setdefault(build, plan) != plan:
                    sys.exit(f"{build}: {count} processes gave another plan than one.")
        rounds.append(found)

    def median(one: str, other: str, part: str) -> float:
        return round(statistics.median(taken[one][part] / taken[other][part] for taken in rounds), 3)

    ratios: dict[str, Any] = {
        f"{build} 1 over {count}": {part: median(f"{build} 1", f"{build} {count}", part) for part in ("plan", "scores")}
        for build in builds
        for count in counts
    }
    seconds = {
        name: {part: round(statistics.median(taken[name][part] for taken in rounds), 1) for part in ("plan", "scores")}
        for name in rounds[0]
    }
    result = {"machine": platform.machine(), "processors": os.cpu_count(), "dtype": given.dtype, "tokens": given.tokens,
              "rounds": len(rounds), "seconds": seconds, "ratios": ratios}  # fmt: skip
    print(json.dumps(result, indent=2))  # noqa: T201 - a script's output


if __name__ == "__main__":
    main()
