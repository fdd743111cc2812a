"""Measures everything beside an earlier build and prints one table: what, measured, goal, reached or not.

    bin/bench --against OLD [--rounds 5] [--keep FOLDER] [--only 0,6,9] [--large]

OLD is the folder of another checkout that uses the same libraries; the documentation's figures are beside 96fe1ca.
Each line is measured by the command that measures it alone, in a process of its own; what FOLDER keeps of a line is not
measured again, so that an interrupted table goes on. The whole takes some hours; `--large` adds the sizes of the paper.
A line that fails is printed as such, and the exit code is then 1. Figures of a GPU are `bin/device-check`'s.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
RECIPE = "recipes/quickstart.yaml"

HEAD = "| # | what | goal | measured | rounds | reached |\n|---|---|---|---|---|---|\n"

Judged = list[tuple[str, bool]]
"""What was measured, in words, and whether each part reaches its goal."""


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        number: Its number.
        what: What is measured.
        goal: In words.
        command: Arguments of `bin/bench`; None for what this script measures itself.
        judge: Reads the command's JSON.
        against: Whether the command takes an earlier checkout.
        large: Whether it is measured with `--large` alone.
    """

    number: str
    what: str
    goal: str
    command: tuple[str, ...] | None
    judge: Callable[[Mapping[str, Any]], Judged]
    against: bool = False
    large: bool = False


def prefixes(found: Mapping[str, Any]) -> Judged:
    """Reading behind shared prefixes, by the model's type."""
    judged = []
    for dtype in ("float32", "bfloat16"):
        faster, times = found[dtype]["parts_faster_than_mask"], found[dtype]["parts_times_the_products"]
        judged.append((f"{dtype}: {faster} times the mask's tokens a second", faster >= 2.5))
        judged.append((f"{times} times the products", times <= 1.6))
    return judged


def targets(most: float) -> Callable[[Mapping[str, Any]], Judged]:
    """A second target and a first one, by processor time over the earlier build's."""

    def judge(found: Mapping[str, Any]) -> Judged:
        second, first = (found["ratios"][name]["processor"] for name in ("second_over_old", "first_over_old"))
        return [(f"second target {second}", second <= most), (f"first {first}", first <= 1.1)]

    return judge


def automatic(found: Mapping[str, Any]) -> Judged:
    """What `query_tokens: auto` reads."""
    judged = []
    for name, one in found.items():
        if isinstance(one, Mapping) and "tokens_of_full_mean" in one and not name.startswith("drawn"):
            most = 0.3 if name.startswith("paper") else 0.4
            tokens, near = one["tokens_of_full_mean"], one["within_2_rows"]
            judged.append((f"{name}: {tokens} of the tokens, {near} within 2 rows", tokens <= most and near >= 0.95))
    return judged


def generation(found: Mapping[str, Any]) -> Judged:
    """Greedy answers beside the harness."""
    faster, same = found["times_faster_by_processor_time"], found["equal_answers"]
    return [(f"{faster} times as fast, {same} of {found['rows']} answers equal", faster >= 2 and same == found["rows"])]


def likelihood(found: Mapping[str, Any]) -> Judged:
    """Reference answers beside the harness, of rows of mixed length and of one."""
    faster = {name: found[name]["times_faster_by_processor_time"] for name in ("mixed", "of_one_length")}
    return [(f"{faster['mixed']} times as fast", faster["mixed"] >= 1.5),
            (f"rows of one length {faster['of_one_length']}", faster["of_one_length"] >= 1.15)]  # fmt: skip


def training_memory(found: Mapping[str, Any]) -> Judged:
    """Peak memory, time and losses of training."""
    peak, time_, gap = (found[name] for name in ("peak_mb", "processor_seconds", "largest_difference_of_a_loss"))
    return [(f"{peak} of the memory", peak <= 0.5), (f"{time_} of the time", time_ <= 1.1),
            (f"losses within {gap:.1g}", gap <= 1e-3)]  # fmt: skip


def plan_memory(found: Mapping[str, Any]) -> Judged:
    """Peak memory of a plan over what is loaded."""
    over = found["peak_over_loaded_mb"]
    return [(f"{over:.0f} MB over the loaded model and SAE", over <= 500)]


