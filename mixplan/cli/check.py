"""Checks recipes without torch (`mixplan check RECIPE...`): their problems, what becomes of rows, and downloads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from mixplan.cli.downloads import data_downloads, model_downloads
from mixplan.cli.drift_outlook import drift_outlook
from mixplan.cli.preflight import conversations, generation, problems_of_model
from mixplan.cli.progress import waiting
from mixplan.domains import account, row_warnings, whole
from mixplan.domains.cached_domains import at_hand
from mixplan.domains.section import Already
from mixplan.errors import RecipeError
from mixplan.grading.generators import warnings_of
from mixplan.grading.own_rewards import unfindable_rewards
from mixplan.mixture import allowed, excluded_lines, licence_outlook, require_own_rows, take_target
from mixplan.mixture.feasibility import impossible, left_out_budgets
from mixplan.mixture.unread_rows import left_unread, too_short
from mixplan.recipe import LoadedRecipe, load_recipe
from mixplan.saved.scores import SCORE_TITLES
from mixplan.train.dry_run import problems_of_training

NAMED = 4
"""Domains named of those whose rows are on the hub; the others are told by their number."""


OFFLINE = "  a plan would download, for which HF_HUB_OFFLINE must be unset:"


@dataclass
class Checked:
    """What a look at one recipe found.

    Attributes:
        recipe: Its path.
        rows: Rows read of the target's and each domain's data, None where it lies on the hub and was not read yet.
        told: What became of them, in a line each.
        warnings: What a reader should know of them and of their graders, in whole sentences.
        reads: How much a plan may read, where it stops by itself, and what it samples or trains first.
        download: What a plan would download, in words.
        problems: One line for each problem.
    """

    recipe: str
    rows: dict[str, int | None] = field(default_factory=dict)
    told: dict[str, str | None] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    download: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check(
    recipes: Annotated[list[Path], typer.Argument(metavar="RECIPE...", help="Recipe files.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as drift.features=50.")
    ] = None,
    launch: Annotated[
        Path | None, typer.Option(metavar="FILE", help="accelerate's config file that `mixplan train` will be given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list, an entry for each recipe.")] = False,
) -> None:
    """Validate recipes, say what becomes of the rows where the data is local, and what would be downloaded."""
    with waiting("looking at rows, and asking TRL whether it trains the job"):
        results = checked(recipes, overrides or [], launch)
    if as_json:
        typer.echo(json.dumps([asdict(result) for result in results], indent=2, ensure_ascii=False))
    else:
        for result in results:
            if not result.problems:
                typer.echo("\n".join(_lines(result)))
    problems = [line for result in results for line in result.problems]
    if problems:
        raise RecipeError("\n".join(problems))


def checked(recipes: Sequence[Path], overrides: list[str], launch: Path | None) -> list[Checked]:
    """Check several recipes.

    Args:
        recipes: Their files.
        overrides: `key=value` texts, for each.
        launch: accelerate's config file that the jobs will be started with.
    """
    looked = [look(recipe, overrides) for recipe in recipes]
    results = [result for result, _ in looked]
    # Libraries take seconds to ask, so they are asked while rows are read.
    sound = [(result, loaded) for result, loaded in looked if loaded is not None and not result.problems]
    with ThreadPoolExecutor(max_workers=1) as beside:
        trained = beside.submit(problems_of_training, [loaded for _, loaded in sound], launch)
        already = Already()  # recipes mostly share domains
        for result, loaded in looked:
            if loaded is not None:
                _count(loaded, result, already)
    for (result, _), problems in zip(sound, trained.result(), strict=True):
        result.problems += problems
    return results


def look(path: Path, overrides: list[str]) -> tuple[Checked, LoadedRecipe | None]:
    """Check what is written in one recipe and its model's small files; with the recipe, where it is one."""
    result = Checked(str(path))
    try:
        loaded = load_recipe(path, overrides)
    except RecipeError as error:
        result.problems = str(error).splitlines()
        return result, None
    result.problems += [*problems_of_model(loaded), *unfindable_rewards(loaded)]
    try:
        require_own_rows(loaded.recipe)
    except RecipeError as error:
        result.problems.append(f"{loaded.where(('mixture', 'licences', 'exclude'))}: {error}")
    result.warnings += [*_without_sae(loaded), *generation(loaded), *_generator_warnings(loaded)]
    result.reads = list(_reads(loaded))
    return result, loaded


def _reads(loaded: LoadedRecipe) -> Iterator[str]:
    """How much a plan may read where it is left to it how much it reads."""
    recipe = loaded.recipe
    for section, of in ((recipe.drift, "the target"), (recipe.sts, "each domain")):
        if section.query_tokens == "auto":
            most = f"{section.tokens_at_most:,} query tokens of {of}"
            yield f"reads at most {most}, less where reading on changes nothing"
    yield from drift_outlook(recipe)


