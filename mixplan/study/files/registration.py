"""Defines registered.json: what a study was written down as before its first training."""

from __future__ import annotations

from typing import Literal

from mixplan.saved.base_types import AsGiven, Saved
from mixplan.study.files.ablations import AskedAblations


class AskedArms(AsGiven):
    """Which mixtures the study's file asks for, with how many extra rows, and what its plans learn from."""

    names: list[str]
    budgets: list[int]
    evidence: str | None = None


class AskedStudy(AsGiven):
    """The study's file, its defaults filled in; it is written as it was read."""

    title: str
    questions: list[str]
    seeds: list[int]
    arms: AskedArms | None = None
    ablations: AskedAblations | None = None


class Registered(Saved):
    """What was registered.

    Attributes:
        hash: Over the study's values; see `LoadedStudy.hash`.
        mixplan: Its version.
        libraries: Their versions.
        processes: Of each job; 1 in older files.
        study: The file.
    """

    version: Literal[1] = 1
    hash: str
    mixplan: str
    libraries: dict[str, str]
    processes: int = 1
    study: AskedStudy
