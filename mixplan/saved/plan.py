"""Defines what plan.json holds, key by key: strict types, finite numbers, and the order its domains are shown in."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from mixplan.saved.allocation import AllocateSection
from mixplan.saved.allocation import Allocation as Allocation
from mixplan.saved.base_types import KEY_ORDER, AsGiven, Expected, Interval, JsonObject, Saved
from mixplan.saved.levers import Lever
from mixplan.saved.own_voice import OwnVoice
from mixplan.saved.scores import (
    SCORE_KEYS,
    SCORE_TITLES,
    DomainScores,
    Drift,
    Model,
    Ranking,
    Reading,
    Sae,
    ScoreName,
    Stopped,
)
from mixplan.saved.tolerances import PlannedTolerances


class Version(Saved):
    """What a plan says of itself before anything else is read."""

    version: int
    mixplan: str = "unknown"


class Foretold(Saved):
    """The expected change of a domain's headline, and of its behaviour."""

    headline: Expected | None = None
    behaviour: Expected | None = None


class Risk(Saved):
    """A domain's forecast: relative to the other domains, and where earlier runs were learned from, in units.

    Attributes:
        relative_risk: Its part of all domains' scores, 0 to 1; all are 0 when no score is above 0.
        low: The score's lower end over the same total.
        high: The score's upper end over the same total; above 1 where one domain outweighs the rest uncertainly.
        expected: What earlier runs let expect of it.
    """

    relative_risk: float
    low: float
    high: float
    expected: Foretold | None = None


class Splits(Saved):
    """How many rows each split holds."""

    evaluation: int
    query: int
    demonstration: int
    pool: int


class Content(Saved):
    """A sketch of a target or domain, by which later plans recognise it: see `mixplan.domains.content_sketch`."""

    source: str | None
    rows: int
    keys: str


class Data(Saved):
    """What was read of a target or domain; see `mixplan.domains.Domain` for each."""

    rows: Splits
    read_rows: int
    source_rows: int | None = None
    group: str | None = None
    shared: dict[str, int] = Field(default_factory=dict)
    dropped: dict[str, int]
    changed: dict[str, int] = Field(default_factory=dict)
    examples: dict[str, str] = Field(default_factory=dict)
    labels: str | None = None
    fingerprint: str
    grader: str
    licence: str | None


class SourceData(Data):
    """What was read of one source of the target, its rows in the mixture, and its own drift dimensions.

    `features` holds (feature index, shift); `in_target` counts those that the whole target has too.
    """

    features: list[tuple[int, float]]
    in_target: int
    query_tokens: int
    share_of_shift: float | None = None
    mixture_rows: int


class Target(Data):
    """What was read of the target, and of each source where it has several."""

    content: Content | None = None
    query_tokens: int
    demonstration_tokens_mean: float
    sources: dict[str, SourceData] = Field(default_factory=dict)


class Domain(Data, DomainScores):
    """A downstream domain's scores, what was read of it, and its forecast; in this order."""

    content: Content | None = None
    forecast: Risk | None

    @model_serializer(mode="wrap")
    def _measured_scores_first(self, handler: SerializerFunctionWrapHandler) -> JsonObject:
        values: JsonObject = handler(self)
        first = {key: values[key] for key in DomainScores.model_fields if values.get(key) is not None}
        return first | {key: value for key, value in values.items() if key not in first}


class LearnedFrom(Saved):
    """An earlier run, or a study's target, that the forecast learned from."""

    run: str
    hash: str
    studied: bool = False


