"""Checks what the keys of valid sections ask of each other: choices, names that must exist, sums."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from pydantic import ValidationError

from mixplan.recipe.arguments import arguments
from mixplan.recipe.configs import dotted
from mixplan.recipe.domain_spec import DataSpec, DomainSpec, SourceSpec
from mixplan.recipe.drift_rules import unmet_by_drift
from mixplan.recipe.forecast_spec import ForecastSpec, unfit_forecast
from mixplan.recipe.levers import wrong_levers
from mixplan.recipe.lines import KeyPath, Located, Problem
from mixplan.recipe.paths import is_hub_id
from mixplan.recipe.reading_spec import DriftSpec, StsSpec
from mixplan.recipe.releases import sae_hint
from mixplan.recipe.scoring import scored_otherwise
from mixplan.recipe.section import Section
from mixplan.recipe.spec import AllocateSpec, BudgetSpec, EvaluateSpec, MixtureSpec, ModelSpec, TrainSpec
from mixplan.recipe.suggest import did_you_mean
from mixplan.recipe.tolerances import Given, is_given, wrong_tolerances
from mixplan.recipe.validate import describe

Finding = tuple[KeyPath, str]
SectionKind = TypeVar("SectionKind", bound=Section)

COLUMNS = {
    "messages": (("messages",), ("system", "role", "content", "tools")),
    "prompt_completion": (("prompt", "completion"), ("system", "role", "content", "tools")),
    "question_answer": (("question", "answer"), ("system", "rationale")),
    "choice": (("question", "options", "answer"), ("system", "rationale")),
}
"""For each format, the columns it needs and those it may have."""
ONLY_READ_BY = {
    "labels": ("choice",),
    "roles": ("messages", "prompt_completion"),
    "turns": ("messages",),
    "turn_order": ("messages", "prompt_completion"),
}
"""Keys of a domain with the formats that read them."""
CONFIG_CLASSES = {
    "sft": ("trl", "trainer/sft_config.py", "SFTConfig"),
    "grpo": ("trl", "trainer/grpo_config.py", "GRPOConfig"),
}
REWARDS = ("graded", "format", "choice", "exact", "number", "math", "generator")
USER_REWARD = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
OWN_ARGS = {"output_dir", "dataset_kwargs", "dataset_text_field", "resume_from_checkpoint"}
"""Fields of TRL's configs that say where a job's files go and what it reads, which the run folder decides."""
TEMPLATE_ARGS = {"chat_template_path", "chat_template_kwargs"}
"""Fields that would have TRL train on another text than is read and measured."""
TEMPLATE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
NOT_SETTINGS = {"messages", "add_generation_prompt", "tools", "documents", "bos_token", "eos_token"}
NAME_LENGTH = 100
"""Letters of a name at most, that of a target's source with `target.` in front included."""
LEAST = {
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "dataloader_num_workers": 0,
    "learning_rate": 0,
    "max_length": 1,
}
"""Of numbers with which TRL's trainer would take no step, or fail only once it trains."""
LORA_CLASS = ("peft", "tuners/lora/config.py", "LoraConfig")


def broken_rules(tree: Located) -> list[Problem]:
    """Check what one key asks of another, in every section that its own model accepts."""
    return [
        Problem(tree.nearest(path).place, f"{dotted(path)}: {text}")
        for path, text in _findings(tree)
        if not tree.nearest(path).broken()
    ]


def _findings(tree: Located) -> Iterator[Finding]:
    drift, sts = _section(tree, ("drift",), DriftSpec), _section(tree, ("sts",), StsSpec)
    if (model := _section(tree, ("model",), ModelSpec)) is not None:
        yield from _model(model)
        yield from scored_otherwise(model, drift, sts)
    targets = _targets(tree)
    for path, target in targets.items():
        if target is not None:
            yield from _domain(path, target, "drift.demonstrations", drift.demonstrations if drift else 0)
    train = _section(tree, ("train",), TrainSpec)
    if drift is not None:
        yield from unmet_by_drift(drift, targets, train, model)
    domains = _domains(tree)
    for name, domain in domains.items():
        if domain is not None:
            yield from _domain(("domains", name), domain, "sts.demonstrations", sts.demonstrations if sts else 0)
    if "target" in domains:
        yield ("domains", "target"), "this name is kept for the target. Choose another."
    yield from _sources(tree, targets, domains)
    if (budget := _section(tree, ("budget",), BudgetSpec)) is not None and "budget" in tree.value:
        yield from _budget(budget)
    if (allocate := _section(tree, ("allocate",), AllocateSpec)) is not None:
        yield from _allocate(allocate, domains)
    if train is not None:
        yield from _train(train)
    yield from wrong_levers(_section(tree, ("mixture",), MixtureSpec), train, targets)
    if (evaluate := _section(tree, ("evaluate",), EvaluateSpec)) is not None:
        yield from _evaluate(evaluate, domains, targets)
        yield from wrong_tolerances(_tolerances(tree), domains, evaluate)
    if (forecast := _section(tree, ("forecast",), ForecastSpec)) is not None:
        yield from unfit_forecast(forecast, None if train is None else train.method, domains)