def scale(found: Mapping[str, Any]) -> Judged:
    """Large sources, mixtures and allocations."""
    judged = []
    for name, one in found.items():
        now = one["now"]
        if "source" in name:
            rate = now["thousand_rows_a_second"]
            text = f"{name}: {rate:.0f} thousand rows a second, {now['megabytes']:.0f} MB"
            judged.append((text, rate >= 150 and now["megabytes"] < 400))
        elif "mixture" in name:
            judged.append((f"{name}: {now['megabytes']:.0f} MB", now["megabytes"] < 400))
        else:
            judged.append((f"{name}: {now['seconds']} s", now["seconds"] < 5))
    return judged


def processes(found: Mapping[str, Any]) -> Judged:
    """A plan by several processes."""
    judged = []
    for count, least in (("2", 1.8), ("4", 3.2)):
        if (ratio := found["ratios"].get(f"new 1 over {count}")) is not None:
            judged.append((f"{count} processes: {ratio['scores']} times as fast", ratio["scores"] >= least))
    return judged


def whole(found: Mapping[str, Any]) -> Judged:
    """The quickstart with its training, by the clock and by processor time."""
    one, other = found["seconds"], found["processor seconds"]
    text = f"{one['ratio']} of the time ({one['now']:.0f} s), {other['ratio']} of the processor time"
    return [(text, one["ratio"] <= 0.5)]


def commands(found: Mapping[str, Any]) -> Judged:
    """Short commands, by this build's clock; beside it processor seconds, for a command may keep several busy."""
    goals = {"check, nothing kept": 3.0, "--help": 0.15, "plan again": 1.0}
    judged = []
    for name, most in goals.items():
        clock, processor = found[name], found[f"{name}, processors"]
        text = f"{name}: {clock['now']} s ({clock['ratio']} of before; of processors {processor['now']} s)"
        judged.append((text, clock["now"] < most))
    return judged


LINES = (
    Line("0", "reading behind shared prefixes", "2.5 times the mask, 1.6 times the products", ("--prefixes",),
         prefixes),
    Line("1", "a second target, the quickstart's sizes", "0.25; a first plan 1.1", ("--targets",), targets(0.25), True),
    Line("1", "a second target, the paper's sizes", "0.15; a first plan 1.1", ("--targets", "--sizes", "paper"),
         targets(0.15), True, True),
    Line("2", "tokens read with query_tokens: auto", "0.4 of the quickstart's, 0.3 of the paper's", ("--auto",),
         automatic),
    Line("3", "the quickstart with its training", "0.5 of the time", None, whole, True, True),
    Line("4", "greedy answers beside lm-eval", "2 times", ("--generation",), generation),
    Line("5", "likelihood beside lm-eval, mixed lengths and one", "1.5 times; 1.15", ("--likelihood",), likelihood),
    Line("6", "training the quickstart's job", "0.5 of the memory, 1.1 of the time", ("--training-memory",),
         training_memory, True),
    Line("7", "peak memory of a plan, 1.2B", "500 MB over what is loaded", ("--plan-memory",), plan_memory),
    Line("8", "check, --help, a plan again", "3 s, 0.15 s, 1 s", None, commands, True),
    Line("9", "1,000,000 rows, 10,000 domains", "150,000 rows a second, 400 MB, 5 s", ("--scale",), scale, True),
    Line("10", "a plan by several processes", "1.8 times by two, 3.2 by four", ("--processes",), processes),
)  # fmt: skip


def spent(command: list[str], folder: Path, cache: Path) -> tuple[float, float]:
    """Seconds by the clock and of processors of one command of a checkout, its sources compiled beforehand."""
    there = os.environ | {"MIXPLAN_CACHE": str(cache), "PYTHONPATH": str(folder)}
    there.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([sys.executable, "-m", "compileall", "-q", "mixplan"], cwd=folder, env=there, check=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "mixplan", *command], cwd=folder, env=there, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, used


def own(line: Line, old: Path, rounds: int, file: Path) -> dict[str, Any]:
    """What this script measures itself: whole commands of both builds in turn. FILE keeps the rounds of all calls."""
    taken: dict[str, list[dict[str, float]]] = json.loads(file.read_text()) if file.exists() else {}
    with tempfile.TemporaryDirectory(prefix="mixplan-bench-") as base:
        for number in range(rounds - len(taken.get("now", ()))):
            for name, folder in {"now": HERE, "before": old}.items():
                cache, run = Path(base) / f"{name}-{number}", str(Path(base) / f"run-{name}-{number}")
                if line.judge is whole:
                    both = spent(["train", RECIPE, "--run", run], folder, cache)
                    found = dict(zip(("seconds", "processor seconds"), both, strict=True))
                else:
                    kept = Path(base) / name
                    again = ["plan", RECIPE, "--run", str(Path(base) / f"run-{name}")]
                    if number == 0:
                        spent(again, folder, kept)
                    found = {}
                    for called, command, place in (
                        ("check, nothing kept", ["check", RECIPE], cache), ("--help", ["--help"], kept),
                        ("plan again", again, kept),
                    ):  # fmt: skip
                        found[called], found[f"{called}, processors"] = spent(command, folder, place)
                taken.setdefault(name, []).append(found)
            file.write_text(json.dumps(taken, indent=2))
    return {
        part: {
            "now": round(statistics.median(one[part] for one in taken["now"]), 2),
            "ratio": round(statistics.median(a[part] / b[part] for a, b in zip(*taken.values(), strict=True)), 3),
        }
        for part in taken["now"][0]
    }


