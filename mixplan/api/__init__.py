"""Offers what the commands do as Python functions that print nothing and return typed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mixplan.api.amounts import budget_text, number, whole_rows
from mixplan.api.progress import Following, Progress
from mixplan.api.results import Diff as Diff
from mixplan.api.results import Outcome as Outcome
from mixplan.api.results import Plan as Plan
from mixplan.errors import AllocationError, RunError
from mixplan.recipe import load_recipe as load_recipe
from mixplan.saved import read_outcome as saved_outcome
from mixplan.saved import read_plan as saved_plan

if TYPE_CHECKING:
    from mixplan.cli.check import Checked


def check_recipe(recipe: str | Path, *, overrides: Sequence[str] = (), launch: Path | None = None) -> Checked:
    """Look for all that is wrong with a recipe before a model is loaded, as `mixplan check` does.

    Args:
        recipe: Its YAML file.
        overrides: `key=value` texts.
        launch: accelerate's config file that the job will be started with.

    Returns:
        Problems, warnings, what becomes of the rows, and what a plan would download; nothing is raised for a problem.
    """
    from mixplan.cli.check import checked

    (found,) = checked([Path(recipe)], list(overrides), launch)
    return found


def make_plan(
    recipe: str | Path,
    *,
    run: str | Path | None = None,
    budget: int | Sequence[int] | Literal["auto"] | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> Plan:
    """Plan a mixture, as `mixplan plan` does; what was read before is reused.

    Args:
        recipe: Its YAML file.
        run: The run folder; `runs/NAME` when not given.
        budget: In the recipe's unit; of several, the last is the plan and all give the curve. `"auto"` recommends how
            many rows.
        overrides: `key=value` texts.
        progress: Called as work goes on.

    Raises:
        MixplanError: anything that the person can mend.
    """
    from mixplan.pilot import make_plan as planned
    from mixplan.plan import PlanRequest
    from mixplan.report.page import write_page

    watcher = Following(progress)
    _trainable(Path(recipe), overrides)
    folder = planned(PlanRequest(Path(recipe), tuple(overrides), budget_text(budget), _path(run)), watcher=watcher)
    made = read_plan(folder)
    write_page(made.saved, folder)
    return made


def replan(
    run: str | Path,
    *,
    budget: int | Sequence[int] | Literal["auto"],
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> Plan:
    """Plan a run again with another budget or other limits, in its own folder; the model is not read again.

    The folder's plan, mixture and recipe become those of the new plan: a `Plan` that was read before keeps its figures,
    but no longer has a mixture.

    Args:
        run: The run folder.
        budget: In the recipe's unit; `"auto"` recommends how many rows.
        overrides: `key=value` texts, which stay in the folder's recipe.
        progress: Called as work goes on.

    Raises:
        MixplanError: anything that the person can mend.
    """
    return make_plan(Path(run) / "recipe.yaml", run=run, budget=budget, overrides=overrides, progress=progress)


def train_run(
    place: str | Path,
    *,
    run: str | Path | None = None,
    overrides: Sequence[str] = (),
    launch: Path | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Measure, train on the planned mixture and measure again, as `mixplan train` does; it resumes where it stopped.

    Args:
        place: A recipe, which is planned first where it needs to be, or a planned run folder.
        run: The run folder of a recipe; `runs/NAME` when not given.
        overrides: `key=value` texts.
        launch: accelerate's config file; by the hardware when not given.
        processes: How many train together.
        progress: Called as work goes on.

    Raises:
        MixplanError: anything that the person can mend.
    """
    from mixplan.outcome.make import OutcomeRequest, make_outcome
    from mixplan.train.launch import Launch

    request = OutcomeRequest(Path(place), tuple(overrides), None, _path(run), Launch(launch, processes))
    _trainable(Path(place), overrides, launch)
    return _measured(make_outcome(request, watcher=Following(progress)))


def evaluate_run(run: str | Path, *, overrides: Sequence[str] = (), progress: Progress | None = None) -> Outcome | None:
    """Measure a run's models by further measures, as `mixplan eval` does.

    Args:
        run: A planned run folder, trained or not.
        overrides: `evaluate.key=value` texts, or such of tolerances.
        progress: Called as work goes on.

    Returns:
        The outcome; None where the run is not trained yet.

    Raises:
        MixplanError: anything that the person can mend.
    """
    from mixplan.outcome.make import evaluate_run as measured

    measured(Path(run), tuple(overrides), watcher=Following(progress))
    return None if read_outcome(run) is None else _measured(Path(run))


