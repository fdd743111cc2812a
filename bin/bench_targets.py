"""Measures a second target over domains that were read: this build, and an older one beside it.

    bin/bench --targets [--against OLD] [--sizes quickstart,paper,sample] [--rounds 5] [--keep FILE] [--dtype float32]
                        [--plans cold,second,more]

Plans the quickstart's recipe on the embedded model, each build in a process of its own with its libraries loaded and
its rows opened: a target with nothing read before, the same target over domains that another one's plan has read, and
that other one with more drift features. OLD is the folder of another checkout that uses the same libraries; it plans
the same, in turn within a round. Rounds of several calls with one FILE count together. Prints one JSON object: the
medians of the rounds' ratios, of seconds and of processor seconds, which other work on the machine disturbs less.
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
FEW = ("drift.query_tokens=20", "sts.query_tokens=10", "drift.draws=1", "sts.draws=1")
LEFT_OUT = ("social", "logic", "knowledge", "medicine", "proverbs", "pronouns", "word_problems", "privacy", "bases",
            "knights", "sorting", "ciphers")  # fmt: skip
SAMPLE = ("drift.query_tokens=100", "drift.draws=1", "sts.query_tokens=100", *(
    f"domains.{name}=null" for name in LEFT_OUT
))  # fmt: skip
"""Four of the quickstart's domains and a fourth as many tokens of the target, as there: for a machine that is busy."""
PAPER_DOMAINS = ("commonsense", "physical", "science", "social", "logic", "knowledge", "proverbs", "word_problems",
                 "privacy", "arithmetic", "bases", "knights", "sorting", "ciphers")  # fmt: skip
SIZES: dict[str, tuple[str, ...]] = {
    "quickstart": (),
    "sample": SAMPLE,
    "paper": (
        *("drift.query_tokens=20000", "drift.draws=5", "sts.query_tokens=10000", "sts.draws=3", "sts.demonstrations=5"),
        *("domains.medicine=null", "domains.pronouns=null"),
        "target.split={evaluation: 100, query: 500, demonstration: 40}",
        *(f"domains.{name}.split={{evaluation: 100, query: 350, demonstration: 40}}" for name in PAPER_DOMAINS),
    ),
}  # fmt: skip
MORE = ("drift.features=200",)
PARTS = ("wall", "processor")
PLANS = {"cold": ("unread", OTHER), "second": ("read", OTHER), "more": ("read", MORE)}
"""By name: the cache that it begins with, and what it overrides."""


class Build:
    """A checkout at work in a process of its own.

    Attributes:
        folder: The checkout.
        base: Where its caches and run folders lie.
    """

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder, self.base = folder, base
        base.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker"], cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def plan(self, cache: str, run: str, overrides: tuple[str, ...]) -> dict[str, float]:
        """Seconds of one plan, by the clock and of processors."""
        asked = [str(self.folder / RECIPE), str(self.base / cache), str(self.base / run), overrides]
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.folder}: planning failed, see above")
        found: dict[str, float] = json.loads(answer)
        return found

    def copied(self, origin: str) -> None:
        """Lay the cache `used` anew; files of a cache are replaced and never changed, so that links will do."""
        for name in ("used", "run"):
            shutil.rmtree(self.base / name, ignore_errors=True)
        shutil.copytree(self.base / origin, self.base / "used", copy_function=os.link)

    def prepare(self, sizes: tuple[str, ...]) -> dict[str, Any]:
        """Plan the first target, which reads the domains, and the second with few tokens, which opens its rows."""
        taken = self.plan("read", "first", sizes)
        self.plan("read", "few", (*sizes, *OTHER, *FEW))
        plan = json.loads((self.base / "first" / "plan.json").read_text())
        kept = [path.stat().st_size for path in (self.base / "read" / "statistics").rglob("*.safetensors")]
        shutil.copytree(self.base / "read", self.base / "unread", copy_function=os.link)
        for name in ("statistics", "scores"):
            shutil.rmtree(self.base / "unread" / name)
        return taken | {
            "target_tokens": plan["reading"]["target"]["query_tokens"],
            "domain_tokens": sum(one["query_tokens"] for name, one in plan["reading"].items() if name != "target"),
            "domains": len(plan["reading"]) - 1,
            "kept_mb": round(sum(kept) / 1e6, 1),
        }


