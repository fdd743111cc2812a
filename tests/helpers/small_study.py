"""Writes a study on a tiny random model: two targets, four domains, one of them a target's own data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from small_plan import HOOK, Silent, write_rows

from mixplan.study.asked.request import StudyRequest
from mixplan.study.asked.spec import load_study
from mixplan.study.jobs import Bench
from mixplan.study.judge import judge_study
from mixplan.study.work import run_study, work_on_study

SHIPPED_STUDY = Path(__file__).resolve().parents[2] / "recipes" / "studies" / "smollm2-135m" / "study.yaml"
DOMAINS = ("sum", "patient", "fox", "colours")
TARGETS = ("sums", "doctors")
QUANTITIES = (
    "chosen/kl/pearson/held_out",
    "overlap/chosen/held_out",
    "differences/held_out/kl/pearson/least",
    "sign/chosen/bits_per_byte/held_out/right",
)
"""Figures that the shipped study's marks are about, but for one that a single development target cannot choose."""


def study_values(model: Path) -> dict[str, Any]:
    """The study's file as values."""
    spec = {"format": "question_answer", "columns": {"question": "q", "answer": "a"},
            "split": {"evaluation": 6, "query": 10, "demonstration": 6}}  # fmt: skip
    choice = {**spec, "format": "choice", "columns": {"question": "q", "options": "options", "answer": "a"}}
    return {
        "title": "A small study",
        "questions": ["Does it run?"],
        "recipe": {
            "model": {"name": str(model), "dtype": "float32", "device": "cpu", "sae": {"path": "sae"}},
            "domains": {
                name: {"data": {"file": f"{name}.jsonl"}, **(choice if name == "colours" else spec)} for name in DOMAINS
            },
            "drift": {"features": 10, "demonstrations": 2},
            "mixture": {"target_rows": 8},
            "train": {"args": {"per_device_train_batch_size": 4, "learning_rate": 0.01, "max_steps": 2,
                               "logging_steps": 1}},
            "evaluate": {"rows": 6, "answer_tokens": 4, "behaviour_tokens": 4, "also": ["likelihood", "behaviour"],
                         "measures": {name: "likelihood" for name in DOMAINS if name != "colours"}},
        },
        "targets": {
            "sums": {"data": {"file": "sum.jsonl"}, **spec},
            "doctors": {"data": {"file": "doctor.jsonl"}, **spec},
        },
        "development": ["sums"],
        "kinds": {"short": ["sum", "patient", "fox"], "choice": ["colours"]},
        "seeds": [3],
        "reading": {"query_tokens": 60, "answer_tokens": 30, "target_tokens": 90, "demonstrations": 2, "draws": 2},
        "preview": {"rows": 4, "demonstrations": 2, "draws": 2},
        "marks": [{"text": "It holds.", "quantity": quantity, "at_least": 0.5} for quantity in QUANTITIES],
    }  # fmt: skip


def lay(folder: Path, model: Path, tiny_sae: Callable[..., Path], **changes: Any) -> Path:
    """The study's file with its SAE and data; `changes` replace whole keys of it."""
    tiny_sae("jumprelu", 32, 96, HOOK, folder / "sae")
    for topic in ("sum", "patient", "fox", "doctor"):
        write_rows(folder / f"{topic}.jsonl", 40, topic)
    rows = [
        {"q": f"which colour has box {n} ?", "options": ["red", "blue", f"green {n}"], "a": n * 7 % 3}
        for n in range(40)
    ]
    (folder / "colours.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study_values(model) | changes, sort_keys=False))
    return path


def bench(place: Path, run: Path) -> Bench:
    """What a study's work shares, with a watcher that keeps what it is told."""
    return Bench(load_study(place), run, Silent())


def study(place: Path, run: Path, *, beside: bool = False, so_far: bool = False, **asked: Any) -> Silent:
    """Run a study to its end, work beside who does, or judge what is finished."""
    watcher = Silent()
    verb = judge_study if so_far else work_on_study if beside else run_study
    verb(StudyRequest(place, run, **asked), watcher=watcher)
    return watcher
