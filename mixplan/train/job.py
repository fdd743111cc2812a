"""Holds a training job as values: all that a training process needs to know, kept in training/job.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mixplan.chat.named_templates import further_files
from mixplan.errors import RunError
from mixplan.recipe import DuringSpec, TrainSpec
from mixplan.recipe.section import Yaml
from mixplan.runs import content_hash, file_hash, write_json

MODEL_KEYS = {"revision", "trust_remote_code", "dtype", "device", "chat_template_kwargs", "template_date"}
"""What of the recipe's model the training process needs beside where it is."""

VERSION = 1
"""Raised when the same job would train another way, so that no older model is taken for a present one."""


@dataclass(frozen=True)
class Job:
    """One TRL job.

    Attributes:
        model: The untrained model: `name` (a hub id, an absolute folder, or `embedded`), `revision`,
            `trust_remote_code`, `dtype` and `device` as the recipe has them.
        train: The recipe's section; `args` holds the seed, and `max_steps` where it was given.
        mixture: The mixture's folder, relative to the run folder where it lies inside.
        planned_rows: Rows by domain that the trainer must be found to read.
        hashes: Of the mixture's rows, of the untrained model's weights and its other files (`settings`), and of the
            user's own code behind rewards.
        during: The recipe's `evaluate.during`; None where nothing is measured while the model trains.
    """

    model: Yaml
    train: Yaml
    mixture: str
    planned_rows: dict[str, int]
    hashes: dict[str, str]
    during: Yaml | None = None

    @property
    def spec(self) -> TrainSpec:
        """The recipe's section as a model."""
        return TrainSpec.model_validate(self.train)

    @property
    def key(self) -> str:
        """Hash of all that decides what comes out, but for the number of processes.

        What is measured while the model trains decides nothing unless it may stop the training or choose its model.
        """
        values = asdict(self)
        values.pop("mixture")
        if self.during is None or not DuringSpec.model_validate(self.during).decides:
            values.pop("during")
        return content_hash(VERSION, values)


def write_job(job: Job, run: Path) -> None:
    """Save the job for the training process."""
    values = {name: value for name, value in asdict(job).items() if name != "during" or value is not None}
    write_json(run / "training" / "job.json", {"version": VERSION, **values})


def read_job(run: Path) -> Job:
    """Read the job of a run folder.

    Raises:
        RunError: there is none, or it is damaged or of another version.
    """
    path = run / "training" / "job.json"
    try:
        values = json.loads(path.read_bytes())
        if values.pop("version") != VERSION:
            raise KeyError("version")
        return Job(**values)
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:  # JSON of any shape
        raise RunError(
            f"{path}: there is no readable training job. Make it with `mixplan train {run}`, or with --emit for a "
            "cluster."
        ) from error


def files_hash(folder: Path) -> str | None:
    """Hash every file of a saved model but its card; None when there is none."""
    if not any(folder.glob("*.safetensors")):
        return None
    files = [path for path in folder.iterdir() if path.is_file() and path.name != "README.md"]
    return content_hash(
        {path.relative_to(folder).as_posix(): file_hash(path) for path in (*files, *further_files(folder))}
    )