def _without_sae(loaded: LoadedRecipe) -> Iterator[str]:
    """What a recipe without an SAE is planned by."""
    recipe = loaded.recipe
    if recipe.model.sae_spec is None:
        yield (
            f"`model.sae` is none: domains are scored by {SCORE_TITLES[recipe.sts.score]}, which is no STS, no "
            "features are read, and the model is loaded whole"
        )


def _generator_warnings(loaded: LoadedRecipe) -> Iterator[str]:
    """What is known of the scorers that grade generated rows."""
    recipe = loaded.recipe
    specs = [spec for _, spec in recipe.row_sections.values() if spec.grader in ("auto", "generator")]
    for name in dict.fromkeys(spec.data.generator for spec in specs if spec.data.generator):
        taught = (spec.data.generator for _, spec in recipe.target_sections.values())
        rewarded = recipe.train.method == "grpo" and name in taught
        yield from warnings_of(name, rewarded=rewarded)


def _count(loaded: LoadedRecipe, result: Checked, already: Already) -> None:
    """Open and split what is on this machine, and say what must be fetched first.

    Args:
        loaded: The recipe.
        result: Where to say it.
        already: Rows read for the recipes before it; what is read here is added.
    """
    recipe, limits = loaded.recipe, loaded.recipe.allocate
    downloads = list(model_downloads(loaded))
    found, problems = at_hand(loaded, already)
    result.problems += [line for problem in problems for line in str(problem).splitlines()]
    if not problems and len(found) == len(recipe.row_sections):
        target, domains = whole(recipe, found)
        result.warnings += row_warnings(target, domains)
        refused, told = conversations(loaded, target, domains)
        result.problems += [f"{loaded.path}: {refused}"] if refused else []
        result.warnings += told
        if recipe.budget.tokens is not None:
            result.warnings.append(
                "the budget and limits are in tokens, which a plan counts: they are not held against the pools here"
            )
        left_out = list(excluded_lines(recipe.mixture, domains))
        result.warnings += left_out
        wrong = list(impossible(recipe, target, domains))
        result.problems += [f"{loaded.path}: {line}" for problem in wrong for line in str(problem).splitlines()]
        result.problems += [f"{loaded.path}: {line}" for line in left_out if wrong]
        if not wrong:
            result.warnings += left_out_budgets(recipe, allowed(recipe.mixture, domains))
            taken = [(one.domain, one.count) for one in take_target(target, recipe.mixture.target_rows)]
            result.warnings += licence_outlook(taken, allowed(recipe.mixture, domains))
            result.warnings += _unread(loaded, sum(count for _, count in taken))
            _cost_of_pilot(loaded, result, sum(count for _, count in taken))
    elif not problems and any((limits.floors, limits.caps, limits.shares, limits.groups)):
        result.warnings.append(
            "floors, caps, shares and groups are not held against the pools before all rows are here"
        )
    for name, (_, spec) in recipe.row_sections.items():
        domain = found.get(name)
        result.rows[name] = min(domain.source_rows, spec.data.limit) if domain else None
        result.told[name] = account(domain) if domain else None
        for data in (spec.data, spec.demonstrations):
            if data is not None:
                downloads += data_downloads(data)
    result.download = list(dict.fromkeys(downloads))


def _cost_of_pilot(loaded: LoadedRecipe, result: Checked, taken: int) -> None:
    """Say what a pilot costs, or why none can be trained.

    Args:
        loaded: The recipe.
        result: Where to say it.
        taken: The target's rows in the mixture.
    """
    if loaded.recipe.forecast.from_ != "pilot":
        return
    from mixplan.pilot.steps import cost  # loads what a plan is made with, which few recipes ask for

    try:
        result.reads.append(cost(loaded, taken))
    except RecipeError as error:
        result.problems.append(str(error))


def _unread(loaded: LoadedRecipe, taken: int) -> Iterator[str]:
    """Which rows of the mixture the job would not read, as far as its budget is one of rows.

    Args:
        loaded: The recipe.
        taken: The target's rows in the mixture.
    """
    asked = loaded.recipe.budget.rows
    if asked is None or asked == "auto":
        return
    rows = taken + (asked[-1] if isinstance(asked, list) else asked)
    for unread in (too_short, left_unread):
        if (sentence := unread(loaded.resolved["train"], rows)) is not None:
            yield sentence


def _lines(result: Checked) -> Iterator[str]:
    from huggingface_hub import is_offline_mode

    yield f"{result.recipe}: valid"
    width = max(map(len, result.rows))
    for name, text in result.told.items():
        if text is not None:
            yield f"  {name:{width}}  {text}"
    if absent := [name for name, text in result.told.items() if text is None]:
        listed = ", ".join(absent[:NAMED]) + (f" and {len(absent) - NAMED} more" if len(absent) > NAMED else "")
        yield f"  rows not read before a plan, their data being on the hub: {listed}"
    yield from (f"  a plan {text}" for text in result.reads)
    yield from (f"  warning: {text}" for text in result.warnings)
    if result.download:
        yield "  a plan would download:" if not is_offline_mode() else OFFLINE
        yield from (f"    {item}" for item in result.download)
    else:
        yield "  a plan downloads nothing"