class PilotUse(Saved):
    """What a forecast took from a pilot of the job.

    Attributes:
        steps: Optimiser steps of the pilot.
        job_steps: Those of the job on its target's rows alone.
        measured: Domains that it was measured on, in the order of choice.
        changes: Their mean token KL from the untrained model after the pilot, in nats.
        within_noise: Those of them that it moved by no more than noise, which say nothing.
        completed: Domains that were completed from them.
        rank: Latent columns beside the target's strength; None where too few earlier targets are known.
        targets: Earlier targets that the completion was learned from.
        error: Its root mean square error in targets left out, in nats per token, over the domains that it completes.
        errors: The same by rank.
        score_share: How much of what the planning score says of each domain beside that is taken, 0 to 1.
        error_without_scores: The error where nothing of it is; None where nothing is.
        left_out: How many targets that were.
        by_pilots: Whether these targets' own pilots were completed there; else their finished jobs' changes were.
        times: What a change of the pilot is multiplied by for the job, with its 95 % interval.
        law_targets: From how many targets with a pilot and a finished job that was learned; 0 where it is assumed.
    """

    steps: int
    job_steps: float
    measured: list[str]
    changes: dict[str, float]
    within_noise: list[str] = Field(default_factory=list)
    completed: list[str]
    rank: int | None
    targets: int
    error: float | None
    errors: dict[str, float] = Field(default_factory=dict)
    score_share: float = 0.0
    error_without_scores: float | None = None
    left_out: int = 0
    by_pilots: bool
    times: Interval
    law_targets: int


class Forecast(Saved):
    """What the domains' forecasts rest on."""

    kind: str
    planned_by: Literal["score", "behaviour"] = "score"
    text: str
    evidence: list[str] = Field(default_factory=list)
    learned_from: list[LearnedFrom] = Field(default_factory=list)
    pilot: PilotUse | None = None


class MixturePart(Saved):
    """One domain's rows in the mixture, or those of the target (under the name `target`) or of one of its sources.

    Attributes:
        name: The recipe's name for it.
        rows: Rows in the mixture, repeats counted.
        distinct_rows: Different pool rows among them.
        most_uses: How often the most used row stands in the mixture; 0 without rows.
        answers: Rows by whose answer they carry: `gold`, `rationale`, `self`, `own_voice`; for GRPO `reference`.
        empty_answers: Pool rows passed over because the untrained model's answer had no text.
        cut_answers: Pool rows passed over because the untrained model's answer was cut at its longest length; where
            such answers are kept, the rows that carry one.
        tokens: Tokens of its rows, prompt and answer, when a counter was given.
        longest_tokens: Tokens of its longest row, when a counter was given.
        data: Where its rows come from, in one line.
        licence: As the recipe states it.
        voice: Of the target where its answers are in the model's own words: how many, and why others are not.
    """

    name: str
    rows: int
    distinct_rows: int
    most_uses: int
    answers: dict[str, int]
    empty_answers: int
    cut_answers: int
    tokens: int | None
    longest_tokens: int | None
    data: str
    licence: str | None
    voice: OwnVoice | None = None


class MixtureRecord(Saved):
    """The mixed data set, free of the place it lies in: see `mixplan.mixture.result.Mixture`."""

    format: int
    method: str
    hash: str
    inputs: str
    rows: int
    files: dict[str, str]
    parts: list[MixturePart]
    warnings: list[str]


class Mixture(MixtureRecord):
    """The mixed data set as written into the run folder."""

    folder: str
    config: str
    target_rows: int

    def voices(self) -> list[str]:
        """What became of target answers that the model was to say in its own words, a text each; mostly none."""
        return [part.voice.text(part.name) for part in self.parts if part.voice is not None]


class Job(Saved):
    """What a job trains with.

    Attributes:
        target_rows: Rows of the target.
        steps: Optimiser steps over them; those that extra rows take are not counted.
        learning_rate: The highest of the schedule.
        adapter: What is trained, such as `full` or `LoRA r 16`.
    """

    target_rows: int
    steps: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    adapter: str

    @property
    def strength(self) -> float:
        """Steps times learning rate."""
        return self.steps * self.learning_rate

    def text(self) -> str:
        """The job in words."""
        return f"{self.target_rows} rows, {self.steps:.3g} steps at {self.learning_rate:.3g}, {self.adapter}"


class TrainSection(Saved):
    """The TRL job that the recipe asks for."""

    method: str = "sft"
    lora: JsonObject | None = None
    replay_kl: JsonObject | None = None

    @property
    def replay_kl_weight(self) -> float:
        """The weight of the KL from the untrained model at domain rows; 0 without it."""
        weight = (self.replay_kl or {}).get("weight", 0)
        return float(weight) if isinstance(weight, int | float) else 0.0


