"""Measures how much of the overlap of predicted and actual drift is the target's own, and what bounds it.

That predicted dimensions are among those that training moves may only say that some dimensions are moved by any job. So
each prediction is held against what the other targets' trainings moved, too; and trainings of one target that differ in
their seed alone tell how much of a drift any prediction could know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from mixplan.drift import drift_dimensions, overlap
from mixplan.study.files.judgement import Elsewhere, Specific
from mixplan.study.forecasts.formulas import TargetReading, drift_variants
from mixplan.study.judged.overlap import mean_over_targets

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def judge_specific(
    targets: Mapping[str, TargetReading], shifts: Mapping[tuple[str, int], Doubles], *, count: int
) -> Specific:
    """Hold each prediction against its own target's drift and against that of the others.

    Args:
        targets: What was read of each target; at least two.
        shifts: By target and seed, `[d_sae]` what training moved on the target's questions.
        count: N.

    Returns:
        Each a mean over targets with its t interval, in dimensions. By variant under `variants`:
        `elsewhere` (shared with the other targets' actual drift) and `more` (shared with the target's own less that,
        paired). `between_seeds`: shared by two trainings of one target; not defined with one seed. `between_targets`:
        shared by trainings of two targets.
    """
    names = list(targets)
    seeds = {name: [seed for target, seed in shifts if target == name] for name in names}
    actual = {key: drift_dimensions(shift, count=count) for key, shift in shifts.items()}
    predicted = {name: drift_variants(reading, count=count) for name, reading in targets.items()}
    variants: dict[str, Elsewhere] = {}
    for variant in predicted[names[0]]:
        shared = np.array(
            [[mean_shared(predicted[t][variant], [actual[u, s] for s in seeds[u]]) for u in names] for t in names]
        )
        elsewhere = off_diagonal(shared)
        variants[variant] = Elsewhere(
            elsewhere=mean_over_targets(elsewhere), more=mean_over_targets(np.diag(shared) - elsewhere)
        )
    pairs = [[overlap(actual[t, a], actual[t, b]) for a, b in combinations(seeds[t], 2)] for t in names]
    alike = np.array([np.mean(found) if found else np.nan for found in pairs])
    between = np.array(
        [[np.mean([mean_shared(actual[t, s], [actual[u, r] for r in seeds[u]]) for s in seeds[t]]) for u in names]
         for t in names]
    )  # fmt: skip
    return Specific(
        features=count,
        variants=variants,
        between_seeds=mean_over_targets(alike),
        between_targets=mean_over_targets(off_diagonal(between)),
    )


def mean_shared(one: Integers, others: Sequence[Integers]) -> float:
    """How many dimensions one set shares with others, mean over these."""
    return float(np.mean([overlap(one, other) for other in others]))


def off_diagonal(values: Doubles) -> Doubles:
    """`[T]` each row's mean without its own column."""
    return np.asarray((values.sum(1) - np.diag(values)) / (len(values) - 1))
