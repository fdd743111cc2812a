"""Defines the recipe's sections as frozen, strict models; they know what a key is, not where it was written."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from mixplan.recipe.domain_spec import DomainSpec, SourcesSpec, TargetSpec
from mixplan.recipe.forecast_spec import ForecastSpec
from mixplan.recipe.lines import KeyPath
from mixplan.recipe.reading_spec import DriftSpec, StsSpec
from mixplan.recipe.section import Count, Name, Positive, Scalar, Section, Share, Yaml


class SaeSpec(Section):
    """Where the SAE is: exactly one of `release` (with `id`), `repo` (with `id`), `path`, or `embedded: true`."""

    release: str | None = Field(default=None, description="A release name in SAELens's registry.")
    repo: str | None = Field(default=None, description="A hub repository, in SAELens's file layout or in `format`.")
    id: str | None = Field(default=None, description="The SAE inside the release or repository.")
    path: str | None = Field(
        default=None, description="A local folder with cfg.json and sae_weights.safetensors, or in `format`."
    )
    embedded: bool = Field(default=False, description="The SAE shipped with mixplan for the embedded model.")
    hook_name: str | None = Field(default=None, description="Hook point, where the SAE's own config lacks one.")
    format: Literal["sparsify", "dictionary_learning"] | None = Field(
        default=None,
        description="The library that wrote the files of `repo` (sparsify: of `repo` or `path`), where that is not "
        "SAELens.",
    )
    accept: bool = Field(
        default=False,
        description="Take an SAE that was made for another model: width and layer must fit, and it must explain some "
        "of the recipe's own tokens.",
    )

    @model_serializer(mode="wrap")
    def as_given(self, written: SerializerFunctionWrapHandler) -> Yaml:
        """The section without the two later keys where they say nothing, so that older plans keep their hashes."""
        values: Yaml = written(self)
        return {key: value for key, value in values.items() if key not in ("format", "accept") or value}


class ModelSpec(Section):
    """The untrained model and its SAE, or `none`."""

    name: str = Field(description="A hub id, a local folder, or `embedded` (SmolLM2-135M-Instruct).")
    revision: str | None = Field(default=None, description="Hub commit, tag or branch.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="Compute type of the model."
    )
    device: str = Field(default="auto", description="`auto`, `cpu`, `cuda`, `cuda:1`, `mps`.")
    device_map: Literal["auto", "balanced", "sequential"] | dict[str, str | int] | None = Field(
        default=None,
        description="Spread the model over several devices, the CPU and the disk as accelerate does: `auto`, or a "
        "device for each module's name. Training is spread with `--launch fsdp2` instead.",
    )
    trust_remote_code: bool = Field(default=False, description="Run code from the model's repository.")
    chat_template_kwargs: dict[str, Scalar | list[Scalar] | None] = Field(
        default_factory=dict,
        description="Settings that the chat template reads, such as `enable_thinking`, `reasoning_effort` or "
        "`date_string`; they hold in reading, training and measuring.",
    )
    template_date: str | None = Field(
        default=None,
        description="The day, as `2026-01-31`, that a chat template prints which prints the date; one fixed day when "
        "not given, so that a recipe plans the same on any day.",
    )
    sae: SaeSpec | Literal["none"] = Field(
        description="The SAE that features are read by; `none` where there is none, and domains are scored by how the "
        "target's worked examples move the model's own answers."
    )

    @property
    def sae_spec(self) -> SaeSpec | None:
        """Where the SAE is; None where the recipe has none."""
        return None if self.sae == "none" else self.sae

    @model_serializer(mode="wrap")
    def as_given(self, written: SerializerFunctionWrapHandler) -> Yaml:
        """The section without the later keys where they say nothing, so that earlier hashes stand."""
        values: Yaml = written(self)
        unset: Yaml = {"device_map": None, "chat_template_kwargs": {}, "template_date": None}
        return {key: value for key, value in values.items() if key not in unset or value != unset[key]}


class BudgetSpec(Section):
    """How much may be added: exactly one of `rows` and `tokens`; a list gives the curve, its last entry the plan."""

    rows: Count | Literal["auto"] | list[Count] | None = Field(
        default=None,
        description="Extra rows for all domains together; auto: as many as measurements of this model recommend.",
    )
    tokens: Count | list[Count] | None = Field(
        default=None, description="Extra tokens (prompt and answer) for all domains together."
    )
    max_repeats: Annotated[int, Field(ge=1, le=1000)] = Field(default=1, description="How often one row may be used.")


class GroupSpec(Section):
    """Joint bounds on several domains, in the budget's unit."""

    domains: list[Name] = Field(min_length=1, description="The domains that share these bounds.")
    floor: Count = Field(default=0, description="At least so much for all of them together.")
    cap: Count | None = Field(default=None, description="At most so much for all of them together.")


