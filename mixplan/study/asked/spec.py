"""Reads a study's YAML as a frozen spec with one valid recipe for each target; reports every problem at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from mixplan.errors import RecipeError
from mixplan.recipe import LoadedRecipe, Name, RolloutsSpec, SaeSpec, Section
from mixplan.recipe.configs import display, with_configs
from mixplan.recipe.lines import Located, Problem, read
from mixplan.recipe.load import checked, lines_of
from mixplan.recipe.rules import broken_rules
from mixplan.recipe.section import Positive, Yaml
from mixplan.recipe.suggest import did_you_mean
from mixplan.recipe.validate import departures
from mixplan.runs import content_hash
from mixplan.study.asked.arms import TRAINING_KEYS, ArmsSpec, led_by_scores, of_arms, unfit_arms, unfit_sections

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Part = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Figure = Annotated[float, Field(allow_inf_nan=False)]

OWN_KEYS = ("target", "budget", "allocate", "forecast", "seed")
"""Recipe sections that the study itself settles: its jobs train on target rows alone."""


SPLIT = {"evaluation": 100, "query": 200, "demonstration": 40, "apart": True}
"""How a study splits where it does not say: what is read stays out of what is trained, and numbers do not follow sizes.
"""


class ReadingSpec(Section):
    """What is read of each domain's features, alone and behind demonstrations."""

    query_tokens: Positive = Field(default=1000, description="Question tokens of each domain, a context.")
    answer_tokens: Positive = Field(default=500, description="Answer tokens of each domain, a context.")
    target_tokens: Positive = Field(default=4000, description="Question tokens of a target behind its own rows.")
    demonstrations: Positive = Field(default=2, description="Rows in front of a question.")
    draws: Positive = Field(default=3, description="Demonstration draws that share the tokens.")
    rollouts: RolloutsSpec = Field(
        default_factory=RolloutsSpec, description="Own answers to each target's demonstration rows, with GRPO."
    )
    pilot_steps: Positive = Field(default=10, description="Optimiser steps of each target's pilot run, with GRPO.")


class PreviewSpec(Section):
    """What is asked of the untrained model behind a target's demonstrations."""

    rows: Positive = Field(default=24, description="Query rows of each domain.")
    demonstrations: Positive = Field(default=2, description="Rows in front of a question.")
    draws: Positive = Field(default=2, description="Demonstration draws that share the rows.")


class MarkSpec(Section):
    """A pass mark, written down before anything is measured."""

    text: str = Field(description="The goal in words.")
    quantity: str = Field(description="A path into the judgement, such as `chosen/kl/pearson/held_out`.")
    at_least: Figure = Field(description="The figure must reach this.")
    low_above: Figure | None = Field(default=None, description="The lower end of its interval must lie above this.")


class AblationSpec(Section):
    """What a finished study is judged again with, one setting changed at a time."""

    features: list[Positive] = Field(default=[10, 20, 50, 100, 200, 500, 1000], description="Drift dimensions.")
    demonstrations: list[Positive] = Field(default=[1, 2, 4, 8], description="Rows in front of a question.")
    tokens: list[Part] = Field(default=[0.25, 0.5, 1.0], description="Parts of the study's query tokens.")
    saes: dict[Name, SaeSpec] = Field(default_factory=dict, description="Other SAEs of the same model, by name.")
    trained: dict[Name, Yaml] = Field(
        default_factory=dict,
        description="SAEs that the study trains itself: `config`, a name under configs/saes, and any key over it.",
    )


class StudySpec(Section):
    """Which targets are trained, what is measured and read, and what would count as success."""

    title: str = Field(description="What the study is about.")
    questions: list[str] = Field(min_length=1, description="What it asks.")
    recipe: Yaml = Field(description="A recipe without target, budget, allocate, forecast and seed.")
    targets: dict[Name, Yaml] = Field(min_length=2, description="Targets, as a recipe's `target` is written.")
    development: list[Name] = Field(
        default_factory=list, min_length=1, description="Targets that choices of method are made on; not with `arms`."
    )
    kinds: dict[Name, list[Name]] = Field(
        default_factory=dict, min_length=1, description="The domains by kind, each in one; not with `arms`."
    )
    seeds: list[Seed] = Field(min_length=1, description="Training seeds.")
    reading: ReadingSpec = Field(default_factory=ReadingSpec)
    preview: PreviewSpec = Field(default_factory=PreviewSpec)
    marks: list[MarkSpec] = Field(default_factory=list, description="Pass marks.")
    arms: ArmsSpec | None = Field(default=None, description="Mixtures to train: the study is then of these alone.")
    ablations: AblationSpec | None = Field(default=None, description="What the finished study is judged again with.")


