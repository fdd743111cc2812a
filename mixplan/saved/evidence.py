"""Defines evidence.json: what later plans of a judged study's model learn from it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mixplan.saved.base_types import Saved
from mixplan.saved.outcome import Settings
from mixplan.saved.plan import Content, Job


class Told(Saved):
    """A correlation or a difference with its 95 % interval; ends are None where there were too few targets."""

    value: float
    low: float | None
    high: float | None

    def text(self) -> str:
        """The correlation with its interval, in words."""
        between = "" if self.low is None or self.high is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"r = {self.value:.2f}{between}"


class ChangeNoise(Saved):
    """How well a change is known: its standard error over items and its standard deviation over seeds."""

    items: float | None
    seeds: float | None


class DomainNoise(Saved):
    """How well a domain's headline change is known, and how far its behaviour moved."""

    headline: ChangeNoise | None
    behaviour: ChangeNoise | None


class DomainEvidence(Saved):
    """What one target's trainings changed in a domain, means over seeds.

    Attributes:
        scores: By name, `sts_icl` and `sts_act`.
        headline: Measure and quantity that stand for the domain, with the change.
        behaviour: Mean token KL from the untrained model; None where it was not measured.
        noise: How well both are known; unset in older files.
    """

    scores: dict[str, float]
    headline: tuple[str, str, float] | None
    behaviour: float | None
    noise: DomainNoise | None = None


class EvidenceContents(Saved):
    """Sketches of the targets and domains, by which later plans recognise them."""

    targets: dict[str, Content]
    domains: dict[str, Content]


class ArmLosses(Saved):
    """One target's losses in arms that gave domains rows, an entry each.

    Attributes:
        unit: Of the losses.
        without: Loss where no domain got rows.
        after: Loss in the arm.
        rows: The domain's own.
        total: Of all domains.
    """

    unit: str
    without: list[float]
    after: list[float]
    rows: list[float]
    total: list[float]


class AgainstUniform(Saved):
    """How much more of the worst domain's loss plans avoided than an even spread of as many rows."""

    score: str
    objective: str
    unit: str
    targets: int
    worst: Told


class EvidenceHashes(Saved):
    """Of the untrained model's weights and of the SAE."""

    model: str
    sae: str


class EvidenceHead(Saved):
    """Of which study, model, SAE and settings evidence is.

    Attributes:
        title: The study's.
        study: What it was registered as; unset in the oldest files.
        model: As its recipe names it; unset in older files, as are the next ones.
        sae: Its name.
        dtype: Compute type of the scores.
        config: Hash of what the model's config states.
        hashes: Of both.
        settings: What gives scores their meaning, and the training method.
    """

    version: Literal[1]
    title: str
    study: str | None = None
    model: str | None = None
    sae: str | None = None
    dtype: str | None = None
    config: str | None = None
    hashes: EvidenceHashes
    settings: Settings


class EvidenceBody(Saved):
    """What a study found.

    Attributes:
        seeds: Of the trainings.
        told: By score, how well it predicted how far behaviour moved.
        learned: By score, the same with each domain's own factor learned on the other targets; unset in older files.
        targets: By target and domain; none of a study of arms.
        contents: Sketches; unset in older files and in a study of arms.
        jobs: By target, what its jobs trained with; None where that is not known before training.
        compared: By target, losses in arms; unset in a study of forecasts.
        against_uniform: Of plans; None where no even spread was trained.
        restates: SHA-256 of the file as it was first written, where it was written again.
    """

    seeds: list[int]
    told: dict[str, Told]
    learned: dict[str, Told] = Field(default_factory=dict)
    targets: dict[str, dict[str, DomainEvidence]]
    contents: EvidenceContents | None = None
    jobs: dict[str, Job | None] = Field(default_factory=dict)
    compared: dict[str, ArmLosses] = Field(default_factory=dict)
    against_uniform: AgainstUniform | None = None
    restates: str | None = None


class Evidence(EvidenceBody, EvidenceHead):
    """evidence.json, whole."""
