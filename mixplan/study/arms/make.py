"""Runs a study of arms: writes down its plans, compares every target at each budget, writes results.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixplan.errors import RunError
from mixplan.forecast.earlier_runs import EVIDENCE, settings_of
from mixplan.outcome.compare import compare_arms
from mixplan.outcome.compare_request import CompareRequest
from mixplan.outcome.make import OutcomeRequest, planned
from mixplan.reading import standalone
from mixplan.recipe.lines import write
from mixplan.runs import content_hash, write_atomic, write_json
from mixplan.saved.base_types import JsonObject
from mixplan.saved.evaluation import Evaluation, read_evaluation
from mixplan.saved.evidence import Evidence
from mixplan.saved.read import File, parsed
from mixplan.study.arms.dry_run import rehearse_arms
from mixplan.study.arms.judge import Measured, judge_arms
from mixplan.study.arms.learned import Relearned, judge_relearned, relearned
from mixplan.study.arms.measured import TRAVELS, KnownTrainings, MeasuredUnder, take_over, write_trainings
from mixplan.study.arms.response import compared_values, response_of
from mixplan.study.arms.stages import Stage, arms_of, comparisons, stages
from mixplan.study.asked.arms import LEARNED
from mixplan.study.asked.spec import LoadedStudy
from mixplan.study.evidence import evidence_of_arms
from mixplan.study.files.arms import ArmsFurther, ArmsResults, Halved
from mixplan.study.files.judgement import Of
from mixplan.study.files.read import read_file, read_whole, write_file
from mixplan.study.files.registration import Registered
from mixplan.study.files.work import ComparedFile
from mixplan.study.jobs import Bench, taken, wait_until
from mixplan.study.judged.pass_marks import Mark
from mixplan.train.launch import Launch

DONE = "compared.json"
"""In a comparison's folder once all its arms are trained and measured."""


Found = dict[tuple[str, int], Measured]
"""What was measured, by target and budget."""


def plan_arms(bench: Bench, marks: list[Mark], measured: Path | None) -> None:
    """Try the marks on made-up changes, then write every target's plan at each budget down; nothing is trained.

    Args:
        bench: The study.
        marks: Its pass marks.
        measured: A trainings.jsonl of this or a like study: what it holds is not trained again.

    Raises:
        RunError: a mark names a figure that there will not be, the evidence teaches these plans nothing, or what was
            measured elsewhere cannot be taken over.
        MixplanError: anything that the person can mend.
    """
    if measured is not None:
        new = take_over(measured, known_folder(bench), measured_under(bench))
        bench.watcher.say(f"{new} trainings taken over from {measured}")
    if not any(bench.run.glob("arms/*/training/job.json")):
        rehearse_arms(bench, marks)
    for target, budget in comparisons(bench.study):
        bench.watcher.say(f"plan of target {target}, {budget} extra rows")
        made = planned(request_of(bench, target, budget, Launch()), bench.watcher)
        if bench.study.evidence is not None and not made.plan.forecast.learned_from:
            raise RunError(
                f"{bench.study.path}: arms.evidence: nothing in {bench.study.evidence} is of this study's model, SAE, "
                f"training method and score settings ({settings_text(made.loaded.resolved)}), so plans cannot learn "
                "from it. Name other evidence, or read scores as that study did."
            )


def settings_text(recipe: Mapping[str, Any]) -> str:
    """What evidence must share with a recipe, in words."""
    return ", ".join(f"{name} {value}" for name, value in settings_of(recipe).values().items())


def plans_written(study: LoadedStudy, run: Path) -> bool:
    """Whether every plan is, before which nothing is trained."""
    return all((folder_of(run, *one) / "plan.json").is_file() for one in comparisons(study))


def compare_together(bench: Bench, launch: Launch) -> None:
    """`compare_free`, and again once what plans learn from is measured, at which other processes may still be.

    Raises:
        MixplanError: anything that the person can mend.
    """
    later = [one for one in stages(bench.study) if one.learned]

    def ready_for_later() -> bool:
        compare_free(bench, launch)
        return all(finished(bench, one) or ready(bench, one) for one in later)

    wait_until(ready_for_later, bench.watcher, "waiting for other processes that measure what plans learn from")
    if later:
        compare_free(bench, launch)


def compare_free(bench: Bench, launch: Launch) -> None:
    """Train and measure the arms of every stage that is not done; targets that another process holds are its own.

    Args:
        bench: The study, its plans written down.
        launch: How each training is started.

    Raises:
        MixplanError: anything that the person can mend.
    """
    here: set[Stage] = set()
    before = -1
    while before < len(here):
        # A target that another process held may be free the next time.
        before = len(here)
        for one in stages(bench.study):
            if one in here or finished(bench, one) or not ready(bench, one):
                continue
            with taken(bench.run / "arms" / "held" / one[0]) as ours:
                if ours:
                    compared(bench, one, launch)
                    here.add(one)


def ready(bench: Bench, one: Stage) -> bool:
    """Whether what a stage learns from is measured."""
    return not one.learned or all(finished(bench, other) for other in stages(bench.study) if not other.learned)


