"""Rows that protect other domains lower losses by the rule; the best spread is that of brute force."""

import math

import numpy as np
import pytest
from allocated import demands
from scipy.optimize import minimize

from mixplan.allocate import allocate, budget_curve
from mixplan.forecast import Halving
from mixplan.recipe import AllocateSpec, BudgetSpec

SCORES = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
HALVING = Halving(30.0, 50.0)
STAYING = Halving(30.0, 20.0, 0.4)


def made(budget=200, halving=HALVING, objective="diminishing", **spec):
    return allocate(
        demands(SCORES),
        spec=AllocateSpec(objective=objective, **spec),
        budget=BudgetSpec(rows=budget),
        halving=halving,
    )


def by_rule(amounts, halving=HALVING):
    """Losses as the rule has them."""
    left = halving.stays + (1 - halving.stays) / (1 + sum(amounts) / halving.shared)
    return [s / (1 / left + x / halving.half) for s, x in zip(SCORES.values(), amounts, strict=True)]


def best(total, judge, halving):
    """The least loss that a general solver finds."""
    found = minimize(
        lambda x: judge(by_rule(x, halving)),
        np.full(4, total / 4),
        bounds=[(0, total)] * 4,
        constraints={"type": "eq", "fun": lambda x: x.sum() - total},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    return found.fun


@pytest.mark.parametrize("halving", [HALVING, STAYING])
@pytest.mark.parametrize("budget", [20, 200])
def test_the_spread_is_the_best_there_is(budget, halving):
    found = made(budget, halving)
    assert found.expected_loss == pytest.approx(sum(by_rule(found.amounts.values(), halving)))
    assert found.value == pytest.approx(best(budget, sum, halving), rel=1e-6)
    worst = made(budget, halving, objective="min_max")
    assert worst.value == pytest.approx(max(by_rule(worst.amounts.values(), halving)))
    assert worst.value <= best(budget, max, halving) * (1 + 1e-4)


def test_nothing_shared_is_the_rule_of_before():
    assert made(halving=Halving(30.0)) == made(halving=None, half_rows=30.0)


@pytest.mark.parametrize("halving", [HALVING, STAYING])
@pytest.mark.parametrize("objective", ["diminishing", "min_max"])
def test_what_a_larger_budget_brings_holds_what_its_rows_do_to_other_domains(objective, halving):
    now, more = made(200, halving, objective=objective), made(201, halving, objective=objective)
    assert now.duals[0].limit == "budget.rows"
    assert now.duals[0].brings == pytest.approx(now.value - more.value, rel=0.02)
    alone = made(200, Halving(halving.at(200)), objective=objective)
    assert now.duals[0].brings > alone.duals[0].brings * 50 / 250


def test_where_own_rows_do_no_more_the_budget_is_spread_evenly_and_said_to():
    found = made(40, Halving(math.inf, 20.0), objective="min_max")
    assert found.rows == dict.fromkeys(SCORES, 10)
    assert found.value == pytest.approx(4 / 3)
    assert found.expected_loss == pytest.approx(10 / 3)
    assert "hardly differs" in found.no_better_than_uniform
    assert "however they are spread, 40 rows leave 33% of every expected loss." in " ".join(found.notes)
    assert "20 rows of any domains halve a domain's loss, its own no more than others'" in " ".join(found.notes)


def test_by_the_paper_s_rule_rows_go_where_they_went_and_losses_are_by_the_rule():
    found = made(200, objective="alpha_fair")
    assert found.rows == {"a": 20, "b": 40, "c": 60, "d": 80}
    assert found.expected_loss == pytest.approx(sum(by_rule([20, 40, 60, 80])))


def test_a_part_that_stays_is_left_however_large_the_budget_and_said_to():
    small, large = (made(budget, Halving(math.inf, 2.0, 0.6)) for budget in (40, 4000))
    assert small.expected_loss == pytest.approx(10 * (0.6 + 0.4 / 21))
    assert large.expected_loss == pytest.approx(6.0, rel=1e-2)
    assert (
        "2 rows of any domains halve what they can save of a domain's loss, 40% of it, its own no more than others'"
    ) in " ".join(small.notes)
    own = " ".join(made(40, Halving(30.0, 2.0, 0.6)).notes)
    assert "40% of it, and 30 of its own halve all of it" in own


@pytest.mark.parametrize("halving", [HALVING, STAYING, Halving(math.inf, 50.0), Halving(200.0, 5.0)])
def test_a_row_pays_until_the_best_next_one_saves_a_tenth_of_the_first(halving):
    end = made(200, halving).pays_until

    def saves(total):
        lost = sum(by_rule(list(made(total, halving).amounts.values()), halving))
        return lost - sum(by_rule(list(made(total + 1, halving).amounts.values()), halving))

    assert saves(round(end) - 3) > saves(0) / 10 * 0.97
    assert saves(round(end) + 3) < saves(0) / 10 * 1.1


@pytest.mark.parametrize("halving", [HALVING, STAYING])
def test_the_curve_counts_what_rows_do_to_other_domains(halving):
    points = budget_curve(
        demands(SCORES),
        spec=AllocateSpec(objective="diminishing"),
        budget=BudgetSpec(rows=[0, 100, 101]),
        halving=halving,
    )
    assert points[0].remaining_loss == 1.0
    assert points[1].remaining_loss == pytest.approx(made(100, halving).expected_loss / 10)
    saved = points[1].remaining_loss - points[2].remaining_loss
    assert points[1].next_saves == pytest.approx(saved, rel=0.05)
    assert points[0].next_saves == pytest.approx((4 / 30 + 10 * (1 - halving.stays) / halving.shared) / 10)


@pytest.mark.parametrize("halving", [Halving(30.0), Halving(30.0, 1e6), Halving(30.0, 400.0, 0.5)])
def test_the_first_row_is_one_that_a_domain_may_have(halving):
    """The domain most at risk may be one that is watched alone: its cap is 0, or its rows' licence leaves it none."""

    def planned(budget):
        spec = AllocateSpec(objective="diminishing", caps={"watched": 0})
        given = demands({"a": 1.0, "b": 2.0, "watched": 90.0})
        return allocate(given, spec=spec, budget=BudgetSpec(rows=budget), halving=halving)

    def saves(total):
        return planned(total).expected_loss - planned(total + 1).expected_loss

    end = planned(10).pays_until
    assert end > 10
    assert saves(round(end) - 3) > saves(0) / 10 * 0.97
    assert saves(round(end) + 3) < saves(0) / 10 * 1.1
    assert f"Past {end:.0f} rows even the best placed row" in planned(10).notes[-1]


def test_where_no_domain_at_risk_may_have_rows_none_is_said_to_pay():
    spec = AllocateSpec(objective="diminishing", caps={"watched": 0})
    made = allocate(demands({"a": 0.0, "watched": 9.0}), spec=spec, budget=BudgetSpec(rows=10))
    assert (made.rows, made.pays_until) == ({"a": 10, "watched": 0}, 0)
    assert not any("Past" in note for note in made.notes)
