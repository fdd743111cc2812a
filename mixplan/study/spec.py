"""A study's YAML in, its frozen spec and one valid recipe for each of its targets out; every problem at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from mixplan.errors import RecipeError
from mixplan.recipe import LoadedRecipe, Name, Section
from mixplan.recipe.configs import display, with_configs
from mixplan.recipe.lines import Located, Problem, read
from mixplan.recipe.load import checked, lines_of
from mixplan.recipe.spec import Positive
from mixplan.recipe.suggest import did_you_mean
from mixplan.recipe.validate import departures
from mixplan.runs import content_hash

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Bounded = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]

OWN_KEYS = ("target", "budget", "forecast", "seed")
"""Recipe sections that the study itself says."""


class ReadingSpec(Section):
    """What is read of each domain's features, alone and behind demonstrations."""

    query_tokens: Positive = Field(default=1000, description="Question tokens of each domain, a context.")
    answer_tokens: Positive = Field(default=500, description="Answer tokens of each domain, a context.")
    target_tokens: Positive = Field(default=4000, description="Question tokens of a target behind its own rows.")
    demonstrations: Positive = Field(default=2, description="Rows in front of a question.")
    draws: Positive = Field(default=3, description="Demonstration draws that share the tokens.")


class PreviewSpec(Section):
    """What is asked of the untrained model behind a target's demonstrations."""

    rows: Positive = Field(default=24, description="Query rows of each domain.")
    demonstrations: Positive = Field(default=2, description="Rows in front of a question.")
    draws: Positive = Field(default=2, description="Demonstration draws that share the rows.")


class MarkSpec(Section):
    """A pass mark, written down before anything is measured."""

    text: str = Field(description="The goal in words.")
    quantity: str = Field(description="A path into the judgement, such as `chosen/kl/pearson/held_out`.")
    at_least: Bounded = Field(description="The figure must reach this.")
    low_above: Bounded | None = Field(default=None, description="The lower end of its interval must lie above this.")


class StudySpec(Section):
    """Which targets are trained, what is measured and read, and what would count as success."""

    title: str = Field(description="What the study is about.")
    questions: list[str] = Field(min_length=1, description="What it asks.")
    recipe: dict[str, Any] = Field(description="A recipe without target, budget, forecast and seed.")
    targets: dict[Name, dict[str, Any]] = Field(min_length=2, description="Targets, as a recipe's `target` is written.")
    development: list[Name] = Field(min_length=1, description="Targets on which choices of method are made.")
    kinds: dict[Name, list[Name]] = Field(min_length=1, description="The domains by kind; each in one.")
    seeds: list[Seed] = Field(min_length=1, description="Training seeds.")
    reading: ReadingSpec = Field(default_factory=ReadingSpec)
    preview: PreviewSpec = Field(default_factory=PreviewSpec)
    marks: list[MarkSpec] = Field(default_factory=list, description="Pass marks.")


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
        """What the study is registered as: hash over its values, defaults and merged configs included."""
        values = self.spec.model_dump(mode="json")
        return content_hash(values, {name: loaded.resolved for name, loaded in self.recipes.items()})

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of all domains."""
        return tuple(self.whole.recipe.domains)


def load_study(path: Path) -> LoadedStudy:
    """Read and check a study, its targets' recipes included.

    Raises:
        RecipeError: anything is wrong; one line for each problem, with its file and line.
    """
    if not path.is_file():
        raise RecipeError(f"{display(path)}: there is no such study. Studies are in recipes/studies/.")
    tree, problems = read(path, display(path))
    if tree is not None:
        problems = [*problems, *departures(tree, StudySpec).values()]
    if problems or tree is None:
        raise RecipeError("\n".join(lines_of(problems)))
    spec = StudySpec.model_validate(tree.plain())
    whole = {name: recipe_of(tree, name, path) for name in spec.targets}
    problems = list(misnamed(tree, spec, tuple(next(iter(whole.values())).recipe.domains)))
    if problems:
        raise RecipeError("\n".join(lines_of(problems)))
    recipes = {name: recipe_of(tree, name, path, without=same_data(loaded)) for name, loaded in whole.items()}
    return LoadedStudy(spec, path, recipes, next(iter(whole.values())))


def recipe_of(tree: Located, target: str, path: Path, without: tuple[str, ...] = ()) -> LoadedRecipe:
    """One target's recipe: the study's, with the target in it and nothing to spend.

    Raises:
        RecipeError: it is no valid recipe.
    """
    base, targets = tree.value["recipe"], tree.value["targets"]
    taken = [key for key in OWN_KEYS if key in base.value]
    problems = [
        Problem(base.value[key].place, f"recipe.{key}: a study says this itself. Leave the key out.") for key in taken
    ]
    own = {
        "target": targets.value[target],
        "budget": Located({"rows": Located(0, base.place)}, base.place),
        "forecast": Located({"runs": Located([], base.place)}, base.place),
        "seed": tree.value["seeds"].value[0],
    }
    merged, problems = with_configs(Located({**base.value, **own}, base.place), path, (), problems)
    if merged is not None:
        for section in (("domains",), ("evaluate", "measures")):
            merged = lacking(merged, section, without)
    return checked(merged, path, problems)


def lacking(tree: Located, section: tuple[str, ...], names: tuple[str, ...]) -> Located:
    """A tree without some names in one of its sections."""
    if not isinstance(tree.value, Mapping):
        return tree
    if not section:
        return Located({name: value for name, value in tree.value.items() if name not in names}, tree.place)
    head, *rest = section
    below = tree.value.get(head)
    return tree if below is None else Located({**tree.value, head: lacking(below, tuple(rest), names)}, tree.place)


def same_data(loaded: LoadedRecipe) -> tuple[str, ...]:
    """Domains that read what the target reads: training on them is not a side effect."""

    def origin(data: Mapping[str, Any]) -> list[Any]:
        return [data[key] for key in ("hub", "config", "file", "package", "generator")]

    own = origin(loaded.resolved["target"]["data"])
    domains = loaded.resolved["domains"]
    return tuple(name for name, domain in domains.items() if origin(domain["data"]) == own)


def misnamed(tree: Located, spec: StudySpec, domains: tuple[str, ...]) -> Iterator[Problem]:
    """Names in the study that name nothing, and domains without a kind or with two."""
    for number, name in enumerate(spec.development):
        if name not in spec.targets:
            place = tree.nearest(("development", number)).place
            hint = did_you_mean(name, spec.targets)
            yield Problem(place, f"development: there is no target {name!r}.{hint}")
    if set(spec.development) >= set(spec.targets):
        place = tree.value["development"].place
        yield Problem(place, "development: every target is named, so none is left to judge by. Take some out.")
    placed = [name for names in spec.kinds.values() for name in names]
    for name in dict.fromkeys(placed):
        place = tree.value["kinds"].place
        if name not in domains:
            yield Problem(place, f"kinds: there is no domain {name!r}.{did_you_mean(name, domains)}")
        elif placed.count(name) > 1:
            yield Problem(place, f"kinds: domain {name!r} stands under two kinds. Take it out of one.")
    for name in domains:
        if name not in placed:
            yield Problem(tree.value["kinds"].place, f"kinds: domain {name!r} stands under none. Put it under one.")
    if len(set(spec.seeds)) < len(spec.seeds):
        yield Problem(tree.value["seeds"].place, "seeds: one is given twice, which would count one training twice.")
