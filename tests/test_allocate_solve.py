"""Holds optimal amounts against optimality itself: no feasible direction is better, by other linear programs."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posed import LIMITS, OBJECTIVES, posed
from scipy.optimize import linprog

from mixplan.allocate.convex_programs import run
from mixplan.allocate.feasibility import require_feasible
from mixplan.allocate.problem import build
from mixplan.allocate.solve import solve
from mixplan.errors import AllocationError
from mixplan.recipe import GroupSpec


def polytope(problem):
    """The limits as scipy's arguments."""
    capped = np.isfinite(problem.group_cap)
    return {
        "A_eq": np.ones((1, len(problem.demands))),
        "b_eq": [problem.total],
        "A_ub": np.vstack([problem.member[capped].astype(float), -problem.member.astype(float)]),
        "b_ub": np.concatenate([problem.group_cap[capped], -problem.group_floor]),
        "bounds": list(zip(problem.low, problem.high, strict=True)),
    }


def gain_left(problem, spec, amount):
    """How much the best feasible plan gains on this one along the gradient, in parts of what the plan has by it."""
    if spec.objective == "alpha_fair":
        worth = problem.score * np.where(problem.score > 0, np.maximum(amount, 1e-12), 1.0) ** -spec.alpha
    else:
        worth = problem.score / (1 + amount / spec.half_rows) ** 2
    worth = worth / worth.max()
    best = linprog(-worth, method="highs", **polytope(problem))
    assert best.status == 0
    return (-best.fun - worth @ amount) / (worth @ amount)


def meets(problem, amount, slack=1e-6):
    limits = polytope(problem)
    joint = limits["A_ub"] @ amount <= limits["b_ub"] + slack * problem.total
    within = (amount >= problem.low - slack) & (amount <= problem.high + slack)
    return bool(joint.all() and within.all() and abs(amount.sum() - problem.total) <= slack * problem.total)


@st.composite
def problems(draw, specs, crossing):
    count = draw(st.integers(2, 7))
    names = "abcdefg"[:count]
    score = draw(st.lists(st.floats(0.1, 20), min_size=count, max_size=count))
    some = st.sets(st.sampled_from(names), min_size=1)
    first = draw(some)
    second = draw(some)
    groups = {"g": {"domains": sorted(first), "cap": draw(st.integers(20, 200))}}
    if crossing or not first & second:
        groups["h"] = {"domains": sorted(second), "floor": draw(st.integers(1, 80))}
    limits = {
        "floors": {"a": draw(st.integers(0, 15))},
        "caps": {"b": draw(st.integers(16, 120))},
        "groups": {name: GroupSpec(**group) for name, group in groups.items()},
    }
    return posed(score, draw(st.integers(50, 250)), pool=150, **limits, **draw(st.sampled_from(specs)))


WRITTEN = [{"alpha": 0.0}, {"alpha": 0.5}, {"alpha": 1.0}, {"alpha": 2.0}, {"objective": "diminishing"}]
EXTREME = [{"alpha": 0.25}, {"alpha": 4.0}]


def check_optimal(instance):
    problem, spec = instance
    try:
        require_feasible(problem)
    except AllocationError:
        assert linprog(np.zeros(len(problem.demands)), method="highs", **polytope(problem)).status == 2
        return
    amount = solve(problem, spec).amount
    assert meets(problem, amount)
    assert gain_left(problem, spec, amount) < 2e-3


@settings(max_examples=30, deadline=None)
@given(problems(WRITTEN, crossing=True))
def test_no_feasible_direction_is_better_with_any_groups(instance):
    check_optimal(instance)


@settings(max_examples=15, deadline=None)
@given(problems(EXTREME, crossing=False))
def test_no_feasible_direction_is_better_under_an_extreme_alpha(instance):
    check_optimal(instance)


@settings(max_examples=15, deadline=None)
@given(problems([{"objective": "min_max", "half_rows": 40.0}], crossing=True))
def test_no_feasible_plan_has_a_lower_worst_loss(instance):
    problem, spec = instance
    try:
        require_feasible(problem)
    except AllocationError:
        return
    solution = solve(problem, spec)
    assert meets(problem, solution.amount)
    lower = solution.value * (1 - 1e-5)
    limits = polytope(problem)
    needed = np.maximum(problem.low, 40.0 * (problem.score / lower - 1))
    limits["bounds"] = list(zip(needed, problem.high, strict=True))
    possible = (needed <= problem.high).all()
    assert not possible or linprog(np.zeros(len(needed)), method="highs", **limits).status == 2


def test_min_max_equalises_losses():
    problem, spec = posed([1, 2, 4], 500, objective="min_max", half_rows=100.0)
    solution = solve(problem, spec)
    amount = solution.amount
    losses = problem.score / (1 + amount / 100)
    assert losses == pytest.approx(np.full(3, 7 / 8))
    assert solution.value == pytest.approx(7 / 8)


