"""What plan.json holds, key by key: strict types, finite numbers, and the order its domains are shown in."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Saved(BaseModel):
    """What all parts share: frozen, strict types, finite numbers; keys of later additions are passed over."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class Version(Saved):
    """What a plan says of itself before anything else is read."""

    version: int
    mixplan: str = "unknown"


class Interval(Saved):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class Expected(Saved):
    """What earlier runs teach to expect of one quantity's change, in the quantity's unit."""

    measure: str
    quantity: str
    change: float
    low: float
    high: float
    sign: Literal["up", "down"] | None = None


class Foretold(Saved):
    """The expected change of a domain's headline, and of its behaviour."""

    headline: Expected | None = None
    behaviour: Expected | None = None


class Risk(Saved):
    """A domain's forecast: relative to the other domains, and where earlier runs were learned from, in units."""

    relative_risk: float
    low: float
    high: float
    expected: Foretold | None = None


class Model(Saved):
    """The untrained model as it was run."""

    name: str
    dtype: str
    device: str
    why_dtype: str
    parameters: int


class Health(Saved):
    """How well the SAE fits the model on the recipe's own tokens."""

    fvu: float
    l0: float
    dead_share: float
    tokens: int
    fits: bool


class Sae(Saved):
    """The SAE, its place in the model, and its health."""

    name: str
    kind: str
    hook_name: str
    layer: int
    d_in: int
    d_sae: int
    health: Health


class Splits(Saved):
    """How many rows each split holds."""

    evaluation: int
    query: int
    demonstration: int
    pool: int


class Data(Saved):
    """What was read of a target or domain."""

    rows: Splits
    source_rows: int | None = None
    dropped: dict[str, int]
    changed: dict[str, int] = {}
    licence: str | None
    query_tokens: int


class SourceData(Data):
    """What was read of one source of the target, its rows in the mixture, and its own drift dimensions.

    `features` holds (feature index, shift); `in_target` counts those that the whole target has too.
    """

    mixture_rows: int
    features: list[tuple[int, float]]
    in_target: int


class Target(Data):
    """What was read of the target, and of each source where it has several."""

    demonstration_tokens_mean: float
    sources: dict[str, SourceData] = {}


class Context(Saved):
    """One token in its context, with the feature's activation there."""

    before: str
    token: str
    after: str
    activation: float


class Reason(Saved):
    """One drift dimension that makes much of a domain's score: its share of the score, and what fires it."""

    feature: int
    share: float
    contexts: list[Context]


class BySource(Saved):
    """A domain's scores over the drift dimensions of one source of the target."""

    sts_icl: float
    sts_act: float


class Domain(Data):
    """A downstream domain's scores, forecast and reasons."""

    sts_icl: Interval
    sts_act: Interval
    low_shift: Interval
    raw_icl: Interval
    outside_shift: Interval | None
    forecast: Risk | None
    why: list[Reason]
    by_source: dict[str, BySource] = {}


class Rollouts(Saved):
    """The model's own sampled answers that told the drift: shares are of all answers."""

    prompts: int
    kept: int
    samples: int
    accepted: float
    mean_reward: float
    failures: int
    temperature: float
    answer_tokens: int


class Checkpoint(Saved):
    """The pilot run's checkpoint that told the drift."""

    folder: str
    hash: str


class Drift(Saved):
    """The drift dimensions, and how the whole shift is spread over the features.

    `features` holds (feature index, shift, selection frequency), `concentration` (top features, share of the shift).
    `from` says what told them: worked examples (`icl`), `rollouts` or a `checkpoint`, which then has its figures.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    from_: Literal["icl", "rollouts", "checkpoint"] = Field(default="icl", alias="from")
    rollouts: Rollouts | None = None
    checkpoint: Checkpoint | None = None
    features: list[tuple[int, float, float]]
    share_of_shift: float
    concentration: list[tuple[int, float]]
    draws: int
    stability: float
    of: str = "mean share of them that a resample selects too"
    raw_share_of_shift: float


class Ranking(Saved):
    """How stable the domains' order is, and by which figure; None where there are too few domains for an order."""

    stability: float | None
    of: str


class Dual(Saved):
    """What loosening one limit would bring, in words."""

    limit: str
    text: str


class CurvePoint(Saved):
    """The allocation at one budget."""

    budget: int
    rows: dict[str, int]
    remaining_loss: float


class Allocation(Saved):
    """The budget spread over the domains."""

    unit: Literal["rows", "tokens"]
    budget: int
    max_repeats: int
    objective: str
    rows: dict[str, int]
    ratios: dict[str, float]
    uniform: dict[str, float]
    shares: dict[str, float]
    distance_from_uniform: float
    distance_from_size: float
    no_better_than_uniform: str | None
    duals: list[Dual]
    notes: list[str] = []
    curve: list[CurvePoint] = []


class Forecast(Saved):
    """What the domains' forecasts rest on."""

    kind: str
    planned_by: Literal["score", "behaviour"] = "score"
    text: str
    evidence: list[str] = []


class Mixture(Saved):
    """The mixed data set as written."""

    rows: int
    target_rows: int
    hash: str
    folder: str
    config: str


class Job(Saved):
    """The TRL job that the recipe asks for."""

    method: str = "sft"
    lora: dict[str, Any] | None = None


class Source(Saved):
    """The target's data: its place as the recipe names it."""

    data: dict[str, Any] = {}
    sources: dict[str, Source] = {}

    @property
    def where(self) -> str | None:
        """The hub's name, the generator's, or a file's; None where the recipe is not known."""
        if self.sources:
            return ", ".join(source.where or name for name, source in self.sources.items())
        if file := self.data.get("file"):
            return PurePath(str(file)).name
        found = self.data.get("hub") or self.data.get("generator")
        return str(found) if found else None


class Recipe(Saved):
    """What the closing parts tell of the recipe."""

    train: Job = Job()
    target: Source = Source()


class Plan(Saved):
    """All that `mixplan plan` saved: the answer, its reasons, and what it was made from."""

    version: Literal[1]
    mixplan: str
    name: str
    created: str | None = None
    hashes: dict[str, str]
    libraries: dict[str, str]
    recipe: Recipe | None = None
    model: Model
    sae: Sae
    warnings: list[str]
    target: Target
    drift: Drift
    score: Literal["icl", "act"]
    domains: Annotated[dict[str, Domain], Field(min_length=1)]
    ranking: Ranking
    allocation: Allocation
    forecast: Forecast
    mixture: Mixture | None
    seconds: dict[str, float]
    tokens: dict[str, float]

    @property
    def score_name(self) -> str:
        """The score that planned the mixture, as the paper writes it."""
        return {"icl": "STS_ICL", "act": "STS_act"}[self.score]

    def score_of(self, name: str) -> Interval:
        """The score that planned a domain's rows."""
        domain = self.domains[name]
        return domain.sts_icl if self.score == "icl" else domain.sts_act

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
        plain = self.allocation.no_better_than_uniform
        return [*self.warnings, *([plain] if plain and plain not in self.warnings else [])]
