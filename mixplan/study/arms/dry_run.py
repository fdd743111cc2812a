"""Tries the judgement of a study of arms on made-up outcomes, so that nothing is trained that it refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mixplan.errors import RunError
from mixplan.saved.evaluation import Evaluation
from mixplan.saved.evaluation import Measured as Items
from mixplan.study.arms.judge import Measured, judge_arms
from mixplan.study.jobs import Bench, evaluated
from mixplan.study.judged.dry_run import moved_items
from mixplan.study.judged.pass_marks import Mark


def rehearse_arms(bench: Bench, marks: Sequence[Mark]) -> None:
    """Judge made-up outcomes: a registered mark that names no figure could never be mended.

    Args:
        bench: The study.
        marks: Its pass marks.

    Raises:
        RunError: a mark names a figure that there will not be, or a target has no evaluation rows.
    """
    judge_arms(rehearsed(bench), marks=marks)


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
    domains: Mapping[str, Mapping[str, Items]] = before.domains
    return replace(
        before,
        domains={
            name: {measure: moved_items(values, generator) for measure, values in measures.items()}
            for name, measures in domains.items()
        },
    )
