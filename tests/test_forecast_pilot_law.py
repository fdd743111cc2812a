"""What a pilot says of its job: exact growth, its spread over targets and domains, and what is assumed without runs."""

import math

import numpy as np
import pytest

from mixplan.forecast.completion import reach
from mixplan.forecast.pilot_law import ASSUMED, Law, Pair, learn_law

TEN = math.log(10)


def pair(target, exponent, *, ratio=TEN, own=0.0, domains=6, rng=None):
    pilot = np.linspace(-6, -3, domains)
    extra = np.zeros(domains) if rng is None else own * ratio * rng.standard_normal(domains)
    names = tuple(f"d{number}" for number in range(domains))
    return Pair(f"run of {target}", target, ratio, names, pilot, pilot + exponent * ratio + extra)


def test_targets_that_grow_alike_leave_nothing_open():
    found = learn_law([pair(name, 1.7, ratio=ratio) for name, ratio in (("a", TEN), ("b", 1.0), ("c", 2.0))])
    assert found.targets == 3
    assert found.exponent == pytest.approx(1.7)
    assert (found.spread, found.own) == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))
    times, low, high = found.times(TEN)
    assert (times, low, high) == pytest.approx((10**1.7,) * 3)


def test_the_spread_over_targets_is_students_for_a_new_one():
    exponents = [1.0, 1.4, 2.1, 1.5]
    found = learn_law([pair(f"t{number}", one) for number, one in enumerate(exponents)])
    half = reach(4) * np.std(exponents, ddof=1) * math.sqrt(1 + 1 / 4)
    assert 1.96 * found.spread == pytest.approx(half)


def test_a_new_target_is_inside_its_interval_nineteen_times_of_twenty():
    rng, inside = np.random.default_rng(0), 0
    for _ in range(600):
        *earlier, new = rng.normal(1.5, 0.3, 6)
        found = learn_law([pair(f"t{number}", one) for number, one in enumerate(earlier)])
        inside += abs(new - found.exponent) <= 1.96 * found.spread
    assert 0.93 <= inside / 600 <= 0.97


def test_what_domains_do_beside_their_target_is_found_again():
    rng = np.random.default_rng(1)
    found = learn_law([pair(f"t{number}", 1.5, own=0.2, domains=60, rng=rng) for number in range(6)])
    assert found.own == pytest.approx(0.2, rel=0.15)


def test_several_runs_of_one_target_are_one_target():
    assert learn_law([pair("a", one) for one in (1.0, 1.5, 2.0, 2.5)]) == ASSUMED
    found = learn_law([pair("a", 1.0), pair("a", 2.0), pair("b", 1.5), pair("c", 1.5)])
    assert (found.targets, found.exponent, found.spread) == (3, pytest.approx(1.5), pytest.approx(0, abs=1e-9))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_without_three_targets_the_growth_is_assumed_and_wide(count):
    found = learn_law([pair(f"t{number}", 1.5) for number in range(count)])
    assert found == Law()
    assert found.targets == 0
    times, low, high = found.times(TEN)
    assert times == pytest.approx(10)
    assert high / low > 1e3


def test_a_pilot_is_seen_as_the_job_with_both_errors():
    law = Law(1.5, 0.2, 0.1, 5)
    seen = law.seen(np.array([3, 1]), np.array([-5.0, -4.0]), np.array([0.3, 0.4]), 2.0)
    np.testing.assert_allclose(seen.logs, [-2.0, -1.0])
    np.testing.assert_allclose(seen.variance, [0.09 + 0.04, 0.16 + 0.04])
    assert seen.common == pytest.approx(0.16)
