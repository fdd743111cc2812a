"""Prepares runs to train on a tiny model, and forks training processes from one with the libraries loaded."""

import gc
import json
import multiprocessing
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mixplan.domains import Domain
from mixplan.domains.cached_domains import opened
from mixplan.mixture import Mixture, build_mixture
from mixplan.plan.write import model_path
from mixplan.reading import standalone
from mixplan.recipe import LoadedRecipe, load_recipe
from mixplan.runs import content_hash
from mixplan.train import launch
from mixplan.train.curve import FOLLOWED
from mixplan.train.verify import AsPlanned, model_hash

WORDS = ("the quick brown fox", "a lazy dog", "a patient with fever", "the sum of 12 and 30")
ARGS = {"per_device_train_batch_size": 4, "learning_rate": 0.01, "max_steps": 6, "save_steps": 2, "logging_steps": 1,
        "gradient_checkpointing": False}  # fmt: skip
GRPO_ARGS = {**ARGS, "num_generations": 2, "max_completion_length": 6, "temperature": 1.0}
ROWS = {"law": 5, "fox": 4}
"""Planned rows of the two domains; the target adds seven."""


def lay_rows(path: Path, topic: str, count: int) -> None:
    """Question and answer rows of a topic, of different lengths."""
    rows = [
        {"q": f"what is {topic} {n}: {WORDS[n % 4]} ?", "a": " ".join([WORDS[n % 3], topic, str(n * 7)] * (1 + n % 2))}
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def lay_run(
    folder: Path, model: Path, *, rows: dict[str, int] = ROWS, **train: Any
) -> tuple[Path, LoadedRecipe, AsPlanned]:
    """A planned run of a target and two domains: its folder, its recipe, and what it was planned with."""
    domain = {"format": "question_answer", "columns": {"question": "q", "answer": "a"},
              "split": {"evaluation": 1, "query": 1, "demonstration": 5}}  # fmt: skip
    for topic in ("target", *rows):
        lay_rows(folder / f"{topic}.jsonl", topic, 16)
    value = {
        "model": {"name": str(model), "dtype": "float32", "device": "cpu", "sae": {"path": "sae"}},
        "target": {"data": {"file": "target.jsonl"}, **domain},
        "domains": {name: {"data": {"file": f"{name}.jsonl"}, **domain} for name in rows},
        "budget": {"rows": sum(rows.values())},
        "mixture": {"target_rows": 7},
        "train": {"method": "sft", "args": ARGS, **train},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    loaded, run = load_recipe(folder / "job.yaml"), folder / "run"
    target, domains = opened(loaded)
    mixture = mixture_of(loaded, target, domains, rows, run / "mixture")
    planned = AsPlanned(content_hash(standalone(loaded)), loaded.resolved, model_hash(loaded), mixture.hash)
    return run, loaded, planned


class Forked:
    """A training process forked from one that has the libraries loaded, as `follow` knows a command's."""

    stdin = None

    def __init__(self, run: Path, variables: dict[str, str]) -> None:
        self.process = training_process(run, variables)
        self.pid = self.process.pid

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self.process.exitcode

    def wait(self) -> None:
        """Wait for its end."""
        self.process.join()

    @property
    def returncode(self) -> int | None:
        """The exit code."""
        return self.poll()


def mixture_of(
    loaded: LoadedRecipe, target: Domain, domains: dict[str, Domain], rows: dict[str, int], folder: Path, **given: Any
) -> Mixture:
    """The mixture of so many rows by domain that a recipe asks for, with whatever else its building is given."""
    return build_mixture(
        target=target,
        domains=domains,
        rows=rows,
        spec=loaded.recipe.mixture,
        budget_max_repeats=1,
        train=loaded.recipe.train,
        model=loaded.recipe.model,
        model_path=model_path(loaded),
        seed=loaded.recipe.seed,
        folder=folder,
        **given,
    )


def training_process(run: Path, variables: Mapping[str, str] | None = None) -> Any:
    """Start a run's training process as accelerate would, without the seconds that loading the libraries takes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"mixplan.train.{name}" for name in ("worker", "sft", "grpo")])
    process = context.Process(target=trained_in_child, args=(str(run), dict(variables or {})))
    process.start()
    return process


def fork_training(patch: pytest.MonkeyPatch) -> None:
    """Have `train` start so what is one process of mixplan's own; any other command is started as it is."""

    def started(command: list[str], run: Path, variables: dict[str, str]) -> Any:
        alone = "mixplan.train.worker" in command and command[command.index("--num_processes") + 1] == "1"
        return Forked(run, variables) if alone else launch.start(command, run, variables)

    patch.setattr("mixplan.train.make.start", started)


def trained_in_child(run: str, variables: dict[str, str]) -> None:
    """What the process does: train, with what it prints in training/worker.log."""
    from mixplan.train import worker

    # The trainer collects garbage, which would look at, and so copy, all that the libraries hold.
    gc.freeze()
    os.setsid()
    os.environ.update({name: value for name, value in variables.items() if name != FOLLOWED})
    output = os.open(f"{run}/training/worker.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        worker.main([run])
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)


def train_to_end(run: Path) -> dict[str, Any]:
    """Train a prepared run and give what training/done.json says."""
    return ended(training_process(run), run)


def ended(process: Any, run: Path) -> dict[str, Any]:
    """Wait for a training process to end well and give what training/done.json says."""
    process.join()
    assert process.exitcode == 0, (run / "training" / "worker.log").read_text()
    return json.loads((run / "training" / "done.json").read_text())