def _targets(tree: Located) -> dict[KeyPath, DomainSpec | None]:
    """The target's section, or those of its sources; None for one that its own model refuses."""
    node = tree.nearest(("target", "sources"))
    if node is tree.nearest(("target",)):
        return {("target",): _section(tree, ("target",), DomainSpec)}
    names = list(node.value) if isinstance(node.value, Mapping) else []
    return {("target", "sources", name): _section(tree, ("target", "sources", name), SourceSpec) for name in names}


def _sources(tree: Located, targets: Mapping[KeyPath, object], domains: Mapping[str, object]) -> Iterator[Finding]:
    """What a target of several sources asks of other sections."""
    names = [str(path[2]) for path in targets if len(path) > 1]
    mixture = _section(tree, ("mixture",), MixtureSpec)
    if names and mixture is not None and mixture.target_rows is not None:
        yield (
            ("mixture", "target_rows"),
            "the target has several sources, each with an amount of its own. Give `target.sources.NAME.rows`, and "
            "leave this out.",
        )
    for taken in domains:
        if taken.startswith("target."):
            text = "names that begin with `target.` are kept for the target's sources. Choose another."
            yield ("domains", taken), text
    for name in names:
        taken = f"target.{name}"
        if len(taken) > NAME_LENGTH:
            text = f"the name is too long to be measured as `{taken}`. Choose one of at most {NAME_LENGTH - 7} letters."
            yield ("target", "sources", name), text


def _section(tree: Located, path: KeyPath, kind: type[SectionKind]) -> SectionKind | None:
    """A section's values, its defaults where it is absent; None where its own model refuses it."""
    node = tree.nearest(path)
    absent = tree.nearest(path[:-1]) is node and path[-1] not in (node.value if isinstance(node.value, Mapping) else {})
    try:
        return kind.model_validate({} if absent else node.plain())
    except ValidationError:
        return None


def _domains(tree: Located) -> dict[str, DomainSpec | None]:
    node = tree.value.get("domains")
    names = list(node.value) if node is not None and isinstance(node.value, Mapping) else []
    return {name: _section(tree, ("domains", name), DomainSpec) for name in names}


def _tolerances(tree: Located) -> dict[str, Given]:
    """What stands under `tolerances`, less what its own model refuses."""
    node = tree.value.get("tolerances")
    entries = node.value if node is not None and isinstance(node.value, Mapping) else {}
    given = {name: item.plain() for name, item in entries.items()}
    return {name: value for name, value in given.items() if is_given(value)}


def _one_of(path: KeyPath, given: Mapping[str, object]) -> Iterator[Finding]:
    """Exactly one of these keys must be given."""
    present = [name for name, value in given.items() if value is not None and value is not False]
    if len(present) != 1:
        found = " and ".join(present) or "none"
        remedy = f" Set the others to null, as in `--set {dotted((*path, present[0]))}=null`." if present else ""
        yield path, f"expected exactly one of {', '.join(given)}, found {found}.{remedy}"


def _template(model: ModelSpec) -> Iterator[Finding]:
    """What a chat template can be held to."""
    for name in model.chat_template_kwargs:
        path = ("model", "chat_template_kwargs", name)
        if not TEMPLATE_NAME.fullmatch(name):
            yield path, "it is not a name that a chat template can read. Write letters, digits and underscores."
        elif name in NOT_SETTINGS:
            yield path, "this is what each conversation gives the template, not a setting. Leave the key out."
    try:
        datetime.date.fromisoformat(model.template_date or "2024-01-01")
    except ValueError:
        yield ("model", "template_date"), f"found {describe(model.template_date)}, expected a day such as '2026-01-31'."


def _model(model: ModelSpec) -> Iterator[Finding]:
    yield from _template(model)
    sae, path = model.sae_spec, ("model", "sae")
    if sae is None:
        return
    places = {"release": sae.release, "repo": sae.repo, "path": sae.path, "embedded": sae.embedded}
    if any(places.values()):
        yield from _one_of(path, places)
    else:
        yield path, f"expected exactly one of {', '.join(places)}, found none. {sae_hint(model.name)}"
    inside = sae.release is not None or sae.repo is not None
    if inside and sae.id is None:
        yield path, "a release or repo holds many SAEs; name one with `id`."
    if not inside and sae.id is not None:
        yield (*path, "id"), "only a release or repo has SAEs to choose from. Remove `id`."
    if sae.format is not None and (sae.release is not None or sae.embedded):
        yield (*path, "format"), "SAELens knows the layout of a release, and mixplan its own. Remove `format`."
    if sae.format == "dictionary_learning" and sae.path is not None:
        yield (*path, "format"), "SAELens reads dictionary_learning's files from the hub only. Name a `repo` and `id`."


