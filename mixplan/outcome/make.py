"""Trains a recipe or a planned run, measures the model before and after, and writes the outcome."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from mixplan.domains import Domain, Row, by_name
from mixplan.domains.cached_domains import opened
from mixplan.errors import MixplanError, RunError
from mixplan.evaluate.measure import evaluate
from mixplan.evaluate.sample_answers import own_texts, written_answers
from mixplan.mixture import allowed
from mixplan.model import Model, give_back_memory, load_model, load_trained
from mixplan.outcome.actual_drift import actual_drift
from mixplan.outcome.assemble import assemble, with_arms
from mixplan.outcome.examples import with_examples
from mixplan.outcome.external_model import Judged, comparable, find_judged, hold_same, refuse_foreign
from mixplan.outcome.tolerances import changes_in, gate, standing, with_gate, with_gates_of
from mixplan.outcome.tracked import begin_tracking, tracking_of
from mixplan.pilot import make_plan
from mixplan.plan import PlanRequest
from mixplan.reading import Watcher, standalone
from mixplan.reading.identity import data_hash
from mixplan.recipe import EvaluateSpec, LoadedRecipe, ModelSpec, load_recipe
from mixplan.recipe.tolerances import tolerances_of
from mixplan.runs import JUDGED, content_hash, locked, quoted, refuse_absent
from mixplan.saved import Outcome, Plan, plan_again, read_plan, write_outcome
from mixplan.saved.arms import Arms
from mixplan.saved.evaluation import Evaluation, read_evaluation, write_evaluation
from mixplan.train.job import Job, read_job
from mixplan.train.launch import Launch
from mixplan.train.make import Trained, finished, train
from mixplan.train.verify import AsPlanned, verify

CHANGEABLE = ("evaluate.", "tolerances.", "tolerances=")
"""How overrides begin that change what is measured and what it is held to, and neither plan nor training."""

OF_ANOTHER_PLAN = (
    "{model} was trained on another plan than the one in plan.json, so it is not measured by this one. Train on this "
    "plan with `mixplan train {run}`; plans of several budgets each keep their model in a run folder of their own"
)


@dataclass(frozen=True)
class OutcomeRequest:
    """What `mixplan train` was asked.

    Attributes:
        place: A recipe's file, or a planned run's folder.
        overrides: `key=value` texts, for a recipe.
        budget: Comma-separated amounts in the recipe's unit, for a recipe.
        run: Run folder, for a recipe; `runs/NAME` when None.
        launch: How the job is started.
    """

    place: Path
    overrides: tuple[str, ...] = ()
    budget: str | None = None
    run: Path | None = None
    launch: Launch = field(default_factory=Launch)


@dataclass(frozen=True)
class PlannedRun:
    """A run folder whose plan has been made.

    Attributes:
        folder: The run folder.
        loaded: Its recipe.
        plan: Its plan.
        target: The opened target.
        domains: The opened domains, by name.
    """

    folder: Path
    loaded: LoadedRecipe
    plan: Plan
    target: Domain
    domains: dict[str, Domain]

    def spec(self) -> ModelSpec:
        """The recipe's model in the plan's compute type: `auto` might choose another one at each loading."""
        return self.loaded.recipe.model.model_copy(update={"dtype": self.plan.model.dtype})

    def untrained(self) -> Model:
        """Load the model as it is before training."""
        return load_model(self.spec(), folder=self.loaded.folder(("model", "name")))

    def trained(self, folder: Path) -> Model:
        """Load what a job has saved, afresh from its folder."""
        return load_trained(self.spec(), folder, folder=self.loaded.folder(("model", "name")))

    def evaluated(self, model: Model, watcher: Watcher, untrained: Model | None = None) -> Evaluation:
        """Measure a model on the held-out evaluation rows."""
        return evaluate(
            model,
            self.target,
            self.domains,
            spec=self.loaded.recipe.evaluate,
            folder=self.loaded.folder(("evaluate", "tasks")),
            watcher=watcher,
            untrained=untrained,
        )


def planned(request: OutcomeRequest, watcher: Watcher) -> PlannedRun:
    """Take a run as it was planned; plan it first where it is not, or where its recipe has changed.

    Raises:
        RunError: a run folder without a plan, or overrides for a run that is planned already.
        MixplanError: the recipe cannot be planned.
    """
    if "RANK" in os.environ:
        raise RunError(
            "mixplan train starts its processes itself. Run it without `accelerate launch`, and say how many with "
            "`--processes N`."
        )
    refuse_absent(request.place, recipe=True)
    if request.place.is_dir():
        folder, loaded = request.place, saved_recipe(request)
    else:
        loaded = load_recipe(request.place, request.overrides)
        folder = request.run or Path("runs") / loaded.path.stem
        if request.budget is not None or not stands(folder, loaded, watcher):
            make_plan(PlanRequest(request.place, request.overrides, request.budget, request.run), watcher=watcher)
        loaded = load_recipe(folder / "recipe.yaml")
    plan = read_plan(folder)
    verify(folder, loaded, AsPlanned.of(plan))
    target, read = opened(loaded)
    domains = allowed(loaded.recipe.mixture, read)
    if data_hash(target, domains) != plan.hashes["data"]:
        raise RunError(
            f"{folder}: the rows of its target or domains are not those it was planned on. "
            f"Plan again with `mixplan plan {folder / 'recipe.yaml'} --run {folder}`."
        )
    return PlannedRun(folder, loaded, plan, target, domains)


def saved_recipe(request: OutcomeRequest) -> LoadedRecipe:
    """The recipe that a run folder was planned from.

    Raises:
        RunError: there is none, or something is asked for that would change the plan.
    """
    folder = request.place
    for name, again in (("recipe.yaml", plan_anew(folder)), ("plan.json", plan_again(folder))):
        if not os.path.lexists(folder / name):
            raise RunError(f"{folder} has no {name}: it is not a planned run. {again}")
    if request.overrides or request.budget is not None or request.run is not None:
        raise RunError(
            f"{folder} is planned already, so --set, --budget and --run have nothing to change. "
            "Give the recipe instead."
        )
    return load_recipe(folder / "recipe.yaml")


def plan_anew(folder: Path) -> str:
    """The command that plans in a run folder whose own copy of the recipe is lost, as a sentence."""
    return f"Plan from the recipe's own file: `mixplan plan RECIPE --run {quoted(folder)}`."


def stands(folder: Path, loaded: LoadedRecipe, watcher: Watcher) -> bool:
    """Whether a folder's plan was made from this very recipe; a damaged one was not, which is said."""
    if not os.path.lexists(folder / "plan.json"):
        return False
    try:
        return read_plan(folder).hashes.get("recipe") == content_hash(standalone(loaded))
    except RunError as error:
        watcher.say(str(error).rpartition(". ")[0] + ". It is planned again.")
        return False


