"""A study of arms in; every target planned and compared at each budget, results.json out: does the mixture help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mixplan.errors import RunError
from mixplan.evaluate.result import Evaluation
from mixplan.forecast.earlier import EVIDENCE
from mixplan.outcome.compare import CompareRequest, compare_arms
from mixplan.outcome.make import OutcomeRequest
from mixplan.plan import standalone
from mixplan.runs import write_atomic, write_json
from mixplan.study.arms_judge import Measured, judge_arms
from mixplan.study.arms_response import compared_values, response_of
from mixplan.study.evidence import evidence_of_arms
from mixplan.study.jobs import Bench, evaluated
from mixplan.study.marks import Mark
from mixplan.study.rehearse import moved_items
from mixplan.train.launch import Launch


def run_arms(bench: Bench, marks: list[Mark], *, jobs: int, launch: Launch) -> None:
    """Plan and compare every target at every budget, then judge; what is done is not done again.

    Args:
        bench: The study.
        marks: Its pass marks, tried on made-up changes before anything is trained.
        jobs: How many trainings of one comparison may run at once.
        launch: How each is started.

    Raises:
        RunError: a mark names a figure that there will not be, or two comparisons measured different rows.
        MixplanError: anything that the person can mend.
    """
    study = bench.study
    assert study.spec.arms is not None  # what makes it a study of arms
    if not any(bench.run.glob("arms/*/training/job.json")):
        judge_arms(rehearsed(bench), marks=marks)
    found: dict[str, dict[int, Measured]] = {}
    for target in study.spec.targets:
        for budget in study.spec.arms.budgets:
            bench.watcher.say(f"target {target}, {budget} extra rows")
            found.setdefault(target, {})[budget] = compared(bench, target, budget, jobs, launch)
    judged = judge_arms(found, marks=marks)
    response = response_of(found, assumed=study.whole.recipe.allocate.half)
    write_json(bench.run / "results.json", {"study": study.hash, **judged, "response": response})
    write_json(bench.run / EVIDENCE, evidence_of_arms(bench, compared_values(found)))


def compared(bench: Bench, target: str, budget: int, jobs: int, launch: Launch) -> Measured:
    """One target at one budget: planned, every arm trained with every seed, and measured."""
    spec = bench.study.spec
    assert spec.arms is not None
    place = bench.run / "arms"
    recipe = written(bench, target, budget)
    outcome = OutcomeRequest(recipe, run=place / f"{target}-{budget}", launch=launch)
    request = CompareRequest(outcome, tuple(spec.arms.names), tuple(spec.seeds), jobs, place / f"{target}-none")
    made = compare_arms(request, watcher=bench.watcher)
    return Measured(target, made.before, made.after, made.rows, made.steps)


def written(bench: Bench, target: str, budget: int) -> Path:
    """A target's recipe with the budget in it, as a file that stands alone."""
    values = standalone(bench.study.recipes[target])
    values["budget"]["rows"] = budget
    place = bench.run / "arms" / "recipes" / f"{target}-{budget}.yaml"
    head = f"# {target} with {budget} extra rows, from {bench.study.path.name} with its configs merged in.\n"
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
    write_atomic(place, (head + str(text)).encode())
    return place


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
