"""Assembles an outcome from a plan, two evaluations, a finished job and what moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from mixplan import __version__
from mixplan.evaluate.compare import changes, made_otherwise
from mixplan.forecast.earlier_runs import settings_of
from mixplan.outcome.expectations import apart, expected, outside, shares
from mixplan.outcome.external_model import Judged
from mixplan.outcome.judge import judge
from mixplan.outcome.summary import summarise
from mixplan.recipe.spec import EvaluateSpec
from mixplan.saved import VERSION, Outcome, Plan
from mixplan.saved.arms import Arms
from mixplan.saved.evaluation import Evaluation, items_hash
from mixplan.saved.outcome import (
    Answers,
    Change,
    Contents,
    Domain,
    Drift,
    Elsewhere,
    Forecast,
    Measured,
    Relative,
    Training,
)
from mixplan.saved.plan import Job, Risk

if TYPE_CHECKING:
    from mixplan.train.make import Trained

PREDICTORS = (
    *("sts_icl", "sts_act", "preview_kl", "behind_answers_raw"),
    *("raw_icl", "raw_act", "low_shift", "total_shift", "outside_shift"),
)
"""Scores of plan.json that are held against measured changes."""

STILL = (
    "Training moved no feature of the SAE on the target's query tokens: it changed nothing below the SAE's layer, so "
    "predicted and actual drift cannot be compared."
)

NO_SAE = (
    "The plan has no SAE (`model.sae: none`), so no features were read: there is no predicted drift, and none that "
    "training brought. What each domain lost is measured as with one."
)

FEWER = 0.01
"""Of a job's steps: so many fewer, as by a last batch that is not full, are the same job."""

UNREAD = (
    "Not known: actual drift, how far behaviour moved, and what the trainer read. The measures are {harness}'s, and "
    "neither model was read."
)


def assemble(
    plan: Plan,
    before: Evaluation,
    after: Evaluation,
    trained: Trained | Judged,
    drift: Drift | None,
    *,
    spec: EvaluateSpec,
    seed: int,
) -> Outcome:
    """Say what a job did and how right its plan was.

    Args:
        plan: Its plan.
        before: The untrained model's evaluation.
        after: The trained model's, on the same items.
        trained: The finished job, or a model that was trained without mixplan.
        drift: What `actual_drift` found.
        spec: The recipe's section, for the bootstrap resamples.
        seed: Of the resamples.

    Returns:
        The outcome; `arms` is None until arms are compared (see `with_arms`).

    Raises:
        RunError: the evaluations cannot be compared.
    """
    compared = changes(before, after, resamples=spec.resamples, seed=seed)
    sources = sources_of(plan)
    names = ("target", *sources.values(), *plan.domains)
    measured = {name: measured_part(name, compared, before, after) for name in names}
    domains = beside_plan(plan, {name: measured[name] for name in plan.domains})
    fields = plan_fields(plan) | {
        "hashes": {
            **{part: plan.hashes[part] for part in ("plan", "model", "sae")},
            "trained": trained.hash if isinstance(trained, Judged) else trained.model_hash,
            "before": items_hash(before),
            "after": items_hash(after),
        },
        **trained_part(plan, trained),
        "target": measured["target"],
        "domains": domains,
        "judgement": judge(domains),
        "drift": drift,
        "arms": None,
        "summary": [],
        "warnings": [],
    }
    if sources:
        fields["sources"] = {name: measured[called] for name, called in sources.items()}
    outcome = Outcome.model_validate(fields)
    notes: tuple[str, ...] = ()
    if not isinstance(trained, Judged):
        notes = (*trained.notes, *by_several(plan, outcome), *by_fewer(plan, outcome, trained))
    warnings = [*notes, *other_types(before, after), *other_settings(before, after), *warnings_of(outcome, measured)]
    return outcome.model_copy(update={"summary": summarise(outcome), "warnings": warnings})


def plan_fields(plan: Plan) -> dict[str, object]:
    """What an outcome takes from its plan as it is: fields of `Outcome`."""
    values = plan.recipe.given if plan.recipe else {}
    fields: dict[str, object] = {
        "version": VERSION,
        "mixplan": __version__,
        "name": plan.name,
        "model": plan.model.name,
        "sae": plan.sae.name if plan.sae else None,
        "dtype": plan.model.dtype,
        "settings": settings_of(values).model_copy(update={"score": plan.score}),
        "content": contents_of(plan),
        "forecast": Forecast(kind=plan.forecast.kind, text=plan.forecast.text),
    }
    return fields if plan.model.config is None else fields | {"config": plan.model.config}


def other_types(before: Evaluation, after: Evaluation) -> list[str]:
    """What a reader should know where both models were not measured in one compute type."""
    return [
        f"{count} measures of the untrained model were measured in {dtype}, the trained model's in "
        f"{after.model.dtype}: part of what changed may be rounding."
        for dtype, count in before.model.reused.items()
    ]


