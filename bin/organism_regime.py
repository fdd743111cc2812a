"""Searches jobs in which an oracle's mixture surely beats an even spread at equal steps and equal target exposure.

Registered: this text was fixed before its first run; its hash, with those of what it runs, opens the results.

    jobs      each cell of GRID on each of the ten development targets, all weights trained
    none      target rows alone, so many steps
    uniform   the same target rows in the same steps, and beside them an even spread over the skills
    oracle    likewise, rows in proportion to the accuracy that `none` lost on each skill, on the split `probe`
    judged    on the split `evaluation`: the same questions of every skill in every arm
    value     the accuracy of the skill that comes out worst

A cell is a regime where, over targets, Student's intervals of two paired mean differences leave 0, each at 95 % over
all cells (Bonferroni): none minus untrained below 0, oracle minus uniform above 0.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from organism_arms import (
    ITEMS,
    Job,
    Measured,
    Reading,
    measure,
    read_skills,
    read_target,
    spread,
    train_arm,
    weights_mark,
)
from organism_targets import Target, divided
from transformers import LlamaForCausalLM

from mixplan.errors import RunError

GRID = ((1e-4, 120, 2), (3e-4, 40, 2), (1e-4, 40, 2), (2e-4, 80, 1))
"""Learning rate, steps, and rows of the skills in each step beside the 16 of the target; done in this order."""
SEED = 0
ARMS = ("none", "uniform", "oracle")
HASHED = ("organism_regime.py", "organism_arms.py", "organism_skills.py", "organism_targets.py", "organism_lessons.py")


@dataclass(frozen=True)
class Line:
    """One training, as it stands in the results."""

    job: Job
    arm: str
    amounts: dict[str, int]
    measured: Measured

    @property
    def worst(self) -> float:
        """Accuracy of the skill that came out worst."""
        return min(right for right, _, _ in self.measured.skills.values()) / ITEMS

    @property
    def mean(self) -> float:
        """Mean accuracy over skills."""
        return float(np.mean([right for right, _, _ in self.measured.skills.values()])) / ITEMS

    @property
    def target(self) -> float:
        """Accuracy on the target."""
        return self.measured.target / ITEMS


def registered(model: LlamaForCausalLM, words: Sequence[str]) -> dict[str, object]:
    """What was fixed before the first training: the first line of the results."""
    here = Path(__file__).parent
    return {
        "grid": [list(cell) for cell in GRID],
        "targets": [target.name for target in divided()[0]],
        "arms": list(ARMS),
        "seed": SEED,
        "items": ITEMS,
        "skills": list(words),
        "weights": weights_mark(model),
        "sha256": {name: hashlib.sha256((here / name).read_bytes()).hexdigest()[:16] for name in HASHED},
        "torch": torch.__version__,
    }


def load_organism(folder: Path) -> tuple[LlamaForCausalLM, list[str]]:
    """The organism and the skills that it has."""
    model = LlamaForCausalLM.from_pretrained(folder / "model", dtype=torch.float32).eval().requires_grad_(False)
    return model, list(json.loads((folder / "skills.json").read_bytes())["kept"])


def search(folder: Path, results: Path, *, told: Callable[[str], None]) -> None:
    """Runs every training that the results do not hold yet.

    Args:
        folder: The organism's.
        results: JSON lines; the first holds what was registered and what the untrained model can.
        told: Given a line after each training.

    Raises:
        RunError: the results are of another search.
    """
    model, words = load_organism(folder)
    start = Start(model, read_skills(model, words, "evaluation"), read_skills(model, words, "probe"))
    development = divided()[0]
    header = registered(model, words) | {"untrained": untrained(start, development)}
    done = {(line.job, line.arm): line for line in begun(results, header)}
    for rate, steps, extra in GRID:
        for target in development:
            job = Job(target.name, rate, steps, extra, SEED)
            for line in arms_of(start, job, done):
                append(results, asdict(line))
                told(f"{target.name:14s} {rate:g} x {steps}, {extra} extra, {line.arm:8s} worst {line.worst:.3f}")


@dataclass(frozen=True)
class Start:
    """The untrained organism, and what it answers on the split that judges and on the one to look at."""

    model: LlamaForCausalLM
    evaluation: dict[str, Reading]
    probe: dict[str, Reading]


def untrained(start: Start, targets: Sequence[Target]) -> dict[str, dict[str, float]]:
    """Right answers of the untrained organism by skill and by target, and the surprise of the skills' answers."""
    return {
        "skills": {word: int(reading.right.sum()) for word, reading in start.evaluation.items()},
        "nats": {word: round(float(reading.nats.mean()), 5) for word, reading in start.evaluation.items()},
        "targets": {target.name: int(read_target(start.model, target).right.sum()) for target in targets},
    }


def begun(results: Path, header: Mapping[str, object]) -> list[Line]:
    """The lines that are there, where they are of the same search; begins the file where there is none."""
    if not results.exists():
        append(results, header)
    first, lines = read_results(results)
    if first != json.loads(json.dumps(header)):
        raise RunError(f"{results} is of another search or another organism. Name another file, or delete this one.")
    return lines


