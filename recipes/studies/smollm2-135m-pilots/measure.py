"""Trains a tenth of each job of a study of the embedded model, and measures what that has moved in every domain.

    python recipes/studies/smollm2-135m-pilots/measure.py RUN [SEED]
    python recipes/studies/smollm2-135m-pilots/measure.py RUN SEED STUDY

Each target is one pilot: three of the job's 25 optimiser steps on the target's rows alone, with a schedule of its own,
then token KL on the study's evaluation rows. What is done is kept in RUN and in the cache: the same command goes on
where it was stopped. The first form measures the study smollm2-135m, on four domains of every target first, then on
all, and writes pilots.json beside this file. The second measures another study beside it, likelihood too, and writes
pilots-SEED.json into that study's folder.
"""

import math
import sys
from collections.abc import Collection
from pathlib import Path

import numpy as np

from mixplan.evaluate import evaluate
from mixplan.model import give_back_memory, load_trained
from mixplan.plan.job import adapter_of
from mixplan.reading import Watcher
from mixplan.runs import write_json
from mixplan.study.asked.spec import load_study
from mixplan.study.jobs import Bench, train_target
from mixplan.train.launch import Launch

HERE = Path(__file__).resolve().parent
STEPS = 3
ORDER = ("json_answers", "puzzles", "worked_math", "commonsense", "medicine", "law", "summaries", "code")
"""Targets in the order of their cost."""
FIRST = ("social", "pronouns", "knowledge", "physical")
"""Measured on every target before the other domains: short rows, which tell much of the others in the study."""


class Printed(Watcher):
    """Prints what is said, a line each."""

    def say(self, text: str) -> None:
        """Print a sentence."""
        print(text, flush=True)

    def stage(self, name: str, total: int, unit: str) -> None:
        """Print what begins."""
        print(f"{name}: {total} {unit}", flush=True)

    def advance(self, amount: int) -> None:
        """Print nothing."""


QUANTITIES = {"behaviour": "kl", "likelihood": "bits_per_byte"}
"""What is measured, by measure; the first in every study."""


def measure(
    bench: Bench, name: str, seed: int, wanted: Collection[str], *, likelihood: bool = False
) -> dict[str, object]:
    """Train one pilot, or take it as it stands, and measure it on some domains."""
    job = train_target(bench, name, bench.run / "pilots" / f"{name}-{seed}", Launch(), seed=seed, max_steps=STEPS)
    taught = bench.taught(name)
    recipe = taught.loaded.recipe
    domains = {domain: one for domain, one in taught.domains.items() if domain in wanted}
    trained = load_trained(bench.spec, job.folder, folder=taught.loaded.folder(("model", "name")))
    also = ["likelihood"] if likelihood else []
    spec = recipe.evaluate.model_copy(update={"measures": dict.fromkeys(domains, "behaviour"), "also": also})
    folder = taught.loaded.folder(("evaluate", "tasks"))
    before, after = (
        evaluate(model, None, domains, spec=spec, folder=folder, watcher=bench.watcher, untrained=origin)
        for model, origin in ((bench.model, None), (trained, bench.model))
    )
    if before.model.reused:
        raise SystemExit(
            f"The cache holds measures of the untrained model in another type ({before.model.reused}), which differ by "
            "more than a pilot moves. Set MIXPLAN_CACHE to a folder of these pilots' own."
        )
    found: dict[str, dict[str, object]] = {domain: {} for domain in domains}
    for kind in ("behaviour", *also):
        for domain, kept in found.items():
            first, second = (np.array(one.domains[domain][kind].values[QUANTITIES[kind]]) for one in (before, after))
            moved = second - first
            error = float(moved.std(ddof=1) / math.sqrt(len(moved)))
            change = {"change": float(moved.mean()), "error": error, "rows": len(moved)}
            kept.update(change if kind == "behaviour" else {QUANTITIES[kind]: change})
    give_back_memory()
    rows, rate = recipe.mixture.target_rows, recipe.train.args["learning_rate"]
    lora = adapter_of(recipe.train.lora)
    return {
        "job": {"target_rows": rows, "steps": float(job.steps), "learning_rate": rate, "adapter": lora},
        "domains": found,
    }


def main() -> None:
    """Measure every target on the first domains, then on all, and write down what was found after each."""
    run, seed = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    other = Path(sys.argv[3]).resolve() if len(sys.argv) > 3 else None
    study = load_study(other or HERE.parent / "smollm2-135m" / "study.yaml")
    place = HERE / "pilots.json" if other is None else other.with_name(f"pilots-{seed}.json")
    # In float32: a pilot changes less than two readings in bfloat16 differ by.
    write_json(run / "compute.json", {"dtype": "float32"})
    bench = Bench(study, run, Printed())
    found: dict[str, dict[str, object]] = {}
    for wanted in (FIRST, study.domains) if other is None else (study.domains,):
        for name in ORDER if other is None else study.spec.targets:
            found[name] = measure(bench, name, seed, wanted, likelihood=other is not None)
            write_json(place, {"version": 1, "title": study.spec.title, "targets": found})
            print(f"{name}, {len(wanted)} domains: {place}", flush=True)


if __name__ == "__main__":
    main()
