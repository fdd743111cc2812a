"""Teaches the embedded model skills that it can lose, and searches jobs in which a mixture can be told from another.

    python recipes/studies/smollm2-135m-skills/taught.py teach FOLDER     # the adapter of the skills, once
    python recipes/studies/smollm2-135m-skills/taught.py search FOLDER    # trains what is not in results.jsonl yet
    python recipes/studies/smollm2-135m-skills/taught.py results          # writes RESULTS.md from results.jsonl

Registered: this text was fixed before the first training of the search; its hash, with those of what it runs, opens the
results, and a search of other files or libraries is refused. A first teaching, of 400 rows a skill, kept three of the
ten skills by the rule below (first_teaching.json); it was given up before a training of the search had ended, for
three times as many rows.

    skills    those of the ten whose taught accuracy is at least `GOOD` and at least `OVER` above what the most frequent
              right answer alone would get, both on the split `probe`
    jobs      each cell of `GRID` on each of the eight development targets, in this order
    none      target rows alone, so many steps
    uniform   the same target rows in the same steps, and beside them an even spread over the skills
    oracle    likewise, rows in proportion to the accuracy that `none` lost on each skill, on the split `probe`
    judged    on the split `evaluation`: the same questions of every skill in every arm
    harm      the accuracy that `none` changed of the skill that it cost most on `probe`: chosen and judged on questions
              apart, so that noise alone has mean 0
    value     the accuracy after less that of the taught model, of the skill where this is least

A cell is a regime where, over all eight targets, Student's intervals of two means leave 0, each at 95 % over all cells
(Bonferroni): harm below 0, `oracle`'s value less `uniform`'s above 0. A search ends at `BOUND` processor seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from taught_arms import TEACHING, Job, right_answers, taught, teach, train_arm, untaught
from taught_skills import SKILLS, TARGETS, draw_items
from torch import Tensor

from organism_arms import spread  # isort: skip - found where taught_arms looks
from organism_regime import Difference, append, difference  # isort: skip - the same rule of judging

HERE = Path(__file__).resolve().parent

RESULTS, REPORT = HERE / "results.jsonl", HERE / "RESULTS.md"
GRID = (("full", 2e-4, 40, 2), ("lora", 2e-3, 40, 2))
"""What is trained, learning rate, steps, and rows of the skills in each step beside the 8 of the target."""
ARMS = ("none", "uniform", "oracle")
SEED, ITEMS, DRAW = 0, 200, 7
GOOD, OVER = 0.5, 0.15
HASHED = ("taught.py", "taught_arms.py", "taught_skills.py")
SHARED = ("organism_arms.py", "organism_regime.py")
LIBRARIES = ("torch", "transformers", "peft", "reasoning-gym")
BOUND = 12 * 3600


@dataclass(frozen=True)
class Line:
    """One training as it stands in the results.

    Attributes:
        job, arm: Which.
        amounts: Rows of each skill.
        target: Right answers to the target's own questions, of `ITEMS`.
        skills: Right answers of each skill, of `ITEMS`.
        probe: The same on the split `probe`, of `none` alone.
        seconds: Processor seconds of training and reading.
    """

    job: Job
    arm: str
    amounts: dict[str, int]
    target: int
    skills: dict[str, int]
    probe: dict[str, int]
    seconds: float


def say(line: str) -> None:
    """Prints a line at once."""
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def counted(model: object, chats: object, names: Sequence[str], split: str) -> dict[str, int]:
    """Right answers of each skill or target on a split, of `ITEMS`, in batches that they share."""
    items = [item for name in names for item in draw_items(name, split, ITEMS, DRAW)]
    right: Tensor = right_answers(model, chats, items)
    return {name: int(part.sum()) for name, part in zip(names, right.split(ITEMS), strict=True)}


def frequent(name: str) -> float:
    """The share of right answers that the most frequent one has on the split `probe`."""
    answers = Counter(item.answer for item in draw_items(name, "probe", ITEMS, DRAW))
    return answers.most_common(1)[0][1] / ITEMS


def header(folder: Path) -> dict[str, object]:
    """What was registered: the first line of the results, with what the model could before and after it was taught."""
    names, targets = [skill.name for skill in SKILLS], [target.name for target in TARGETS]
    found: dict[str, dict[str, int]] = {}
    for key, (model, chats) in (("untaught", untaught()), ("taught", taught(folder))):
        found[key] = counted(model, chats, [*names, *targets], "evaluation")
    found["probe"] = counted(model, chats, names, "probe")
    kept = [name for name in names if is_kept(found["probe"][name] / ITEMS, frequent(name))]
    return {
        "grid": [list(cell) for cell in GRID],
        "sha256": hashes(folder),
        "versions": {name: version(name) for name in LIBRARIES},
        "teaching": TEACHING,
        "frequent": {name: frequent(name) for name in names},
        **found,
        "kept": kept,
    }


def is_kept(accuracy: float, guessed: float) -> bool:
    """Whether a skill counts as one."""
    return accuracy >= GOOD and accuracy >= guessed + OVER


def hashes(folder: Path) -> dict[str, str]:
    """The beginnings of the SHA-256 of the study's files and of the adapter's weights."""
    shared = [HERE.parents[2] / "bin" / name for name in SHARED]
    paths = [*(HERE / name for name in HASHED), *shared, folder / "adapter_model.safetensors"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths}


def read_results() -> tuple[dict[str, object], list[Line]]:
    """What was registered, and the trainings; a last line that was cut while it was written is left out."""
    first, *others = map(json.loads, RESULTS.read_text(encoding="utf-8").split("\n")[:-1])
    return first, [Line(**{**one, "job": Job(**one["job"])}) for one in others]


def search(folder: Path) -> None:
    """Runs every training that the results do not hold yet."""
    if not RESULTS.exists():
        append(RESULTS, header(folder))
    first, lines = read_results()
    if first["sha256"] != hashes(folder):
        raise SystemExit(f"{RESULTS} is of other files or another adapter: {first['sha256']}. Move it away to begin.")
    if first["versions"] != (now := {name: version(name) for name in LIBRARIES}):
        raise SystemExit(f"{RESULTS} is of other versions, {first['versions']}, than these: {now}. Install those.")
    done = {(line.job, line.arm): line for line in lines}
    model, chats = taught(folder)
    for job in jobs():
        for arm in ARMS:
            if (job, arm) not in done:
                if (spent := sum(line.seconds for line in done.values())) >= BOUND:
                    say(f"{spent:.0f} processor seconds are spent, of {BOUND} registered: the search ends.")
                    return
                done[job, arm] = trained(model, chats, job, arm, first, done.get((job, "none")))
                append(RESULTS, asdict(done[job, arm]))
                say(f"{job.target} {job.way} {job.learning_rate:g} {arm}: {done[job, arm].skills}")


def jobs() -> Iterator[Job]:
    """Every job, in the order of doing."""
    for way, rate, steps, extra in GRID:
        for target in TARGETS:
            yield Job(target.name, rate, steps, extra, SEED, way)


def trained(model: object, chats: object, job: Job, arm: str, first: Mapping, none: Line | None) -> Line:
    """Trains and reads one arm."""
    began, kept = time.process_time(), first["kept"]
    amounts: dict[str, int] = {}
    if arm != "none":
        assert none is not None
        lost = {name: max(0, first["probe"][name] - none.probe[name]) for name in kept}
        amounts = spread(lost if arm == "oracle" else dict.fromkeys(kept, 1.0), job.budget)
    after = train_arm(model, chats, job, amounts or None)
    found = counted(after, chats, [*kept, job.target], "evaluation")
    probe = counted(after, chats, kept, "probe") if arm == "none" else {}
    return Line(job, arm, amounts, found.pop(job.target), found, probe, round(time.process_time() - began, 1))


def value(line: Line, first: Mapping) -> tuple[float, str]:
    """The least change of a skill's accuracy, and that skill."""
    return min(((right - first["taught"][name]) / ITEMS, name) for name, right in line.skills.items())


