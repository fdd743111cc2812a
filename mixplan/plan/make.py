"""Makes a plan in a run folder; scores that are still valid are reused, so that a new budget needs no model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np

from mixplan import __version__
from mixplan.allocate import rows_again
from mixplan.domains import Domain, account, by_name, row_warnings
from mixplan.domains.cached_domains import opened
from mixplan.domains.content_sketch import sketches
from mixplan.errors import ModelError, RecipeError
from mixplan.forecast import (
    NO_SAE,
    Amount,
    Forecast,
    Planned,
    earlier_runs,
    forecast,
    left_out_lines_of,
    rows_save,
    with_studies,
)
from mixplan.forecast.previews import said_of_previews
from mixplan.grading.own_rewards import refuse_unfindable_rewards
from mixplan.mixture import allowed, excluded_lines, require_own_rows, take_target
from mixplan.mixture.feasibility import impossible
from mixplan.mixture.unread_rows import left_unread, too_short
from mixplan.plan.budget import Spent, spend
from mixplan.plan.describe import domains_of, sae_of, target_of, taught_rows
from mixplan.plan.grader_checks import grader_warnings
from mixplan.plan.grounds import grounds_of, halving, kind_of, settled, usual_rows
from mixplan.plan.job import job_of, uncounted_steps
from mixplan.plan.kept_scores import KeptScores
from mixplan.plan.levers import levers_of
from mixplan.plan.looks import Doubles, Expected, same_order, same_rows
from mixplan.plan.pilot import require_pilot, with_pilot
from mixplan.plan.replaced import replaced_line
from mixplan.plan.stopped import automatic, stopped_at, stops
from mixplan.plan.stopwatch import Stopwatch
from mixplan.plan.tolerances import planned_tolerances
from mixplan.plan.untrained import ReadBy
from mixplan.plan.write import write_mixture
from mixplan.reading.identity import data_hash, library_versions, standalone
from mixplan.reading.progress import Watcher
from mixplan.reading.tokenizer import kept_counter
from mixplan.recipe import LoadedRecipe, load_recipe
from mixplan.recipe.lines import write
from mixplan.recipe.load import HEAD
from mixplan.recipe.model_folder import untrainable
from mixplan.recipe.section import Yaml
from mixplan.runs import content_hash, locked, write_atomic
from mixplan.saved import VERSION, Plan, read_plan, write_plan
from mixplan.saved.base_types import Interval
from mixplan.saved.plan import Mixture, Recipe
from mixplan.saved.scores import SCORE_KEYS, Drift, ScoreName, Scores, Stopped
from mixplan.sts import Score


@dataclass(frozen=True)
class PlanRequest:
    """What `mixplan plan` was asked.

    Attributes:
        recipe: The recipe's file.
        overrides: `key=value` texts.
        budget: Comma-separated amounts in the recipe's unit, in place of the recipe's.
        run: Run folder; `runs/NAME` when None.
    """

    recipe: Path
    overrides: tuple[str, ...] = ()
    budget: str | None = None
    run: Path | None = None

    @cached_property
    def loaded(self) -> LoadedRecipe:
        """The recipe with its overrides, read once however many steps ask for it.

        Raises:
            RecipeError: as `load_recipe`.
        """
        return load_recipe(self.recipe, overrides_of(self))


def make_plan(request: PlanRequest, *, watcher: Watcher, rank: int = 0) -> Path:
    """Run the stages from recipe to mixture.

    Args:
        request: What to plan.
        watcher: Told of progress.
        rank: Of this process; those but 0 only help reading.

    Returns:
        The run folder, with recipe.yaml, plan.json and mixture/.

    Raises:
        MixplanError: anything that the person can mend.
    """
    loaded = request.loaded
    folder, watch = request.run or Path("runs") / loaded.path.stem, Stopwatch()
    require_own_rows(loaded.recipe)
    refuse_untrainable(loaded)
    with watch.stage("data"):
        target, read = opened(loaded)
        domains = allowed(loaded.recipe.mixture, read)
    if rank:
        scores_of(loaded, target, domains, watcher, folder=folder)
        return folder
    for problem in impossible(loaded.recipe, target, read):
        raise problem
    for one in by_name(target, read).values():
        watcher.say(f"{one.name}: {account(one)}")
    for sentence in excluded_lines(loaded.recipe.mixture, read):
        watcher.say(sentence)
    unfit = grader_warnings(loaded, target, domains)
    for sentence in unfit:
        watcher.say(sentence)
    with locked(folder):
        replaces = replaced_line(folder, loaded)
        if replaces is None:
            write_atomic(folder / "recipe.yaml", recipe_text(loaded).encode())
        else:  # until this plan is made, the other one stays whole
            watcher.say(replaces)
        with watch.stage("scores"):
            scores, stopped = scores_of(loaded, target, domains, watcher, folder=folder)
        scores = scores.model_copy(update={"warnings": [*scores.warnings, *unfit]})
        plan = assemble(loaded, folder, target, domains, scores, watcher)
        further = {"stopped": stopped} if stopped else {}
        if replaces is not None:
            write_atomic(folder / "recipe.yaml", recipe_text(loaded).encode())
        write_plan(folder, plan.model_copy(update={"seconds": watch.seconds | plan.seconds, **further}))
    return folder


def refuse_untrainable(loaded: LoadedRecipe) -> None:
    """Refuse a job that could not be trained before hours are spent on its plan.

    Raises:
        ModelError: the model is stored in a way that full fine-tuning cannot change.
        RecipeError: a reward of the user's own is surely not there.
    """
    refuse_unfindable_rewards(loaded)
    model, lora = loaded.recipe.model, loaded.recipe.train.lora
    problem = untrainable(model.name, loaded.folder(("model", "name")), adapter=lora is not None)
    if problem is not None:
        raise ModelError(f"{loaded.where(('model', 'name'))}: model.name: {problem}")


def overrides_of(request: PlanRequest) -> tuple[str, ...]:
    """The overrides, `--budget` among them.

    Raises:
        RecipeError: `--budget` is no budget, or as `load_recipe`.
    """
    if request.budget is None:
        return request.overrides
    if request.budget == "auto":
        return (*request.overrides, "budget.rows=auto")
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", request.budget):
        raise RecipeError(
            f"--budget: found '{request.budget}', expected auto, a whole number of rows or tokens, or several as in "
            "`--budget 0,30,60`."
        )
    unit = "tokens" if load_recipe(request.recipe, request.overrides).recipe.budget.tokens is not None else "rows"
    return (*request.overrides, f"budget.{unit}=[{request.budget}]")


def recipe_text(loaded: LoadedRecipe) -> str:
    """The recipe with configs and overrides merged in and local paths made absolute, so that it stands alone."""
    return HEAD.format(name=loaded.file_name) + write(standalone(loaded))


def scores_of(
    loaded: LoadedRecipe,
    target: Domain,
    domains: Mapping[str, Domain],
    watcher: Watcher,
    *,
    folder: Path,
    planned: bool = False,
) -> tuple[Scores, Stopped | None]:
    """Scores that stand for exactly this recipe, data, model and SAE, or measured now.

    Args:
        loaded: The recipe.
        target: The opened target.
        domains: The opened domains.
        watcher: Told of progress.
        folder: The run folder.
        planned: Whether to read as far as the plan in the run folder did, where reading stops by itself.

    Returns:
        The scores, and why reading stopped; None where budgets of query tokens are given.
    """
    reading = KeptScores(loaded, target, domains, watcher)
    if not automatic(loaded.recipe):
        return reading.at(None), None
    looks = dict.fromkeys((name for name in ("target", *domains) if stops(loaded.recipe, name)), 0)
    stopped = read_plan(folder).stopped if planned else None
    if stopped is not None:
        return reading.at(stopped.looks or dict.fromkeys(looks, stopped.look)), stopped
    while True:
        scores = reading.at(looks)
        expected, planning, total = expected_of(loaded, folder, target, domains, scores)
        stopped = stopped_at(scores, expected)
        watcher.say(stopped.text)
        opened_again = expected.open_at(looks, planning, total)
        if expected.settled or not opened_again:
            return scores, stopped
        looks = {name: look + (name in opened_again) for name, look in looks.items()}


def expected_of(
    loaded: LoadedRecipe, folder: Path, target: Domain, domains: Mapping[str, Domain], scores: Scores
) -> tuple[Expected, dict[str, Doubles], int]:
    """What reading all is expected to leave as it is: drift dimensions, the domains' order, and their rows.

    Returns:
        That; by domain `[1 + draws]` the score that rows go by and what reading all could make of it; all rows.
    """
    looks = scores.looks
    if looks is None or looks.drawn is None:
        return Expected(looks.dimensions if looks else 0.0, None, None), {}, 0
    drawn = np.array([looks.drawn[name] for name in domains]).T
    risks = foretold(loaded, folder, scores, planned_of(loaded, target, domains, scores))
    grounds = grounds_of(loaded, folder, scores, risks, target, domains)
    recipe = settled(loaded.recipe, grounds.total)
    spent = spend(recipe, domains, planned_by(risks, scores, recipe.sts.score), grounds)
    ratios = np.divide(drawn, drawn[0], out=np.ones_like(drawn), where=drawn[0] > 0)
    budget, spec = recipe.budget, recipe.allocate
    rows = rows_again(spent.demands, ratios, spec=spec, budget=budget, halving=spent.halving, weight=grounds.weight)
    planning = {one.name: one.score * ratios[:, place] for place, one in enumerate(spent.demands)}
    return Expected(looks.dimensions, same_order(drawn), same_rows(rows)), planning, int(rows[0].sum())


def assemble(
    loaded: LoadedRecipe,
    folder: Path,
    target: Domain,
    domains: Mapping[str, Domain],
    scores: Scores,
    watcher: Watcher,
) -> Plan:
    """Forecast, allocate and write the mixture; everything together is the plan."""
    watch = Stopwatch()
    with watch.stage("forecast"):
        planned = require_pilot(loaded, folder, planned_of(loaded, target, domains, scores), scores.model.hash)
        risks = foretold(loaded, folder, scores, planned)
        grounds = grounds_of(loaded, folder, scores, risks, target, domains)
        recipe = settled(loaded.recipe, grounds.total)
    with watch.stage("allocation"):
        spent = spend(recipe, domains, planned_by(risks, scores, recipe.sts.score), grounds)
        held = planned_tolerances(recipe, spent, risks, lambda: grounds.amount or halving(loaded, folder, scores))
    if grounds.amount is not None:
        risks = replace(risks, evidence=(*risks.evidence, grounds.amount.text))
    with watch.stage("mixture"):
        mixture = write_mixture(loaded, folder, target, domains, spent.rows, ReadBy.of(scores), watcher)
    plan = Plan(
        version=VERSION,
        mixplan=__version__,
        name=Path(loaded.file_name).stem,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        hashes=hashes_of(loaded, target, domains, scores, mixture),
        libraries=library_versions(),
        recipe=Recipe.model_validate(loaded.resolved),
        model=scores.model,
        sae=sae_of(scores.sae, recipe.model.sae_spec),
        warnings=[
            *row_warnings(target, domains),
            *scores.warnings,
            *risks.warnings,
            *mixture.warnings,
            *spent.left_out,
            *(*spent.grounds.otherwise, *spent.other_tokens(recipe, mixture.parts)),
            *unread(loaded.resolved["train"], mixture.rows),
        ],
        target=target_of(target, scores, planned),
        drift=Drift.model_validate({"from_": recipe.drift.from_, **scores.drift.fields()}) if scores.drift else None,
        score=recipe.sts.score,
        domains=domains_of(domains, scores, planned, risks),
        ranking=scores.ranking,
        reading=scores.reading,
        allocation=spent.describe(recipe, taught_rows(target, mixture)),
        forecast=risks.describe_all(),
        mixture=mixture,
        job=planned.job,
        seconds=watch.seconds,
        tokens={name: float(reading.query_tokens) for name, reading in scores.reading.items()},
    )
    counter = kept_counter(loaded, scores.tokenizer, (*target.parts, *domains.values()), watcher)
    priced = levers_of(recipe, mixture, target, planned.job, grounds, counter)
    return plan.model_copy(update={"levers": priced} | ({"tolerances": held} if held else {}))


def hashes_of(
    loaded: LoadedRecipe, target: Domain, domains: Mapping[str, Domain], scores: Scores, mixture: Mixture
) -> dict[str, str]:
    """Hash all that a plan is made from, by what it is."""
    return {
        "recipe": content_hash(standalone(loaded)),
        "data": data_hash(target, domains),
        "model": scores.model.hash,
        "sae": scores.sae.hash if scores.sae else NO_SAE,
        "mixture": mixture.hash,
    }


def unread(train: Yaml, rows: int) -> list[str]:
    """What the job would leave unread of so many rows, and what is not known of its steps, in sentences."""
    found = (too_short(train, rows), left_unread(train, rows), uncounted_steps(train))
    return [sentence for sentence in found if sentence]


def spread_again(folder: Path, amount: Amount, watcher: Watcher) -> Spent:
    """Spread a planned run's budget as if other amounts halved a loss; nothing is written.

    Args:
        folder: The run folder.
        amount: In the place of what the plan was made with.
        watcher: Told of progress, should the plan's scores have to be measured again.

    Raises:
        MixplanError: the recipe cannot be planned any more.
    """
    loaded = load_recipe(folder / "recipe.yaml")
    target, read = opened(loaded)
    domains = allowed(loaded.recipe.mixture, read)
    scores, _ = scores_of(loaded, target, domains, watcher, folder=folder, planned=True)
    planned = planned_of(loaded, target, domains, scores)
    risks = foretold(loaded, folder, scores, planned)
    grounds = replace(grounds_of(loaded, folder, scores, risks, target, domains), amount=amount)
    recipe = settled(loaded.recipe, grounds.total)
    return spend(recipe, domains, planned_by(risks, scores, recipe.sts.score), grounds)


def planned_of(loaded: LoadedRecipe, target: Domain, domains: Mapping[str, Domain], scores: Scores) -> Planned:
    """What this plan is of: sketches of its data, its job, and the type that its scores were read in."""
    rows = sum(taken.count for taken in take_target(target, loaded.recipe.mixture.target_rows))
    target_sketch, *others = sketches([target, *domains.values()])
    return Planned(
        target=target_sketch,
        domains=dict(zip(domains, others, strict=True)),
        job=job_of(loaded.resolved["train"], rows),
        dtype=scores.model.dtype,
    )


def foretold(loaded: LoadedRecipe, folder: Path, scores: Scores, planned: Planned) -> Forecast:
    """The forecast: from this plan's scores, and from earlier runs and studies of the same kind."""
    recipe = loaded.recipe
    patterns, beneath = recipe.forecast.runs, loaded.folder(("forecast", "runs"))
    kind = kind_of(loaded, scores)
    history = earlier_runs(patterns, folder=beneath, run=folder, kind=kind)
    history, studies = with_studies(history, patterns, folder=beneath, run=folder, kind=kind)
    planned, unread_pilots = with_pilot(loaded, folder, planned, history, scores.model.hash)
    found = forecast(
        sts_of(scores, recipe.sts.score),
        history,
        score=SCORE_KEYS[recipe.sts.score],
        measures=recipe.evaluate.measures,
        planned=planned,
        saved=lambda: rows_save(patterns, folder=beneath, run=folder, kind=kind, usual=usual_rows(recipe, scores)),
    )
    said: list[str | None] = []
    if scores.sae is not None:
        said += [study.sentence(SCORE_KEYS[recipe.sts.score], recipe.sts.demonstrations) for study in studies]
    key = SCORE_KEYS[recipe.sts.score]
    said += [one.even.sentence() for one in studies if one.even and (scores.sae or one.even.score == key)]
    if scores.sae is None:
        said += said_of_previews(patterns, folder=beneath, run=folder, kind=kind, score=key)
    warned, beside = left_out_lines_of(history)
    return replace(
        found,
        warnings=(*found.warnings, *unread_pilots, *warned),
        evidence=(*(sentence for sentence in said if sentence), *beside),
    )


def planned_by(risks: Forecast, scores: Scores, score: ScoreName) -> Scores:
    """The scores with the planning one replaced by what the forecast plans the rows by."""
    planning = {name: Interval.model_validate(vars(value)) for name, value in risks.planning.items()}
    domains = {
        name: domain.model_copy(update={SCORE_KEYS[score]: planning[name]}) for name, domain in scores.domains.items()
    }
    return scores.model_copy(update={"domains": domains})


def sts_of(scores: Scores, score: ScoreName) -> dict[str, Score]:
    """The planning score of each domain."""
    found = {name: domain.score(score) for name, domain in scores.domains.items()}
    return {name: Score(one.value, one.low, one.high) for name, one in found.items()}
