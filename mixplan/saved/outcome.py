"""Defines outcome.json key by key: what was measured before and after training, and how right the plan was."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mixplan.saved.arms import Arms
from mixplan.saved.base_types import AsGiven, Context, Expected, Saved
from mixplan.saved.plan import Content, Job
from mixplan.saved.scores import ScoreName
from mixplan.saved.tolerances import Gate

Direction = Literal["gain", "loss", "moved", "none"]

BY_CHANCE = 0.05
"""Of domains that did not change, how many would seem to, where an outcome does not say it of its own differences."""


class Change(Saved):
    """How much one quantity changed on the same items.

    Attributes:
        items: How many.
        before: Mean before.
        after: Mean after.
        change: Mean of after minus before.
        low: Lower end of its 95 % interval, see `mixplan.evaluate.intervals`.
        high: Upper end.
        noise: Noise floor: what 95 % of the absolute mean changes stay at or under when each item's sign is random.
        changed: Whether the interval leaves zero and the change is beyond the noise floor, on at least six items.
        direction: `gain` or `loss`; `moved` for a quantity without a better side; `none` when not changed.
        by_chance: The share of sign flips of the very differences that would count as changed; 0.05 in older files.
    """

    items: int
    before: float
    after: float
    change: float
    low: float
    high: float
    noise: float
    changed: bool
    direction: Direction
    by_chance: float = BY_CHANCE


class Answers(Saved):
    """How many generated answers were graded `right`, `wrong`, `unparsable` or `truncated`."""

    before: dict[str, int]
    after: dict[str, int]


class Floor(Saved):
    """An accuracy that is as low as it can be.

    Attributes:
        measure: What was measured.
        quantity: Its main quantity.
        value: Before training.
        chance: What guessing gives, 0 where answers are free.
        items: How many.
        instead: The measure that stands for the domain instead; None where none was made, or the recipe names one.
    """

    measure: str
    quantity: str
    value: float
    chance: float
    items: int
    instead: str | None


class Answered(Saved):
    """One evaluation row with its answers before and after training, for a person to read; long texts are cut.

    Attributes:
        row: Its id.
        question: The last message of its prompt.
        reference: The right answer, as the data has it.
        before: The untrained model's answer.
        after: The trained model's answer.
        graded: How the two were graded, such as `wrong` and `right`; None where answers are free text.
        quantity: What the row was chosen by.
        measured: That quantity of the row, before and after.
    """

    row: str
    question: str
    reference: str
    before: str
    after: str
    graded: tuple[str, str] | None = None
    quantity: str
    measured: tuple[float, float]


class Measured(Saved):
    """What was measured on one domain's evaluation rows: measure, then quantity; a measure's first is its main one.

    `examples` are the rows whose answers training changed most; older files have none.
    """

    headline: str | None
    measures: dict[str, Annotated[dict[str, Change], Field(min_length=1)]]
    answers: Answers | None = None
    floor: Floor | None = None
    examples: list[Answered] = Field(default_factory=list)

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


class Judged(Saved):
    """Which predictor is held against the size of which quantity's change, over how many domains.

    `changed` counts the domains that changed beyond noise; where it is 0 there is nothing that a score could have told.
    """

    predictor: str
    measure: str
    quantity: str
    domains: int
    changed: int | None = None


class Correlations(Saved):
    """A predictor's correlations with the sizes of change, with 95 % intervals; None where one is not defined."""

    pearson: float | None
    pearson_low: float | None
    pearson_high: float | None
    pearson_leave_one_out: tuple[float, float] | None
    spearman: float | None
    spearman_low: float | None
    spearman_high: float | None
    r2: float | None
    r2_low: float | None
    r2_high: float | None


class Judgement(Correlations, Judged):
    """How one predictor went with the size of one quantity's change."""


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
    `live` counts the features that fired, `active_overlap` those of the most active ones that moved most.
    """

    overlap: int
    of: int
    chance: float
    low: int
    high: int
    live: int
    active_overlap: int
    raw_overlap: int | None = None
    raw_of: int | None = None
    raw_chance: float | None = None
    raw_low: int | None = None
    raw_high: int | None = None
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
    trainable_tokens: int | None
    truncated_rows: int
    dropped_rows: int
    distinct_rows: int | None = None

    @property
    def different_rows(self) -> int:
        """Rows of several epochs counted once, as planned rows are."""
        return self.rows if self.distinct_rows is None else self.distinct_rows


class LogLine(AsGiven):
    """One line of the trainer's log, with whatever else the trainer logged."""

    step: int
    loss: float | None = None
    learning_rate: float | None = None
    reward: float | None = None


