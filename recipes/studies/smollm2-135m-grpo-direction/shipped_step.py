"""Repeats the step along the reward's gradient as a plan takes it, and holds it against the study's own jobs.

    python recipes/studies/smollm2-135m-grpo-direction/shipped_step.py FOLDER [SEED ...]

For each held-out target of this study and each seed (0 where none is given): the features that `drift.from: icl` and
`drift.from: reward_step` name, from 32 prompts of 8 answers that the seed samples, and how many of them are among the
100 that the study's job of seed 0 moved most (data.json). FOLDER takes recipes; what is read lies in the cache. Writes
shipped_step.json beside this file and shipped_step/RESULTS.md. One thread, float32, a minute and a
half of processor time a target and seed.
"""

import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.special import stdtrit

from mixplan.domains.cached_domains import opened
from mixplan.model import Model, load_model
from mixplan.plan.drift_source import drift_reading
from mixplan.plan.scores import measure_drift, plan_readings
from mixplan.reading.progress import Silent
from mixplan.reading.units import Reader
from mixplan.reading.workers import Workers
from mixplan.recipe import load_recipe
from mixplan.runs import cache_folder
from mixplan.sae import load_sae

HERE = Path(__file__).resolve().parent
FOUND, PAGE = HERE / "shipped_step.json", HERE / "shipped_step" / "RESULTS.md"
WAYS = ("icl", "reward_step")
DRIFT = {
    "features": 100,
    "demonstrations": 2,
    "draws": 4,
    "query_tokens": 3000,
    "rollouts": {"prompts": 32, "samples": 8, "answer_tokens": 16},
}


def recipe_of(folder: Path, target: str, seed: int) -> Path:
    """Write a plan's recipe for one of the study's jobs."""
    study = yaml.safe_load((HERE.parent / "smollm2-135m-grpo" / "study.yaml").read_text(encoding="utf-8"))
    new = yaml.safe_load((HERE / "new_targets.yaml").read_text(encoding="utf-8"))["targets"]
    asked = {key: value for key, value in study["recipe"].items() if key != "evaluate"}
    asked |= {"target": (study["targets"] | new)[target], "budget": {"rows": 24}, "drift": DRIFT, "seed": seed}
    path = folder / f"{target}-{seed}.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(asked, sort_keys=False), encoding="utf-8")
    return path


def named(path: Path, way: str, model: Model | None) -> tuple[set[int], dict[str, Any], Model]:
    """The features that a way names, and what it took.

    Args:
        path: The recipe.
        way: One of `WAYS`.
        model: The loaded one; None where it is not loaded yet.
    """
    loaded = load_recipe(path, (f"drift.from={way}", "model.dtype=float32"))
    target, _ = opened(loaded)
    model = model or load_model(loaded.recipe.model)
    sae = load_sae(loaded.recipe.model.sae_spec, model)
    began, watcher, workers = time.process_time(), Silent(), Workers(0, 1)
    reading = plan_readings(loaded.recipe, model, target, {})["target"]
    source = drift_reading(loaded, model, target, reading, watcher=watcher, workers=workers)
    reader = Reader(model, sae, cache_folder() / "statistics", watcher, workers)
    drift, _ = measure_drift(loaded.recipe, reader, source)
    about: dict[str, Any] = {"processor_seconds": round(time.process_time() - began, 1)}
    if source.rollouts is not None:
        about |= {"prompts_that_differ": source.rollouts.kept, "mean_reward": source.rollouts.mean_reward}
    return set(map(int, drift.features)), about, model


def interval(values: Sequence[float]) -> str:
    """A mean with its 95 % t interval."""
    array = np.asarray(values, dtype=np.float64)
    reach = float(stdtrit(len(array) - 1, 0.975)) * float(array.std(ddof=1)) / math.sqrt(len(array))
    return f"{array.mean():+.1f} [{array.mean() - reach:+.1f}, {array.mean() + reach:+.1f}]"


def told(found: dict[str, Any]) -> str:
    """The page: each target's mean over seeds, and the difference over targets."""
    lines, apart = [], []
    for target, seeds in found.items():
        means = {way: float(np.mean([one[way]["named"] for one in seeds.values()])) for way in WAYS}
        apart.append(means["reward_step"] - means["icl"])
        each = ", ".join(str(one["reward_step"]["named"]) for one in seeds.values())
        differ = ", ".join(str(one["reward_step"]["prompts_that_differ"]) for one in seeds.values())
        lines.append(f"| {target} | {means['icl']:.1f} | {means['reward_step']:.1f} | {each} | {differ} |")
    ends = f" The step less worked examples, over targets: {interval(apart)}." if len(apart) > 1 else ""
    return "\n".join(
        [
            "# The step along the reward's gradient as plans take it",
            "",
            "Written by `python recipes/studies/smollm2-135m-grpo-direction/shipped_step.py FOLDER` from "
            "shipped_step.json; nothing here is typed in. Of the 100 features that this study's job of seed 0 moved "
            f"most, how many are named; means over seeds of the sampled answers, 95 % t interval over targets.{ends}",
            "",
            "| target | worked examples | the step | the step by seed | prompts whose answers differ, of 32 |",
            "| --- | ---: | ---: | --- | --- |",
            *lines,
            "",
        ]
    )


def main() -> None:
    """Measure what is not in shipped_step.json yet."""
    folder, seeds = Path(sys.argv[1]), [int(one) for one in sys.argv[2:]] or [0]
    data = json.loads((HERE / "data.json").read_bytes())["targets"]
    found: dict[str, Any] = json.loads(FOUND.read_bytes()) if FOUND.exists() else {}
    model = None
    for seed in seeds:
        for target in (name for name, one in data.items() if not one["development"]):
            if str(seed) in found.get(target, {}):
                continue
            path, moved, line = recipe_of(folder, target, seed), set(data[target]["jobs"]["0"]["actual"]), {}
            for way in WAYS:
                features, about, model = named(path, way, model)
                line[way] = {"named": len(features & moved), **about}
            found.setdefault(target, {})[str(seed)] = line
            FOUND.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(target, seed, line, flush=True)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(told(found), encoding="utf-8")


if __name__ == "__main__":
    main()
