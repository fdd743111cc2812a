"""Builds a job's TRL config and trainer without the model's weights, so that what they refuse is known beforehand.

`python -m mixplan.train.dry_run_process` reads jobs as JSON from its standard input, and prints what was refused.
It is a process of its own, since TRL's config joins its process to a training job's others.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import sys
import tempfile
import traceback
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import transformers
from accelerate import PartialState
from datasets import Dataset, disable_progress_bars
from transformers import LlamaConfig, Trainer, TrainerCallback

import mixplan
from mixplan.errors import MixplanError
from mixplan.train.job import Job
from mixplan.train.settings import on_gpu
from mixplan.train.tokens import load_tokenizer
from mixplan.train.trainable_model import weightless_model

REFUSALS = (ValueError, TypeError, ImportError, RuntimeError, OSError, LookupError, AttributeError, re.error)
"""What TRL, peft, transformers and accelerate raise on settings that they do not take."""

ROWS = 2
"""Of the stand-in for a mixture."""

PRECISION = ("bf16", "fp16", "tf32", "bf16_full_eval", "fp16_full_eval")
"""Settings that ask for hardware, which may be another machine's."""


def rehearse(job: Job, *, with_model: bool) -> str | None:
    """Build a job's config and, of a model that is here, its trainer.

    Args:
        job: The job; `planned_rows` may hold fewer domains than the mixture will.
        with_model: Whether the model's config and tokenizer are here; only the config is built otherwise.

    Returns:
        What was refused, in the library's words; None where nothing was.
    """
    method = importlib.import_module(f"mixplan.train.{job.train['method']}")
    with tempfile.TemporaryDirectory() as place:
        try:
            tried = portable(job if with_model else of_stand_in(job, Path(place)))
            config = method.trl_config(tried, Path(place))
            if with_model:
                build(tried, method, config)
        except MixplanError as error:
            return str(error)
        except REFUSALS as error:
            if isinstance(error, AttributeError | LookupError) and raised_here(error):
                raise
            return f"{type(error).__name__}: {' '.join(str(error).split())[:600]}"
    return None


def raised_here(error: BaseException) -> bool:
    """Whether mixplan's own code raised an error, which is then no refusal of a library's."""
    frames = traceback.extract_tb(error.__traceback__)
    return Path(frames[-1].filename).is_relative_to(Path(mixplan.__file__).parent)


def of_stand_in(job: Job, place: Path) -> Job:
    """The job of a model that is not here, with the config of another in its place."""
    LlamaConfig().save_pretrained(place)
    return replace(job, model={**job.model, "name": str(place), "revision": None})


def portable(job: Job) -> Job:
    """The job without what only the hardware of another machine may have, where this one has no GPU."""
    if on_gpu(job) or job.model["device"] == "cpu":
        return job
    args = {name: value for name, value in job.train["args"].items() if name not in PRECISION}
    return replace(job, train={**job.train, "args": args})


def build(job: Job, method: ModuleType, config: Any) -> None:
    """Build the trainer with a model that has no weights, and choose its optimiser."""
    config.__class__ = type(config.__class__.__name__, (config.__class__,), {"place_model_on_device": False})
    if hasattr(config, "beta"):
        # A second copy of the model would be loaded for it.
        config.beta, config.sync_ref_model = 0.0, False
    trainer = method.trl_trainer(
        job, config, stand_in(job), load_tokenizer(job), TrainerCallback(), weightless_model(job)
    )
    Trainer.get_optimizer_cls_and_kwargs(trainer.args, trainer.model)


def stand_in(job: Job) -> Dataset:
    """As many rows as are planned, at most a few, in the mixture's columns."""
    known = sum(job.planned_rows.values())
    count = known or ROWS
    turns = [[{"role": "user", "content": "What is 1 plus 1?"}]] * count
    names = {"domain": ["target"] * count, "row_id": list(map(str, range(count))), "repeat": [0] * count}
    if job.train["method"] == "grpo":
        graded = {"reference": ["2"] * count, "grader": ["number"] * count, "entry": [""] * count}
        return Dataset.from_dict({"prompt": turns, **graded, **names})
    answers = [[{"role": "assistant", "content": "2"}]] * count
    return Dataset.from_dict({"prompt": turns, "completion": answers, **names})


def main() -> int:
    """Rehearse the jobs on the standard input."""
    asked = json.loads(sys.stdin.read())
    transformers.utils.logging.set_verbosity_error()
    disable_progress_bars()
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(sys.stderr):  # libraries print there too
        found = [rehearse(Job(**one["job"]), with_model=one["with_model"]) for one in asked]
        PartialState().destroy_process_group()
    print(json.dumps(found))  # noqa: T201 - the answer to the process that asked
    return 0


if __name__ == "__main__":
    sys.exit(main())