class Training(Saved):
    """The job as it ran, by `processes` that trained together; `kept_step` is the measured one that a monitor chose."""

    method: str
    steps: int
    seconds: float
    log: list[LogLine]
    consumption: dict[str, Consumption]
    kept_step: int | None = None
    processes: int | None = None

    @property
    def read_all(self) -> bool:
        """Whether every planned row was read, as far as reading was counted."""
        read = self.consumption.values()
        return bool(read) and all(one.different_rows + one.dropped_rows >= one.planned_rows for one in read)

    def curve(self, key: str) -> list[tuple[float, float]]:
        """(step, value) wherever the log has `loss`, `reward` or `learning_rate`, in order of step."""
        found = ((line.step, getattr(line, key)) for line in self.log)
        return sorted((float(step), value) for step, value in found if value is not None)


class PairedTask(Saved):
    """A task of another harness with how many of its items were paired.

    Attributes:
        domain: The part of the plan that it stands for.
        task: Its name.
        before: Items before.
        after: Items after.
        paired: Items that both have, alike in content and prompt.
        other_content: Items of one number whose content differs.
        other_prompt: Items of one content whose prompts differ.
    """

    domain: str
    task: str
    before: int
    after: int
    paired: int
    other_content: int
    other_prompt: int


class Harness(Saved):
    """What another harness measured before and after, from whose files an outcome was made.

    Attributes:
        name: The harness with its version.
        before: Its file or folder of the untrained model.
        after: Of the trained one.
        model_before: The untrained model's name there.
        tasks: What stood for which part of the plan.
        asked: The tasks as the person gave them, such as `law=mmlu_law`.
    """

    name: str
    before: str
    after: str
    model_before: str
    tasks: list[PairedTask]
    asked: list[str]


class Elsewhere(Saved):
    """A model that was trained without mixplan: what its trainer read is not known.

    Attributes:
        model: Its folder or hub id, as the person gave it, or its name in the results of another harness.
        label: What its measures are kept under; None for the run folder's own model.
        harness: What measured it, where that was not mixplan; then its features are not known.
    """

    model: str
    label: str | None = None
    harness: Harness | None = None


class Forecast(Saved):
    """What the expected changes rest on."""

    kind: str
    text: str


class Settings(Saved):
    """What gives scores their meaning, and the training method: what runs must share for one to teach another."""

    method: str | None = None
    features: int
    drift_demonstrations: int
    drift_from: str = "icl"
    sts_demonstrations: int
    score: ScoreName | None = None
    preview_tokens: int | None = None
    replay_kl: float | None = None
    target_answers: str | None = None


class Contents(Saved):
    """Sketches of the target and of each domain, by which later plans recognise them."""

    target: Content
    domains: dict[str, Content]


class Outcome(Saved):
    """All that was measured of a run: changes, how right the plan was, actual drift, and the job.

    `created`, the time when it was written, is outside its hash; older files lack it. A model has either been trained
    by mixplan (`training`) or `elsewhere`.
    """

    version: Literal[1] = 1
    mixplan: str = "unknown"
    name: str
    created: str | None = None
    hashes: dict[str, str]
    model: str
    sae: str | None
    dtype: str | None = None
    config: str | None = None
    settings: Settings
    content: Contents | None = None
    job: Job | None = None
    training: Training | None = None
    elsewhere: Elsewhere | None = None
    target: Measured
    sources: dict[str, Measured] = Field(default_factory=dict)
    domains: Annotated[dict[str, Domain], Field(min_length=1)]
    forecast: Forecast
    judgement: list[Judgement]
    drift: Drift | None
    arms: Arms | None = None
    tolerances: Gate | None = None
    summary: list[str]
    warnings: list[str]

    @model_validator(mode="after")
    def _trained_somewhere(self) -> Outcome:
        if (self.training is None) == (self.elsewhere is None):
            raise ValueError("expected either `training` or `elsewhere`")
        return self

    def taught(self) -> dict[str, Measured]:
        """The target as a whole and each source of it, by what they are called; a whole without a measure is left out.

        A target of one source is there in any case.
        """
        whole = {"target": self.target} if self.target.measures or not self.sources else {}
        return whole | {f"target.{name}": measured for name, measured in self.sources.items()}

    def outside(self) -> list[str]:
        """Domains that moved outside their forecast, as saved."""
        return [name for name, domain in self.domains.items() if domain.outside_forecast]