class Source(Saved):
    """The target's data: its place as the recipe names it."""

    data: JsonObject = Field(default_factory=dict)
    sources: dict[str, Source] = Field(default_factory=dict)

    @property
    def where(self) -> str | None:
        """The hub's name, the generator's, or a file's; None where the recipe is not known."""
        if self.sources:
            return ", ".join(source.where or name for name, source in self.sources.items())
        if file := self.data.get("file"):
            return PurePath(str(file)).name
        found = self.data.get("hub") or self.data.get("generator")
        return str(found) if found else None


class Recipe(AsGiven):
    """The recipe with configs and overrides merged in; what the closing parts tell of it has fields of its own."""

    train: TrainSection = TrainSection()
    allocate: AllocateSection = AllocateSection()
    target: Source = Source()


class Plan(Saved):
    """All that `mixplan plan` saved: the answer, its reasons, and what it was made from."""

    version: Literal[1] = 1
    mixplan: str
    name: str
    created: str | None = None
    hashes: dict[str, str]
    libraries: dict[str, str]
    recipe: Recipe | None = None
    model: Annotated[Model, KEY_ORDER]
    sae: Annotated[Sae, KEY_ORDER] | None
    warnings: list[str]
    target: Target
    drift: Drift | None
    score: ScoreName
    domains: Annotated[dict[str, Domain], Field(min_length=1)]
    ranking: Annotated[Ranking, KEY_ORDER]
    reading: dict[str, Reading] = Field(default_factory=dict)
    allocation: Allocation
    forecast: Forecast
    mixture: Mixture | None
    job: Job | None = None
    tolerances: PlannedTolerances | None = None
    levers: list[Lever] = Field(default_factory=list)
    stopped: Stopped | None = None
    seconds: dict[str, float]
    tokens: dict[str, float]

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        """Hold that SAE, drift and scores go together: a plan has all of them, or none."""
        if (self.sae is None) != (self.drift is None):
            raise ValueError("expected both `sae` and `drift`, or null for both")
        lacking = [name for name, domain in self.domains.items() if getattr(domain, SCORE_KEYS[self.score]) is None]
        if lacking or (self.sae is None) != (self.score in ("preview", "stream")):
            where = f"domains.{lacking[0]}.{SCORE_KEYS[self.score]}" if lacking else "sae"
            raise ValueError(f"`{where}` does not fit `score` {self.score!r}")
        return self

    @property
    def score_key(self) -> str:
        """The key of the score that planned the mixture, such as `sts_icl`."""
        return SCORE_KEYS[self.score]

    @property
    def score_name(self) -> str:
        """The score that planned the mixture: `STS_ICL` as the paper writes it, or `preview KL`, which is no STS."""
        return SCORE_TITLES[self.score]

    def score_of(self, name: str) -> Interval:
        """The score that planned a domain's rows."""
        return self.domains[name].score(self.score)

    def expected_of(self, name: str) -> Expected | None:
        """The expected change of behaviour that a domain's rows were planned by; None where its score planned them."""
        risk = self.domains[name].forecast
        if self.forecast.planned_by == "score" or risk is None or risk.expected is None:
            return None
        return risk.expected.behaviour

    def taught(self) -> dict[str, tuple[int, float]]:
        """Rows of the target in the mixture and their ratio, of each source where it has several, by name."""
        ratios = self.allocation.ratios
        if self.mixture is None:
            return {}
        rows = {f"target.{name}": source.mixture_rows for name, source in self.target.sources.items()}
        rows = rows or {"target": self.mixture.target_rows}
        return {name: (count, ratios[name]) for name, count in rows.items() if name in ratios}

    def order(self) -> list[str]:
        """Domain names, highest first of what planned the rows; equal ones by name."""

        def planning(name: str) -> float:
            expected = self.expected_of(name)
            return self.score_of(name).value if expected is None else expected.change

        return sorted(self.domains, key=lambda name: (-planning(name), name))

    def notices(self) -> list[str]:
        """What a reader should know before the answer: the warnings, and that the plan is no better than uniform."""
        # A plan that follows evidence says in its own sentence how far it leaves an even spread, and why.
        plain = self.allocation.no_better_than_uniform if self.allocation.placement is None else None
        return [*self.warnings, *([plain] if plain and plain not in self.warnings else [])]
