"""Rows that halve a loss: found again where it was put in, and held against saving nothing and what was assumed."""

import math

import numpy as np
import pytest

from mixplan.forecast.response import Losses, error_of, foretold, half_of, interval, respond


def losses(half: float, *, noise: float = 0.0, seed: int = 0, count: int = 40) -> Losses:
    """Losses that rows halve as said."""
    generator = np.random.default_rng(seed)
    without = generator.normal(0.1, 0.3, count)
    rows = generator.integers(1, 80, count).astype(float)
    return Losses(without, without / (1 + rows / half) + noise * generator.normal(size=count), rows)


@pytest.mark.parametrize("half", [0.5, 7.0, 25.0, 300.0, 20_000.0])
def test_what_was_put_in_is_found_again(half):
    targets = [losses(half, seed=seed) for seed in range(3)]
    found = respond(targets, assumed=100.0)
    assert found.half == pytest.approx(half, rel=1e-3)
    assert (found.low, found.high) == (pytest.approx(half, rel=2e-3), pytest.approx(half, rel=2e-3))
    assert found.error == pytest.approx(0, abs=1e-4)
    assert found.cases == 120
    assert found.helps


def test_losses_by_hand():
    part = Losses(np.array([0.4, -0.2]), np.array([0.1, -0.2]), np.array([10.0, 30.0]))
    assert foretold(part, 10.0) == pytest.approx([0.2, -0.05])
    assert foretold(part, math.inf) == pytest.approx([0.4, -0.2])
    # Squares 0.01 and 0.0225, then 0.09 and 0.
    assert error_of([part, part], [10.0, math.inf]) == pytest.approx(math.sqrt((0.0325 / 2 + 0.09 / 2) / 2))


def test_rows_that_save_nothing_or_do_harm_halve_nothing():
    part = losses(20.0)
    harmed = Losses(part.without, part.without * (1 + part.rows / 50), part.rows)
    assert half_of([harmed]) == math.inf
    found = respond([harmed, harmed, harmed], assumed=20.0)
    assert (found.half, found.high) == (math.inf, math.inf)
    assert found.error == found.error_nothing < found.error_assumed
    assert not found.helps


def test_the_interval_is_the_jackknife_s_of_the_speed():
    # Speeds 0.1, 0.05 and 0.075 around 0.075; t with two degrees of freedom is 4.302653.
    reach = 4.302653 * math.sqrt(2 / 3 * (0.025**2 + 0.025**2))
    assert interval(1 / 0.075, [10.0, 20.0, 1 / 0.075]) == (pytest.approx(1 / (0.075 + reach)), math.inf)
    low, high = interval(10.0, [9.9, 10.0, 10.1])
    assert low < 10 < high < 11
    assert interval(10.0, [9.0, 11.0]) == (None, None)


def test_the_interval_covers_what_was_put_in():
    # 60 studies of six noisy targets: a 95 % interval misses more than 9 of them once in some 800 times.
    misses = 0
    for study in range(60):
        found = respond([losses(25.0, noise=0.05, seed=100 * study + n) for n in range(6)], assumed=100.0)
        misses += not found.low <= 25.0 <= found.high
    assert misses <= 9


def test_each_target_is_foretold_from_the_others_alone():
    odd, usual = losses(2.0, seed=9), [losses(50.0, seed=seed) for seed in range(3)]
    found = respond([odd, *usual], assumed=50.0)
    # The odd one is foretold with the others' 50, and what they are foretold with only adds to that error.
    assert found.error**2 >= 0.999 * error_of([odd], [50.0]) ** 2 / 4
    assert half_of([odd, *usual]) < 50
    assert found.error_assumed == pytest.approx(error_of([odd, *usual], [50.0] * 4))


def test_one_target_teaches_nothing():
    empty = Losses(np.array([]), np.array([]), np.array([]))
    assert respond([losses(20.0), empty], assumed=20.0) is None
    assert respond([], assumed=20.0) is None