HALF_ROWS = 100.0
"""The amount that halves a domain's expected loss where neither the recipe nor arms compared earlier say."""


class AllocateSpec(Section):
    """How the budget is spread over domains."""

    objective: Literal["evidence", "alpha_fair", "min_max", "diminishing"] = Field(
        default="evidence",
        description="evidence: from an even spread as far towards the proportional rule as what was measured with this "
        "model supports. Or what is optimised: a value that grows with the rows (alpha_fair), the worst domain's "
        "expected loss (min_max), or the expected loss of all domains (diminishing); see docs/allocation.md.",
    )
    alpha: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = Field(
        default=1.0, description="alpha_fair: 1 is proportional to STS, 0 greedy, large equal."
    )
    half_rows: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)] | None = Field(
        default=HALF_ROWS,
        description="Amount (budget's unit) that halves a domain's expected loss; null: as arms that were compared "
        "earlier teach, 100 rows where they teach nothing. evidence takes what they teach in any case, and this where "
        "they teach nothing. Of a budget in tokens the default is null.",
    )
    cautious: bool = Field(default=False, description="Use the upper end of each score's interval.")
    prior: Literal["uniform", "size"] | dict[Name, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = Field(
        default=None, description="A mixture to stay near: uniform, proportional to pool size, or shares by domain."
    )
    prior_strength: Share = Field(default=0.0, description="0 ignores the prior, 1 is the prior.")
    floors: dict[Name, Count] = Field(default_factory=dict, description="At least so much, in the budget's unit.")
    caps: dict[Name, Count] = Field(default_factory=dict, description="At most so much, in the budget's unit.")
    shares: dict[Name, Share] = Field(default_factory=dict, description="Exactly this share of the budget.")
    groups: dict[Name, GroupSpec] = Field(default_factory=dict, description="Joint bounds by a name of your choice.")

    @property
    def half(self) -> float:
        """The amount that halves a domain's expected loss, in the budget's unit."""
        return HALF_ROWS if self.half_rows is None else self.half_rows


class LicencesSpec(Section):
    """Which rows may enter the mixture."""

    exclude: list[Literal["non_commercial", "unknown", "test_split"]] = Field(
        default_factory=list,
        description="Rows to leave out: those under a licence that forbids commercial use, those of public data "
        "without a known licence, and those of public test splits.",
    )


class MixtureSpec(Section):
    """What the mixed data set holds."""

    target_rows: Positive | None = Field(
        default=None,
        description="Target rows; all of its pool when not given. Sources of a target have amounts of their own.",
    )
    answers: Literal["gold", "rationale", "self"] = Field(
        default="gold", description="Whose answers the domains' rows carry."
    )
    target_answers: Literal["given", "own_voice"] = Field(
        default="given",
        description="Whose words the target's answers are in: as given, or the untrained model's own, which says each "
        "answer again and is taken where the target's grader accepts it.",
    )
    answer_tokens: Positive = Field(
        default=256, description="`self` and `own_voice`: at most so many new tokens an answer."
    )
    cut_answers: Literal["drop", "keep"] = Field(
        default="drop",
        description="`self`: whether answers that were cut at `answer_tokens` are passed over, or trained as they are.",
    )
    licences: LicencesSpec = Field(default_factory=LicencesSpec)

    @model_serializer(mode="wrap")
    def as_given(self, written: SerializerFunctionWrapHandler) -> Yaml:
        """The section without the later keys where they say nothing, so that they change no hash."""
        values: Yaml = written(self)
        unset: Yaml = {"target_answers": "given", "cut_answers": "drop", "licences": {"exclude": []}}
        return {key: value for key, value in values.items() if key not in unset or value != unset[key]}


class ReplayKlSpec(Section):
    """How near the model is held to the untrained one where it is trained on domain rows."""

    weight: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = Field(
        default=1.0,
        description="What the token KL from the untrained model is multiplied by in the loss, at the answers of domain "
        "rows; 0 trains as without.",
    )


class TrainSpec(Section):
    """The TRL job that follows."""

    method: Literal["sft", "grpo"] = Field(
        default="sft", description="Supervised fine-tuning, or GRPO with graded answers."
    )
    args: Yaml = Field(default_factory=dict, description="Fields of TRL's SFTConfig or GRPOConfig.")
    lora: Yaml | None = Field(default=None, description="Fields of peft's LoraConfig; full fine-tuning when not given.")
    rewards: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        default_factory=lambda: {"graded": 1.0},
        description="GRPO: rewards with their factors. `graded` grades each row by its own domain's grader; `choice`, "
        "`exact`, `number`, `math`, `generator` grade every row that way; `format`; or a `package.module:function`.",
    )
    answer_format: str = Field(
        default=r"<answer>.+</answer>",
        description="GRPO: the regular expression that the reward `format` finds in an answer.",
    )
    grader_seconds: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = Field(
        default=10.0, description="GRPO: a reward that takes longer for one answer counts as 0."
    )
    replay_kl: ReplayKlSpec | None = Field(
        default=None,
        description="SFT: adds the KL from the untrained model at the answers of domain rows to the loss; `{}` by the "
        "default weight. `mixplan train` alone does so, in one process.",
    )

    @model_serializer(mode="wrap")
    def as_given(self, written: SerializerFunctionWrapHandler) -> Yaml:
        """The section without `replay_kl` where it is not given, so that it changes no hash."""
        values: Yaml = written(self)
        return {key: value for key, value in values.items() if key != "replay_kl" or value is not None}


