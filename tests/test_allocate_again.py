"""Allocations for other scores against the allocation made from those scores themselves."""

import numpy as np
import pytest

from mixplan.allocate import DomainDemand, allocate, rows_again
from mixplan.recipe import AllocateSpec, BudgetSpec

SCORES = {"a": 3.0, "b": 1.5, "c": 0.4, "d": 0.0}


def demands(ratios):
    return [
        DomainDemand(name, score * ratio, score * ratio / 2, score * ratio * 2, 50, 50.0, 1.0)
        for (name, score), ratio in zip(SCORES.items(), ratios, strict=True)
    ]


@pytest.mark.parametrize(
    "spec",
    [
        AllocateSpec(),
        AllocateSpec(objective="alpha_fair"),
        AllocateSpec(objective="min_max", half_rows=20.0),
        AllocateSpec(objective="diminishing", half_rows=20.0, caps={"a": 12}),
        AllocateSpec(objective="alpha_fair", cautious=True, alpha=2.0, floors={"d": 5}),
        AllocateSpec(prior="uniform", prior_strength=0.5),
    ],
)
def test_each_row_is_the_allocation_of_its_scores(spec):
    ratios = np.random.default_rng(0).uniform(0.2, 3, (6, 4))
    budget = BudgetSpec(rows=[10, 60])
    found = rows_again(demands(np.ones(4)), ratios, spec=spec, budget=budget, weight=0.6)
    for own, ratio in zip(found, ratios, strict=True):
        made = allocate(demands(ratio), spec=spec, budget=budget, weight=0.6)
        assert own.tolist() == list(made.rows.values())