def harm_of(none: Line, first: Mapping) -> tuple[float, str]:
    """How far the skill changed on `evaluation` that training on the target alone cost most on `probe`."""
    worst = min(none.probe, key=lambda name: (none.probe[name] - first["probe"][name], name))
    return (none.skills[worst] - first["taught"][worst]) / ITEMS, worst


@dataclass(frozen=True)
class Verdict:
    """What a cell showed.

    Attributes:
        cell: As in `GRID`.
        targets: How many of the targets have all arms.
        harm: Mean of `harm_of`.
        gain: The value of `oracle` less that of `uniform`.
        learnt: Means of the accuracy gained on the target, by arm.
        regime: Whether both intervals leave 0 the right way, on all targets.
    """

    cell: tuple[str, float, int, int]
    targets: int
    harm: Difference
    gain: Difference
    learnt: dict[str, float]
    regime: bool


def verdicts(first: Mapping, lines: Sequence[Line]) -> Iterator[Verdict]:
    """Judges each cell of which some target has all arms, by the registered rule."""
    by = {(line.job, line.arm): line for line in lines}
    for cell in GRID:
        whole = [job for job in jobs() if (job.way, job.learning_rate, job.steps, job.extra_rows) == cell]
        found = [job for job in whole if all((job, arm) in by for arm in ARMS)]
        if not found:
            continue
        values = {arm: [value(by[job, arm], first)[0] for job in found] for arm in ARMS}
        harm = difference([harm_of(by[job, "none"], first)[0] for job in found], len(GRID))
        pairs = zip(values["oracle"], values["uniform"], strict=True)
        gain = difference([best - even for best, even in pairs], len(GRID))
        learnt = {
            arm: sum(by[job, arm].target - first["taught"][job.target] for job in found) / ITEMS / len(found)
            for arm in ARMS
        }
        regime = len(found) == len(whole) and harm.high < 0 < gain.low
        yield Verdict(cell, len(found), harm, gain, learnt, regime)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("teach", "search", "results"))
    parser.add_argument("folder", type=Path, nargs="?", help="where the adapter lies")
    asked = parser.parse_args()
    if asked.command != "results" and asked.folder is None:
        parser.error("name the folder of the adapter")
    torch.set_num_threads(1)
    if asked.command == "teach":
        teach(asked.folder, say)
    elif asked.command == "search":
        search(asked.folder)
    if asked.command != "teach":
        from taught_page import report  # not registered: it only shows what this file judges

        REPORT.write_text(report(*read_results()), encoding="utf-8")


if __name__ == "__main__":
    main()
