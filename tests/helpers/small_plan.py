"""Plans a recipe of three domains on a tiny random model."""

import json
from pathlib import Path

import pytest
import yaml

from mixplan.plan import PlanRequest, make_plan
from mixplan.reading.progress import Silent

HOOK = "blocks.2.hook_resid_post"


def write_rows(path: Path, count: int, topic: str) -> None:
    lines = [
        json.dumps({"q": f"what is the {topic} of {n} and {n * 7 % 13} ?", "a": f"the answer is {n}"})
        for n in range(count)
    ]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def recipe(tmp_path, tiny_model, tiny_sae):
    """A recipe over a tiny model with three domains of sixty rows."""
    tiny_sae("jumprelu", 32, 96, HOOK, tmp_path / "sae")
    spec = {"format": "question_answer", "columns": {"question": "q", "answer": "a"},
            "split": {"evaluation": 8, "query": 16, "demonstration": 6}}  # fmt: skip
    value = {
        "model": {"name": str(tiny_model), "dtype": "float32", "device": "cpu", "sae": {"path": "sae"}},
        "target": {"data": {"file": "sum.jsonl"}, **spec},
        "domains": {},
        "drift": {"features": 10, "demonstrations": 2, "draws": 2, "query_tokens": 120},
        "sts": {"demonstrations": 2, "draws": 2, "query_tokens": 90, "resamples": 100},
        "budget": {"rows": 20},
        "mixture": {"target_rows": 12},
    }
    for topic in ("sum", "patient", "fox", "doctor"):
        write_rows(tmp_path / f"{topic}.jsonl", 60, topic)
        if topic != "sum":
            value["domains"][topic] = {"data": {"file": f"{topic}.jsonl"}, **spec}
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


def plan(recipe: Path, run: Path, *overrides: str, budget: str | None = None) -> tuple[dict, Silent]:
    watcher = Silent()
    folder = make_plan(PlanRequest(recipe, overrides, budget, run), watcher=watcher)
    return json.loads((folder / "plan.json").read_text()), watcher
