"""The closed forms against a bisection written apart, their limits, and their first-order conditions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixplan.allocate.objectives import effective_amount, ideal_curve, loss_after, loss_saved_by_next, water_fill
from mixplan.recipe import AllocateSpec


def filled(score, total, low=None, high=None, **spec):
    score = np.asarray(score, dtype=float)
    low = np.zeros(len(score)) if low is None else np.asarray(low, dtype=float)
    high = np.full(len(score), 1e9) if high is None else np.asarray(high, dtype=float)
    return water_fill(*ideal_curve(score, AllocateSpec(**{"objective": "alpha_fair"} | spec)), low, high, total)


def bisected(score, power, offset, low, high, total):
    """The same water-fill, by halving an interval of the level."""
    least, most = -4000.0, 4000.0
    for _ in range(300):
        level = (least + most) / 2
        amount = np.clip(np.exp(np.minimum(level + power * np.log(score), 300)) - offset, low, high)
        least, most = (level, most) if amount.sum() < total else (least, level)
    return amount


@st.composite
def instances(draw):
    count = draw(st.integers(1, 12))
    score = np.array(draw(st.lists(st.floats(0.01, 100), min_size=count, max_size=count)))
    low = np.array(draw(st.lists(st.integers(0, 40), min_size=count, max_size=count)), dtype=float)
    high = low + np.array(draw(st.lists(st.integers(0, 300), min_size=count, max_size=count)))
    total = low.sum() + draw(st.floats(0, 1)) * (high.sum() - low.sum())
    return score, low, high, total


@settings(max_examples=60, deadline=None)
@given(instances(), st.sampled_from([0.05, 0.3, 1.0, 2.0, 7.0, 1000.0]))
def test_alpha_fair_water_fills_as_a_bisection_does(instance, alpha):
    score, low, high, total = instance
    expected = bisected(score, 1 / alpha, 0.0, low, high, total)
    assert filled(score, total, low, high, alpha=alpha) == pytest.approx(expected, abs=1e-6 * max(total, 1))


@settings(max_examples=50, deadline=None)
@given(instances(), st.sampled_from([0.5, 30.0, 5000.0]))
def test_diminishing_water_fills_as_a_bisection_does(instance, half):
    score, low, high, total = instance
    expected = bisected(score, 0.5, half, low, high, total)
    got = filled(score, total, low, high, objective="diminishing", half_rows=half)
    assert got == pytest.approx(expected, abs=1e-6 * max(total, 1))


@settings(max_examples=50, deadline=None)
@given(instances(), st.sampled_from([0.05, 1.0, 3.0]))
def test_a_fill_meets_its_bounds_and_its_total(instance, alpha):
    score, low, high, total = instance
    amount = filled(score, total, low, high, alpha=alpha)
    assert amount.sum() == pytest.approx(total)
    assert ((amount >= low) & (amount <= high)).all()


def test_alpha_1_is_in_proportion_to_the_score():
    assert filled([1, 2, 3, 4], 200) == pytest.approx([20, 40, 60, 80])


def test_a_cap_gives_its_excess_to_the_others_in_proportion():
    assert filled([1, 2, 3, 4], 200, high=[200, 200, 200, 50]) == pytest.approx([25, 50, 75, 50])


def test_alpha_2_is_in_proportion_to_the_square_root_of_the_score():
    assert filled([1, 4, 9], 60, alpha=2.0) == pytest.approx([10, 20, 30])


@pytest.mark.parametrize("alpha", [0.0, 0.001])
def test_alpha_to_0_fills_the_largest_score_first(alpha):
    assert filled([1, 3, 2], 100, high=[60, 60, 60], alpha=alpha) == pytest.approx([0, 60, 40])


def test_alpha_to_infinity_is_equal():
    assert filled([1, 3, 2], 90, alpha=1000.0) == pytest.approx([30, 30, 30], rel=2e-3)


def test_alpha_0_shares_equally_between_equal_scores():
    assert filled([2, 1, 2], 50, alpha=0.0) == pytest.approx([25, 0, 25])


@pytest.mark.parametrize(
    "spec", [{"alpha": 0.0}, {"alpha": 0.2}, {"alpha": 1.0}, {"alpha": 30.0}, {"objective": "diminishing"}]
)
def test_a_score_of_0_gets_what_the_others_cannot_take(spec):
    assert filled([0, 5, 0], 70, high=[100, 100, 100], **spec) == pytest.approx([0, 70, 0])
    assert filled([0, 5, 0], 120, high=[100, 100, 100], **spec) == pytest.approx([10, 100, 10])


def test_diminishing_equalises_what_the_next_row_saves():
    score = np.array([1.0, 2.0, 8.0])
    amount = filled(score, 500, objective="diminishing", half_rows=100.0)
    saved = score / 100 / (1 + amount / 100) ** 2
    assert saved == pytest.approx(np.full(3, saved[0]))
    assert amount.sum() == pytest.approx(500)


def test_half_rows_halve_the_loss_and_the_next_row_saves_its_derivative():
    score = np.array([2.0, 6.0])
    assert loss_after(score, np.array([50.0, 0.0]), 50.0) == pytest.approx([1, 6])
    step = 1e-6
    amount = np.array([10.0, 80.0])
    numeric = (loss_after(score, amount, 50.0) - loss_after(score, amount + step, 50.0)) / step
    assert loss_saved_by_next(score, amount, 50.0) == pytest.approx(numeric, rel=1e-6)


def test_the_effective_amount_is_a_power_mean():
    score, amount = np.array([1.0, 3.0]), np.array([16.0, 81.0])
    assert effective_amount(score, amount, 0.0) == pytest.approx((16 + 3 * 81) / 4)
    assert effective_amount(score, amount, 1.0) == pytest.approx(16**0.25 * 81**0.75)
    assert effective_amount(score, amount, 2.0) == pytest.approx(4 / (1 / 16 + 3 / 81))
    assert effective_amount(score, amount, 1000.0) == pytest.approx(16, rel=2e-3)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 3.0])
def test_the_effective_amount_of_equal_amounts_is_that_amount(alpha):
    assert effective_amount(np.array([1.0, 5.0, 0.0]), np.array([7.0, 7.0, 99.0]), alpha) == pytest.approx(7)


def test_the_effective_amount_is_0_where_a_scored_domain_has_nothing():
    assert effective_amount(np.array([1.0, 1.0]), np.array([0.0, 9.0]), 1.0) == 0
    assert effective_amount(np.array([1.0, 1.0]), np.array([0.0, 9.0]), 0.5) == pytest.approx((math.sqrt(9) / 2) ** 2)
    assert effective_amount(np.array([1.0, 1.0]), np.array([0.0, 0.0]), 0.5) == 0
    assert effective_amount(np.zeros(2), np.ones(2), 1.0) == 0
