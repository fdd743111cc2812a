"""Measures a second target over domains that were read: this build, and an older one beside it.

    bin/bench --targets [--against OLD] [--sizes quickstart,paper,small] [--rounds 5] [--keep FILE] [--dtype float32]

Plans the quickstart's recipe in processes of their own, whole commands, on the embedded model: another target with
nothing read, the same target over domains that a first one's plan has read, and more drift features. OLD is the folder
of another checkout, of the same libraries; it plans the same, in turn within a round. Rounds of several calls with one
FILE count together. Prints one JSON object: the medians of the rounds' ratios, of seconds and of processor seconds,
which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
RECIPE = "recipes/quickstart.yaml"
OTHER = ("target.data.generator=leg_counting", "target.columns.answer=answer")
"""The second target: questions as long as the first one's."""
SMALL = ("drift.query_tokens=200", "sts.query_tokens=80", *(
    f"domains.{name}=null" for name in ("social", "logic", "knowledge", "medicine", "proverbs", "pronouns",
                                        "word_problems", "privacy", "bases", "knights", "sorting", "ciphers")
))  # fmt: skip
PAPER_DOMAINS = ("commonsense", "physical", "science", "social", "logic", "knowledge", "proverbs", "word_problems",
                 "privacy", "arithmetic", "bases", "knights", "sorting", "ciphers")  # fmt: skip
SIZES: dict[str, tuple[str, ...]] = {
    "quickstart": (),
    "small": SMALL,
    "paper": (
        *("drift.query_tokens=20000", "drift.draws=5", "sts.query_tokens=10000", "sts.draws=3", "sts.demonstrations=5"),
        *("domains.medicine=null", "domains.pronouns=null"),
        "target.split={evaluation: 100, query: 500, demonstration: 40}",
        *(f"domains.{name}.split={{evaluation: 100, query: 350, demonstration: 40}}" for name in PAPER_DOMAINS),
    ),
}  # fmt: skip
MORE = ("drift.features=200",)
PARTS = ("wall", "processor", "scores")


def planned(build: Path, cache: Path, run: Path, overrides: tuple[str, ...]) -> dict[str, float]:
    """Seconds of one `mixplan plan` as a whole process: by the clock, of processors, and of its scores by the clock."""
    options = [word for override in overrides for word in ("--set", override)]
    command = [sys.executable, "-m", "mixplan", "plan", str(build / RECIPE), "--run", str(run), "--json", *options]
    variables = os.environ | {"MIXPLAN_CACHE": str(cache), "PYTHONPATH": str(build)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=build, env=variables, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{build}: {done.stderr[-2000:] or done.stdout[-2000:]}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "processor": processor, "scores": json.loads(done.stdout)["seconds"]["scores"]}


def prepared(build: Path, base: Path, sizes: tuple[str, ...]) -> dict[str, Any]:
    """Lay a cache in which the first target's plan has read the domains; what it took and what it reads."""
    taken = planned(build, base / "read", base / "first", sizes)
    plan = json.loads((base / "first" / "plan.json").read_text())
    kept = [path.stat().st_size for path in (base / "read" / "statistics").rglob("*.safetensors")]
    # The second target's rows are opened once, too: what is compared is reading, not a generator's making of rows.
    shutil.copytree(base / "read", base / "unread")
    for name in ("statistics", "scores"):
        shutil.rmtree(base / "unread" / name)
    return taken | {
        "target_tokens": plan["reading"]["target"]["query_tokens"],
        "domain_tokens": sum(read["query_tokens"] for name, read in plan["reading"].items() if name != "target"),
        "domains": len(plan["reading"]) - 1,
        "kept_mb": sum(kept) / 1e6,
    }


def one_round(builds: dict[str, Path], base: Path, sizes: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Plan with each build in turn: `cold`, `second` and `more`, each from its own copy of what was read before."""
    found = {}
    for name, build in builds.items():
        for what, origin, overrides in (
            ("cold", "unread", OTHER), ("second", "read", OTHER), ("more", "read", MORE),
        ):  # fmt: skip
            if name == "old" and what == "cold":
                continue  # it reads every domain again either way: its `second` is measured
            cache, run = base / name / "used", base / name / "run"
            for folder in (cache, run):
                shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(base / name / origin, cache)
            found[f"{name} {what}"] = planned(build, cache, run, (*sizes, *overrides))
            sys.stderr.write(f"{name} {what}: {found[f'{name} {what}']['wall']:.1f} s\n")
    return found


def summary(rounds: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Medians of seconds, and of the ratios within a round."""
    asked = {"second_over_cold": ("new second", "new cold"), "more_over_cold": ("new more", "new cold")}
    if "old second" in rounds[0]:
        asked |= {
            "first_over_old": ("new cold", "old second"),
            "second_over_old": ("new second", "old second"),
            "more_over_old": ("new more", "old more"),
        }

    def median(above: str, below: str, part: str) -> float:
        return round(statistics.median(one[above][part] / one[below][part] for one in rounds), 3)

    return {
        "rounds": len(rounds),
        "seconds": {
            name: {part: round(statistics.median(one[name][part] for one in rounds), 1) for part in PARTS}
            for name in rounds[0]
        },
        "ratios": {name: {part: median(*pair, part) for part in PARTS} for name, pair in asked.items()},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="the folder of another checkout")
    parser.add_argument("--sizes", default="quickstart", choices=SIZES, help="how many tokens are read")
    parser.add_argument("--rounds", type=int, default=5, help="each build in turn, so many times")
    parser.add_argument("--keep", type=Path, help="a JSON file that rounds are added to")
    parser.add_argument("--dtype", default="auto", help="as a recipe's model.dtype")
    given = parser.parse_args()
    builds = {"new": HERE} | ({"old": given.against.resolve()} if given.against else {})
    sizes = (*SIZES[given.sizes], f"model.dtype={given.dtype}")
    rounds = json.loads(given.keep.read_text()) if given.keep and given.keep.exists() else []
    with tempfile.TemporaryDirectory(prefix="mixplan-bench-") as folder:
        base = Path(folder)
        first = {name: prepared(build, base / name, sizes) for name, build in builds.items() if given.rounds}
        for _ in range(given.rounds):
            rounds.append(one_round(builds, base, sizes))
            if given.keep:
                given.keep.write_text(json.dumps(rounds))
    result = {"machine": platform.machine(), "processors": os.cpu_count(), "dtype": given.dtype, "sizes": given.sizes,
              "first": first, **summary(rounds)}  # fmt: skip
    print(json.dumps(result, indent=2))  # noqa: T201 - a script's output


if __name__ == "__main__":
    main()