@dataclass(frozen=True)
class LoadedStudy:
    """A valid study.

    Attributes:
        spec: Its values.
        path: Its file.
        recipes: By target, the recipe of its runs; domains whose data is the target's own are left out.
        whole: Any target's recipe with all domains, for what all runs share.
    """

    spec: StudySpec
    path: Path
    recipes: dict[str, LoadedRecipe]
    whole: LoadedRecipe

    @property
    def hash(self) -> str:
        """What the study is registered as: hash over its values, defaults and merged configs included.

        Ablations are left out: no mark is about them, they change no cell, and they may be added to a finished study.
        So is what only GRPO reads, where jobs train otherwise. What plans of arms learn from counts by its content.
        """
        unread = {} if self.rewarded else {"reading": {"rollouts", "pilot_steps"}}
        absent = {} if self.spec.arms else {"arms": True}
        values = self.spec.model_dump(mode="json", exclude={"ablations": True, **absent, **unread})
        learned = [] if self.evidence is None else [first_hash(self.evidence.read_bytes())]
        recipes = {name: loaded.resolved for name, loaded in self.recipes.items()}
        return content_hash(as_registered(values), as_registered(recipes), *learned)

    @property
    def evidence(self) -> Path | None:
        """The file that plans of a study of arms learn from, None where they learn from none."""
        arms = self.spec.arms
        return None if arms is None or arms.evidence is None else self.path.parent / arms.evidence

    @property
    def rewarded(self) -> bool:
        """Whether its jobs learn from rewards of the model's own answers."""
        return self.whole.recipe.train.method == "grpo"

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of all domains."""
        return tuple(self.whole.recipe.domains)


def as_registered(value: Any) -> Any:
    """A study's values as studies were registered before some keys were there, with what was done then left out.

    Answers that were cut were kept before `mixture.cut_answers` was a key; what is read of a domain was kept out of its
    pool, and no rows were kept together, before `split.apart` and `group` were. What was registered then stays what it
    was, and a study that does otherwise has a hash of its own.
    """
    if not isinstance(value, dict):
        return value
    made = {name: as_registered(part) for name, part in value.items()}
    if made.keys() >= {"data", "format"} and made.get("group") is False:
        del made["group"]
    if made.keys() <= SPLIT.keys() and made.get("apart") is True:
        del made["apart"]
    cut = made.pop("cut_answers", "drop")
    return made | {"cut_answers": cut} if made.get("answers") == "self" and cut == "drop" else made


def first_hash(evidence: bytes) -> str:
    """SHA-256 of an evidence.json as it was first written: what is added later of the same measurements is no change.

    `restate` writes that hash down, having held every number against the first ones.
    """
    try:
        restated = json.loads(evidence).get("restates")
    except (ValueError, AttributeError):  # no JSON, or JSON that is no object
        restated = None
    return str(restated) if restated else hashlib.sha256(evidence).hexdigest()


def load_study(path: Path) -> LoadedStudy:
    """Read and check a study, its targets' recipes included.

    Raises:
        RecipeError: anything is wrong; one line for each problem, with its file and line.
    """
    if not path.is_file():
        raise RecipeError(f"{display(path)}: there is no such study. Studies are in recipes/studies/.")
    tree, problems = read(path, display(path))
    if tree is not None and "target" in tree.value and tree.value.keys().isdisjoint({"recipe", "targets"}):
        raise RecipeError(f"{display(path)}: this is a recipe, not a study. Give it to `mixplan plan`.")
    if tree is not None:
        problems = [*problems, *departures(tree, StudySpec).values()]
    if problems or tree is None:
        raise RecipeError("\n".join(lines_of(problems)))
    spec = StudySpec.model_validate(tree.plain())
    whole = checked_recipes(tree, spec, path)
    left_out = {name: same_data(loaded) for name, loaded in whole.items()}
    if problems := list(unmeasured(tree, whole, left_out)):
        raise RecipeError("\n".join(lines_of(problems)))
    recipes = {name: checked(recipe_tree(tree, name, path, left_out[name])[0], path, ()) for name in spec.targets}
    return LoadedStudy(spec, path, recipes, next(iter(whole.values())))


def checked_recipes(tree: Located, spec: StudySpec, path: Path) -> dict[str, LoadedRecipe]:
    """Every target's recipe with all domains.

    Raises:
        RecipeError: one of them is no valid recipe, or a name in the study names nothing.
    """
    trees: dict[str, Located | None] = {}
    problems: list[Problem] = []
    for name in spec.targets:
        trees[name], found = recipe_tree(tree, name, path)
        problems += found
    first = next(iter(trees.values()))
    problems += [*unfit_sections(tree), *misnamed(tree, spec, domain_names(first)), *unplaced(tree, spec)]
    if spec.arms is not None:
        problems += unfit_arms(tree, spec.arms, spec.recipe, path.parent)
    if problems:
        raise RecipeError("\n".join(lines_of(problems)))
    return {name: checked(merged, path, ()) for name, merged in trees.items()}


def recipe_tree(
    tree: Located, target: str, path: Path, without: tuple[str, ...] = ()
) -> tuple[Located | None, list[Problem]]:
    """One target's recipe: the study's, with the target in it and nothing to spend.

    Args:
        tree: The study.
        target: Its name for the target.
        path: The study's file.
        without: Domains to leave out.

    Returns:
        The recipe's tree and all that is wrong with it, key paths as the study's file has them.
    """
    base, targets = tree.value["recipe"], tree.value["targets"]
    if isinstance(targets.value[target].value, Mapping) and "sources" in targets.value[target].value:
        text = (
            f"targets.{target}.sources: a study compares targets of one source each. Give every source as a target of "
            "its own, or plan the whole with `mixplan plan`."
        )
        return None, [Problem(targets.value[target].value["sources"].place, text)]
    allowed = TRAINING_KEYS if of_arms(tree) else ()
    taken = [key for key in OWN_KEYS if key in base.value and key not in allowed]
    own_keys = [
        Problem(base.value[key].place, f"recipe.{key}: a study settles this itself. Leave the key out.")
        for key in taken
    ]
    own = {
        "target": targets.value[target],
        "budget": Located({"rows": Located(0, base.place)}, base.place),
        "forecast": Located({"runs": Located([], base.place)}, base.place),
        "seed": tree.value["seeds"].value[0],
    }
    kept = {key: value for key, value in base.value.items() if key not in taken}
    merged, problems = with_configs(Located({**own, **kept}, base.place), path, (), [])
    if merged is not None:
        merged = led_by_scores(split_apart(merged))
        for section in (("domains",), ("evaluate", "measures"), ("evaluate", "tasks")):
            merged = lacking(merged, section, without)
        problems = [*problems, *departures(merged).values(), *broken_rules(merged)]
    return merged, own_keys + [in_study(problem, target, tree.place.label) for problem in problems]


def split_apart(tree: Located) -> Located:
    """A recipe's tree with the study's defaults in target and domains: how they are split, and no rows together."""

    def section(domain: Located) -> Located:
        if not isinstance(domain.value, Mapping):
            return domain
        split = domain.value.get("split", Located({}, domain.place))
        if isinstance(split.value, Mapping):
            defaults = {key: Located(value, split.place) for key, value in SPLIT.items()}
            split = Located({**defaults, **split.value}, split.place)
        return Located({"group": Located(False, domain.place), **domain.value, "split": split}, domain.place)

    domains = tree.value.get("domains")
    made = {"target": section(tree.value["target"])}
    if domains is not None and isinstance(domains.value, Mapping):
        made["domains"] = Located({name: section(domain) for name, domain in domains.value.items()}, domains.place)
    return Located({**tree.value, **made}, tree.place)


def in_study(problem: Problem, target: str, label: str) -> Problem:
    """A recipe's problem, its key path as the study's file has it; problems in configs stay as they are."""
    if problem.place.label != label:
        return problem
    if problem.text.startswith(("target.", "target:")):
        return Problem(problem.place, f"targets.{target}{problem.text.removeprefix('target')}")
    return Problem(problem.place, f"recipe.{problem.text}")


def lacking(tree: Located, section: tuple[str, ...], names: tuple[str, ...]) -> Located:
    """A tree without some names in one of its sections."""
    if not isinstance(tree.value, Mapping):
        return tree
    if not section:
        return Located({name: value for name, value in tree.value.items() if name not in names}, tree.place)
    head, *rest = section
    below = tree.value.get(head)
    return tree if below is None else Located({**tree.value, head: lacking(below, tuple(rest), names)}, tree.place)


def domain_names(merged: Located | None) -> tuple[str, ...] | None:
    """A recipe's domains; None where they could not be read."""
    section = None if merged is None else merged.value.get("domains")
    return tuple(section.value) if section is not None and isinstance(section.value, Mapping) else None