def finished(bench: Bench, one: Stage) -> bool:
    """Whether some process has compared all arms with so many seeds for this very study."""
    return standing(bench, one) is not None


def all_finished(bench: Bench) -> bool:
    """Whether every stage is."""
    return all(finished(bench, one) for one in stages(bench.study))


def standing(bench: Bench, one: Stage) -> Measured | None:
    """What a stage measured, as some process has written it down; None where that is not all there."""
    folder = folder_of(bench.run, one.target, one.budget)
    known = known_trainings(bench, one.target, one.budget)
    arms = arms_of(bench.study, one)
    kept = read_whole(ComparedFile, folder / DONE)
    if kept is None or kept.study != bench.study.hash:
        return None
    after: dict[str, dict[int, Evaluation]] = {}
    for arm in arms:
        for seed in bench.study.spec.seeds[: one.seeds]:
            job = kept.jobs.get(arm, {}).get(str(seed))
            found = None if job is None else known.get(job)
            if found is None or arm not in kept.rows:
                return None
            after.setdefault(arm, {})[seed] = found
    try:
        before = read_evaluation(folder / "evaluation" / "before.json")
    except RunError:
        return None
    rows = {arm: kept.rows[arm] for arm in arms}
    learned = kept.learned if one.learned else None
    if one.learned and learned is None:
        return None
    return Measured(one.target, before, after, rows, kept.steps, kept.even_as_good, learned)


def arms_so_far(bench: Bench, marks: list[Mark]) -> Path:
    """Judge the budgets that every target is compared at, beside processes that may still work on others.

    With as many seeds as there are for some budget, and all budgets that have these.

    Args:
        bench: The study.
        marks: Its pass marks.

    Returns:
        The run's folder so-far/, with results.json and evidence.json, and with trainings.jsonl once anything was
        measured, from which another run folder goes on.

    Raises:
        RunError: there is no such budget.
    """
    study = bench.study
    folder = bench.run / "so-far"
    trainings = write_trainings(known_folder(bench), folder / TRAVELS, measured_under(bench))
    counts = reversed(range(1, len(study.spec.seeds) + 1))
    whole = next(filter(None, (whole_budgets(bench, count) for count in counts)), None)
    if whole is None:
        raise RunError(
            f"{bench.run}: {trainings} trainings are measured, but at no budget are all targets' arms with any seed, "
            f"so there is nothing to judge yet. {bench.how_to_finish}"
        )
    judge_compared(bench, marks, whole, folder)
    return folder


def whole_budgets(bench: Bench, count: int) -> Found:
    """What was measured with so many seeds at the budgets that all targets are finished at.

    With the arm `plan_learned` where all of it is there.
    """

    def whole(learned: bool) -> Found:
        asked = [one for one in stages(bench.study) if (one.seeds, one.learned) == (count, learned)]
        found = {(one.target, one.budget): standing(bench, one) for one in asked}
        missing = {budget for (_, budget), one in found.items() if one is None}
        return {named: one for named, one in found.items() if one is not None and named[1] not in missing}

    without, with_learned = whole(False), whole(True)
    return with_learned if with_learned.keys() == without.keys() else without


def conclude_arms(bench: Bench, marks: list[Mark], launch: Launch) -> None:
    """Take every comparison as it stands and judge.

    Args:
        bench: The study.
        marks: Its pass marks.
        launch: How a training would be started whose files another process left damaged.

    Raises:
        RunError: two comparisons measured different rows.
        MixplanError: anything that the person can mend.
    """
    last = {(one.target, one.budget): one for one in stages(bench.study)}
    found = {named: standing(bench, one) or compared(bench, one, launch) for named, one in last.items()}
    judge_compared(bench, marks, found, bench.run)
    write_trainings(known_folder(bench), bench.run / TRAVELS, measured_under(bench))


def judge_compared(bench: Bench, marks: list[Mark], found: Found, folder: Path) -> None:
    """Judge comparisons, every target at the same budgets, into a folder; marks on an arm that is missing wait."""
    measured: dict[str, dict[int, Measured]] = {target: {} for target in bench.study.spec.targets}
    for (target, budget), one in found.items():
        measured[target][budget] = one
    trained = next(iter(found.values())).after
    asked = [mark for mark in marks if LEARNED in trained or LEARNED not in mark.quantity.split("/")]
    judged = judge_arms(measured, marks=asked)
    response = response_of(measured, assumed=bench.study.whole.recipe.allocate.half)
    learned = None
    if LEARNED in judged.arms and judged.quantities:
        learned = judge_relearned(measured, judged.quantities[0])
    further = ArmsFurther(response=response, learned=learned)
    results = ArmsResults.of_parts(Of(version=1, study=bench.study.hash), judged, further)
    write_file(folder / "results.json", results)
    write_file(folder / EVIDENCE, evidence_of_arms(bench, compared_values(measured), judged))


