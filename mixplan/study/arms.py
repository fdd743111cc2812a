"""A study of arms in; its plans written down, every target compared at each budget, results.json out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mixplan.errors import RunError
from mixplan.evaluate.result import Evaluation
from mixplan.forecast.earlier import EVIDENCE, settings_of
from mixplan.outcome.compare import CompareRequest, compare_arms
from mixplan.outcome.make import OutcomeRequest, planned
from mixplan.plan import standalone
from mixplan.runs import translated, write_atomic, write_json
from mixplan.study.arms_judge import Measured, judge_arms
from mixplan.study.arms_response import compared_values, response_of
from mixplan.study.evidence import evidence_of_arms
from mixplan.study.jobs import Bench, evaluated, taken
from mixplan.study.marks import Mark
from mixplan.study.rehearse import moved_items
from mixplan.study.spec import LoadedStudy
from mixplan.train.launch import Launch

DONE = "compared.json"
"""In a comparison's folder once all its arms are trained and measured."""


Found = dict[tuple[str, int], Measured]
"""What comparisons measured, by target and budget."""


def plan_arms(bench: Bench, marks: list[Mark]) -> None:
    """Try the marks on made-up changes, then write every target's plan at each budget down; nothing is trained.

    Args:
        bench: The study.
        marks: Its pass marks.

    Raises:
        RunError: a mark names a figure that there will not be, or the evidence teaches these plans nothing.
        MixplanError: anything that the person can mend.
    """
    if not any(bench.run.glob("arms/*/training/job.json")):
        judge_arms(rehearsed(bench), marks=marks)
    for target, budget in comparisons(bench.study):
        bench.watcher.say(f"plan of target {target}, {budget} extra rows")
        made = planned(request_of(bench, target, budget, Launch()), bench.watcher)
        if bench.study.evidence is not None and not made.plan["forecast"]["learned_from"]:
            raise RunError(
                f"{bench.study.path}: arms.evidence: nothing in {bench.study.evidence} is of this study's model, SAE, "
                f"training method and score settings ({settings_text(made.plan['recipe'])}), so plans cannot learn "
                "from it. Name other evidence, or read scores as that study did."
            )


def settings_text(recipe: Mapping[str, Any]) -> str:
    """What evidence must share with a recipe, in words."""
    return ", ".join(f"{name} {value}" for name, value in settings_of(recipe).items())


def comparisons(study: LoadedStudy) -> list[tuple[str, int]]:
    """Targets with their budgets, every target's first budget before any second one."""
    assert study.spec.arms is not None  # what makes it a study of arms
    return [(target, budget) for budget in study.spec.arms.budgets for target in study.spec.targets]


def plans_written(study: LoadedStudy, run: Path) -> bool:
    """Whether every plan is, before which nothing is trained."""
    return all((folder_of(run, *one) / "plan.json").is_file() for one in comparisons(study))


def compare_free(bench: Bench, launch: Launch) -> Found:
    """Train and measure the arms of every comparison that is not done; targets that another process holds are its own.

    Args:
        bench: The study, its plans written down.
        launch: How each training is started.

    Returns:
        What this process has compared.

    Raises:
        MixplanError: anything that the person can mend.
    """
    found: Found = {}
    before = -1
    while before < len(found):
        # A target that another process held may be free the next time.
        before = len(found)
        for one in comparisons(bench.study):
            if one in found or finished(bench, *one):
                continue
            with taken(bench.run / "arms" / "held" / one[0]) as ours:
                if ours:
                    found[one] = compared(bench, *one, launch)
    return found


def finished(bench: Bench, target: str, budget: int) -> bool:
    """Whether some process has compared all arms for this very study."""
    try:
        kept = json.loads((folder_of(bench.run, target, budget) / DONE).read_bytes())
        return bool(kept["study"] == bench.study.hash)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def arms_so_far(bench: Bench, marks: list[Mark], launch: Launch) -> Path:
    """Judge the budgets that every target is compared at, beside processes that may still work on others.

    Args:
        bench: The study.
        marks: Its pass marks.
        launch: As for `conclude_arms`.

    Returns:
        The run's folder so-far/, with results.json and evidence.json.

    Raises:
        RunError: there is no such budget.
    """
    named = comparisons(bench.study)
    compared_now = {one for one in named if finished(bench, *one)}
    whole = [one for one in named if all((target, one[1]) in compared_now for target in bench.study.spec.targets)]
    if not whole:
        raise RunError(
            f"{bench.run}: {len(compared_now)} of {len(named)} comparisons are finished, but at no budget are all "
            "targets', so there is nothing to judge yet. Give the same command again later."
        )
    folder = bench.run / "so-far"
    judge_compared(bench, marks, {one: compared(bench, *one, launch) for one in whole}, folder)
    return folder


