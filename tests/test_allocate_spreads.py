"""Holds a plan beside an even spread and the proportional rule, with what each leaves."""

import math

import pytest
from allocated import FOUR, demands, plan

from mixplan.allocate import allocate
from mixplan.forecast import Halving
from mixplan.recipe import AllocateSpec, BudgetSpec


def test_each_spread_leaves_what_the_rule_of_losses_says():
    found = plan(FOUR, 100, objective="min_max", half_rows=20.0).spreads
    assert found.even.rows == dict.fromkeys(FOUR, 25)
    assert found.proportional.rows == {"a": 10, "b": 20, "c": 30, "d": 40}
    assert found.even.left == pytest.approx(1 / (1 + 25 / 20))
    left = [score / (1 + 10 * score / 20) for score in (1, 2, 3, 4)]
    assert found.proportional.left == pytest.approx(sum(left) / 10)
    assert found.proportional.worst_left == pytest.approx(max(left) / 4)
    assert found.planned.worst_left == pytest.approx(found.proportional.worst_left, abs=0.2)
    assert found.planned.worst_left <= min(found.even.worst_left, found.proportional.worst_left)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_an_evidence_led_plan_lies_between_the_two_others(weight):
    found = allocate(demands(FOUR), spec=AllocateSpec(), budget=BudgetSpec(rows=100), weight=weight)
    between = {name: (1 - weight) * 25 + weight * 10 * score for name, score in FOUR.items()}
    assert found.rows == pytest.approx(between)
    assert found.spreads.planned.rows == found.rows
    assert found.value == pytest.approx(found.expected_loss)


def test_where_own_rows_do_no_more_than_others_all_three_leave_the_same():
    halving = Halving(math.inf, 2.0, 0.45)
    found = allocate(demands(FOUR), spec=AllocateSpec(), budget=BudgetSpec(rows=60), halving=halving, weight=0.5)
    left = 0.45 + 0.55 / 31
    three = found.spreads
    assert [three.even.left, three.planned.left, three.proportional.left] == pytest.approx([left] * 3)
    assert [three.even.worst_left, three.proportional.worst_left] == pytest.approx([left] * 2)


@pytest.mark.parametrize(
    ("scores", "rows"), [({"a": 1.0}, 20), (FOUR, 0), (dict.fromkeys(FOUR, 0.0), 20)], ids=["one", "none", "zero"]
)
def test_nothing_is_compared_where_there_is_nothing_to_spread_in_two_ways(scores, rows):
    assert plan(scores, rows).spreads is None


def test_no_domain_gets_rows_by_default_for_a_score_without_evidence():
    assert plan({"a": 1.0, "b": 99.0}, 40, objective="evidence").rows == {"a": 20, "b": 20}
