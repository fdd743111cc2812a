"""Measures how much likelier a model finds its own answers than the target's, without any training.

    python bin/target_surprise.py recipes/studies/smollm2-135m/study.yaml

For each target of a study, over its first query rows,

    surprise = log ( nats a token of the target's answers / nats a token of the model's own greedy answers ).

It is a covariate for how strong a job will be, see `bin/log_forecasts.py`, and minutes on two CPU cores for eight
targets of the embedded model. Prints one JSON object, by target.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mixplan.domains import Row, open_some
from mixplan.evaluate.answering import Answering
from mixplan.evaluate.behaviour import own_tree
from mixplan.evaluate.likelihood import ask_likelihood
from mixplan.evaluate.prompts import fitting
from mixplan.evaluate.reading import Asked, read_together
from mixplan.model import Model, load_model
from mixplan.study.asked.spec import load_study

ROWS = 40
ANSWER_TOKENS = 24


def surprise(model: Model, rows: Sequence[Row]) -> float:
    """Take the surprise over some rows, without those that do not fit the window."""
    kept, answers = Answering(model).answers(rows, answer_tokens=ANSWER_TOKENS, advance=lambda _: None)
    own = [own_tree(model, row, answer.ids) for row, answer in zip(kept, answers, strict=True)]
    asked: list[Asked] = [ask_likelihood(model, kept), fitting(model, kept, own)]
    scored, _ = read_together(model, asked, advance=lambda _: None)
    target, answered = (-sum(one.log for (one,) in part) / sum(len(one.logs) for (one,) in part) for part in scored)
    return math.log(target / answered)


def main(argv: Sequence[str]) -> None:
    """Print each target's surprise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    study = load_study(parser.parse_args(argv).study)
    whole = study.whole
    model = load_model(whole.recipe.model, folder=whole.folder(("model", "name")))
    found: dict[str, float] = {}
    for name, loaded in study.recipes.items():
        start = time.perf_counter()
        parts, _ = open_some(loaded.recipe, ["target"], folder=loaded.folder, where=loaded.where)
        found[name] = round(surprise(model, parts["target"].query[:ROWS]), 4)
        sys.stderr.write(f"{name}: {found[name]} in {time.perf_counter() - start:.0f} s\n")
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
