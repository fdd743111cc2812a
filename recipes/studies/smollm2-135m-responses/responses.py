"""Searches again where a mixture can be told from another, with an oracle that knows how far rows bring a skill back.

    python recipes/studies/smollm2-135m-responses/responses.py search FOLDER             # trains what is not done yet
    python recipes/studies/smollm2-135m-responses/responses.py search FOLDER --backwards  # the last job first
    python recipes/studies/smollm2-135m-responses/responses.py results                   # writes RESULTS.md

Registered: this text was fixed before its first training; its hash, with those of what it runs, opens the results, and
a search of other files or libraries is refused. FOLDER holds the adapter of the first search (smollm2-135m-skills),
whose skills, development targets, questions, trainings and rule of judging these are.

The first search's oracle gave rows in proportion to what each skill lost, and did not surely beat an even spread. What
was seen there: under even rows the skill that lost most was the greatest common divisor in 14 of 16 jobs, whatever the
job cost, since 16 rows bring it back less than the others. A loss says where harm is, not where rows help. So here:

    none      target rows alone, so many steps; in the first cell those of the first search
    uniform   the same target rows in the same steps, and beside them an even spread over the skills; read on `probe`
    oracle    likewise; of a skill that lost a with no rows and b with its even n, both on `probe`, a loss of
              a / (1 + rows / h) is expected with h = n b / (a - b); its rows are the mean of the even ones and of
              those that make the largest expected loss least, since few rows are outside what was measured
    judged    on the split `evaluation`, as in the first search: harm, and the oracle's value less that of `uniform`

The first cell is the first search's with adapters; two have fewer extra rows, one of them in fewer steps and one at
half the rate. A cell is a regime where, over all
eight targets, Student's intervals of two means leave 0, each at 95 % over the cells of both searches (Bonferroni over
five): harm below 0, the oracle's value less `uniform`'s above 0. This search ends at `BOUND` processor seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "smollm2-135m-skills"))

import taught  # noqa: E402 - found by the line above
import torch  # noqa: E402
from taught import ARMS, ITEMS, SEED, Line, Verdict, append, counted, difference, harm_of, say, spread, value  # noqa: E402
from taught_arms import Job, train_arm  # noqa: E402
from taught_skills import TARGETS  # noqa: E402

RESULTS, REPORT = HERE / "results.jsonl", HERE / "RESULTS.md"
GRID = (taught.GRID[1], ("lora", 2e-3, 20, 1), ("lora", 1e-3, 40, 1))
"""What is trained, learning rate, steps, and rows of the skills in each step beside the 8 of the target."""
CELLS = len(GRID) + len(taught.GRID)
BOUND = 5 * 3600
LEAST = 0.5
"""Right answers: a loss that is smaller, before or after rows, counts as this or as none."""


def marks(folder: Path) -> dict[str, str]:
    """The beginnings of the SHA-256 of this file, of all that the first search registered, and of its results."""
    own = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in (Path(__file__), taught.RESULTS)}
    return own | taught.hashes(folder)


def jobs() -> Iterator[Job]:
    """Every job, in the order of doing."""
    for way, rate, steps, extra in GRID:
        for target in TARGETS:
            yield Job(target.name, rate, steps, extra, SEED, way)


def read_results() -> tuple[dict, list[Line]]:
    """What was registered, and the trainings with the first search's `none`; a last line that was cut is left out."""
    first, *others = map(json.loads, RESULTS.read_text(encoding="utf-8").split("\n")[:-1])
    return first, earlier() + [Line(**{**one, "job": Job(**one["job"])}) for one in others]


def earlier() -> list[Line]:
    """The first search's trainings on targets alone that this one needs."""
    needed = set(jobs())
    return [line for line in taught.read_results()[1] if line.arm == "none" and line.job in needed]


def search(folder: Path, *, backwards: bool) -> None:
    """Runs every training that the results do not hold yet."""
    old = taught.read_results()[0]
    known = {key: old[key] for key in ("taught", "probe", "kept")}
    header = {"grid": [list(cell) for cell in GRID], "sha256": marks(folder)} | known
    header["versions"] = {name: version(name) for name in taught.LIBRARIES}
    if not RESULTS.exists():
        append(RESULTS, header)
    first, lines = read_results()
    if first != json.loads(json.dumps(header)):
        raise SystemExit(f"{RESULTS} is of other files, libraries or another adapter. Move it away to begin.")
    done = {(line.job, line.arm): line for line in lines}
    model, chats = taught.taught(folder)
    for job in list(jobs())[:: -1 if backwards else 1]:
        for arm in ARMS:
            if (job, arm) not in done:
                if (spent := spent_by(read_results()[1])) >= BOUND:
                    say(f"{spent:.0f} processor seconds are spent, of {BOUND} registered: the search ends.")
                    return
                done[job, arm] = trained(model, chats, job, arm, first, done)
                append(RESULTS, asdict(done[job, arm]))
                say(f"{job.target} {job.way} {job.learning_rate:g} x {job.steps} {arm}: {done[job, arm].skills}")


