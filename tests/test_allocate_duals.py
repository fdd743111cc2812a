"""Dual values against what a problem with a looser limit is worth."""

from dataclasses import replace

import numpy as np
import pytest
from posed import LIMITS, OBJECTIVES, posed

from mixplan.allocate.solve import solve
from mixplan.recipe import GroupSpec


def improvement(problem, spec, looser):
    sign = 1 if spec.objective == "alpha_fair" else -1
    return sign * (solve(looser, spec).value - solve(problem, spec).value)


BOX = {"floors": {"a": 25}, "caps": {"d": 50}, "shares": {"e": 0.1}}


@pytest.mark.parametrize("groups", [{}, LIMITS["groups"]])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_duals_are_what_a_looser_limit_brings(objective, groups):
    problem, spec = posed([1, 2, 3, 4, 5], 200, **BOX, groups=groups, **objective)
    problem = replace(problem, share=np.full(5, np.nan), floor=np.array([25.0, 0, 0, 0, 0]))
    duals, step = solve(problem, spec).duals, 0.05
    d, a = np.eye(5)[3], np.eye(5)[0]
    cases = [
        (duals.total, replace(problem, total=problem.total + step)),
        (duals.cap[3], replace(problem, cap=problem.cap + step * d)),
        (duals.floor[0], replace(problem, floor=problem.floor - step * a)),
    ]
    if groups:
        cases.append((duals.group_cap[0], replace(problem, group_cap=problem.group_cap + step)))
    for dual, looser in cases:
        brought = improvement(problem, spec, looser) / step
        assert dual == pytest.approx(brought, rel=0.02 if spec.alpha < 100 else 0.1, abs=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES[1:4] + OBJECTIVES[5:6])
def test_the_dual_of_a_share_is_what_a_higher_share_brings(objective):
    problem, spec = posed([1, 2, 3, 4], 200, shares={"b": 0.1}, **objective)
    higher = replace(problem, share=np.array([np.nan, 0.1 + 0.05 / 200, np.nan, np.nan]))
    brought = improvement(problem, spec, higher) / 0.05
    assert solve(problem, spec).duals.share == pytest.approx([0, brought, 0, 0], rel=0.01)


def test_the_dual_of_a_group_floor_is_what_a_lower_one_brings():
    groups = {"g": GroupSpec(domains=["a", "b"], floor=120)}
    for objective in OBJECTIVES[1:4] + OBJECTIVES[5:6]:
        problem, spec = posed([1, 2, 3, 4], 200, groups=groups, **objective)
        brought = improvement(problem, spec, replace(problem, group_floor=problem.group_floor - 0.05)) / 0.05
        assert solve(problem, spec).duals.group_floor == pytest.approx([brought], rel=0.01)
