"""Writes the keys of shipped recipes' jobs that the installed libraries take, to travel with mixplan."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mixplan.model import embedded_folder
from mixplan.recipe import load_recipe
from mixplan.train import dry_run

REPOSITORY = Path(__file__).parents[1]
RECIPES = [*sorted((REPOSITORY / "recipes").glob("*.yaml")), REPOSITORY / "configs" / "starter.yaml"]
"""The shipped ones, and what `mixplan new` begins with."""
PRECISION = ("bf16", "fp16", "tf32")
"""Settings whose answer is another one where there is a GPU."""


def main() -> int:
    """Ask about every recipe whose answer is the same on every machine, with the embedded model's files and without."""
    embedded_folder()  # converts the embedded model where it was not yet
    cases = []
    for path in RECIPES:
        loaded = load_recipe(path)
        if set(PRECISION) & set(loaded.recipe.train.args):
            continue
        files = dry_run.small_files(loaded) if loaded.recipe.model.name == "embedded" else {}
        cases += [(path.name, dry_run.question_of(loaded, here), here) for here in ({}, files)[: 1 + bool(files)]]
    answers = dry_run.asked_of_libraries([question for _, question, _ in cases])
    keys = set()
    for (name, question, files), answer in zip(cases, answers, strict=True):
        sys.stdout.write(f"{name}, {'with' if files else 'without'} the model's files: {answer or 'taken'}\n")
        if answer is None:
            keys.add(dry_run.key_of(question, files))
    dry_run.SHIPPED.write_text(f"{json.dumps(sorted(keys), indent=1)}\n", encoding="utf-8")
    return int(any(answer is not None for answer in answers))


if __name__ == "__main__":
    sys.exit(main())
