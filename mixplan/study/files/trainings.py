"""Defines what a study of arms keeps of each training it measured, and trainings.jsonl, in which these travel."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mixplan.saved.base_types import Saved
from mixplan.saved.evaluation import EvaluatedModel
from mixplan.study.files.judgement import Of

Job = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Numbers = dict[str, list[float]]
"""By quantity, a number for each row."""


class Training(Saved):
    """Which training it is.

    Attributes:
        target: The study's name for it.
        budget: Extra rows; 0 for the arm `none`.
        arm: The mixture.
        seed: Of the training.
        job: Its key, which says all that it was trained with.
    """

    target: str
    budget: int
    arm: str
    seed: int
    job: Job


class Measurements(Saved):
    """The rows that a measure was taken on, and its numbers."""

    rows: list[str]
    values_: Numbers = Field(alias="values", min_length=1)

    @model_validator(mode="after")
    def _one_entry_a_row(self) -> Self:
        if {len(entry) for entry in self.values_.values()} != {len(self.rows)}:
            raise ValueError("one entry a row is expected")
        return self


class MeasuredModel(Saved):
    """The trained model, and what stands for each domain."""

    model: EvaluatedModel
    headlines: dict[str, str]


class MeasuredDomains(MeasuredModel):
    """The same with every domain's measures."""

    domains: dict[str, dict[str, Measurements]]


class MeasuredAfter(Saved):
    """What a training measured."""

    measured: MeasuredDomains


class KnownTraining(MeasuredAfter, Training, Of):
    """A file of arms/known/: one training, as it was measured."""


class TravellingValues(Saved):
    """What a training measured, without the rows, which every training of a target shares."""

    measured: MeasuredModel
    values_: dict[str, dict[str, Numbers]] = Field(alias="values")


class TravellingTraining(TravellingValues, Training):
    """A line of trainings.jsonl."""


class TravellingVersion(Saved):
    """The version of trainings.jsonl."""

    version: int


class TravellingHead(Saved):
    """The first line of trainings.jsonl: how all of its trainings were measured.

    Attributes:
        study: What it was registered as.
        processes: Of each job.
        libraries: Versions.
        measured_as: By target, what tells how its trainings are measured from how another study's are.
        rows: By target, domain and measure, the rows' ids.
    """

    version: Literal[2]
    study: str
    processes: int
    libraries: dict[str, str]
    measured_as: dict[str, str]
    rows: dict[str, dict[str, dict[str, list[str]]]]