def same_data(loaded: LoadedRecipe) -> tuple[str, ...]:
    """Domains that read what the target reads: training on them is not a side effect."""

    def origin(*section: str) -> list[Any]:
        data = loaded.resolved
        for key in (*section, "data"):
            data = data[key]
        file = data["file"]
        if file is not None and data["package"] is None:
            # One file may be named in several ways, and a config's names are relative to the config.
            file = str((loaded.folder((*section, "data", "file")) / file).resolve())
        return [file, *(data[key] for key in ("hub", "config", "package", "generator"))]

    own = origin("target")
    return tuple(name for name in loaded.recipe.domains if origin("domains", name) == own)


def unmeasured(
    tree: Located, whole: Mapping[str, LoadedRecipe], left_out: Mapping[str, tuple[str, ...]]
) -> Iterator[Problem]:
    """Targets that no domain is left for, and domains that no target is left for."""
    domains = tuple(next(iter(whole.values())).recipe.domains)
    targets = tree.value["targets"].value
    for name, out in left_out.items():
        if set(out) >= set(domains):
            text = "every domain reads this target's data, so none can be measured. Add a domain of other data."
            yield Problem(targets[name].place, f"targets.{name}: {text}")
    for domain in domains:
        if all(domain in out for out in left_out.values()):
            text = f"domain {domain!r} reads every target's data, so it can be measured for none. Take it out."
            yield Problem(tree.nearest(("recipe", "domains", domain)).place, f"recipe.domains: {text}")