def make_outcome(request: OutcomeRequest, *, watcher: Watcher) -> Path:
    """Plan where needed, measure, train, measure again, and say how right the plan was.

    Each stage's result is kept: the same command goes on where it was stopped.

    Args:
        request: What to train.
        watcher: Told of progress.

    Returns:
        The run folder, with model/, evaluation/ and outcome.json.

    Raises:
        MixplanError: anything that the person can mend.
    """
    run = planned(request, watcher)
    refuse_foreign(run.folder)
    with locked(run.folder):
        tracking = begin_tracking(run.folder, run.loaded, run.plan, watcher)
        before = evaluated_before(run, watcher)
        tracking.before(before)
        job = train(run.folder, run.loaded, AsPlanned.of(run.plan), launch=request.launch, watcher=watcher)
        conclude(run, job, before, watcher)
    return run.folder


def evaluate_run(
    folder: Path, overrides: tuple[str, ...], *, watcher: Watcher, model: str | None = None, label: str | None = None
) -> Path:
    """Measure a run's models again, by other settings of `evaluate` where asked; what was measured is not repeated.

    Args:
        folder: A planned run, trained or not; a trained one's outcome.json is written anew. A model that other software
            has left in its model/ is measured like mixplan's own.
        overrides: `evaluate.key=value` texts, or such of tolerances.
        watcher: Told of progress.
        model: Folder or hub id of a model that was trained without mixplan, to measure in place of the run's own.
        label: What its measures are kept under; its name when None.

    Returns:
        The folder of outcome.json: the run folder, or `judged/LABEL` in it where a model is named.

    Raises:
        MixplanError: anything that the person can mend.
    """
    if foreign := [text for text in overrides if not text.startswith(CHANGEABLE)]:
        raise RunError(
            f"--set {foreign[0]}: mixplan eval changes keys under evaluate, and tolerances, alone. Plan again to "
            "change others."
        )
    refuse_absent(folder)
    if label is not None and model is None:
        raise RunError("--label names a model that --model gives. Add `--model FOLDER`, or leave --label out.")
    run = planned(OutcomeRequest(folder), watcher)
    run = replace(run, loaded=load_recipe(folder / "recipe.yaml", overrides))
    judged = find_judged(folder, model, label)
    if judged is not None and judged.label is not None:
        hold_same(folder / JUDGED / judged.label, judged.given, harness=False)
    with locked(folder, protected=True):
        before = evaluated_before(run, watcher)
        if judged is not None:
            return conclude(run, judged, before, watcher)
        if (folder / "training" / "job.json").exists() and (job := finished(folder, read_job(folder))) is not None:
            if is_job_of(run, read_job(folder)):
                return conclude(run, job, before, watcher)
            watcher.say(OF_ANOTHER_PLAN.format(model=folder / "model", run=quoted(folder)))
    return folder


def is_job_of(run: PlannedRun, job: Job) -> bool:
    """Whether a run folder's job trained on the plan that is there now, rather than on one of before.

    What an older mixplan's job does not state of how it trains may be as the recipe says.
    """
    asked = run.loaded.recipe
    now = json.loads(json.dumps(asked.train.model_dump() | {"args": {"seed": asked.seed, **asked.train.args}}))
    same = all(job.train[key] == now[key] for key in job.train.keys() & now.keys())
    return same and (job.hashes["mixture"], job.hashes["model"]) == (run.plan.hashes["mixture"], run.plan.model.hash)


