"""Compares mixtures on the held-out targets, in the job that the search found: whether a plan surely beats uniform.

Registered: this text was fixed before its first run; its hash, with those of what it runs, opens the results.

    none           target rows alone
    uniform        an even spread over the skills
    random         shares drawn evenly from all that sum to 1 (Dirichlet), anew for each target and seed
    size           in proportion to the skills' pools, whose sizes are drawn once (SIZES)
    sts            in proportion to STS_ICL, as `mixplan plan` scores the skills for the target
    planned        `mixplan plan` with `allocate: {objective: diminishing, half_rows: 20}`, from the untrained model
                   alone; the default objective spreads evenly where nothing was measured, and `min_max` gave one
                   development target's rows to 3 of 14 skills
    planned_pilot  the same with `drift.from: checkpoint`, a pilot of a tenth of the steps on the target alone
    pilot          in proportion to what that pilot lost of each skill, in nats, on fifty questions of `probe`
    oracle         in proportion to the accuracy that `none` lost, on the split `probe`

A plan's arm (the four before the last) meets the mark at a budget where, over the twenty targets, seeds averaged, the
worst skill's accuracy is over that of `uniform` with Student's interval at 95 % over all arms and budgets (Bonferroni),
and its mean gain on the target is at least 95 % of that of `none`.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from organism_arms import ITEMS, Job, measure, read_skills, spread, train_arm, weights_mark
from organism_lessons import save_tokenizer
from organism_regime import (
    HASHED,
    Difference,
    Line,
    Start,
    append,
    begun,
    difference,
    load_organism,
    lost,
    read_results,
    untrained,
)
from organism_targets import divided

import mixplan

CELL = (1e-4, 120)
"""Learning rate and steps of the job."""
BUDGETS = (2, 1)
"""Extra rows a step."""
SEEDS = (0, 1, 2, 3, 4)
ARMS = ("none", "uniform", "random", "size", "sts", "planned", "planned_pilot", "pilot", "oracle")
PLANS = ("sts", "planned", "planned_pilot", "pilot")
KEPT = 0.95
LOOKED_AT = 50
"""Questions of the split `probe` a skill that a pilot is measured on."""
SPLIT = {"evaluation": 20, "query": 600, "demonstration": 100}


def pool_sizes(words: Sequence[str]) -> dict[str, float]:
    """How large each skill's pool is said to be: drawn once, evenly on logarithms from 100 to 3000 rows."""
    rng = random.Random("organism sizes 1")  # noqa: S311 - no secret
    return {word: round(math.exp(rng.uniform(math.log(100), math.log(3000)))) for word in words}


def recipe_of(folder: Path, words: Sequence[str], target: str, checkpoint: Path | None) -> dict[str, object]:
    """The recipe of a target, over the rows of the organism's folder."""
    section = {"format": "question_answer", "columns": {"question": "question", "answer": "answer"}, "grader": "exact"}

    def rows(name: str) -> dict[str, object]:
        return {"data": {"file": str(folder / "rows" / f"{name}.jsonl")}, **section, "split": SPLIT}

    drift = {"features": 100, "demonstrations": 2, "draws": 5, "query_tokens": 3000}
    sae = {"path": str(folder / "sae")}
    return {
        "model": {"name": str(folder / "model"), "dtype": "float32", "device": "cpu", "sae": sae},
        "target": rows(target),
        "domains": {word.lower(): rows(word) for word in words},
        "drift": drift | ({"from": "checkpoint", "checkpoint": str(checkpoint)} if checkpoint else {}),
        "sts": {"demonstrations": 5, "draws": 3, "query_tokens": 1500},
        "budget": {"rows": CELL[1] * max(BUDGETS)},
        "allocate": {"objective": "diminishing", "half_rows": 20},
        "forecast": {"runs": []},
    }  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """What `mixplan plan` says of each skill: its score, and its rows of the larger budget."""

    sts: dict[str, float]
    rows: dict[str, int]


