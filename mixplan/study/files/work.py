"""Defines what a study keeps of its work: its forecasts, compute type, cells, pilots and comparisons."""

from __future__ import annotations

from mixplan.saved.base_types import Saved
from mixplan.study.files.arms import Halved
from mixplan.study.files.judgement import Cost, Of


class ForecastsFile(Of):
    """forecasts.json: every forecast by target, domain and name, and with GRPO what it cost."""

    forecasts: dict[str, dict[str, dict[str, float]]]
    cost: Cost | None = None


class Compute(Saved):
    """compute.json: the compute type that all of a study's models are read in."""

    dtype: str


class CellFile(Of):
    """cell.json: one training of one target, written once it is measured.

    Attributes:
        target: Its name.
        seed: Of the training.
        steps: Of the optimiser.
        seconds: That training took.
        loss: (Step, loss).
        model_hash: Of the trained weights.
    """

    target: str
    seed: int
    steps: int
    seconds: float
    loss: list[tuple[int, float | None]]
    model_hash: str


class PilotFile(Saved):
    """pilot.json: a target's pilot run."""

    target: str
    seed: int
    steps: int
    seconds: float
    model_hash: str


class ComparedFile(Of):
    """compared.json: a target's arms at one budget, written once all are trained and measured.

    Attributes:
        rows: By arm and domain.
        steps: Of the optimiser, of each training.
        even_as_good: Whether the plan said that an even spread may do as well.
        jobs: By arm and seed, the training's key.
        learned: What the arm `plan_learned` said; None where it was not trained.
    """

    rows: dict[str, dict[str, int]]
    steps: int
    even_as_good: bool
    jobs: dict[str, dict[str, str]]
    learned: Halved | None