def compared(bench: Bench, one: Stage, launch: Launch) -> Measured:
    """Train every arm of a target at a budget with the first so many seeds, and measure; nothing is done twice."""
    spec = bench.study.spec
    assert spec.arms is not None
    target, budget = one.target, one.budget
    seeds = tuple(spec.seeds)
    numbers = ", ".join(map(str, seeds[: one.seeds]))
    bench.watcher.say(f"target {target}, {budget} extra rows, seed{'s' * (one.seeds > 1)} {numbers}")
    again = learned_from_others(bench, one) if one.learned else None
    request = CompareRequest(
        request_of(bench, target, budget, launch),
        arms_of(bench.study, one),
        seeds[: one.seeds],
        shared=bench.run / "arms" / f"{target}-none",
        none_seeds=seeds,
        known=known_trainings(bench, target, budget),
        given={} if again is None else {LEARNED: again.rows},
    )
    made = compare_arms(request, steps=steps_of(bench.study), watcher=bench.watcher)
    even_as_good = made.run.plan.allocation.no_better_than_uniform is not None
    learned = None if again is None else Halved(text=again.text, said=again.even_as_good)
    done = ComparedFile(
        version=1,
        study=bench.study.hash,
        rows={arm: dict(rows) for arm, rows in made.rows.items()},
        steps=made.steps,
        even_as_good=even_as_good,
        jobs={arm: {str(seed): job for seed, job in by_seed.items()} for arm, by_seed in made.jobs.items()},
        learned=learned,
    )
    write_file(folder_of(bench.run, target, budget) / DONE, done)
    return Measured(target, made.before, made.after, made.rows, made.steps, even_as_good, learned)


def learned_from_others(bench: Bench, one: Stage) -> Relearned:
    """A target's plan as all seeds and budgets of the other targets' arms would have made it."""
    others: dict[str, dict[int, Measured]] = {}
    for each in stages(bench.study):
        if each.target != one.target and not each.learned and each.seeds == len(bench.study.spec.seeds):
            found = standing(bench, each)
            if found is None:
                raise RunError(
                    f"{folder_of(bench.run, each.target, each.budget)}: what was measured there is damaged. "
                    "Give the same command again."
                )
            others.setdefault(each.target, {})[each.budget] = found
    return relearned(folder_of(bench.run, one.target, one.budget), others, bench.watcher)


def known_trainings(bench: Bench, target: str, budget: int) -> KnownTrainings:
    """What is known of a target's trainings, where those of a budget are kept."""
    return KnownTrainings(known_folder(bench), bench.study.hash, target, budget)


def measured_under(bench: Bench) -> MeasuredUnder:
    """How the study's trainings are measured.

    Raises:
        RunError: registered.json is not there, or damaged.
    """
    known = read_file(Registered, bench.run / "registered.json", bench.how_to_finish)
    marks = {target: measured_as(loaded.resolved) for target, loaded in bench.study.recipes.items()}
    return MeasuredUnder(known.hash, known.processes, known.libraries, marks)


def measured_as(recipe: Mapping[str, Any]) -> str:
    """What tells apart how trainings of two recipes are measured; which rows are is asked of the rows themselves."""
    return content_hash({name: recipe[name] for name in ("model", "target", "domains", "evaluate")})


def known_folder(bench: Bench) -> Path:
    """Where what trainings measured is kept, for all targets and budgets."""
    return bench.run / "arms" / "known"


def steps_of(study: LoadedStudy) -> int:
    """Optimiser steps of each training, which a study of arms must name."""
    return int(study.whole.recipe.train.args["max_steps"])


def request_of(bench: Bench, target: str, budget: int, launch: Launch) -> OutcomeRequest:
    """The run of a target at a budget, its recipe written."""
    return OutcomeRequest(written(bench, target, budget), run=folder_of(bench.run, target, budget), launch=launch)


def folder_of(run: Path, target: str, budget: int) -> Path:
    """Where a comparison lies."""
    return run / "arms" / f"{target}-{budget}"


def written(bench: Bench, target: str, budget: int) -> Path:
    """A target's recipe with the budget in it, as a file that stands alone."""
    values = standalone(bench.study.recipes[target])
    values["budget"]["rows"] = budget
    if bench.study.evidence is not None:
        values["forecast"]["runs"] = [str(evidence_without(bench, target).absolute())]
    place = bench.run / "arms" / "recipes" / f"{target}-{budget}.yaml"
    head = f"# {target} with {budget} extra rows, from {bench.study.path.name} with its configs merged in.\n"
    write_atomic(place, (head + write(values)).encode())
    return place


def evidence_without(bench: Bench, target: str) -> Path:
    """The folder with what a target's plans learn from: the study's evidence as it is without that target.

    What the evidence says over all its targets is left out with it: the target's own changes are in there.
    """
    assert bench.study.evidence is not None  # asked for only then
    file = File(bench.study.evidence, "evidence", "Name another file in the study's `arms.evidence`.")
    data = file.bytes()
    parsed(Evidence, data, file)
    known: JsonObject = json.loads(data)  # its order and what another mixplan added stay
    targets = known["targets"]
    assert isinstance(targets, dict)  # it was read as that
    others: JsonObject = {name: changes for name, changes in targets.items() if name != target}
    folder = bench.run / "arms" / "evidence" / target
    write_json(folder / EVIDENCE, {**known, "told": {}, "learned": {}, "targets": others})
    return folder