def judge_model(
    run: str | Path,
    model: str | Path,
    *,
    label: str | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> Outcome:
    """Measure a model or adapter that was trained without mixplan, as `mixplan eval RUN --model` does.

    Args:
        run: A planned run folder, by whose plan and baseline the model is judged.
        model: Its folder, or a hub id.
        label: What it is kept under, in `judged/` of the run folder; its name when None.
        overrides: `evaluate.key=value` texts, or such of tolerances.
        progress: Called as work goes on.

    Returns:
        The outcome; what the model was trained on is not known.

    Raises:
        MixplanError: anything that the person can mend.
    """
    from mixplan.outcome.make import evaluate_run as measured

    watcher = Following(progress)
    folder = measured(Path(run), tuple(overrides), watcher=watcher, model=str(model), label=label)
    return _shown(Path(run), folder)


def judge_results(
    run: str | Path,
    before: str | Path,
    after: str | Path,
    *,
    tasks: Sequence[str] = (),
    label: str | None = None,
    overrides: Sequence[str] = (),
) -> Outcome:
    """Judge a run by what another harness measured, as `mixplan eval RUN --before … --after …` does.

    Args:
        run: A planned run folder, by whose plan the model is judged; no model is loaded.
        before: Results of the untrained model: results_DATE.json of lm-evaluation-harness, a log of inspect_ai, or a
            folder of such.
        after: The same of the trained one.
        tasks: `DOMAIN=TASK` texts, where tasks are not named as the plan's domains.
        label: What it is kept under, in `judged/` of the run folder; the trained model's name when None.
        overrides: `key=value` texts of `evaluate.tasks`, `evaluate.resamples`, `tolerances` and `seed`.

    Returns:
        The outcome; what needs the models themselves is not known.

    Raises:
        MixplanError: anything that the person can mend.
    """
    from mixplan.outcome.from_results import ResultsRequest
    from mixplan.outcome.from_results import judge_results as judged

    request = ResultsRequest(Path(before), Path(after), tuple(tasks), label)
    return _shown(Path(run), judged(Path(run), request, tuple(overrides)))


def diff_models(
    base: str | Path | None,
    trained: str | Path,
    *,
    domains: str | Path = "everyday",
    sae: str | Path | None = None,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> Diff:
    """Measure what a training changed, by domain and by feature, without a plan, as `mixplan diff` does.

    Args:
        base: The untrained model: a folder, a hub id or `embedded`; None where the trained one is an adapter that says.
        trained: The trained one: a folder, an adapter's folder, or a hub id.
        domains: A suite's name, or a YAML file with domains.
        sae: A folder, `RELEASE:ID` of SAELens's table, or `none`; by SAELens's table when None.
        out: The folder of the result; `runs/diff-BASE-TRAINED` when None, with the domains where not the usual.
        overrides: `key=value` texts, such as `evaluate.rows=50`.
        progress: Called as work goes on.

    Returns:
        What changed; its page is written beside it.

    Raises:
        MixplanError: anything that the person can mend.
    """
    from mixplan.outcome.difference.make import diff_models as compared
    from mixplan.outcome.difference.request import DiffRequest
    from mixplan.report.difference import write_difference
    from mixplan.saved.diff import read_diff

    given = None if base is None else str(base)
    chosen = None if sae is None else str(sae)
    request = DiffRequest(str(trained), given, str(domains), chosen, _path(out), tuple(overrides))
    folder = compared(request, watcher=Following(progress))
    found = read_diff(folder)
    if found is None:
        raise RunError(f"{folder}: nothing was compared. Compare again.")
    write_difference(found, folder)
    return Diff(folder, found)


def compare_arms(
    place: str | Path, arms: Sequence[str] = (), *, seeds: int = 1, jobs: int = 1, progress: Progress | None = None
) -> Outcome:
    """Train other mixtures of as many steps and target rows and compare them, as `mixplan compare` does.

    Args:
        place: A recipe or a run folder.
        arms: Such as `none`, `uniform`, `plan`; the command's own when none are given.
        seeds: Trainings of each arm.
        jobs: How many train at once.
        progress: Called as work goes on.

    Returns:
        The outcome, with the arms under `saved.arms`.

    Raises:
        MixplanError: anything that the person can mend.
    """
    from mixplan.outcome.compare import make_comparison
    from mixplan.outcome.compare_request import CompareRequest
    from mixplan.outcome.make import OutcomeRequest

    request = CompareRequest(OutcomeRequest(Path(place), (), None, None), tuple(arms), seeds, jobs)
    return _measured(make_comparison(request, watcher=Following(progress)))


def allocate_budget(
    scores: Mapping[str, float], pools: Mapping[str, int], rows: int, *, max_repeats: int = 1, **limits: Any
) -> dict[str, int]:
    """Spread a budget of rows over domains by any scores.

    Args:
        scores: 0 or more by domain.
        pools: Rows that may be drawn, by domain.
        rows: The budget.
        max_repeats: How often a row may be used.
        limits: Keys of a recipe's `allocate`, such as `floors={"law": 10}`; without an `objective`, `alpha_fair`.

    Returns:
        Whole rows by domain, which sum to the budget.

    Raises:
        RecipeError: a key of `limits` is unknown or has a wrong value.
        AllocationError: the limits clash, or scores and pools name different domains.
    """
    from mixplan.allocate import DomainDemand, allocate
    from mixplan.recipe import AllocateSpec, BudgetSpec, section

    if scores.keys() != pools.keys():
        unlike = ", ".join(sorted(map(str, scores.keys() ^ pools.keys())))
        raise AllocationError(f"scores and pools name different domains: {unlike}. Give both for each domain.")
    # Nothing is known of these scores' origin, so they are followed in proportion where no objective is named.
    spec = section({"objective": "alpha_fair"} | limits, AllocateSpec)
    budget = section({"rows": whole_rows(rows, "rows"), "max_repeats": max_repeats}, BudgetSpec)
    demands = []
    for name, score in scores.items():
        worth, held = number(score, f"the score of {name!r}"), whole_rows(pools[name], f"the pool of {name!r}")
        demands.append(DomainDemand(name, worth, worth, worth, held, float(held), 1.0))
    return dict(allocate(demands, spec=spec, budget=budget).rows)


def read_plan(run: str | Path) -> Plan:
    """Read a planned run.

    Raises:
        RunError: there is no plan, or the file is damaged, changed since, or of another version.
    """
    return Plan(Path(run), saved_plan(Path(run)))


def read_outcome(run: str | Path) -> Outcome | None:
    """Read what was measured of a run; None where it is not trained yet.

    Raises:
        RunError: there is no planned run, or the file is damaged, changed since, or of another version.
    """
    saved_plan(Path(run))
    found = saved_outcome(Path(run))
    return None if found is None else Outcome(Path(run), found)


def write_report(run: str | Path, *, out: str | Path | None = None) -> Path:
    """Write a run's page again.

    Args:
        run: The run folder.
        out: The file; `report.html` of the run folder when not given.

    Raises:
        RunError: a file of the run is damaged, or the page cannot be written.
    """
    from mixplan.report.page import write_page

    return write_page(saved_plan(Path(run)), Path(run), saved_outcome(Path(run)), file=_path(out))


def _trainable(place: Path, overrides: Sequence[str], launch: Path | None = None) -> None:
    """Refuse at once a job that TRL would refuse, where there is a recipe; without one, what follows says so."""
    from mixplan.train.dry_run import refuse_untrainable_job

    recipe = place / "recipe.yaml" if place.is_dir() else place
    if recipe.is_file():
        refuse_untrainable_job(load_recipe(recipe, overrides), launch)


def _measured(run: Path) -> Outcome:
    return _shown(run, run)


def _shown(run: Path, folder: Path) -> Outcome:
    """An outcome, of a run or of a model judged by its plan, with its page."""
    from mixplan.report.page import write_page

    found = saved_outcome(folder)
    if found is None:
        raise RunError(f"{run}: nothing was measured. Run `mixplan train {run}`.")
    write_page(saved_plan(run), folder, found)
    return Outcome(folder, found)


def _path(place: str | Path | None) -> Path | None:
    return None if place is None else Path(place)
