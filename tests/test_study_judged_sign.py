"""Directions against cells counted by hand, and intervals of shares against simulations with known truth."""

import numpy as np
import pytest

from mixplan.study.files.figure import Bounded
from mixplan.study.judged.sign import balanced, judge_sign, share, wilson


def test_cells_that_surely_moved_are_counted():
    change = np.array([[0.5, -0.5, 0.5, 0.01], [-0.5, -0.5, np.nan, 0.5]])
    predicted = np.array([[-1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 1.0, np.nan]])
    found = judge_sign(predicted, change[:, :, None], np.full((2, 4, 1), 0.1), "bits_per_byte")
    # Fewer bits are better: +0.5, -0.5, +0.5 | -0.5, -0.5 are loss, better, loss | better, better.
    assert (found.moved, found.improved) == (5, 3)
    assert found.right.value == pytest.approx(3 / 5)  # 0 is never right
    assert found.always_loss.value == pytest.approx(2 / 5)
    assert found.ahead.value == pytest.approx(1 / 5)
    assert found.right_of_improved.value == pytest.approx(2 / 3)
    assert found.right_of_lost.value == pytest.approx(1 / 2)
    assert found.balanced.value == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_more_of_a_probability_is_better_and_targets_can_be_chosen():
    change = np.array([[0.5, -0.5], [0.5, 0.5]])
    found = judge_sign(
        np.ones((2, 2)), change[:, :, None], np.zeros((2, 2, 1)), "gold_probability", np.array([True, False])
    )
    assert (found.moved, found.improved, found.right.value) == (2, 1, 0.5)


def test_nothing_moved():
    found = judge_sign(np.ones((2, 2)), np.zeros((2, 2, 1)), np.ones((2, 2, 1)), "correct")
    nothing = Bounded(value=None, low=None, high=None)
    assert (found.moved, found.right, found.ahead, found.balanced) == (0, nothing, nothing, nothing)


def test_all_right_is_not_sure_to_be_right():
    found = share(np.ones((5, 9), dtype=bool), np.ones((5, 9), dtype=bool))
    assert (found.value, found.high) == (1.0, pytest.approx(1.0))
    assert found.low == pytest.approx(1 / (1 + 1.959964**2 / 5))  # Wilson's with all of five right


def test_wilson_solves_its_equation():
    low, high = wilson(0.3, 40)
    for end in (low, high):
        assert abs(0.3 - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / 40))


def test_balanced_accuracy_joins_two_intervals():
    one, other = Bounded(value=0.8, low=0.6, high=0.9), Bounded(value=0.5, low=0.35, high=0.65)
    found = balanced(one, other)
    assert found.value == pytest.approx(0.65)
    assert found.low == pytest.approx(0.65 - 0.25 / 2)
    assert found.high == pytest.approx(0.65 + np.hypot(0.1, 0.15) / 2)


@pytest.mark.parametrize(("targets", "domains", "p"), [(9, 20, 0.8), (5, 16, 0.6), (5, 16, 0.9)])
def test_the_interval_of_a_share_holds_the_truth(targets, domains, p):
    rng, held = np.random.default_rng(4), 0
    threshold = np.sqrt(1 + 0.5**2 + 0.7**2) * _normal_quantile(p)
    for _ in range(250):
        easy = rng.normal(size=(targets, domains)) + 0.7 * rng.normal(size=domains)
        easy += 0.5 * rng.normal(size=(targets, 1))
        found = share(easy < threshold, rng.random((targets, domains)) < 0.7)
        held += found.low <= p <= found.high
    assert held / 250 >= 0.91


def _normal_quantile(p):
    draws = np.sort(np.random.default_rng(1).normal(size=400001))
    return draws[int(p * 400001)]
