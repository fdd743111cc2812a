"""Writes a recipe for the whole loop on a tiny random model, and runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import yaml
from small_plan import HOOK, Silent, write_rows

from mixplan.outcome.make import OutcomeRequest, make_outcome

ARGS = {"per_device_train_batch_size": 4, "learning_rate": 0.01, "max_steps": 3, "logging_steps": 1}


def lay(folder: Path, model: Path, tiny_sae: Callable[..., Path]) -> Path:
    """A recipe over a tiny model with three domains of sixty rows and a job of three steps."""
    tiny_sae("jumprelu", 32, 96, HOOK, folder / "sae")
    spec = {"format": "question_answer", "columns": {"question": "q", "answer": "a"},
            "split": {"evaluation": 6, "query": 16, "demonstration": 6}}  # fmt: skip
    value = {
        "model": {"name": str(model), "dtype": "float32", "device": "cpu", "sae": {"path": "sae"}},
        "target": {"data": {"file": "sum.jsonl"}, **spec},
        "domains": {},
        "drift": {"features": 10, "demonstrations": 2, "draws": 2, "query_tokens": 120},
        "sts": {"demonstrations": 2, "draws": 2, "query_tokens": 90, "resamples": 100},
        "budget": {"rows": 8},
        "mixture": {"target_rows": 8},
        "train": {"args": ARGS},
        "evaluate": {"answer_tokens": 6, "behaviour_tokens": 6, "resamples": 100},
    }
    for topic in ("sum", "patient", "fox", "doctor"):
        write_rows(folder / f"{topic}.jsonl", 60, topic)
        if topic != "sum":
            value["domains"][topic] = {"data": {"file": f"{topic}.jsonl"}, **spec}
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


def outcome(place: Path, *overrides: str, run: Path | None = None) -> tuple[dict, Silent]:
    watcher = Silent()
    folder = make_outcome(OutcomeRequest(place, overrides, None, run), watcher=watcher)
    return json.loads((folder / "outcome.json").read_bytes()), watcher