@dataclass(frozen=True)
class Measured:
    """A line's figures, as its file keeps them.

    Attributes:
        rounds: How many their medians are of; None where one run is all there is.
        threads: Of PyTorch in each process, as OMP_NUM_THREADS says; "all" where it says nothing.
        figures: The JSON that the line's command prints.
    """

    rounds: int | None
    threads: str
    figures: dict[str, Any]


def kept_as(line: Line) -> str:
    """The name of a line's file, without its suffix."""
    return "-".join([line.number, *(part.strip("-") for part in line.command or ("commands",))])


def measured(line: Line, old: Path, rounds: int, folder: Path) -> Measured | None:
    """A line's figures, kept or measured now; None where measuring failed."""
    place, taken = folder / f"{kept_as(line)}.json", folder / f"{kept_as(line)}-rounds.json"
    if place.exists():
        return Measured(**json.loads(place.read_text()))
    once = line.command in (("--auto",), ("--plan-memory",))
    asked_rounds = rounds
    if line.command is None:
        found = own(line, old, rounds, taken)
    else:
        asked = [str(HERE / "bin" / "bench"), *line.command]
        if line.command == ("--auto",):
            asked += [str(folder / "auto")]
        elif line.command == ("--processes",):
            asked += [",".join(str(count) for count in (2, 4) if count <= (os.cpu_count() or 1)) or "2"]
        if line.command[0] == "--targets":  # minutes a round: those of a call that was interrupted count
            asked_rounds -= min(len(json.loads(taken.read_text())), rounds) if taken.exists() else 0
            asked += ["--plans", "cold,second", "--keep", str(taken)]
        asked += [] if once else ["--rounds", str(asked_rounds)]
        asked += ["--against", str(old)] if line.against else []
        done = subprocess.run(asked, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            return None
        found = json.loads(done.stdout)
    result = Measured(None if once else rounds, os.environ.get("OMP_NUM_THREADS", "all"), found)
    place.write_text(json.dumps(asdict(result), indent=2) + "\n")
    return result


def row(line: Line, found: Measured | None) -> str:
    """A line of the table, as Markdown."""
    if found is None:
        return f"| {line.number} | {line.what} | {line.goal} | measuring failed, see above | | |"
    judged = line.judge(found.figures)
    reached = "yes" if all(good for _, good in judged) else "in part" if any(good for _, good in judged) else "no"
    text = "; ".join(text for text, _ in judged)
    return f"| {line.number} | {line.what} | {line.goal} | {text} | {found.rounds or ''} | {reached} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True, help="the folder of another checkout")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="a folder for what was measured")
    parser.add_argument("--only", default="", help="numbers of lines, separated by commas")
    parser.add_argument("--large", action="store_true", help="the paper's sizes and whole trainings, too")
    given = parser.parse_args()
    wanted = set(filter(None, given.only.split(",")))
    if unknown := wanted - {line.number for line in LINES}:
        parser.error(f"no line {', '.join(sorted(unknown))}. There are {', '.join(line.number for line in LINES)}.")
    folder = given.keep or Path(tempfile.mkdtemp(prefix="mixplan-bench-table-"))
    folder.mkdir(parents=True, exist_ok=True)
    lines = [line for line in LINES if line.number in wanted or (not wanted and (given.large or not line.large))]
    sys.stdout.write(f"{platform.machine()}, {os.cpu_count()} processors, beside {given.against}\n\n")
    sys.stdout.write(HEAD)
    failed = False
    for line in lines:
        found = measured(line, given.against.resolve(), given.rounds, folder)
        failed |= found is None
        sys.stdout.write(row(line, found) + "\n")
        sys.stdout.flush()
    sys.stderr.write(f"Kept in {folder}\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()
