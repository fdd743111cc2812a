"""Takes up what a monitor measured before its training was stopped or killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mixplan.errors import RunError
from mixplan.monitor.begin import Prepared, drift_features
from mixplan.monitor.first_reading import with_answers
from mixplan.monitor.row_sample import only, order
from mixplan.monitor.rows import first_answers
from mixplan.monitor.start_weights import FILE, kept_start
from mixplan.monitor.watch import Watch
from mixplan.saved.trajectory import Trajectory, read_trajectory

ANSWERS = "answers.json"
"""What the untrained model answered, in a trajectory's folder."""


def reference(folder: Path, trainer: Any) -> Path:
    """Where a process keeps what the untrained model gave on its rows."""
    state = trainer.accelerator.state
    return folder / f"reference-{state.process_index}-of-{state.num_processes}.safetensors"


def earlier(folder: Path, prepared: Prepared, step: int, remedy: str) -> Trajectory:
    """What was measured up to a step.

    Args:
        folder: The trajectory's.
        prepared: What may be measured now.
        step: From which the training goes on.
        remedy: How a person goes on where it cannot be.

    Raises:
        RunError: there is none, or of other rows, or neither the untrained model's weights nor what it gave are there.
    """
    found = read_trajectory(folder)
    lacking = found is not None and not found.points and kept_start(folder / FILE) is None
    if found is None or lacking or found.begin.asked != prepared.begin.asked:
        raise RunError(
            f"{folder}: the training goes on from step {step}, but what the untrained model gave at its beginning was "
            f"not kept here, or for other rows, answers or features. {remedy}"
        )
    return found.up_to(step)


def as_measured(folder: Path, prepared: Prepared, trainer: Any, trajectory: Trajectory, remedy: str) -> Watch:
    """The rows that a trajectory goes on with, with the untrained model's reference.

    Args:
        folder: The trajectory's.
        prepared: What may be measured.
        trainer: The trainer.
        trajectory: With at least the untrained model's point.
        remedy: How a person goes on where that is not there.

    Raises:
        RunError: it is not there.
    """
    answers, parts = first_answers(folder / ANSWERS, prepared.tokens), trajectory.begin.parts
    state, turns = trainer.accelerator.state, order(prepared.asked)
    places = [(name, row) for name, row in turns if row in {*parts[name].rows, *parts[name].kl_rows}]
    given = {(name, row): ids for name, part in answers.items() for row, ids in part.items()}
    watch = Watch(with_answers(only(prepared.asked, places), given), state.process_index, state.num_processes, turns)
    watch.restore(reference(folder, trainer), remedy, drift=prepared.drift)
    if prepared.drift:
        watch.features = drift_features(prepared.run, prepared.model)
    return watch
