"""Defines pilot.json, what a pilot of a job measured, and what a plan says of the forecast made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from mixplan.errors import RunError
from mixplan.runs import write_json
from mixplan.saved.base_types import Saved
from mixplan.saved.plan import Job

PILOT = "pilot"
"""The folder in a run that holds its pilot."""
FILE = "pilot.json"


class PilotDomain(Saved):
    """How far a pilot moved one domain.

    Attributes:
        change: Mean token KL from the untrained model, in nats, less what two of that model's readings differ by.
        error: Its standard error over rows.
        rows: Evaluation rows that were measured.
    """

    change: float
    error: float = Field(ge=0)
    rows: int


class Pilot(Saved):
    """pilot.json.

    Attributes:
        version: Of the file.
        key: Hash of all that decides what was trained and measured.
        training: Hash of what decides what was trained alone.
        chosen: Who chose the domains: `auto` or `recipe`.
        job: What the pilot trained with.
        model: Hash of the untrained model.
        dtype: Compute type in which it was measured.
        seconds: Of training and of measuring.
        domains: What was measured, the domain that was chosen first at the front.
    """

    version: Literal[1] = 1
    key: str
    training: str
    chosen: Literal["auto", "recipe"]
    job: Job
    model: str
    dtype: str
    seconds: dict[str, float]
    domains: dict[str, PilotDomain]


class TargetPilot(Saved):
    """One target's pilot in a study.

    Attributes:
        job: What it trained with.
        domains: What it changed.
    """

    job: Job
    domains: dict[str, PilotDomain]


class StudyPilots(Saved):
    """Pilots of a study's targets, whose finished jobs are in its evidence.

    Attributes:
        title: The study's, as in its evidence.
        targets: By the study's name for each.
    """

    version: Literal[1] = 1
    title: str
    targets: dict[str, TargetPilot]


def write_pilot(pilot: Pilot, folder: Path) -> None:
    """Save what a pilot measured in its own folder."""
    write_json(folder / FILE, pilot.values())


def read_pilot(folder: Path) -> Pilot | None:
    """Read what a pilot measured; None where there is none.

    Args:
        folder: The pilot's own.

    Raises:
        RunError: the file is damaged or of another version.
    """
    path = folder / FILE
    try:
        return Pilot.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise RunError(
            f"{path} cannot be read: it is damaged, or of another mixplan. Remove it; the next `mixplan plan` measures "
            "the pilot again."
        ) from error
