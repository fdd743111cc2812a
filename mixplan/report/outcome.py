"""What outcome.json holds, key by key: what was measured before and after training, and how right the plan was."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mixplan.report.plan import Context, Expected, Interval, Saved

Direction = Literal["gain", "loss", "moved", "none"]


class Change(Saved):
    """One quantity's paired change, after less before, with its 95 % interval and its noise floor."""

    items: int
    before: float
    after: float
    change: float
    low: float
    high: float
    noise: float
    changed: bool
    direction: Direction


class Answers(Saved):
    """How many generated answers were graded `right`, `wrong`, `unparsable` or `truncated`."""

    before: dict[str, int]
    after: dict[str, int]


class Measured(Saved):
    """What was measured on one domain's evaluation rows: measure, then quantity; a measure's first is its main one."""

    headline: str | None
    measures: dict[str, Annotated[dict[str, Change], Field(min_length=1)]]
    answers: Answers | None = None

    @property
    def quantity(self) -> str | None:
        """The headline measure's main quantity."""
        return next(iter(self.measures[self.headline])) if self.headline in self.measures else None

    @property
    def change(self) -> Change | None:
        """The headline measure's change."""
        return next(iter(self.measures[self.headline].values())) if self.headline in self.measures else None


class Relative(Saved):
    """A domain's share of all domains' change: as the plan ranked it, and as measured, each with its interval."""

    measure: str
    quantity: str
    share: float
    low: float
    high: float
    measured: float
    measured_low: float
    measured_high: float


class Domain(Measured):
    """A domain's changes, what was expected of them, and every predictor's value."""

    expected: Expected | None
    expected_behaviour: Expected | None = None
    relative: Relative | None = None
    outside_forecast: bool | None
    predictors: dict[str, float | None]


class Judgement(Saved):
    """How one predictor went with the size of one quantity's change over the domains, with 95 % intervals.

    `changed` counts the domains that changed beyond noise; where it is 0 there is nothing that a score could have told.
    """

    predictor: str
    measure: str
    quantity: str
    domains: int
    changed: int | None = None
    pearson: float | None
    pearson_low: float | None
    pearson_high: float | None
    pearson_leave_one_out: tuple[float, float] | None
    spearman: float | None
    spearman_low: float | None
    spearman_high: float | None
    r2: float | None


class Unexpected(Saved):
    """A feature that training moved although it was not predicted; no rank where no demonstration moved it."""

    feature: int
    share: float
    predicted_rank: int | None
    before: float
    after: float | None
    contexts: list[Context]


class Drift(Saved):
    """How many of the predicted drift dimensions are among the actual ones.

    `low` and `high` bound what chance alone would give, with `chance` its mean; `raw_` is the same for raw activations.
    """

    overlap: int
    of: int
    chance: float
    low: float
    high: float
    raw_overlap: int | None = None
    raw_of: int | None = None
    raw_chance: float | None = None
    raw_low: float | None = None
    raw_high: float | None = None
    share_of_shift: float
    concentration: list[tuple[int, float]]
    unexpected: list[Unexpected]
    query_tokens: int


class Consumption(Saved):
    """What the optimiser read of one domain, each reading counted, beside what was planned.

    Older outcomes have what was there to be read once, without `distinct_rows`, and no tokens for GRPO.
    """

    planned_rows: int
    rows: int
    distinct_rows: int | None = None
    trainable_tokens: int | None
    truncated_rows: int
    dropped_rows: int


class LogLine(Saved):
    """One line of the trainer's log; other keys are passed over."""

    step: int
    loss: float | None = None
    learning_rate: float | None = None
    reward: float | None = None


class Training(Saved):
    """The job as it ran."""

    method: str
    steps: int
    seconds: float
    log: list[LogLine]
    consumption: dict[str, Consumption]

    def curve(self, key: str) -> list[tuple[float, float]]:
        """(step, value) wherever the log has `loss`, `reward` or `learning_rate`, in order of step."""
        found = ((line.step, getattr(line, key)) for line in self.log)
        return sorted((float(step), value) for step, value in found if value is not None)


class Arm(Saved):
    """One control mixture, over its seeds: changes with 95 % intervals, and how it did against the baseline arm."""

    seeds: int
    target: Interval | None
    target_quantity: str | None
    target_against: Interval | None = None
    mean: Interval | None
    worst: Interval | None
    worst_domain: str | None
    against: Interval | None
    verdict: Literal["win", "tie", "loss"] | None
    by_domain: dict[str, int] | None = None


class Pair(Saved):
    """Two arms held against each other, `arm` less `against`, by the mean over domains with its 95 % interval."""

    arm: str
    against: str
    seeds: int
    difference: Interval
    verdict: Literal["win", "tie", "loss"]


class ArmsOver(Saved):
    """Every arm's changes of one quantity, over so many domains; no quantity where no unit is common."""

    quantity: str | None
    domains: int
    arms: dict[str, Arm]
    pairs: list[Pair] = Field(default_factory=list)


class Arms(ArmsOver):
    """Mixtures trained for comparison, with as many optimiser steps and the same target rows."""

    baseline: str
    seeds: list[int]
    steps: int
    behaviour: ArmsOver | None = None


class Forecast(Saved):
    """What the expected changes rest on."""

    kind: str
    text: str


class Outcome(Saved):
    """All that was measured of a run: changes, how right the plan was, actual drift, and the job."""

    version: Literal[1]
    name: str
    hashes: dict[str, str]
    model: str
    sae: str
    training: Training
    target: Measured
    sources: dict[str, Measured] = Field(default_factory=dict)
    domains: Annotated[dict[str, Domain], Field(min_length=1)]
    forecast: Forecast
    judgement: list[Judgement]
    drift: Drift | None
    arms: Arms | None = None
    summary: list[str]
    warnings: list[str]

    def taught(self) -> dict[str, Measured]:
        """The target as a whole and each source of it, by what they are called; a whole without a measure is left out.

        A target of one source is there in any case.
        """
        whole = {"target": self.target} if self.target.measures or not self.sources else {}
        return whole | {f"target.{name}": measured for name, measured in self.sources.items()}

    def outside(self) -> list[str]:
        """Domains that moved outside their forecast, as saved."""
        return [name for name, domain in self.domains.items() if domain.outside_forecast]
