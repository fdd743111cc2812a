"""Defines what reading the untrained model gives a plan: model and SAE, drift dimensions, and every domain's scores."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from mixplan.saved.base_types import KEY_ORDER, Context, Interval, Saved


class Model(Saved):
    """The untrained model as it was run.

    Attributes:
        hash: Of its weights.
        config: Hash of what its config states; None in older files, as are the four that follow.
        settings: Hash of its config and generation settings.
        chat_template: Hash of its chat template's source.
        template_date: The day that its template is told.
        reading: How it is read: `parted`, `packed`, `unpacked` or `whole`.
    """

    name: str
    dtype: str
    device: str
    why_dtype: str
    parameters: int
    hash: str
    config: str | None = None
    settings: str | None = None
    chat_template: str | None = None
    template_date: str | None = None
    reading: str | None = None


class Health(Saved):
    """How well the SAE fits the model on the recipe's own tokens."""

    fvu: float
    l0: float
    dead_share: float
    tokens: int
    fits: bool


class Sae(Saved):
    """The SAE, its place in the model, its hash, its health, and its name on Neuronpedia where SAELens knows it."""

    name: str
    kind: str
    hook_name: str
    layer: int
    d_in: int
    d_sae: int
    hash: str
    health: Health
    neuronpedia: str | None = None


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


class RewardStep(Saved):
    """The step along the reward's gradient that told the drift.

    Attributes:
        learning_rate: The job's.
        learning_rates: How many of them the step has.
        adapter: What is moved, in words.
        answers: Sampled answers with an advantage other than 0, which the gradient is of.
        hash: Of the untrained model's weights with the adapter after the step.
    """

    learning_rate: float
    learning_rates: int
    adapter: str
    answers: int
    hash: str


class FeatureExample(Saved):
    """Where one drift dimension fires most of all query tokens that were read, and in which domain that is."""

    feature: int
    domain: str
    context: Context


class DriftFigures(Saved):
    """The drift dimensions, and how the whole shift is spread over the features.

    Attributes:
        concentration: (Top features, their share of the shift).
        examples: Where each of them fires most; one that no query token fires has none, and older files have none.
        features: (Feature index, shift, selection frequency), largest shift first.
        of: What `stability` is the mean of.
    """

    checkpoint: Annotated[Checkpoint, KEY_ORDER] | None = None
    concentration: list[tuple[int, float]]
    draws: int
    examples: list[FeatureExample] = Field(default_factory=list)
    features: list[tuple[int, float, float]]
    left_out: float | None = None
    moved: int | None = None
    of: str = "mean share of them that a resample selects too"
    query_tokens: int | None = None
    raw_share_of_shift: float
    reward_step: Annotated[RewardStep, KEY_ORDER] | None = None
    rollouts: Annotated[Rollouts, KEY_ORDER] | None = None
    share_of_shift: float
    stability: float


class DriftSource(Saved):
    """What told the drift: worked examples (`icl`), `rollouts`, a `reward_step` or a `checkpoint`."""

    from_: Literal["icl", "rollouts", "reward_step", "checkpoint"] = Field(default="icl", alias="from")


class Drift(DriftFigures, DriftSource):
    """Both together, what told the drift first."""


class Reason(Saved):
    """One drift dimension that makes much of a domain's score: its share of the score, and what fires it."""

    feature: int
    share: float
    contexts: list[Context]


class BySource(Saved):
    """A domain's scores over the drift dimensions of one source of the target."""

    sts_icl: float
    sts_act: float


Score = Annotated[Interval, KEY_ORDER]


ScoreName = Literal["icl", "act", "preview", "stream"]
"""What can plan the rows, as `sts.score` names it."""
SCORE_KEYS: dict[ScoreName, str] = {
    "icl": "sts_icl",
    "act": "sts_act",
    "preview": "preview_kl",
    "stream": "behind_answers_raw",
}
"""Where each stands in plan.json, and what outcomes and studies call it."""
SCORE_TITLES: dict[ScoreName, str] = {
    "icl": "STS_ICL",
    "act": "STS_act",
    "preview": "preview KL",
    "stream": "stream shift",
}
"""What a reader calls each: the first two as the paper writes them; the others are no STS."""


