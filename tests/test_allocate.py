"""The allocation a person reads: rows, distances, sentences, curve, priors, in rows and in tokens."""

import dataclasses
import json

import pytest
from allocated import FOUR, demands, plan
from hypothesis import given, settings
from hypothesis import strategies as st

from mixplan.allocate import DomainDemand, allocate, budget_curve, left_out
from mixplan.recipe import AllocateSpec, BudgetSpec, GroupSpec


def test_the_papers_rule():
    made = plan(FOUR)
    assert made.rows == {"a": 20, "b": 40, "c": 60, "d": 80}
    assert made.amounts == pytest.approx(made.rows)
    assert made.shares == pytest.approx({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4})
    assert made.uniform == dict.fromkeys(FOUR, 0.25)
    assert (made.unit, made.budget, made.solver, made.status) == ("rows", 200, "water-filling", "optimal")
    assert made.value_name == "effective rows"
    assert made.value == pytest.approx(20**0.1 * 40**0.2 * 60**0.3 * 80**0.4)
    assert made.expected_loss == pytest.approx(1 / 1.2 + 2 / 1.4 + 3 / 1.6 + 4 / 1.8)
    assert made.binding == ()


def test_distances_are_total_variation():
    made = allocate(
        [DomainDemand(n, s, s, s, p, float(p), 1.0) for n, s, p in (("a", 1.0, 300), ("b", 3.0, 100))],
        spec=AllocateSpec(objective="alpha_fair"),
        budget=BudgetSpec(rows=100),
    )
    assert made.distance_from_uniform == pytest.approx(0.25)
    assert made.distance_from_size == pytest.approx(0.5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.1, 50), min_size=1, max_size=8), st.integers(0, 500))
def test_rows_sum_to_the_budget(scores, budget):
    made = plan({f"d{i}": score for i, score in enumerate(scores)}, budget)
    assert sum(made.rows.values()) == budget
    assert 0 <= made.distance_from_uniform <= 1
    json.dumps(dataclasses.asdict(made), allow_nan=False)


def test_the_budget_of_a_list_is_its_last():
    assert plan(FOUR, [0, 500, 100]).budget == 100


def test_tokens_are_shared_in_tokens():
    given = [
        DomainDemand("a", 1.0, 1.0, 1.0, 1000, 10_000.0, 10.0),
        DomainDemand("b", 3.0, 3.0, 3.0, 1000, 100_000.0, 100.0),
    ]
    made = allocate(given, spec=AllocateSpec(objective="alpha_fair"), budget=BudgetSpec(tokens=4055))
    assert made.rows == {"a": 102, "b": 30}
    assert made.shares == pytest.approx({"a": 1020 / 4020, "b": 3000 / 4020})
    assert made.notes[1] == "35 tokens are left, as amounts are rounded to whole rows of each domain's mean length."


def test_no_budget():
    made = plan(FOUR, 0)
    assert set(made.rows.values()) == {0}
    assert (made.shares, made.distance_from_uniform, made.duals) == (made.uniform, 0, ())
    assert made.no_better_than_uniform is None
    assert made.notes[0] == "The budget is 0: there is nothing to spread."


def test_no_score():
    made = plan({"a": 0.0, "b": 0.0}, 10)
    assert made.rows == {"a": 5, "b": 5}
    assert made.pays_until == 0
    assert made.notes[0] == (
        "Every score is 0, so the scores ask for nothing: the budget is spread equally within the limits."
    )


def test_pools_that_are_empty_leave_nothing_to_bring():
    made = plan({"a": 1.0, "b": 3.0}, 200, pool=100)
    assert made.binding == ("the pool of 'a'", "the pool of 'b'")
    assert made.duals[0].text == "1 row more in budget.rows would bring nothing."


def test_duals_without_a_single_answer_are_not_given():
    groups = {"g": GroupSpec(domains=["a", "b"], floor=100)}
    made = plan(FOUR, groups=groups, floors={"a": 40, "b": 60, "c": 30, "d": 70})
    assert made.duals == ()
    assert "What looser limits would bring has no single answer here, so it is not given." in made.notes


def test_a_cautious_plan_goes_by_the_upper_end():
    given = [
        DomainDemand("a", 1.0, 0.5, 3.0, 1000, 1000.0, 1.0),
        DomainDemand("b", 1.0, 0.9, 1.0, 1000, 1000.0, 1.0),
    ]
    made = allocate(given, spec=AllocateSpec(objective="alpha_fair", cautious=True), budget=BudgetSpec(rows=100))
    assert made.rows == {"a": 75, "b": 25}
    assert "Cautious: planned by the upper end of each score's interval." in made.notes


@pytest.mark.parametrize(("strength", "rows"), [(0.0, [50, 150]), (0.5, [75, 125]), (1.0, [100, 100])])
def test_the_prior_pulls_by_its_strength(strength, rows):
    made = plan({"a": 1.0, "b": 3.0}, prior="uniform", prior_strength=strength)
    assert list(made.rows.values()) == rows
    note = f"Pulled {strength:.0%} of the way to the prior; what limits bring is from before the pull."
    assert (note in made.notes) == bool(strength)


def test_a_prior_keeps_the_limits():
    prior = {"a": 8.0, "b": 1.0, "c": 1.0}
    made = plan(
        FOUR, caps={"a": 60}, groups={"g": GroupSpec(domains=["b", "d"], floor=90)}, prior=prior, prior_strength=1.0
    )
    assert made.rows == {"a": 60, "b": 90, "c": 50, "d": 0}


def test_the_curve():
    spec = AllocateSpec(objective="diminishing", half_rows=50.0)
    curve = budget_curve(demands({"a": 1.0, "b": 4.0}), spec=spec, budget=BudgetSpec(rows=[300, 0, 50, 300]))
    assert [point.budget for point in curve] == [0, 50, 300]
    assert [point.rows for point in curve] == [{"a": 0, "b": 0}, {"a": 0, "b": 50}, {"a": 83, "b": 217}]
    level = (1 + 2) / (300 / 50 + 2)
    assert [point.remaining_loss for point in curve] == pytest.approx([1, 3 / 5, (1 + 2) * level / 5])
    assert [point.next_saves for point in curve] == pytest.approx([4 / 50 / 5, 1 / 50 / 5, level**2 / 50 / 5])
    assert [point.pays for point in curve] == [True, True, False]


def test_budgets_that_the_limits_do_not_fit_are_left_out_of_the_curve():
    spec, budget = AllocateSpec(floors={"a": 30}), BudgetSpec(rows=[0, 20, 100])
    assert [point.budget for point in budget_curve(demands(FOUR), spec=spec, budget=budget)] == [100]
    clash = "rows meets all limits. These clash: `allocate.floors.a` (30)."
    assert list(left_out(demands(FOUR), spec=spec, budget=budget)) == [
        f"The curve leaves out 0 rows: No plan of 0 {clash}",
        f"The curve leaves out 20 rows: No plan of 20 {clash}",
    ]
