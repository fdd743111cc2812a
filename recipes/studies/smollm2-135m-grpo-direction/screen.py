"""Picks two new targets among reasoning-gym's generators by a rule that sees no training.

    python recipes/studies/smollm2-135m-grpo-direction/screen.py RUN

The rule: the names of `VARIANTS`, generators with options that make them easy, written down before any was tried, in
the order that random.Random(0).sample gives their sorted names. The first two of which the untrained model gets from 5
to 80 of 100 sampled answers right (8 to each of 16 demonstration rows, 16 tokens at most, temperature 1) are the new
targets. It writes new_targets.yaml and screen.json; no row is copied.

A first rule, generators with their default options and short questions and answers, found none within its time: what it
tried stands in first_screen.jsonl.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from measure import HERE, OLD, Printed
from policy import Policy
from readings import as_mixture, sampled

from mixplan.domains.cached_domains import opened
from mixplan.errors import MixplanError
from mixplan.runs import write_json
from mixplan.study.asked.spec import load_study

ASKED = {"number": "Reply with one number only, no words.", "exact": "Reply with the answer only, no other words."}
ONE_OR_TWO = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chain_sum": ("number", ONE_OR_TWO),
    "products": ("number", ONE_OR_TWO),
    "lcm": ("number", {"min_numbers": 2, "max_numbers": 2, "min_value": 1, "max_value": 20}),
    "number_sequence": ("number", {}),
    "syllogism": ("exact", {}),
    "ransom_note": ("exact", {}),
    "isomorphic_strings": ("exact", {}),
    "calendar_arithmetic": ("exact", {"tasks": ["weekday_of_date"]}),
    "family_relationships": ("exact", {}),
}
"""Graders and options of what is tried, by generator."""
LEAST, MOST, WANTED, ROWS = 0.05, 0.80, 2, 16


def section(name: str) -> dict[str, Any]:
    """A generator as a target of the study."""
    grader, options = VARIANTS[name]
    return {
        "data": {"generator": name, "options": options, "limit": 2000},
        "format": "question_answer",
        "columns": {"question": f"{{question}} {ASKED[grader]}", "answer": "answer"},
        "grader": grader,
        "split": {"evaluation": 40, "query": 100, "demonstration": 64},
        "licence": "Apache-2.0",
    }


def accepted(run: Path, name: str, target: dict[str, Any]) -> float:
    """Share of the untrained model's sampled answers that are right."""
    study = yaml.safe_load(OLD.read_text(encoding="utf-8"))
    first = next(iter(study["targets"]))
    study["targets"] = {first: study["targets"][first], name: target}
    place = run / "screen" / f"{name}.yaml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(yaml.safe_dump(study | {"development": [first]}, sort_keys=False), encoding="utf-8")
    loaded = load_study(place).recipes[name]
    domain, _ = opened(loaded)
    policy = Policy(loaded, seed=2)
    _, given = sampled(policy, as_mixture(domain, domain.demonstration[:ROWS]), longest=16)
    return float(given.mean())


def main() -> None:
    """Try generators until two are found."""
    run, said = Path(sys.argv[1]), Printed()
    torch.set_num_threads(1)
    tried: list[dict[str, Any]] = []
    targets: dict[str, Any] = {}
    for name in random.Random(0).sample(sorted(VARIANTS), len(VARIANTS)):  # noqa: S311 - a draw that anyone can repeat
        try:
            rate = accepted(run, name, section(name))
        except MixplanError as error:
            tried.append({"generator": name, "refused": str(error)[:200]})
        else:
            tried.append({"generator": name, "accepted": round(rate, 4)})
            if LEAST <= rate <= MOST:
                targets[name] = section(name)
        said.say(json.dumps(tried[-1]))
        if len(targets) == WANTED:
            break
    write_json(HERE / "screen.json", {"tried": tried, "chosen": list(targets)})
    (HERE / "new_targets.yaml").write_text(yaml.safe_dump({"targets": targets}, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main()