def other_settings(before: Evaluation, after: Evaluation) -> list[str]:
    """Which measures are left out since they were made otherwise before than after."""
    found = [
        f"`{measure}` of {name}"
        for name, measures in before.domains.items()
        for measure in measures
        if measure in after.domains.get(name, {}) and made_otherwise(name, measure, before, after)
    ]
    if not found:
        return []
    return [
        f"Left out, since other settings or rows were measured before than after: {', '.join(found)}. "
        "Ask for them again with `mixplan eval`."
    ]


def trained_part(plan: Plan, trained: Trained | Judged) -> dict[str, object]:
    """What trained the model: the job as it ran, or where the model came from."""
    if isinstance(trained, Judged):
        where = Elsewhere(model=trained.given, label=trained.label)
        harness = {"harness": trained.harness} if trained.harness else {}
        return {"job": None, "elsewhere": where.model_copy(update=harness)}
    method = plan.recipe.train.method if plan.recipe else "sft"
    return {"job": job_as_run(plan.job, trained, plan.domains), "training": training_part(method, trained)}


def by_several(plan: Plan, outcome: Outcome) -> list[str]:
    """Say that several processes trained what a plan has forecast as one process would train it."""
    processes = (outcome.training and outcome.training.processes) or 1
    if processes == 1 or plan.job is None or outcome.job is None or plan.forecast.kind == "relative":
        return []
    return [
        f"{processes} processes trained together, each on a batch of its own, where the plan's forecasts count one: "
        f"they are of {plan.job.steps:.4g} optimiser steps on target rows, and {outcome.job.steps:.4g} were taken."
    ]


def by_fewer(plan: Plan, outcome: Outcome, trained: Trained) -> list[str]:
    """Say that a model which a monitor chose, or whose job it stopped, has less behind it than the plan has forecast.

    Args:
        plan: Its forecasts are of the whole job.
        outcome: With the job as it ran, up to the model that was kept.
        trained: The finished job, whose notes say what a monitor did to it.
    """
    if not trained.notes or plan.job is None or outcome.job is None or plan.forecast.kind == "relative":
        return []
    if outcome.job.steps >= plan.job.steps * (1 - FEWER):
        return []
    return [
        f"The plan's forecasts are of its whole job, {plan.job.steps:.4g} optimiser steps on target rows; the model "
        f"that was measured has {outcome.job.steps:.4g} behind it, so what moved less than forecast does not "
        "contradict them."
    ]


def training_part(method: str, trained: Trained) -> Training:
    """The job as it ran."""
    found = Training(
        method=method,
        steps=trained.steps,
        seconds=trained.seconds,
        log=trained.log,
        consumption=trained.consumption,
    )
    told = {"kept_step": trained.kept_step, "processes": trained.processes}
    return found.model_copy(update={key: number for key, number in told.items() if number is not None})


def contents_of(plan: Plan) -> Contents | None:
    """Sketches of the target and domains, by which later plans recognise them; None where the plan has none."""
    target = plan.target.content
    domains = {name: planned.content for name, planned in plan.domains.items() if planned.content is not None}
    return None if target is None else Contents(target=target, domains=domains)


def job_as_run(planned: Job | None, trained: Trained, domains: Iterable[str]) -> Job | None:
    """What the measured model was trained with: as planned, with the optimiser steps that its target rows took.

    Where a monitor has kept the model of an earlier step, these are the steps up to it.

    Args:
        planned: The plan's job.
        trained: The finished job.
        domains: Their names; all else that was read is the target's.
    """
    named = set(domains)
    taught = [consumed for name, consumed in trained.consumption.items() if name not in named]
    read = sum(consumed.rows for consumed in taught)
    if planned is None or not read:
        return None
    made = trained.steps if trained.kept_step is None else trained.kept_step
    steps = made * read / sum(consumed.rows for consumed in trained.consumption.values())
    distinct = sum(consumed.different_rows for consumed in taught)
    return planned.model_copy(update={"target_rows": distinct, "steps": steps})


def sources_of(plan: Plan) -> dict[str, str]:
    """What the rows of each source of a plan's target are called, by the source's name; empty for a target of one."""
    return {name: f"target.{name}" for name in plan.target.sources}


def beside_plan(plan: Plan, measured: Mapping[str, Measured]) -> dict[str, Domain]:
    """Each domain's changes with what its plan forecast, and with the scores that may have predicted them."""
    foretold = {name: planned.forecast for name, planned in plan.domains.items()}
    relative = shares(foretold, measured) if plan.forecast.kind == "relative" else {}
    behind_rows = any(plan.allocation.rows.values())
    return {
        name: Domain.model_validate(
            part.fields()
            | beside_forecast(foretold[name], part, relative.get(name), behind_rows=behind_rows)
            | {
                "predictors": {
                    score: found.value for score in PREDICTORS if (found := getattr(plan.domains[name], score))
                }
            }
        )
        for name, part in measured.items()
    }