def test_min_max_leaves_to_diminishing_what_the_worst_domain_cannot_take():
    problem, spec = posed([1, 2, 9], 310, caps={"c": 10}, objective="min_max", half_rows=100.0)
    rest, _ = posed([1, 2], 300, objective="diminishing", half_rows=100.0)
    expected = solve(rest, spec.model_copy(update={"objective": "diminishing"})).amount
    assert solve(problem, spec).amount == pytest.approx([*expected, 10], abs=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_scale_of_scores_does_not_matter(objective):
    small, spec = posed([1, 2, 3, 4, 5], 200, **LIMITS, **objective)
    amount = solve(small, spec).amount
    assert solve(small.with_score(small.score * 1e6), spec).amount == pytest.approx(amount, abs=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_order_of_domains_does_not_matter(objective):
    problem, spec = posed([1, 2, 3, 4, 5], 200, **LIMITS, **objective)
    order = np.array([4, 2, 0, 3, 1])
    turned = build([problem.demands[i] for i in order], spec, "rows", 200, 1)
    assert solve(turned, spec).amount == pytest.approx(solve(problem, spec).amount[order], abs=1e-4)


def test_two_domains_merged_get_what_they_had():
    apart = solve(*posed([1, 2, 3, 4], 200, caps={"d": 60})).amount
    merged = solve(*posed([3, 3, 4], 200, caps={"c": 60})).amount
    assert merged == pytest.approx([apart[0] + apart[1], apart[2], apart[3]])


@pytest.mark.parametrize("alpha", [0.01, 0.25, 4.0, 1000.0])
def test_groups_inside_groups_under_an_extreme_alpha(alpha):
    groups = {"in": GroupSpec(domains=["a", "b"], cap=30), "out": GroupSpec(domains=["a", "b", "c"], cap=90)}
    problem, spec = posed([5, 3, 1, 1], 200, groups=groups, alpha=alpha)
    amount = solve(problem, spec).amount
    ratio = (5 / 3) ** (1 / alpha)
    assert amount == pytest.approx([30 * ratio / (1 + ratio), 30 / (1 + ratio), 60, 110], abs=0.01)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_a_group_without_scores_spreads_its_floor_equally(alpha):
    problem, spec = posed([0, 0, 4, 2], 90, groups={"g": GroupSpec(domains=["a", "b"], floor=30)}, alpha=alpha)
    assert solve(problem, spec).amount[:2] == pytest.approx([15, 15])


def test_limits_that_leave_one_plan_need_no_solver():
    for limits in ({"floors": {"a": 40, "b": 60}}, {"caps": {"a": 40, "b": 60}}, {"shares": {"a": 0.4, "b": 0.6}}):
        solution = solve(*posed([1, 9], 100, **limits))
        assert solution.amount == pytest.approx([40, 60])
        assert (solution.solver, solution.status) == ("none needed", "settled by the limits")


def test_groups_that_pin_domains_at_0_are_solved():
    groups = {"all": GroupSpec(domains=["a", "b"], floor=100)}
    solution = solve(*posed([1, 3, 9], 100, groups=groups))
    assert solution.amount == pytest.approx([25, 75, 0])
    assert solution.value == pytest.approx(25**0.25 * 75**0.75)


def test_a_cap_of_0_takes_a_domain_out():
    problem, spec = posed([1, 3, 9], 100, caps={"c": 0})
    solution = solve(problem, spec)
    assert solution.amount == pytest.approx([25, 75, 0])
    assert solution.value == pytest.approx(25**0.25 * 75**0.75)


def test_one_domain_gets_everything_and_no_budget_is_no_amount():
    assert solve(*posed([3], 70)).amount.tolist() == [70]
    assert solve(*posed([3, 1], 0)).amount.tolist() == [0, 0]


def test_no_score_is_spread_equally():
    for objective in OBJECTIVES:
        problem, spec = posed([0, 0, 0], 100, caps={"a": 20}, **objective)
        assert solve(problem, spec).amount == pytest.approx([20, 40, 40])


@pytest.mark.parametrize(
    "objective",
    [{"alpha": 0.2}, {"alpha": 1.0}, {"alpha": 20.0}, {"objective": "diminishing"}, {"objective": "min_max"}],
)
def test_ten_thousand_domains(objective):
    rng = np.random.default_rng(0)
    groups = {"g": GroupSpec(domains=[f"d{i}" for i in range(3000)], cap=200_000)}
    problem, spec = posed(
        rng.lognormal(0, 1, 10_000), 10**6, rng.integers(50, 5000, 10_000), groups=groups, **objective
    )
    amount = solve(problem, spec).amount
    assert meets(problem, amount)
    if spec.objective != "min_max":
        assert gain_left(problem, spec, amount) < 1e-3


def test_crossing_groups_are_refused_under_an_extreme_alpha():
    groups = {"one": GroupSpec(domains=["a", "b"], cap=90), "two": GroupSpec(domains=["b", "c"], cap=90)}
    with pytest.raises(AllocationError) as caught:
        solve(*posed([1, 2, 3], 100, groups=groups, alpha=50.0))
    assert str(caught.value) == (
        "allocate.alpha: 50 cannot be solved with groups that cross: 'one' and 'two' share 'b', and neither is inside "
        "the other. Set `allocate.alpha` between 0.5 and 2, or to 0."
    )


def test_a_second_solver_takes_over():
    amount = cp.Variable(2)
    assert run(cp.Minimize(cp.sum_squares(amount)), [cp.sum(amount) == 2], ("ABSENT", "CLARABEL")) == "CLARABEL"
    assert amount.value == pytest.approx([1, 1])


def test_no_optimum_is_an_error():
    amount = cp.Variable(2)
    with pytest.raises(AllocationError) as caught:
        run(cp.Minimize(cp.sum_squares(amount)), [amount >= 2, amount <= 1], ("ABSENT", "CLARABEL", "SCS"))
    assert str(caught.value) == (
        "allocate: no solver reached an optimum (ABSENT failed, CLARABEL says infeasible, SCS says infeasible). Check "
        "that scores and limits are of similar sizes, or set `allocate.objective: alpha_fair` with `allocate.alpha: 1`."
    )