def _data(path: KeyPath, data: DataSpec) -> Iterator[Finding]:
    file = None if data.package is not None else data.file
    yield from _one_of(path, {"hub": data.hub, "file": file, "package": data.package, "generator": data.generator})
    if data.package is not None and data.file is None:
        yield path, "`package` needs `file`, a path inside the package."
    if data.hub is not None and not ("/" in data.hub and is_hub_id(data.hub)):
        yield (*path, "hub"), f"found '{data.hub}', no hub id. Write it as on the hub: organisation/name."
    if data.hub is None:
        for key in ("config", "split", "revision"):
            if getattr(data, key) is not None:
                yield (*path, key), f"only a hub data set has a {key}. Remove it."
    if data.generator is None and data.options:
        yield (*path, "options"), "only a generator has options. Remove them."
    for key, instead in (("seed", "the recipe's `seed`"), ("size", "`limit`")):
        if key in data.options:
            yield (*path, "options", key), f"a generator's {key} comes from {instead}. Remove it here."


def _domain(path: KeyPath, domain: DomainSpec, counter: str, demonstrations: int) -> Iterator[Finding]:
    yield from _data((*path, "data"), domain.data)
    if domain.demonstrations is not None:
        yield from _data((*path, "demonstrations"), domain.demonstrations)
    needed, allowed = COLUMNS[domain.format]
    for key, column in domain.columns.model_dump().items():
        if key in needed and column is None:
            yield (*path, "columns"), f"format {domain.format} needs the column `{key}`."
        elif key not in (*needed, *allowed) and column is not None:
            yield (*path, "columns", key), f"format {domain.format} does not read this column. Remove it."
    for key, formats in ONLY_READ_BY.items():
        default = DomainSpec.model_fields[key].get_default(call_default_factory=True)
        if getattr(domain, key) != default and domain.format not in formats:
            yield (*path, key), f"only format {' or '.join(formats)} reads it, not {domain.format}. Remove it."
    if domain.grader == "choice" and domain.format != "choice":
        yield (*path, "grader"), f"`choice` grades format choice, but the format is {domain.format}."
    if domain.grader == "generator" and domain.data.generator is None:
        yield (*path, "grader"), "`generator` grades a generator's rows, but the data is not from one."
    if domain.split.query == 0:
        yield (*path, "split", "query"), "found the number 0, but features are read from query rows. Set at least 1."
    kept = domain.split.demonstration
    if kept is not None and kept < demonstrations:
        yield (
            (*path, "split", "demonstration"),
            f"{kept} rows are kept for demonstrations, but {counter} puts {demonstrations} in front of a query. "
            f"Keep at least {demonstrations}.",
        )


def _budget(budget: BudgetSpec) -> Iterator[Finding]:
    yield from _one_of(("budget",), {"rows": budget.rows, "tokens": budget.tokens})
    for key in ("rows", "tokens"):
        if getattr(budget, key) == []:
            yield ("budget", key), "the list is empty. Give at least one amount."


def _allocate(allocate: AllocateSpec, domains: Mapping[str, object]) -> Iterator[Finding]:
    for key in ("floors", "caps", "shares"):
        yield from _known(("allocate", key), getattr(allocate, key), domains)
    if isinstance(allocate.prior, dict):
        yield from _known(("allocate", "prior"), allocate.prior, domains)
        if not any(allocate.prior.values()):
            yield ("allocate", "prior"), "every share is 0. Give at least one domain a share above 0."
    if allocate.objective == "evidence" and allocate.alpha != 1:
        yield ("allocate", "alpha"), "only alpha_fair has one. Add `objective: alpha_fair`, or leave `alpha` out."
    if allocate.prior is None and allocate.prior_strength > 0:
        yield ("allocate", "prior_strength"), "there is no `prior` to be pulled towards. Add `allocate.prior`."
    for name, group in allocate.groups.items():
        for number, domain in enumerate(group.domains):
            yield from _known(("allocate", "groups", name, "domains", number), [domain], domains, inside=False)
        if group.cap is not None and group.floor > group.cap:
            yield ("allocate", "groups", name), f"its floor {group.floor} is above its cap {group.cap}."
    for name, floor in allocate.floors.items():
        if floor > allocate.caps.get(name, floor):
            yield ("allocate", "floors", name), f"the floor {floor} is above the cap {allocate.caps[name]}."
    if (total := sum(allocate.shares.values())) > 1 + 1e-9:
        yield ("allocate", "shares"), f"the shares sum to {total:g}, expected at most 1."