def spent_by(lines: Sequence[Line]) -> float:
    """Processor seconds of this search alone."""
    old = {line.job for line in earlier()}
    return sum(line.seconds for line in lines if line.arm != "none" or line.job not in old)


def trained(
    model: object, chats: object, job: Job, arm: str, first: Mapping, done: Mapping[tuple[Job, str], Line]
) -> Line:
    """Trains and reads one arm."""
    began, kept = time.process_time(), first["kept"]
    amounts: dict[str, int] = {}
    if arm == "uniform":
        amounts = spread(dict.fromkeys(kept, 1.0), job.budget)
    elif arm == "oracle":
        even = done[job, "uniform"]
        fitted = least_loss(first["probe"], done[job, "none"].probe, even.probe, even.amounts, job.budget)
        amounts = spread({name: fitted[name] + even.amounts[name] for name in kept}, job.budget)
    after = train_arm(model, chats, job, amounts or None)
    found = counted(after, chats, [*kept, job.target], "evaluation")
    probe = counted(after, chats, kept, "probe") if arm != "oracle" else {}
    return Line(job, arm, amounts, found.pop(job.target), found, probe, round(time.process_time() - began, 1))


def least_loss(
    before: Mapping[str, int], none: Mapping[str, int], even: Mapping[str, int], rows: Mapping[str, int], budget: int
) -> dict[str, int]:
    """The rows of each skill that make the largest expected loss least.

    Args:
        before: Right answers before training.
        none: Right answers after it without rows.
        even: Right answers after it with `rows`.
        rows: Of each skill.
        budget: Rows in all.
    """
    lost = {name: float(before[name] - none[name]) for name in rows}
    lost = {name: amount for name, amount in lost.items() if amount > LEAST}
    left = {name: min(max(LEAST, before[name] - even[name]), amount - LEAST) for name, amount in lost.items()}
    half = {name: rows[name] * max(LEAST, left[name]) / (lost[name] - left[name]) for name in lost}

    def needed(level: float) -> dict[str, float]:
        return {name: half[name] * max(0.0, lost[name] / level - 1) for name in lost}

    low, high = 0.0, max(lost.values(), default=0.0)
    for _ in range(100):
        level = (low + high) / 2
        low, high = (level, high) if level and sum(needed(level).values()) > budget else (low, level)
    return spread(dict.fromkeys(rows, 0.0) | (needed(high) if high else {}), budget)


def verdicts(first: Mapping, lines: Sequence[Line]) -> Iterator[Verdict]:
    """Judges each cell of which some target has all arms, by the registered rule."""
    by = {(line.job, line.arm): line for line in lines}
    for cell in GRID:
        whole = [job for job in jobs() if (job.way, job.learning_rate, job.steps, job.extra_rows) == cell]
        found = [job for job in whole if all((job, arm) in by for arm in ARMS)]
        if not found:
            continue
        harm = difference([harm_of(by[job, "none"], first)[0] for job in found], CELLS)
        pairs = [(value(by[job, "oracle"], first)[0], value(by[job, "uniform"], first)[0]) for job in found]
        gain = difference([best - even for best, even in pairs], CELLS)
        learnt = {
            arm: sum(by[job, arm].target - first["taught"][job.target] for job in found) / ITEMS / len(found)
            for arm in ARMS
        }
        regime = len(found) == len(whole) and harm.high < 0 < gain.low
        yield Verdict(cell, len(found), harm, gain, learnt, regime)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("search", "results"))
    parser.add_argument("folder", type=Path, nargs="?", help="where the adapter lies")
    parser.add_argument("--backwards", action="store_true", help="the last job first, beside a search from the first")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.command == "search":
        if asked.folder is None:
            parser.error("name the folder of the adapter")
        search(asked.folder, backwards=asked.backwards)
    from responses_page import report  # not registered: it only shows what this file judges

    REPORT.write_text(report(*read_results()), encoding="utf-8")


if __name__ == "__main__":
    main()