class DomainScores(Saved):
    """A domain's scores with their reasons.

    Those of features are in squared SAE units (`sts_act`: SAE units; `raw_…`: the stream's). A plan without an SAE has
    the first two instead, and no reasons.

    Attributes:
        preview_kl: Mean KL per token, in nats, that the target's worked examples bring to the model's own answers.
        behind_answers_raw: Mean squared change that they bring to the stream at the reference answers' tokens.
        by_source: Where the target has several sources, the scores by each.
        outside_shift: The shift of all other features; None where they were not read.
        row_tokens_mean: Tokens of a pool row, prompt and answer.
    """

    behind_answers_raw: Score | None = None
    by_source: Annotated[dict[str, BySource], KEY_ORDER] = Field(default_factory=dict)
    low_shift: Score | None = None
    outside_shift: Score | None = None
    preview_kl: Score | None = None
    query_tokens: int
    raw_act: Score | None = None
    raw_icl: Score | None = None
    row_tokens_mean: float
    sts_act: Score | None = None
    sts_icl: Score | None = None
    total_shift: Score | None = None
    why: Annotated[list[Reason], KEY_ORDER]

    @model_validator(mode="after")
    def _scored(self) -> Self:
        """Hold that all scores of one kind are there: those of features, or those without an SAE."""
        kinds = (("sts_icl", "sts_act", "low_shift", "raw_icl"), ("preview_kl", "behind_answers_raw"))
        kind = kinds[1] if self.preview_kl or self.behind_answers_raw else kinds[0]
        if lacking := [name for name in kind if getattr(self, name) is None]:
            raise PydanticCustomError("lacking", "`{key}` is missing", {"key": lacking[0]})
        return self

    def score(self, name: ScoreName) -> Interval:
        """A score that can plan the rows.

        Raises:
            LookupError: the plan is of the other kind, with or without an SAE.
        """
        found = getattr(self, SCORE_KEYS[name])
        if not isinstance(found, Interval):
            raise LookupError(f"{SCORE_KEYS[name]} was not measured")
        return found


class SourceScores(Saved):
    """What one source of a target by itself is expected to move.

    Attributes:
        features: (Feature index, shift) of its own drift dimensions.
        in_target: How many of them the whole target has too.
        query_tokens: Read of it.
        share_of_shift: Part of the source's whole shift that they hold.
    """

    features: list[tuple[int, float]]
    in_target: int
    query_tokens: int
    share_of_shift: float | None = None


class Ranking(Saved):
    """How stable the domains' order is, and by which figure; None where there are too few domains for an order."""

    stability: float | None
    of: str


class Reading(Saved):
    """What was read of the target or a domain, in tokens, rows and draws of demonstrations."""

    context_tokens_mean: float
    draws: int
    dropped_demonstrations: int
    query_rows: int
    query_tokens: int
    too_long: int
    wanted_tokens: int


class Looks(Saved):
    """How far reading to `query_tokens: auto` has come, and what reading all could give.

    Attributes:
        looks: The number of the last look, from 0, of the target (`target`) and each domain that stops by itself.
        at_most: Query tokens that reading all takes, by name, the target under `target`.
        dimensions: Part of the drift dimensions that reading all is expected to pick again.
        drawn: By domain, the planning score and draws of what reading all could make of it; None where the SAE fires
            on too many features for them to be kept, and reading goes on to the end.
    """

    looks: dict[str, int]
    at_most: dict[str, int]
    dimensions: float
    drawn: dict[str, list[float]] | None


class Stopped(Saved):
    """Where reading to `query_tokens: auto` stopped, and why.

    Attributes:
        look: The number of the last look that anything was read up to, from 0.
        looks: The same of the target (`target`) and each domain that stops by itself; unset in older files, where all
            were read up to `look`.
        query_tokens: Read of the target and all domains together.
        at_most: What reading all would have taken.
        dimensions: Part of the drift dimensions that reading all is expected to pick again.
        order: Spearman correlation that the domains' order is expected to have with the one of reading all.
        rows: Part of the draws in which reading all changes no domain's rows by more than a few.
        text: All of it in words.
    """

    look: int
    looks: dict[str, int] = Field(default_factory=dict)
    query_tokens: int
    at_most: int
    dimensions: float
    order: float | None
    rows: float | None
    text: str


class Scores(Saved):
    """All that a plan needs of the model; it is kept, so that another budget needs no model.

    Attributes:
        model: The model as it was run.
        tokenizer: Hash of the kept text that counts tokens as its tokenizer does; None where none does.
        sae: The SAE; None where the recipe has none.
        drift: The drift dimensions, of its features.
        sources: Those of each source, by name, where the target has several.
        domains: By name.
        ranking: Of the domains.
        reading: By name, the target under `target`.
        warnings: Whole sentences.
        looks: How far reading has come, where it stops by itself.
    """

    model: Model
    tokenizer: str | None
    sae: Sae | None
    drift: DriftFigures | None
    sources: dict[str, SourceScores] = Field(default_factory=dict)
    domains: dict[str, DomainScores]
    ranking: Ranking
    reading: dict[str, Reading]
    warnings: list[str]
    looks: Looks | None = None