def evaluated_before(run: PlannedRun, watcher: Watcher) -> Evaluation:
    """Measure the untrained model; its memory is free again before the job starts."""
    watcher.say(f"loading {run.loaded.recipe.model.name}, to measure it as it is before training")
    place = run.folder / "evaluation" / "before.json"
    before = with_earlier(run.evaluated(run.untrained(), watcher), place)
    give_back_memory()
    write_evaluation(before, place)
    return before


def with_earlier(evaluation: Evaluation, place: Path) -> Evaluation:
    """An evaluation with what an earlier one of the same model measured besides, which stays measured.

    Args:
        evaluation: Made now; where both have a measure of a domain, its own counts.
        place: File of the earlier one; there may be none.
    """
    try:
        earlier = read_evaluation(place) if place.is_file() else None
    except RunError:
        return evaluation  # damaged, or of another version: it is written anew
    same = ("name", "hash", "dtype", "device")
    if earlier is None or any(getattr(earlier.model, key) != getattr(evaluation.model, key) for key in same):
        return evaluation
    domains = {name: {**evaluation.domains.get(name, {})} for name in [*evaluation.domains, *earlier.domains]}
    for name, measures in earlier.domains.items():
        for measure, measured in measures.items():
            domains[name].setdefault(measure, measured)
    return replace(
        evaluation,
        domains=domains,
        headlines={**earlier.headlines, **evaluation.headlines},
        floors={
            **{name: one for name, one in earlier.floors.items() if name not in evaluation.domains},
            **evaluation.floors,
        },
        asked={
            name: {**earlier.asked.get(name, {}), **evaluation.asked.get(name, {})}
            for name in domains
            if name in earlier.asked or name in evaluation.asked
        },
    )


def conclude(run: PlannedRun, job: Trained | Judged, before: Evaluation, watcher: Watcher) -> Path:
    """Measure what was trained, loaded afresh from its folder, and write outcome.json.

    Returns:
        The folder of outcome.json.
    """
    watcher.say(f"loading the trained model from {job.folder}, to measure it too")
    untrained, trained = run.untrained(), run.trained(job.folder)
    folder, notes = run.folder, list[str]()
    if isinstance(job, Judged):
        folder = run.folder / JUDGED / job.label if job.label else run.folder
        held_out = [row for domain in by_name(run.target, run.domains).values() for row in domain.evaluation]
        trained, notes = comparable(trained, untrained, held_out, job.folder)
        job = replace(job, hash=trained.weights)
    place = folder / "evaluation" / "after.json"
    after = with_earlier(run.evaluated(trained, watcher, untrained), place)
    write_evaluation(after, place)
    drift = actual_drift(run.loaded, untrained, trained, run.target, run.plan, watcher=watcher)
    recipe = run.loaded.recipe
    rows = {name: domain.evaluation for name, domain in by_name(run.target, run.domains).items()}
    found = assemble(run.plan, before, after, job, drift, spec=recipe.evaluate, seed=recipe.seed)
    earlier = standing(folder)
    held = gate(tolerances_of(recipe), changes_in(found), before, rows)
    if held is not None:
        found = with_gate(found, run.plan, held, earlier)
    answers = Answers(untrained, trained, rows, recipe.evaluate, watcher)
    found = with_examples(found, rows, before, after, answers.of_both)
    arms = arms_standing(earlier, found)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    found = found.model_copy(update={"created": now, "warnings": [*notes, *found.warnings]})
    write_outcome(folder, with_arms(found, arms) if arms else found)
    if not isinstance(job, Judged):
        tracking_of(run.folder, watcher).after(found, job.steps)
    return folder


@dataclass(frozen=True)
class Answers:
    """What answers rows of free text, which no measure has the models answer."""

    untrained: Model
    trained: Model
    rows: Mapping[str, Sequence[Row]]
    spec: EvaluateSpec
    watcher: Watcher

    def of_both(self, name: str, rows: Sequence[Row]) -> tuple[dict[str, str], dict[str, str]]:
        """Both models' answers to a few rows of a part, as texts by row id; none where a model cannot answer."""
        tokens = self.spec.behaviour_tokens

        def written(model: Model) -> dict[str, str]:
            return written_answers(
                model,
                rows,
                answer_tokens=tokens,
                begin=lambda: self.watcher.stage(f"{name}: example answers", len(rows), "rows"),
            )

        try:
            own = own_texts(self.untrained, self.rows[name][: self.spec.rows], answer_tokens=tokens)
            return own or written(self.untrained), written(self.trained)
        except MixplanError as error:
            self.watcher.say(f"{name}: no example answers in the report: {error}")
            return {}, {}


def arms_standing(earlier: Outcome | None, found: Outcome) -> Arms | None:
    """The table of arms that an earlier `mixplan compare` of this very plan has written, or None."""
    same = earlier is not None and earlier.hashes | {"outcome": ""} == found.hashes | {"outcome": ""}
    if earlier is None or earlier.arms is None or not same:
        return None
    return with_gates_of(earlier.arms, found.tolerances)
