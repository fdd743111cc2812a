"""Defines the recipe's sections on what is read of the model: `drift` and `sts`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from mixplan.recipe.section import Positive, Section, Yaml


class RolloutsSpec(Section):
    """The untrained model's own answers to the target's demonstration rows, graded as `train.rewards` says."""

    prompts: Positive = Field(default=64, description="At most so many of the target's demonstration rows.")
    samples: Annotated[int, Field(ge=2, le=10_000)] = Field(default=8, description="Answers sampled for each of them.")
    temperature: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = Field(
        default=1.0, description="Of the sampling."
    )
    answer_tokens: Positive = Field(default=128, description="At most so many new tokens an answer.")


class DriftSpec(Section):
    """Which features the job is expected to move."""

    from_: Literal["icl", "rollouts", "reward_step", "checkpoint"] = Field(
        default="icl",
        alias="from",
        description="What they are predicted from: the target's worked examples in front of its questions; the model's "
        "own answers, accepted against rejected ones; what one step along the reward's gradient moves, taken from such "
        "answers (GRPO with LoRA); or what a pilot run's checkpoint moved.",
    )
    features: Positive = Field(default=100, description="How many drift dimensions to keep (N).")
    demonstrations: Positive = Field(default=2, description="Target demonstrations in front of a query (t).")
    draws: Positive = Field(default=5, description="Demonstration draws that share the query tokens.")
    query_tokens: Positive | Literal["auto"] = Field(
        default=20_000,
        description="Target query tokens to read; `auto` stops once reading on would not change the plan.",
    )
    most_tokens: Positive = Field(default=20_000, description="`query_tokens: auto` reads at most so many.")
    rollouts: RolloutsSpec = Field(default_factory=RolloutsSpec)
    checkpoint: str | None = Field(
        default=None, description="The folder of a trained model or adapter, such as a pilot run's `model`."
    )

    @property
    def tokens_at_most(self) -> int:
        """Query tokens that are read at most."""
        return self.most_tokens if self.query_tokens == "auto" else self.query_tokens

    @model_serializer(mode="wrap")
    def as_read(self, written: SerializerFunctionWrapHandler) -> Yaml:
        """The section without the keys that this way of telling does not read, so that they change no hash."""
        values: Yaml = without_most(written(self))
        values.pop("from_", None)
        if self.from_ == "icl":
            return {key: value for key, value in values.items() if key not in ("from", "rollouts", "checkpoint")}
        unread = "rollouts" if self.from_ == "checkpoint" else "checkpoint"
        return {"from": self.from_} | {key: value for key, value in values.items() if key not in ("from", unread)}


class PreviewSpec(Section):
    """What is read of each domain where the model has no SAE."""

    rows: Positive = Field(default=64, description="At most so many of the domain's query rows.")
    answer_tokens: Positive = Field(
        default=24, description="At most so many tokens of the model's own answer to each, which it is followed along."
    )


ScoreName = Literal["icl", "act", "preview", "stream"]
WITH_SAE: tuple[ScoreName, ...] = ("icl", "act")
WITHOUT_SAE: tuple[ScoreName, ...] = ("preview", "stream")
"""Scores made of an SAE's features, and those made without; the first of each is the default."""


class StsSpec(Section):
    """How a domain is scored."""

    score: ScoreName = Field(
        default="icl",
        description="Which score plans the mixture: STS_ICL or STS_act; with `model.sae: none`, `preview` (the "
        "default there): how far the target's worked examples move the model's next tokens along its own answers, or "
        "`stream`: how far they move its residual stream at the reference answers.",
    )
    preview: PreviewSpec = Field(default_factory=PreviewSpec)
    demonstrations: Positive = Field(default=5, description="Domain demonstrations in front of a query (m).")
    draws: Positive = Field(default=3, description="Demonstration draws that share the query tokens.")
    query_tokens: Positive | Literal["auto"] = Field(
        default=10_000,
        description="Query tokens to read for each domain; `auto` stops once reading on would not change the plan.",
    )
    most_tokens: Positive = Field(
        default=10_000, description="`query_tokens: auto` reads at most so many of each domain."
    )
    resamples: Annotated[int, Field(ge=100, le=100_000)] = Field(
        default=1000, description="Bootstrap resamples behind an interval."
    )
    outside: bool = Field(
        default=True,
        description="Also report the shift outside the drift dimensions; always done for a target of several sources "
        "and for SAEs of a top-k kind.",
    )

    @property
    def tokens_at_most(self) -> int:
        """Query tokens of a domain that are read at most."""
        return self.most_tokens if self.query_tokens == "auto" else self.query_tokens

    @model_serializer(mode="wrap")
    def as_read(self, written: SerializerFunctionWrapHandler) -> Yaml:
        """The section without `preview` where an SAE is read instead, so that earlier hashes stand."""
        values: Yaml = without_most(written(self))
        return {key: value for key, value in values.items() if key != "preview" or self.score in WITHOUT_SAE}


def without_most(section: Yaml) -> Yaml:
    """A section without `most_tokens` where a budget is given, so that earlier hashes stand."""
    return {key: value for key, value in section.items() if key != "most_tokens" or section["query_tokens"] == "auto"}
