"""Takes from a saved outcome what its run teaches: each domain's changes, how well they are known, scores and rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mixplan.domains.content_sketch import Content
from mixplan.forecast.job import Job
from mixplan.saved.outcome import Change, Domain, Outcome

NONE = "none"
"""The arm that gave no domain any row."""


@dataclass(frozen=True)
class Noise:
    """How well one change is known.

    Attributes:
        items: Standard error over its items; None where it is not known.
        seeds: Standard deviation over training seeds; None where there was one.
        count: Training seeds whose mean the change is.
    """

    items: float | None = None
    seeds: float | None = None
    count: int = 1


@dataclass(frozen=True)
class Found:
    """One domain's change in an earlier run.

    Attributes:
        scores: The plan's scores, by name.
        headline: Measure and quantity that stood for the domain, with the change; None where it was not measured.
        behaviour: Mean token KL from the untrained model; None where it was not measured.
        rows: Extra rows that the domain got.
        bare: Behaviour where no domain got extra rows, from the comparison of arms; None where none was trained.
        content: Sketch of the domain; None where it was saved without one.
        headline_noise: How well the headline's change is known.
        behaviour_noise: How well behaviour is known.
    """

    scores: dict[str, float]
    headline: tuple[str, str, float] | None
    behaviour: float | None
    rows: float = 0.0
    bare: float | None = None
    content: Content | None = None
    headline_noise: Noise = Noise()
    behaviour_noise: Noise = Noise()


@dataclass(frozen=True)
class Run:
    """An earlier run.

    Attributes:
        name: Its folder's name.
        hash: SHA-256 of its outcome.json.
        domains: What it measured.
        studied: Whether it stands for a study's target rather than for a run of the person's own.
        target: Sketch of what it was trained on; None where it was saved without one.
        job: What it trained with; None where it was saved without that.
        dtype: Compute type of its scores, empty where it was saved without one.
        alone: The same with all its optimiser steps on target rows, as in the arm without extra rows; None likewise.
    """

    name: str
    hash: str
    domains: dict[str, Found]
    studied: bool = False
    target: Content | None = None
    job: Job | None = None
    dtype: str = ""
    alone: Job | None = None

    @property
    def extra_rows(self) -> float:
        """Rows that all domains together got beside the target's."""
        return math.fsum(found.rows for found in self.domains.values())

    @property
    def without_rows(self) -> Job | None:
        """What a change without extra rows was trained with: `alone`, or the run's own job where that is not known."""
        return self.alone or self.job


def run_of(name: str, mark: str, outcome: Outcome) -> Run:
    """What an outcome says of its run.

    Args:
        name: The run folder's name.
        mark: SHA-256 of its outcome.json.
        outcome: What that holds, of a model that mixplan trained.

    Raises:
        ValueError: a sketch is damaged.
    """
    contents = outcome.content
    consumed = {} if outcome.training is None else outcome.training.consumption
    arms = {} if outcome.arms is None or outcome.arms.behaviour is None else outcome.arms.behaviour.arms
    if outcome.training is not None and outcome.training.kept_step not in (None, outcome.training.steps):
        arms = {}  # the model of an earlier step was kept: arms were trained longer, which is another job
    bare = arms[NONE].losses if NONE in arms else {}
    sketches = {} if contents is None else contents.domains
    domains = {
        domain: found_of(
            part,
            rows=float(consumed[domain].different_rows) if domain in consumed else 0.0,
            bare=bare.get(domain),
            content=Content.from_json(sketches[domain].values()) if domain in sketches else None,
        )
        for domain, part in outcome.domains.items()
    }
    return Run(
        name,
        mark,
        domains,
        target=None if contents is None else Content.from_json(contents.target.values()),
        job=outcome.job,
        dtype=outcome.dtype or "",
        alone=alone(outcome),
    )


def alone(outcome: Outcome) -> Job | None:
    """A run's job had every optimiser step been on target rows: what a change without extra rows is of."""
    if outcome.job is None or outcome.training is None:
        return None
    steps = outcome.training.kept_step or outcome.training.steps
    return outcome.job.model_copy(update={"steps": float(steps)}) if steps else None


def found_of(domain: Domain, *, rows: float, bare: float | None, content: Content | None) -> Found:
    """What an outcome says of one domain."""
    first, moved = domain.change, domain.measures.get("behaviour", {}).get("kl")
    return Found(
        scores={score: number for score, number in domain.predictors.items() if number is not None},
        headline=None if first is None else (str(domain.headline), str(domain.quantity), first.change),
        behaviour=None if moved is None else moved.change,
        rows=rows,
        bare=bare,
        content=content,
        headline_noise=Noise(None if first is None else half_width(first)),
        behaviour_noise=Noise(None if moved is None else half_width(moved)),
    )


def half_width(change: Change) -> float:
    """The standard error behind a change's 95 % interval."""
    return (change.high - change.low) / (2 * 1.96)
