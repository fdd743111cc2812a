"""Limits that clash give way as little in all as a linear program outside cvxpy says."""

import numpy as np
import pytest
from allocated import FOUR, demands
from scipy.optimize import linprog

from mixplan.allocate.clashes import changes_of, relax
from mixplan.allocate.problem import build
from mixplan.recipe import AllocateSpec


@pytest.mark.parametrize(
    ("floors", "caps"),
    [({"a": 60, "b": 70}, {}), ({"a": 60, "b": 70}, {"b": 50}), ({}, {"a": 10, "b": 20, "c": 5, "d": 7})],
)
def test_the_change_is_the_smallest(floors, caps):
    problem = build(demands(FOUR), AllocateSpec(floors=floors, caps=caps), "rows", 100, 1)
    elastics, _, clashing = relax(problem)
    moved = sum(float(one.lower.value.sum() + one.higher.value.sum()) for one in elastics)
    # Variables: four amounts, then how far each floor is lowered and each cap raised.
    floored, capped = (np.array([name in given for name in FOUR]) for given in (floors, caps))
    rows = np.eye(4)
    inside = np.vstack([np.hstack([-rows, -rows, 0 * rows])[floored], np.hstack([rows, 0 * rows, -rows])[capped]])
    bounds = np.concatenate([-problem.floor[floored], problem.cap[capped]])
    spent = np.array([[1.0] * 4 + [0.0] * 8])
    least = linprog([0.0] * 4 + [1.0] * 8, A_ub=inside, b_ub=bounds, A_eq=spent, b_eq=[100.0])
    assert moved == pytest.approx(least.fun, abs=1e-6)
    assert least.fun > 0
    assert clashing
    assert [change for one in elastics for change in changes_of(one, problem, 1e-7)]
