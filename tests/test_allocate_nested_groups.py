"""Nested groups at any scale: random problems against optimality itself, closed forms by hand, duals by differences."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "bin"))

import allocations

from mixplan.allocate import DomainDemand
from mixplan.allocate.nested_groups import nest_of
from mixplan.allocate.problem import build
from mixplan.allocate.solve import solve
from mixplan.recipe import AllocateSpec, GroupSpec


def posed(score, total, **spec):
    demands = [DomainDemand(name, s, s, s, 10**9, 1e9, 1.0) for name, s in zip("abcdefgh", score, strict=False)]
    given = AllocateSpec(**{"objective": "alpha_fair"} | spec)
    return build(demands, given, "rows", total, 1), given


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_random_problems_of_every_kind_and_scale_are_solved_right(first):
    """Zero scores, groups that nest and cross, 1 to 1e8 rows, half_rows 1e-3 to 1e9, scores over 1e20."""
    for index in range(first, first + 20):
        problem, spec, crossing = allocations.instance(np.random.default_rng([7, index]))
        assert allocations.verdict(problem, spec, crossing) in ("right", "no plan"), index


def test_the_check_sees_what_is_wrong():
    problem, spec = posed([1.0, 3.0, 0.0], 100)
    assert not allocations.better_pair(problem, spec, np.array([25.0, 75.0, 0.0]))
    for wrong in ([26.0, 74.0, 0.0], [25.0, 74.0, 1.0]):
        assert allocations.better_pair(problem, spec, np.array(wrong))
    assert allocations.misses(problem, np.array([25.0, 76.0, 0.0]), 1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.49, 0.5, 1.0, 2.0, 2.1, 50.0])
def test_a_score_of_0_gets_nothing_of_a_groups_floor_at_any_alpha(alpha):
    groups = {"g": GroupSpec(domains=["a", "b"], floor=6)}
    problem, spec = posed([0.0, 0.94, 4.52, 0.73], 13, groups=groups, alpha=alpha)
    amount = solve(problem, spec).amount
    assert amount[:2] == pytest.approx([0, 6])
    if alpha:
        assert amount[2] / amount[3] == pytest.approx((4.52 / 0.73) ** (1 / alpha), rel=1e-9)


@pytest.mark.parametrize("half", [1e-3, 1.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("total", [1, 10**4, 10**9])
def test_losses_over_twelve_orders_of_magnitude(half, total):
    problem, spec = posed([1.0, 4.0, 9.0], total, objective="diminishing", half_rows=half)
    amount = solve(problem, spec).amount
    assert amount.sum() == pytest.approx(total, rel=1e-12)
    worth = np.sqrt(problem.score) / (1 + amount / half)
    held = amount > 1e-12 * total
    assert worth[held] == pytest.approx(np.full(held.sum(), worth[held].max()), rel=1e-7)
    assert (worth[~held] <= worth[held].max() * (1 + 1e-9)).all()


def test_groups_are_ordered_from_the_inside_and_crossing_ones_are_known():
    member = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 0]], dtype=bool)
    nest = nest_of(member)
    assert nest.order.index(1) < nest.order.index(0) < nest.order.index(3)
    assert nest.parent.tolist() == [3, 0, 4, 4]
    assert nest.owner.tolist() == [1, 0, 0, 2]
    assert nest_of(np.array([[1, 1, 0], [0, 1, 1]], dtype=bool)) is None


@pytest.mark.parametrize(
    "objective",
    [{"alpha": 0.4}, {"alpha": 1.0}, {"alpha": 3.0}, {"objective": "diminishing", "half_rows": 30.0}],
)
def test_duals_of_nested_groups_are_what_looser_ones_bring(objective):
    groups = {
        "in": GroupSpec(domains=["a", "b"], cap=30),
        "out": GroupSpec(domains=["a", "b", "c"], cap=50),
        "low": GroupSpec(domains=["d", "e"], floor=120),
    }
    problem, spec = posed([5.0, 4.0, 6.0, 1.0, 2.0, 3.0], 200, groups=groups, **objective)
    found, step, sign = solve(problem, spec).duals, 1e-3, 1 if spec.objective == "alpha_fair" else -1

    def brought(looser):
        return sign * (solve(looser, spec).value - solve(problem, spec).value) / step

    caps, floors = problem.group_cap, problem.group_floor
    assert found.total == pytest.approx(brought(replace(problem, total=200 + step)), rel=1e-3)
    for group in (0, 1):
        looser = replace(problem, group_cap=caps + step * np.eye(3)[group])
        assert found.group_cap[group] == pytest.approx(brought(looser), rel=1e-3)
    assert found.group_floor[2] == pytest.approx(brought(replace(problem, group_floor=floors - step)), rel=1e-3)