class Unwatched:
    """A watcher that shows nothing; builds differ in where theirs stands."""

    def stage(self, name: str, total: int, unit: str) -> None:
        """A long step begins."""

    def advance(self, amount: int) -> None:
        """So much more of the step is done."""

    def say(self, text: str) -> None:
        """A line that a person would see."""


def work() -> None:
    """Plan what comes line by line on standard input, with the build that this process imports."""
    from mixplan.plan import PlanRequest, make_plan

    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        recipe, cache, run, overrides = json.loads(line)
        os.environ["MIXPLAN_CACHE"] = cache
        before, start = processor_seconds(), time.perf_counter()
        make_plan(PlanRequest(Path(recipe), tuple(overrides), None, Path(run)), watcher=Unwatched())
        taken = {"wall": time.perf_counter() - start, "processor": processor_seconds() - before}
        answers.write(json.dumps(taken) + "\n")
        answers.flush()


def processor_seconds() -> float:
    """Of this process and those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def one_round(builds: dict[str, Build], sizes: tuple[str, ...], plans: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Plan with each build in turn: some of `PLANS`, each from its own copy of what was read before."""
    found = {}
    for name, build in builds.items():
        for what in plans:
            origin, overrides = PLANS[what]
            if (name, what) == ("old", "cold"):
                continue  # it reads every domain again either way: its `second` is a first plan, too
            build.copied(origin)
            found[f"{name} {what}"] = build.plan("used", "run", (*sizes, *overrides))
            sys.stderr.write(f"{name} {what}: {found[f'{name} {what}']}\n")
    return found


def summary(rounds: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Medians of seconds, and of the ratios within a round."""
    pairs = {
        "second_over_cold": ("new second", "new cold"),
        "more_over_cold": ("new more", "new cold"),
        "first_over_old": ("new cold", "old second"),
        "second_over_old": ("new second", "old second"),
        "more_over_old": ("new more", "old more"),
    }
    asked = {name: pair for name, pair in pairs.items() if all(set(pair) <= set(one) for one in rounds)}

    def median(above: str, below: str, part: str) -> float:
        return round(statistics.median(one[above][part] / one[below][part] for one in rounds), 3)

    return {
        "rounds": len(rounds),
        "seconds": {
            name: {
                part: round(statistics.median(one[name][part] for one in rounds if name in one), 1) for part in PARTS
            }
            for name in dict.fromkeys(name for one in rounds for name in one)
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
    parser.add_argument("--plans", default=",".join(PLANS), help="which plans a round makes")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work()
        return
    folders = {"new": HERE} | ({"old": given.against.resolve()} if given.against else {})
    sizes = (*SIZES[given.sizes], f"model.dtype={given.dtype}")
    plans = tuple(given.plans.split(","))
    if unknown := set(plans) - set(PLANS):
        parser.error(f"no plan {', '.join(sorted(unknown))}. There are {', '.join(PLANS)}.")
    rounds = json.loads(given.keep.read_text()) if given.keep and given.keep.exists() else []
    with tempfile.TemporaryDirectory(prefix="mixplan-bench-") as base:
        builds = {name: Build(folder, Path(base) / name) for name, folder in folders.items()}
        first = {}  # one after the other: side by side their threads would wait for each other at every product
        for name, build in builds.items() if given.rounds else ():
            first[name] = build.prepare(sizes)
            sys.stderr.write(json.dumps({name: first[name]}) + "\n")
        for _ in range(given.rounds):
            rounds.append(one_round(builds, sizes, plans))
            if given.keep:
                given.keep.write_text(json.dumps(rounds))
        for build in builds.values():
            build.process.kill()
    result = {"machine": platform.machine(), "processors": os.cpu_count(), "dtype": given.dtype, "sizes": given.sizes,
              "torch_threads": os.environ.get("OMP_NUM_THREADS", "all"), "first": first, **summary(rounds)}  # fmt: skip
    print(json.dumps(result, indent=2))  # noqa: T201 - a script's output


if __name__ == "__main__":
    main()
