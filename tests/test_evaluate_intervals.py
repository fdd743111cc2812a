"""Intervals against the truth: exact coverage of graded outcomes, simulated coverage of others, formulas by hand."""

import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student

sys.path.insert(0, str(Path(__file__).parent.parent / "bin"))

import coverage

from mixplan.evaluate.intervals import interval, is_graded, noise_floor, studentised


@pytest.mark.parametrize("count", coverage.ITEMS)
@pytest.mark.parametrize("flips", coverage.FLIPS)
def test_graded_outcomes_are_covered_in_every_setting(count, flips):
    """Exactly: over every number of items that flip either way, with its probability."""
    assert coverage.graded_coverage(count, *flips) >= 0.94


@pytest.mark.parametrize("name", coverage.CONTINUOUS)
def test_other_outcomes_are_covered(name):
    """400 samples of 20 items: three standard errors are 0.033 at 0.95; `bin/coverage` draws thousands."""
    assert coverage.continuous_coverage(coverage.CONTINUOUS[name], 20, 400, seed=1, resamples=300) >= 0.93 - 0.02


def test_the_percentile_bootstrap_would_not_do():
    """What 20 items of which 5 % are lost show: the percentile bootstrap holds the truth in 62 of 100 samples."""
    random, held = np.random.default_rng(0), 0
    for _ in range(500):
        lost = -(random.random(20) < 0.05).astype(float)
        low, high = np.percentile(random.choice(lost, (300, 20)).mean(axis=1), [2.5, 97.5])
        held += low <= -0.05 <= high
    assert 0.55 < held / 500 < 0.70
    assert coverage.graded_coverage(20, 0.0, 0.05) > 0.94


@pytest.mark.parametrize(("gained", "lost", "count"), [(0, 0, 20), (3, 1, 20), (0, 7, 40), (5, 5, 10)])
def test_bonett_and_price_by_hand(gained, lost, count):
    differences = np.array([1.0] * gained + [-1.0] * lost + [0.0] * (count - gained - lost))
    up, down = (gained + 1) / (count + 2), (lost + 1) / (count + 2)
    half = student.ppf(0.975, count + 1) * math.sqrt((up + down - (up - down) ** 2) / (count + 2))
    assert interval(differences, graded=True, resamples=100, seed=0) == pytest.approx(
        (up - down - half, up - down + half)
    )


def test_the_studentised_interval_of_a_normal_sample_is_near_students():
    differences = np.random.default_rng(1).standard_normal(200)
    low, high = studentised(differences[:, None], 4000, seed=0)
    half = student.ppf(0.975, 199) * differences.std(ddof=1) / math.sqrt(200)
    assert low[0] == pytest.approx(differences.mean() - half, abs=0.1 * half)
    assert high[0] == pytest.approx(differences.mean() + half, abs=0.1 * half)


def test_it_leans_to_where_the_tail_is():
    differences = np.random.default_rng(2).lognormal(0, 1, 25)
    low, high = studentised(differences[:, None], 2000, seed=0)
    mean = differences.mean()
    assert high[0] - mean > 1.2 * (mean - low[0])
    assert low[0] > 0


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e6])
@pytest.mark.parametrize("seed", range(20))
def test_resamples_of_one_item_say_nothing_of_the_spread(offset, seed):
    """Of three items one resample in nine holds one item alone; rounding must not pass for its spread."""
    values = np.random.default_rng(seed).normal(1, 0.1, 3) + offset
    low, high = (float(end[0]) for end in studentised(values[:, None], 200, seed))
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / 3
    pivots = []
    for weights in np.random.default_rng([seed, 0]).multinomial(3, np.full(3, 1 / 3), size=200):
        drawn = [value for value, times in zip(exact, weights.tolist(), strict=True) for _ in range(times)]
        centre = sum(drawn) / 3
        if len(set(drawn)) > 1:
            pivots.append(float(centre - mean) / math.sqrt(sum((value - centre) ** 2 for value in drawn) / 3 / 2))
    error = math.sqrt(sum((value - mean) ** 2 for value in exact) / 2 / 3)
    most = student.ppf(0.975, 2)
    below, above = np.percentile(pivots, [2.5, 97.5])
    assert float(mean) - low == pytest.approx(max(above, most) * error, rel=1e-6, abs=1e-8 * offset)
    assert high - float(mean) == pytest.approx(max(-below, most) * error, rel=1e-6, abs=1e-8 * offset)


def test_columns_are_intervals_of_their_own():
    differences = np.random.default_rng(3).standard_normal((20, 3))
    together = studentised(differences, 500, seed=4)
    for column in range(3):
        alone = studentised(differences[:, [column]], 500, seed=4)
        assert [ends[column] for ends in together] == pytest.approx([ends[0] for ends in alone])


@pytest.mark.parametrize(
    ("before", "after", "graded"),
    [
        ([0, 1, 1, 0], [1, 1, 0, 0], True),
        ([0, 0.01, 1, 0], [1, 0.01, 1, 0], True),
        ([0.2, 0.4], [0.3, 0.3], False),
        ([0.2, 0.4], [0.2, 0.4], False),
        ([3, 5], [3, 5], False),
        ([0, 0], [0.1, 0.2], False),
    ],
)
def test_grades_are_known_by_their_values(before, after, graded):
    assert is_graded(np.array(before, float), np.array(after, float)) == graded


@pytest.mark.parametrize(("moved", "floor"), [(0, 0), (1, 0.1), (5, 0.5), (6, 0.4), (8, 0.6)])
def test_the_noise_floor_of_few_flips_is_exact(moved, floor):
    """Of 2^6 ways to flip six items alike 2 have a mean of 6 of 10, which is 3 %: beyond 4 of 10 is beyond noise."""
    differences = np.array([1.0] * moved + [0.0] * (10 - moved))
    assert noise_floor(differences, 100, seed=0) == pytest.approx(floor)