def with_arms(outcome: Outcome, arms: Arms) -> Outcome:
    """An outcome with the table of compared arms, told in its summary too."""
    joined = outcome.model_copy(update={"arms": arms})
    return joined.model_copy(update={"summary": summarise(joined)})


def measured_part(
    name: str, compared: Mapping[str, Mapping[str, Mapping[str, Change]]], before: Evaluation, after: Evaluation
) -> Measured:
    """One domain's changes, its headline first, and how its generated answers were graded before and after."""
    found, headline = compared.get(name, {}), before.headlines.get(name)
    order = sorted(found, key=lambda measure: measure != headline)
    return Measured(
        headline=headline,
        measures={measure: dict(found[measure]) for measure in order},
        answers=Answers(before=graded(before, name), after=graded(after, name)) if "exact" in found else None,
        floor=before.floors.get(name),
    )


def graded(evaluation: Evaluation, name: str) -> dict[str, int]:
    """How many generated answers had each outcome, such as `right` and `truncated`."""
    return dict(sorted(Counter(evaluation.domains[name]["exact"].texts.get("outcome", ())).items()))


def beside_forecast(
    planned: Risk | None, measured: Measured, share: Relative | None, *, behind_rows: bool
) -> dict[str, object]:
    """What was expected of a domain, and whether it moved otherwise: fields of the outcome's `Domain`."""
    headline, behaviour = (expected(planned, part, measured) for part in ("headline", "behaviour"))
    first = headline or behaviour
    missed = apart(share) if share else None
    return {
        "expected": headline,
        "expected_behaviour": behaviour,
        "relative": share,
        "outside_forecast": outside(first, measured, behind_rows=behind_rows) if first else missed,
    }


def warnings_of(outcome: Outcome, measured: Mapping[str, Measured]) -> list[str]:
    """What a reader should know before trusting the numbers."""
    harness = outcome.elsewhere.harness if outcome.elsewhere else None
    found = [] if outcome.drift is not None else [unread_drift(outcome, harness.name if harness else None)]
    for name, consumed in (outcome.training.consumption if outcome.training else {}).items():
        unread = consumed.planned_rows - consumed.dropped_rows - consumed.different_rows
        if unread > 0:
            rows = f"{unread} of its {consumed.planned_rows} rows {were(unread)}"
            found.append(f"{name}: {rows} never read: the job ended first.")
        if consumed.truncated_rows:
            cut_rows = consumed.truncated_rows
            found.append(f"{name}: {cut_rows} of its rows {were(cut_rows)} cut to the longest length.")
        if consumed.dropped_rows:
            dropped = consumed.dropped_rows
            found.append(f"{name}: {dropped} of its rows {were(dropped)} longer than allowed and left out.")
    found += unmeasured(outcome, measured)
    return [*found, *cut_answers(measured)]


def cut_answers(measured: Mapping[str, Measured]) -> list[str]:
    """How many answers of either model were cut before they were right, each in a sentence."""
    answers = {name: part.answers for name, part in measured.items() if part.answers}
    sides = (
        (
            "untrained",
            ", so part of a gain may be that answers end sooner",
            {n: one.before for n, one in answers.items()},
        ),
        ("trained", "", {n: one.after for n, one in answers.items()}),
    )
    found = []
    for which, meaning, grades in sides:
        cut = [
            f"{name} {one['truncated']} of {sum(one.values())}" for name, one in grades.items() if one.get("truncated")
        ]
        if cut:
            start = f"Answers of the {which} model that were cut at evaluate.answer_tokens count as wrong{meaning}"
            found.append(f"{start}: {', '.join(cut)}.")
    return found


def unread_drift(outcome: Outcome, harness: str | None) -> str:
    """Why predicted and actual drift are not held against each other."""
    if harness is not None:
        return UNREAD.format(harness=harness)
    return STILL if outcome.sae is not None else NO_SAE


def were(count: int) -> str:
    """The verb of so many rows."""
    return "was" if count == 1 else "were"


def unmeasured(outcome: Outcome, measured: Mapping[str, Measured]) -> list[str]:
    """Which parts nothing was measured of; in one sentence where another harness measured only some."""
    if outcome.elsewhere and outcome.elsewhere.harness:
        domains = [name for name in outcome.domains if not measured[name].measures]
        if not domains:
            return []
        those = f"{len(domains)} of {len(outcome.domains)} domains ({', '.join(domains)})"
        return [f"Nothing was measured of {those}: no task of the results stands for them."]
    return [
        f"{name}: nothing was measured; it has no evaluation rows, or no measure fits it."
        for name, part in measured.items()
        if not part.measures and not (name == "target" and outcome.sources)
    ]