def misnamed(tree: Located, spec: StudySpec, domains: tuple[str, ...] | None) -> Iterator[Problem]:
    """Names in the study that name nothing or are given twice, and domains without a kind or with two."""
    for number, name in enumerate(spec.development):
        place = tree.nearest(("development", number)).place
        if name not in spec.targets:
            yield Problem(place, f"development: there is no target {name!r}.{did_you_mean(name, spec.targets)}")
        elif name in spec.development[:number]:
            yield Problem(place, f"development: target {name!r} is named twice. Take it out once.")
    if set(spec.development) >= set(spec.targets):
        place = tree.value["development"].place
        yield Problem(place, "development: every target is named, so none is left to judge by. Take some out.")
    for number, seed in enumerate(spec.seeds):
        if seed in spec.seeds[:number]:
            place = tree.nearest(("seeds", number)).place
            yield Problem(
                place, f"seeds: {seed} is given twice, which would count one training twice. Take it out once."
            )
    if domains is not None and spec.kinds:
        yield from unkind(tree, spec, domains)


def unplaced(tree: Located, spec: StudySpec) -> Iterator[Problem]:
    """SAEs of the ablations that are not said to lie in one place, or of which a second one has the name."""
    for name in spec.ablations.trained if spec.ablations else {}:
        if spec.ablations and name in spec.ablations.saes:
            place = tree.nearest(("ablations", "trained", name)).place
            yield Problem(place, f"ablations.trained.{name}: ablations.saes has this name already. Choose another one.")
    for name, sae in (spec.ablations.saes if spec.ablations else {}).items():
        key, place = f"ablations.saes.{name}", tree.nearest(("ablations", "saes", name)).place
        given = [part for part in ("release", "repo", "path") if getattr(sae, part) is not None]
        given += ["embedded"] if sae.embedded else []
        if len(given) != 1:
            found = " and ".join(given) or "none"
            yield Problem(place, f"{key}: expected exactly one of release, repo, path, embedded, found {found}.")
        elif (sae.id is None) == (given[0] in ("release", "repo")):
            text = "name one of its SAEs with `id`." if sae.id is None else "only a release or repo has an `id`."
            yield Problem(place, f"{key}: {text}")


def unkind(tree: Located, spec: StudySpec, domains: tuple[str, ...]) -> Iterator[Problem]:
    """Domains without a kind or with two, and kinds of domains that are not there."""
    placed: dict[str, str] = {}
    for kind, names in spec.kinds.items():
        for number, name in enumerate(names):
            place = tree.nearest(("kinds", kind, number)).place
            if name not in domains:
                yield Problem(place, f"kinds.{kind}: there is no domain {name!r}.{did_you_mean(name, domains)}")
            elif name in placed:
                text = f"domain {name!r} stands under {placed[name]} already. Take it out of one."
                yield Problem(place, f"kinds.{kind}: {text}")
            placed.setdefault(name, kind)
    for name in domains:
        if name not in placed:
            yield Problem(tree.value["kinds"].place, f"kinds: domain {name!r} stands under none. Put it under one.")