def planned(folder: Path, words: Sequence[str], target: str, checkpoint: Path | None) -> Planned:
    """Plans a target, or reads the plan that is there."""
    place = folder / "plans" / (f"{target}-pilot" if checkpoint else target)
    if not (place / "plan.json").exists():
        place.mkdir(parents=True, exist_ok=True)
        path = place.parent / f"{place.name}.yaml"
        path.write_text(yaml.safe_dump(recipe_of(folder, words, target, checkpoint)), encoding="utf-8")
        mixplan.make_plan(path, run=place)
    plan = mixplan.read_plan(place)
    scores = {str(row["domain"]): float(row["score"]) for row in plan.scores()}
    names = {word: word.lower() for word in words}
    return Planned(
        {word: scores[name] for word, name in names.items()}, {word: plan.rows[name] for word, name in names.items()}
    )


@dataclass(frozen=True)
class Asked:
    """What the arms of one job need: the organism's folder, its start, and the job."""

    folder: Path
    start: Start
    job: Job

    @property
    def words(self) -> list[str]:
        """The skills."""
        return list(self.start.probe)


def pilot_of(asked: Asked) -> Job:
    """The pilot of a job: a tenth of its steps, the target's rows alone."""
    return Job(asked.job.target, asked.job.learning_rate, asked.job.steps // 10, 0, asked.job.seed)


def pilot_losses(asked: Asked) -> dict[str, float]:
    """What a pilot made worse of each skill, in nats a token; 0 where it made it better."""
    after = read_skills(train_arm(asked.start.model, pilot_of(asked), None), asked.words, "probe", LOOKED_AT)
    before = read_skills(asked.start.model, asked.words, "probe", LOOKED_AT)
    return {word: max(0.0, float(after[word].nats.mean() - before[word].nats.mean())) for word in asked.words}


def pilot_checkpoint(asked: Asked) -> Path:
    """The folder of the pilot with the first seed, made where it is not there."""
    place = asked.folder / "pilots" / asked.job.target
    if not (place / "model.safetensors").exists():
        job = Job(asked.job.target, asked.job.learning_rate, asked.job.steps, asked.job.extra_rows, SEEDS[0])
        train_arm(asked.start.model, pilot_of(Asked(asked.folder, asked.start, job)), None).save_pretrained(place)
        save_tokenizer(place)
    return place


def weights_of(arm: str, asked: Asked, losses: Mapping[str, float]) -> dict[str, float]:
    """In proportion to what an arm gives its rows."""
    job, words = asked.job, asked.words
    if arm == "uniform":
        return dict.fromkeys(words, 1.0)
    if arm == "random":
        rng = random.Random(f"random {job.target} {job.seed}")  # noqa: S311 - no secret
        return {word: rng.expovariate(1.0) for word in words}
    if arm == "size":
        return pool_sizes(words)
    if arm == "sts":
        return planned(asked.folder, words, job.target, None).sts
    if arm == "planned":
        return dict(planned(asked.folder, words, job.target, None).rows)
    if arm == "planned_pilot":
        return dict(planned(asked.folder, words, job.target, pilot_checkpoint(asked)).rows)
    return pilot_losses(asked) if arm == "pilot" else dict(losses)


def compare(folder: Path, results: Path, *, told: Callable[[str], None]) -> None:
    """Runs every training that the results do not hold yet: a seed of all targets before the next.

    Args:
        folder: The organism's, with its SAE.
        results: JSON lines; the first holds what was registered.
        told: Given a line after each training.

    Raises:
        RunError: the results are of another comparison.
    """
    folder = folder.resolve()
    model, words = load_organism(folder)
    start = Start(model, read_skills(model, words, "evaluation"), read_skills(model, words, "probe"))
    header = {
        "cell": list(CELL), "budgets": list(BUDGETS), "seeds": list(SEEDS), "arms": list(ARMS), "items": ITEMS,
        "skills": words, "sizes": pool_sizes(words), "weights": weights_mark(model), "sha256": marks(),
        "untrained": untrained(start, divided()[1]),
    }  # fmt: skip
    done = {(line.job, line.arm) for line in begun(results, header)}
    for seed in SEEDS:
        for target in divided()[1]:
            for extra in BUDGETS:
                job = Job(target.name, *CELL, extra, seed)
                for line in arms_of(Asked(folder, start, job), done):
                    append(results, asdict(line))
                    told(f"seed {seed} {target.name:14s} {job.budget} rows {line.arm:13s} worst {line.worst:.3f}")


def marks() -> dict[str, str]:
    """The first half of the hash of each file that the comparison runs."""
    here = Path(__file__).parent
    names = (Path(__file__).name, *HASHED)
    return {name: hashlib.sha256((here / name).read_bytes()).hexdigest()[:16] for name in names}


def arms_of(asked: Asked, done: set[tuple[Job, str]]) -> Iterator[Line]:
    """Trains the arms of a job that are not done; `none` alone at the first budget, since it has no extra rows."""
    job, first = asked.job, asked.job.extra_rows == BUDGETS[0]
    missing = [arm for arm in ARMS if (job, arm) not in done and (first or arm != "none")]
    losses: dict[str, float] = {}
    if "oracle" in missing:
        losses = none_losses(asked)
    for arm in missing:
        began = time.process_time()
        amounts = None if arm == "none" else spread(weights_of(arm, asked, losses), job.budget)
        trained = train_arm(asked.start.model, job, amounts)
        yield Line(job, arm, amounts or {}, measure(trained, job, asked.start.evaluation, began))


KNOWN: dict[tuple[str, int], dict[str, float]] = {}
"""What `none` lost, by target and seed, which both budgets need."""


def none_losses(asked: Asked) -> dict[str, float]:
    """The accuracy that the target alone took from each skill, on the split `probe`."""
    key = (asked.job.target, asked.job.seed)
    if key not in KNOWN:
        KNOWN[key] = lost(asked.start.probe, train_arm(asked.start.model, asked.job, None))
    return KNOWN[key]


@dataclass(frozen=True)
class Mark:
    """How an arm stands beside `uniform` at a budget.

    Attributes:
        arm, budget: Which.
        targets, trainings: How many it has, beside `uniform` of the same seed.
        worst: Worst skill, minus that of `uniform`.
        mean: Mean over skills, likewise.
        kept: Its gain on the target as a part of that of `none`.
        met: Whether it meets the mark, on all targets; None for arms that are no plan's.
    """

    arm: str
    budget: int
    targets: int
    trainings: int
    worst: Difference
    mean: Difference
    kept: float
    met: bool | None


def judged(results: Path) -> list[Mark]:
    """Judges each arm at each budget by the registered rule, on the jobs where `uniform` and `none` are there too."""
    first, lines = read_results(results)
    starts: dict[str, int] = first["untrained"]["targets"]  # type: ignore[index]  # as `compare` wrote it
    by = {(line.arm, line.job.extra_rows, line.job.target, line.job.seed): line for line in lines}
    found = []
    for extra in BUDGETS:
        for arm in ARMS[2:]:
            pairs: dict[str, list[tuple[Line, Line, Line]]] = {}
            for name, rows, target, seed in by:
                keys = (("uniform", extra, target, seed), ("none", BUDGETS[0], target, seed))
                if (name, rows) == (arm, extra) and all(key in by for key in keys):
                    pairs.setdefault(target, []).append((by[arm, extra, target, seed], by[keys[0]], by[keys[1]]))
            if pairs:
                found.append(mark_of(arm, extra, pairs, starts))
    return found


def mark_of(
    arm: str, extra: int, pairs: Mapping[str, Sequence[tuple[Line, Line, Line]]], starts: Mapping[str, int]
) -> Mark:
    """Judges one arm at one budget; pairs are of the arm, `uniform` and `none`, by target."""
    cells = len(PLANS) * len(BUDGETS)
    worst = difference([average([a.worst - b.worst for a, b, _ in some]) for some in pairs.values()], cells)
    mean = difference([average([a.mean - b.mean for a, b, _ in some]) for some in pairs.values()], cells)
    gains = [
        average(
            [average([line[place].target - starts[target] / ITEMS for line in some]) for target, some in pairs.items()]
        )
        for place in (0, 2)
    ]
    kept = gains[0] / gains[1]
    met = len(pairs) == len(divided()[1]) and worst.low > 0 and kept >= KEPT
    count = sum(map(len, pairs.values()))
    return Mark(arm, extra * CELL[1], len(pairs), count, worst, mean, kept, met if arm in PLANS else None)


def average(values: Sequence[float]) -> float:
    """The mean of some numbers."""
    return sum(values) / len(values)