Measure = Literal["choice", "exact", "likelihood", "behaviour", "lm_eval"]


class StopSpec(Section):
    """When a training is stopped for what it does to the domains."""

    worst_kl: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Stop once a domain's mean token KL from the untrained model passes this, in nats per token.",
    )


class DuringSpec(Section):
    """What is measured while the model trains, on a few evaluation rows a domain."""

    every: Positive | None = Field(
        default=None, description="Optimiser steps between measures; as often as `cost` allows when not given."
    )
    rows: Positive = Field(default=8, description="At most so many evaluation rows a domain.")
    target_rows: Positive = Field(default=24, description="At most so many evaluation rows of the target.")
    tokens: Positive = Field(
        default=32,
        description="At most so many tokens of the untrained model's own answers, at which KL is taken; no more than "
        "`behaviour_tokens`.",
    )
    cost: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = Field(
        default=0.05,
        description="Seconds spent on measuring for each second of training, at most; 1000000 measures at every step "
        "that `every` names, whatever it takes.",
    )
    drift: bool = Field(default=True, description="Whether the plan's drift dimensions are read too.")
    stop: StopSpec = Field(default_factory=StopSpec)
    keep: Literal["last", "best"] = Field(
        default="last",
        description="The model that is kept: the last, or of those measured the one with the least worst-domain KL "
        "among those whose gain on the target is the best within one standard error.",
    )

    @property
    def decides(self) -> bool:
        """Whether it may stop the training, or keep another model than the last."""
        return self.stop.worst_kl is not None or self.keep == "best"


class EvaluateSpec(Section):
    """What is measured before and after, on the held-out evaluation rows, and while the model trains."""

    measures: dict[Name, Measure] = Field(
        default_factory=dict,
        description="A domain's headline measure, the target's as `target`, a source's of it as `target.NAME`; by its "
        "format when not given.",
    )
    also: list[Measure] = Field(default=["behaviour"], description="Measured too, in each domain that they fit.")
    rows: Positive | None = Field(
        default=None, description="At most so many evaluation rows a domain; all of them when not given."
    )
    answer_tokens: Positive = Field(default=256, description="`exact`: at most so many new tokens an answer.")
    behaviour_tokens: Positive = Field(
        default=64, description="`behaviour`: at most so many tokens of the untrained model's own answer."
    )
    resamples: Annotated[int, Field(ge=100, le=100_000)] = Field(
        default=1000, description="Bootstrap resamples behind an interval."
    )
    tasks: dict[Name, str] = Field(
        default_factory=dict, description="`lm_eval`: a domain's lm-evaluation-harness task, by name or as a YAML file."
    )
    during: DuringSpec | None = Field(
        default=None, description="What is measured while the model trains; `{}` measures by default."
    )

    @model_serializer(mode="wrap")
    def as_given(self, written: SerializerFunctionWrapHandler) -> Yaml:
        """The section without `during` where it says nothing, so that earlier plans keep their hashes."""
        values: Yaml = written(self)
        return {key: value for key, value in values.items() if key != "during" or value is not None}