def read_results(results: Path) -> tuple[dict[str, object], list[Line]]:
    """What was registered, and the trainings; a last line that was cut while it was written is left out."""
    texts = results.read_text(encoding="utf-8").split("\n")[:-1]
    first, *others = map(json.loads, texts)
    return first, [Line(Job(**one["job"]), one["arm"], one["amounts"], Measured(**one["measured"])) for one in others]


def append(results: Path, value: Mapping[str, object]) -> None:
    """Writes one JSON line; one that was cut before is cut off."""
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a+", encoding="utf-8") as file:
        file.seek(0)
        whole = file.read()
        if whole and not whole.endswith("\n"):
            file.truncate(len(whole[: whole.rfind("\n") + 1].encode()))
        file.write(json.dumps(value) + "\n")


def arms_of(start: Start, job: Job, done: Mapping[tuple[Job, str], Line]) -> Iterator[Line]:
    """Trains the arms of a job that are not done, `none` again where the oracle still needs what it lost."""
    missing = [arm for arm in ARMS if (job, arm) not in done]
    if not missing:
        return
    losses: dict[str, float] = {}
    for arm in ("none", *(arm for arm in missing if arm != "none")):
        began = time.process_time()
        amounts = amounts_of(arm, job, list(start.probe), losses)
        trained = train_arm(start.model, job, amounts)
        if arm == "none":
            losses = lost(start.probe, trained)
        if arm in missing:
            yield Line(job, arm, amounts or {}, measure(trained, job, start.evaluation, began))


def amounts_of(arm: str, job: Job, words: Sequence[str], losses: Mapping[str, float]) -> dict[str, int] | None:
    """Rows of each skill in an arm; None for the target alone."""
    if arm == "none":
        return None
    return spread(dict.fromkeys(words, 1.0) if arm == "uniform" else losses, job.budget)


def lost(before: Mapping[str, Reading], after: LlamaForCausalLM) -> dict[str, float]:
    """The accuracy that each skill lost on the split `probe`; 0 where it lost none."""
    now = read_skills(after, list(before), "probe")
    return {word: max(0.0, reading.accuracy - now[word].accuracy) for word, reading in before.items()}


@dataclass(frozen=True)
class Difference:
    """A mean over targets with its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """What a cell showed.

    Attributes:
        cell: Learning rate, steps, extra rows a step.
        targets: How many of the targets have all arms.
        harm: `none` minus untrained, worst skill.
        gain: `oracle` minus `uniform`, worst skill.
        mean_gain: The same of the mean over skills; it decides nothing.
        kept: `oracle`'s gain on the target as a part of that of `none`, means over targets.
        regime: Whether both intervals leave 0 the right way, on all targets.
    """

    cell: tuple[float, int, int]
    targets: int
    harm: Difference
    gain: Difference
    mean_gain: Difference
    kept: float
    regime: bool


def difference(values: Sequence[float], cells: int) -> Difference:
    """Student's interval of a mean at 95 % over so many cells; no ends where there are less than two values."""
    from scipy.special import stdtrit

    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return Difference(float(array.mean()), -np.inf, np.inf)
    half = float(stdtrit(len(array) - 1, 1 - 0.025 / cells)) * float(array.std(ddof=1)) / len(array) ** 0.5
    return Difference(float(array.mean()), float(array.mean()) - half, float(array.mean()) + half)


def verdicts(results: Path) -> list[Verdict]:
    """Judges each cell of which some target has all arms, by the registered rule."""
    first, lines = read_results(results)
    untrained: dict[str, dict[str, int]] = first["untrained"]  # type: ignore[assignment]  # as `search` wrote it
    start = min(untrained["skills"].values()) / ITEMS
    by = {(line.job, line.arm): line for line in lines}
    found = []
    for rate, steps, extra in GRID:
        jobs = [Job(target.name, rate, steps, extra, SEED) for target in divided()[0]]
        jobs = [job for job in jobs if all((job, arm) in by for arm in ARMS)]
        if not jobs:
            continue
        none, even, best = ([by[job, arm] for job in jobs] for arm in ARMS)
        harm = difference([line.worst - start for line in none], len(GRID))
        gain = difference([a.worst - b.worst for a, b in zip(best, even, strict=True)], len(GRID))
        mean_gain = difference([a.mean - b.mean for a, b in zip(best, even, strict=True)], len(GRID))
        learnt = [
            sum(line.target - untrained["targets"][line.job.target] / ITEMS for line in arm) for arm in (best, none)
        ]
        regime = len(jobs) == len(divided()[0]) and harm.high < 0 < gain.low
        kept = learnt[0] / learnt[1] if learnt[1] else float("nan")
        found.append(Verdict((rate, steps, extra), len(jobs), harm, gain, mean_gain, kept, regime))
    return found