def conclude_arms(bench: Bench, marks: list[Mark], found: Found, launch: Launch) -> None:
    """Take every comparison as it stands and judge.

    Args:
        bench: The study.
        marks: Its pass marks.
        found: What this process has compared itself.
        launch: How a training would be started whose files another process left damaged.

    Raises:
        RunError: two comparisons measured different rows.
        MixplanError: anything that the person can mend.
    """
    whole = {one: found.get(one) or compared(bench, *one, launch) for one in comparisons(bench.study)}
    judge_compared(bench, marks, whole, bench.run)


def judge_compared(bench: Bench, marks: list[Mark], found: Found, folder: Path) -> None:
    """Judge comparisons, every target at the same budgets, into a folder."""
    measured: dict[str, dict[int, Measured]] = {target: {} for target in bench.study.spec.targets}
    for (target, budget), one in found.items():
        measured[target][budget] = one
    judged = judge_arms(measured, marks=marks)
    response = response_of(measured, assumed=bench.study.whole.recipe.allocate.half)
    write_json(folder / "results.json", {"study": bench.study.hash, **judged, "response": response})
    write_json(folder / EVIDENCE, evidence_of_arms(bench, compared_values(measured), judged))


def compared(bench: Bench, target: str, budget: int, launch: Launch) -> Measured:
    """One target at one budget: every arm trained with every seed, and measured; what is done is not done again."""
    spec = bench.study.spec
    assert spec.arms is not None
    bench.watcher.say(f"target {target}, {budget} extra rows")
    outcome = request_of(bench, target, budget, launch)
    shared = bench.run / "arms" / f"{target}-none"
    request = CompareRequest(outcome, tuple(spec.arms.names), tuple(spec.seeds), shared=shared)
    made = compare_arms(request, watcher=bench.watcher)
    write_json(folder_of(bench.run, target, budget) / DONE, {"study": bench.study.hash})
    even_as_good = made.run.plan["allocation"]["no_better_than_uniform"] is not None
    return Measured(target, made.before, made.after, made.rows, made.steps, even_as_good)


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
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
    write_atomic(place, (head + str(text)).encode())
    return place


def evidence_without(bench: Bench, target: str) -> Path:
    """The folder with what a target's plans learn from: the study's evidence as it is without that target.

    What the evidence says over all its targets is left out with it: the target's own changes are in there.
    """
    assert bench.study.evidence is not None  # asked for only then
    with translated(bench.study.evidence, reading=True):
        known = json.loads(bench.study.evidence.read_bytes())
    others = {name: changes for name, changes in known["targets"].items() if name != target}
    folder = bench.run / "arms" / "evidence" / target
    write_json(folder / EVIDENCE, {**known, "told": {}, "learned": {}, "targets": others})
    return folder


def rehearsed(bench: Bench) -> dict[str, dict[int, Measured]]:
    """Made-up outcomes of this study's shape: the untrained model's evaluations, moved."""
    spec = bench.study.spec
    assert spec.arms is not None
    generator = np.random.default_rng(spec.seeds[0])
    found: dict[str, dict[int, Measured]] = {}
    for target in spec.targets:
        before = evaluated(bench, bench.taught(target), bench.model)
        if "target" not in before.domains:
            raise RunError(
                f"{bench.study.path}: targets.{target} has no evaluation rows, so its gain cannot be measured. "
                f"Set `targets.{target}.split.evaluation`."
            )
        rows = {arm: dict.fromkeys(bench.taught(target).domains, 1) for arm in spec.arms.names}
        for budget in spec.arms.budgets:
            after = {arm: {seed: moved(before, generator) for seed in spec.seeds} for arm in spec.arms.names}
            found.setdefault(target, {})[budget] = Measured(target, before, after, rows, 1)
    return found


def moved(before: Evaluation, generator: np.random.Generator) -> Evaluation:
    """An evaluation as if training had moved it."""
    domains: Mapping[str, Mapping[str, Any]] = before.domains
    return replace(
        before,
        domains={
            name: {measure: moved_items(values, generator) for measure, values in measures.items()}
            for name, measures in domains.items()
        },
    )