Amount = Annotated[str, Field(examples=["2 pp", "0.05 bits", "0.1 nats"])]
"""An amount with its unit, as `mixplan.recipe.tolerances` reads it."""


class Recipe(Section):
    """One training job: what it teaches, what it may hurt, and what protects that."""

    model: ModelSpec
    target: TargetSpec
    domains: dict[Name, DomainSpec] = Field(min_length=1)
    drift: DriftSpec = Field(default_factory=DriftSpec)
    sts: StsSpec = Field(default_factory=StsSpec)
    budget: BudgetSpec
    allocate: AllocateSpec = Field(default_factory=AllocateSpec)
    mixture: MixtureSpec = Field(default_factory=MixtureSpec)
    train: TrainSpec = Field(default_factory=TrainSpec)
    evaluate: EvaluateSpec = Field(default_factory=EvaluateSpec)
    forecast: ForecastSpec = Field(default_factory=ForecastSpec)
    tolerances: dict[Name, Amount | Annotated[list[Amount], Field(min_length=1)] | None] = Field(
        default_factory=dict,
        description="What a domain may lose, in a unit of a measure that it takes: `2 pp` of accuracy, `0.05 bits` per "
        "byte of its reference answers, `0.1 nats` per token of behaviour; `all` is for every domain without an entry "
        "of its own, null lets one lose anything.",
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @model_serializer(mode="wrap")
    def as_given(self, written: SerializerFunctionWrapHandler) -> Yaml:
        """The recipe without `tolerances` where there are none, so that older plans keep their hashes."""
        values: Yaml = written(self)
        return {key: value for key, value in values.items() if key != "tolerances" or value}

    @model_validator(mode="before")
    @classmethod
    def _scored_without_sae(cls, values: Any) -> Any:
        """Where there is no SAE, `sts.score` is `preview` unless the recipe says otherwise."""
        model, sts = (values.get(key) for key in ("model", "sts")) if isinstance(values, dict) else (None, None)
        if not isinstance(model, dict) or model.get("sae") != "none" or not isinstance(sts, dict | None):
            return values
        return {**values, "sts": {"score": "preview", **(sts or {})}}

    @model_validator(mode="before")
    @classmethod
    def _half_in_rows(cls, values: Any) -> Any:
        """The usual `half_rows` is a number of rows: of a budget in tokens it is null, which is as many mean rows."""
        budget, allocate = (values.get(key) for key in ("budget", "allocate")) if isinstance(values, dict) else (0, 0)
        if not isinstance(budget, dict) or budget.get("tokens") is None or not isinstance(allocate, dict | None):
            return values
        return {**values, "allocate": {"half_rows": None, **(allocate or {})}}

    @property
    def training_seed(self) -> int:
        """The seed of the job's own training: `train.args.seed`, else the recipe's."""
        return int(self.train.args.get("seed", self.seed))

    @property
    def target_sections(self) -> dict[str, tuple[KeyPath, DomainSpec]]:
        """The target's sections with their keys, by what their rows are called: `target`, or `target.NAME` a source."""
        if isinstance(self.target, SourcesSpec):
            return {f"target.{name}": (("target", "sources", name), spec) for name, spec in self.target.sources.items()}
        return {"target": (("target",), self.target)}

    @property
    def row_sections(self) -> dict[str, tuple[KeyPath, DomainSpec]]:
        """All sections that rows are read by, with their keys: the target's, then the domains', by name."""
        domains = {name: (("domains", name), spec) for name, spec in self.domains.items()}
        return {**self.target_sections, **domains}
