"""The probability that more than an amount is lost, against the distribution drawn and integrated another way."""

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad

from mixplan.forecast import Halving
from mixplan.forecast.exceedance import behind_rows, chance_beyond, loss_of
from mixplan.saved.base_types import Expected, Interval


def density(x: float, loss: Interval) -> float:
    """Two halves of normal distributions, each as wide as its side of the interval, that meet at the expected value."""
    width = (loss.high - loss.value if x >= loss.value else loss.value - loss.low) / 1.96
    return math.exp(-0.5 * ((x - loss.value) / width) ** 2) / (width * math.sqrt(2 * math.pi))


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_area_beyond_the_amount(seed):
    draw = np.random.default_rng(seed)
    low, value, high = sorted(draw.normal(0, 2, 3))
    loss = Interval(value=value, low=low, high=high)
    amount = float(draw.normal(0, 3))
    ends = (amount, max(amount, value), max(amount, value) + 20 * (high - value))
    area = sum(quad(density, start, end, args=(loss,))[0] for start, end in itertools.pairwise(ends))
    assert chance_beyond(loss, amount) == pytest.approx(area, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_how_often_a_drawn_loss_is_larger(seed):
    draw = np.random.default_rng(seed)
    loss, amount = Interval(value=2.0, low=0.5, high=6.0), float(draw.uniform(0, 7))
    sizes, signs = np.abs(draw.standard_normal(200_000)), draw.integers(0, 2, 200_000)
    drawn = np.where(signs, 2.0 + sizes * 4.0 / 1.96, 2.0 - sizes * 1.5 / 1.96)
    assert chance_beyond(loss, amount) == pytest.approx(float((drawn > amount).mean()), abs=0.005)


def test_the_interval_s_ends_are_passed_as_often_as_it_says():
    loss = Interval(value=3.0, low=1.0, high=9.0)
    assert chance_beyond(loss, 3.0) == pytest.approx(0.5)
    assert chance_beyond(loss, 9.0) == pytest.approx(0.025, abs=1e-4)
    assert chance_beyond(loss, 1.0) == pytest.approx(0.975, abs=1e-4)


def test_a_side_without_width_holds_nothing():
    """Behaviour is never below 0, so that an expected 0 has no lower side."""
    assert chance_beyond(Interval(value=0.0, low=0.0, high=0.0), 0.0) == 0.0
    assert chance_beyond(Interval(value=0.2, low=0.2, high=0.2), 0.1) == 1.0
    assert chance_beyond(Interval(value=0.0, low=0.0, high=1.0), 0.0) == 0.5


WORSE = {1: (4.0, 1.0, 7.0), -1: (-4.0, -7.0, -1.0), 0: (-4.0, -7.0, -1.0)}


@pytest.mark.parametrize(("quality", "expected"), WORSE.items())
def test_a_loss_is_a_change_for_the_worse(quality, expected):
    change = Expected(measure="choice", quantity="correct", change=-0.04, low=-0.07, high=-0.01)
    loss = loss_of(change, quality=quality, scale=100.0)
    assert (loss.value, loss.low, loss.high) == pytest.approx(expected)


def test_rows_leave_what_the_response_says():
    """Half 50, shared 200, stays 0.3: 100 of any domains leave 0.3 + 0.7 / 1.5, 25 of its own half a unit more."""
    loss = behind_rows(Interval(value=6.0, low=-3.0, high=12.0), 25, 100, Halving(50.0, 200.0, 0.3))
    left = 1 / (1 / (0.3 + 0.7 / 1.5) + 0.5)
    assert (loss.value, loss.low, loss.high) == pytest.approx((6 * left, -3 * left, 12 * left))
    alone = behind_rows(Interval(value=6.0, low=0.0, high=12.0), 100, 400, Halving(100.0))
    assert alone.value == pytest.approx(3.0)
    useless = behind_rows(Interval(value=6.0, low=0.0, high=12.0), 100, 400, Halving(math.inf))
    assert useless.value == pytest.approx(6.0)
