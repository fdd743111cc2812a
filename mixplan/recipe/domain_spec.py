"""Defines the recipe's sections on rows: where a target or domain comes from, and how a row is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, SerializerFunctionWrapHandler, Tag, model_serializer

from mixplan.recipe.section import Count, Name, Positive, Scalar, Section, Share, Yaml


class DataSpec(Section):
    """Where rows come from: exactly one of `hub`, `file`, `package` (with `file`), `generator`."""

    hub: str | None = Field(default=None, description="A hub data set id.")
    config: str | None = Field(default=None, description="The hub data set's configuration name.")
    split: str | None = Field(default=None, description="The hub data set's split; `train` when not given.")
    revision: str | None = Field(default=None, description="Hub commit, tag or branch.")
    file: str | None = Field(
        default=None,
        description="JSONL, JSON, CSV, Parquet, a saved data set's folder, or a pattern such as `**/*.py`, whose "
        "documented functions are the rows; relative to the YAML.",
    )
    package: str | None = Field(default=None, description="An installed Python package; `file` is then relative to it.")
    generator: str | None = Field(default=None, description="A reasoning-gym data set name.")
    options: Yaml = Field(default_factory=dict, description="Options of the generator, but for seed and size.")
    where: dict[str, Scalar | list[Scalar]] = Field(
        default_factory=dict, description="Keep rows whose column equals the value, or one of them."
    )
    limit: Positive = Field(
        default=20_000, description="At most so many rows, a seeded sample of the source (for a generator: its size)."
    )
    faulty_share: Share = Field(
        default=0.01,
        description="At most this share of the rows may be faulty; they are left out and counted. 1 leaves out all "
        "that cannot be read.",
    )

    @model_serializer(mode="wrap")
    def as_given(self, written: SerializerFunctionWrapHandler) -> Yaml:
        """The section without `faulty_share` where it is not given, so that it changes no hash."""
        values: Yaml = written(self)
        return {key: value for key, value in values.items() if (key, value) != ("faulty_share", 0.01)}


class ColumnsSpec(Section):
    """Which columns hold what: a column's name (`metadata.reasoning` reaches inside) or a template with `{column}`s."""

    messages: str | None = Field(default=None, description="A conversation: a list of messages, or its JSON text.")
    role: str | None = Field(
        default=None, description="The key of a message that holds its role; `role` or `from` when not given."
    )
    content: str | None = Field(
        default=None, description="The key of a message that holds its text; `content` or `value` when not given."
    )
    tools: str | None = Field(default=None, description="The tools of a conversation: a list, or its JSON text.")
    prompt: str | None = Field(default=None, description="What the model is given.")
    completion: str | None = Field(default=None, description="What it is trained to say.")
    system: str | None = Field(default=None, description="A system message before the prompt.")
    question: str | None = Field(default=None, description="The question.")
    options: str | Annotated[list[str], Field(min_length=2)] | None = Field(
        default=None,
        description="Choices: a column with a list, an object by label, or lines that open with their letter; or a "
        "list of columns, one an option.",
    )
    answer: str | None = Field(
        default=None, description="The answer: text, or what names a choice's right option, as `labels` says."
    )
    rationale: str | None = Field(default=None, description="A worked solution with the answer at its end.")

    @model_serializer(mode="wrap")
    def as_given(self, written: SerializerFunctionWrapHandler) -> Yaml:
        """The section without the later keys where they are not given, so that they change no hash."""
        values: Yaml = written(self)
        return {key: value for key, value in values.items() if key not in ("role", "content", "tools") or value}


class SplitSpec(Section):
    """How many rows play which part; all but the evaluation rows are also in the pool that the job trains on."""

    evaluation: Count | None = Field(
        default=None,
        description="Held-out rows, never trained on nor shown as demonstrations; 15 % of the rows, at most 100, when "
        "not given.",
    )
    query: Count | None = Field(
        default=None, description="Rows whose features are read; what is left, at most 1000, when not given."
    )
    demonstration: Count | None = Field(
        default=None,
        description="Rows put in front of queries; a fifth of what is left, at most 40, when not given.",
    )
    apart: bool = Field(
        default=False,
        description="Keep query and demonstration rows out of the pool too, as studies do, which hold what is read "
        "against what is trained.",
    )

    @model_serializer(mode="wrap")
    def as_given(self, written: SerializerFunctionWrapHandler) -> Yaml:
        """The section without `apart` where it says nothing."""
        values: Yaml = written(self)
        return {key: value for key, value in values.items() if key != "apart" or value}