def _known(
    path: KeyPath, names: Mapping[str, object] | list[str], domains: Mapping[str, object], *, inside: bool = True
) -> Iterator[Finding]:
    """Every name must be a domain's."""
    for name in names:
        if domains and name not in domains:
            yield (*path, name) if inside else path, f"there is no domain {name!r}.{did_you_mean(name, domains)}"


def _train(train: TrainSpec) -> Iterator[Finding]:
    for key, values, place in (
        ("args", train.args, CONFIG_CLASSES[train.method]),
        ("lora", train.lora or {}, LORA_CLASS),
    ):
        known = arguments(*place) if values else {}
        for name, value in values.items():
            path = ("train", key, name)
            if name not in known:
                yield path, f"{place[2]} has no such field.{did_you_mean(name, known)}"
            elif not known[name].takes(value):
                yield path, f"found {describe(value)}, expected {known[name].words()} ({place[2]})."
    yield from _contrary(train)
    yield from _rewards(train)


def _contrary(train: TrainSpec) -> Iterator[Finding]:
    """Settings that would make TRL do something else than the mixture is made for."""
    args = train.args
    on_completions = args.get("completion_only_loss", True)
    if train.method == "sft" and (on_completions is False or on_completions is None):
        found = describe(on_completions)
        text = f"found {found}, expected true. The mixture's loss falls on completions only. Leave the key out."
        yield ("train", "args", "completion_only_loss"), text
    if args.get("eval_strategy", "no") not in ("no", False):
        yield (
            ("train", "args", "eval_strategy"),
            f"found {describe(args['eval_strategy'])}, expected no. The mixture has a train split alone; mixplan "
            "evaluates on rows of its own before and after. Leave the key out.",
        )
    if args.get("eval_on_start"):
        yield ("train", "args", "eval_on_start"), "mixplan evaluates before and after by itself. Leave the key out."
    for name, least in LEAST.items():
        value = args.get(name)
        if isinstance(value, int | float) and value < least:
            yield ("train", "args", name), f"found {describe(value)}, expected {least} or more."
    if (train.lora or {}).get("inference_mode"):
        yield ("train", "lora", "inference_mode"), "an adapter that is frozen is not trained. Leave the key out."
    for name in sorted(OWN_ARGS & set(args)):
        yield ("train", "args", name), "mixplan sets this itself. Leave the key out."
    for name in sorted(TEMPLATE_ARGS & set(args)):
        yield (
            ("train", "args", name),
            "the template is the same in reading, training and measuring. Give its settings as "
            "`model.chat_template_kwargs`.",
        )
    if args.get("hub_token") is not None:
        yield (
            ("train", "args", "hub_token"),
            "a token in a recipe would stand in every file of the run. Leave the key out, and log in with "
            "`hf auth login` or set HF_TOKEN.",
        )
    if "reward_weights" in args:
        yield ("train", "args", "reward_weights"), "the factors stand in `train.rewards`. Leave the key out."


def _rewards(train: TrainSpec) -> Iterator[Finding]:
    if not train.rewards:
        yield ("train", "rewards"), "it is empty. Name at least one reward, such as `graded: 1.0`."
    for name in train.rewards:
        if name not in REWARDS and not USER_REWARD.fullmatch(name):
            own = "A function of your own is named as `package.module:function`."
            yield ("train", "rewards", name), f"there is no such reward.{did_you_mean(name, REWARDS)} {own}"
    try:
        re.compile(train.answer_format)
    except re.error as error:
        yield ("train", "answer_format"), f"it is not a regular expression: {error}."


def _evaluate(
    evaluate: EvaluateSpec,
    domains: Mapping[str, DomainSpec | None],
    targets: Mapping[KeyPath, DomainSpec | None],
) -> Iterator[Finding]:
    own = {".".join(("target", *map(str, path[2:]))): target for path, target in targets.items()}
    # Where the domains could not be read, their names are not known.
    measured = {**domains, **own} if domains else {}
    yield from _known(("evaluate", "measures"), evaluate.measures, measured)
    yield from _known(("evaluate", "tasks"), evaluate.tasks, measured)
    for name, measure in evaluate.measures.items():
        path, domain = ("evaluate", "measures", name), measured.get(name)
        if measure == "choice" and domain is not None and domain.format != "choice":
            yield path, f"`choice` measures format choice, but the format is {domain.format}."
        if measure == "exact" and domain is not None and domain.grader == "none":
            yield path, f"`exact` grades answers, but `{name}` has the grader none. Choose one, or another measure."
        if measure == "lm_eval" and name not in evaluate.tasks:
            yield path, f"`lm_eval` needs the domain's task. Add `evaluate.tasks.{name}`."