UNSET: Yaml = {"labels": None, "roles": {}, "turns": "last", "turn_order": "as_given"}
"""Later keys of a domain with the values that say nothing."""


class DomainSpec(Section):
    """A target or a downstream domain: its data, and how a row becomes question and answer."""

    data: DataSpec
    format: Literal["messages", "prompt_completion", "question_answer", "choice"] = Field(
        description="How a row is read."
    )
    columns: ColumnsSpec = Field(default_factory=ColumnsSpec)
    labels: Literal["index0", "index1", "letter", "text", "one_hot"] | None = Field(
        default=None,
        description="Choices: how the answers name the right option: index from 0, index from 1, letter, the option's "
        "text, or a list with a single 1; found over the whole column when not given.",
    )
    roles: dict[str, Literal["system", "user", "assistant", "tool", "leave_out"]] = Field(
        default_factory=dict,
        description="Conversations: what role names of the data mean, beside the usual ones; `leave_out` leaves out "
        "the rows that have such a turn.",
    )
    turns: Literal["last", "all"] = Field(
        default="last",
        description="Conversations: the last answer is trained and measured, or each answer, as a row of its own.",
    )
    turn_order: Literal["as_given", "alternating"] = Field(
        default="as_given",
        description="Conversations: `alternating` joins neighbouring turns of the user as those of the assistant "
        "always are, and leaves out answers before the first question, as strict chat templates want it.",
    )
    demonstrations: DataSpec | None = Field(
        default=None, description="Demonstrations from data of their own, such as a validation split."
    )
    split: SplitSpec = Field(default_factory=SplitSpec)
    group: str | bool = Field(
        default=True,
        description="The column whose shared texts, such as a passage with several questions, keep rows on one side "
        "of the evaluation split: found by itself when not given; false keeps no rows together.",
    )
    grader: Literal["auto", "choice", "exact", "number", "math", "generator", "none"] = Field(
        default="auto",
        description="How an answer is graded: `auto` is choice, generator or exact, by the format and the data.",
    )
    licence: str | None = Field(default=None, description="Licence of the data, for the data card.")

    @model_serializer(mode="wrap")
    def as_given(self, written: SerializerFunctionWrapHandler) -> Yaml:
        """The section without the later keys where they say nothing, so that they change no hash."""
        values: Yaml = written(self)
        return {key: value for key, value in values.items() if key not in UNSET or value != UNSET[key]}


class SourceSpec(DomainSpec):
    """One source of a target that has several: a domain's section, with an amount."""

    rows: Positive | None = Field(
        default=None, description="Rows of this source in the mixture; all of its pool when not given."
    )

    @model_serializer(mode="wrap")
    def as_given(self, written: SerializerFunctionWrapHandler) -> Yaml:
        """The section without the keys that say nothing, as a domain's."""
        values: Yaml = written(self)
        unset = {**UNSET, "rows": None}
        return {key: value for key, value in values.items() if key not in unset or value != unset[key]}


class SourcesSpec(Section):
    """A target of several sources, each read, scored and measured by itself."""

    sources: dict[Name, SourceSpec] = Field(
        min_length=1, description="The target's sources by a name of your choice, each with its amount."
    )


def form_of(target: Any) -> str:
    """Which form a recipe's target has: sources, or one section of its own."""
    several = isinstance(target, SourcesSpec) or (isinstance(target, Mapping) and "sources" in target)
    return "<sources>" if several else "<one>"


TargetSpec = Annotated[
    Annotated[DomainSpec, Tag("<one>")] | Annotated[SourcesSpec, Tag("<sources>")], Discriminator(form_of)
]
"""A recipe's target; the tags are no keys that a section could have."""
