"""Intervals against simulations with known truth, a transcription of the jackknife, and weights by hand."""

import math

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from mixplan.study.judged.correlate import mean_over_targets, over_cells, within_targets
from mixplan.study.judged.resample import estimate, over_targets, weights

NEAR, BLUR = 0.6, 0.4
"""How far domains differ in nearness to a target, and what a predictor does not see, beside movability with 1."""
NO_RESAMPLES = {"resamples": 0, "seed": 0}


def test_weights_are_the_table_each_leave_out_and_each_resample():
    found = weights(2, 3, resamples=50, seed=1)
    assert found.cells.shape == (1 + 2 + 3 + 6 + 50, 2, 3)
    assert found.targets.shape == (62, 2)
    np.testing.assert_array_equal(found.cells[0], np.ones((2, 3)))
    np.testing.assert_array_equal(found.cells[2], [[1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(found.cells[3], [[0, 1, 1], [0, 1, 1]])
    np.testing.assert_array_equal(found.cells[6 + 4], [[1, 1, 1], [1, 0, 1]])
    drawn = found.cells[12:]
    assert (drawn.sum((1, 2)) == 6).all()  # two targets times three domains, with replacement
    assert (
        drawn[:, 0] * drawn[:, 1, ::-1] == drawn[:, 0, ::-1] * drawn[:, 1]
    ).all()  # every row is the domains' counts
    np.testing.assert_array_equal(found.without_resamples().cells, found.cells[:12])
    np.testing.assert_array_equal(weights(2, 3, resamples=50, seed=1).cells, found.cells)


def test_the_interval_is_the_crossed_jackknife_written_out():
    rng = np.random.default_rng(5)
    table = rng.normal(size=(4, 6))
    values = np.array([np.average(table, weights=one) for one in weights(4, 6, **NO_RESAMPLES).cells])
    found = estimate(values, 4, 6)
    by_target, by_domain = table.mean(1), table.mean(0)
    # The jackknife's variance of a mean is its textbook one.
    of_targets, of_domains, of_cells = by_target.var(ddof=1) / 4, by_domain.var(ddof=1) / 6, table.var(ddof=1) / 24
    one, other = student.ppf(0.975, 3) ** 2 * of_targets, student.ppf(0.975, 4) ** 2 * of_domains
    half = math.sqrt(max(one + other - 1.959964**2 * of_cells, one, other))
    assert found.value == pytest.approx(table.mean())
    assert (found.low, found.high) == pytest.approx((table.mean() - half, table.mean() + half))
    assert found.pigeonhole is None


def test_a_share_has_the_t_interval_over_targets():
    shares = np.array([1.0, 2 / 3, 1 / 3, 2 / 3])
    values = np.r_[shares.mean(), [np.delete(shares, t).mean() for t in range(4)], np.zeros(30)]
    found = over_targets(values, 4)
    interval = ttest_1samp(shares, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, min(1, interval.high)))
    assert over_targets(values, 2).low is None


def test_a_correlation_never_leaves_its_range():
    values = np.tanh(2.5 + np.random.default_rng(0).normal(size=1 + 4 + 6 + 24))
    found = estimate(values, 4, 6, correlation=True)
    assert -1 <= found.low < found.value < found.high <= 1


def test_too_few_targets_or_domains_have_no_interval():
    for targets, domains in ((2, 9), (9, 4)):
        values = np.linspace(0, 1, 1 + targets + domains + targets * domains)
        assert estimate(values, targets, domains).saved().values() == {
            "value": 0.0,
            "low": None,
            "high": None,
            "pigeonhole": None,
        }


def test_a_figure_that_is_not_defined_is_none():
    assert estimate(np.full(35, np.nan), 4, 6).saved().values() == {
        "value": None,
        "low": None,
        "high": None,
        "pigeonhole": None,
    }
    mostly = np.r_[0.5, np.full(34, np.nan)]
    assert estimate(mostly, 4, 6).low is None


def study(rng, targets, domains, *, shared, own, uneven=0.0):
    """In logarithms: how movable a domain is, how near it is to the target, and what a predictor sees of both."""
    movable, near = rng.normal(size=domains), NEAR * rng.normal(size=(targets, domains))
    sight = own + uneven * rng.normal(size=(targets, 1))
    measured = movable + near
    predicted = shared * movable + sight * near + BLUR * rng.normal(size=domains)
    return (predicted + BLUR * rng.normal(size=(targets, domains)))[None], measured


def truth(score, *, shared, own, uneven=0.0):
    """The correlation among endlessly many domains, averaged over endlessly many targets."""
    if score == "centred":
        return own * NEAR**2 / math.sqrt(NEAR**2 * ((own**2 + uneven**2) * NEAR**2 + BLUR**2))
    sight = own + uneven * student.ppf((np.arange(20000) + 0.5) / 20000, 1e9)
    spread = shared**2 + sight**2 * NEAR**2 + 2 * BLUR**2
    return float(np.mean((shared + sight * NEAR**2) / np.sqrt(spread * (1 + NEAR**2))))


@pytest.mark.parametrize(
    ("score", "targets", "domains", "parts"),
    [
        ("pooled", 9, 20, {"shared": 0.0, "own": 0.0}),
        ("pooled", 9, 20, {"shared": 0.8, "own": 0.6}),
        ("pooled", 4, 16, {"shared": 0.6, "own": 0.6, "uneven": 0.5}),
        ("centred", 9, 20, {"shared": 0.8, "own": 0.6}),
        ("centred", 5, 16, {"shared": 0.5, "own": 0.7, "uneven": 0.5}),
    ],
)
def test_the_interval_holds_the_truth(score, targets, domains, parts):
    def under(counted, predicted, measured):
        if score == "centred":
            return over_cells(counted, predicted, measured)[:, 0]
        return mean_over_targets(counted, within_targets(counted, predicted, measured))[:, 0]

    rng, true = np.random.default_rng(11), truth(score, **parts)
    counted, held = weights(targets, domains, **NO_RESAMPLES), 0
    for _ in range(300):
        found = estimate(under(counted, *study(rng, targets, domains, **parts)), targets, domains, correlation=True)
        held += found.low <= true <= found.high
    assert 0.92 <= held / 300 <= 0.995


def test_the_interval_of_a_difference_holds_the_truth():
    rng, held = np.random.default_rng(12), 0
    counted = weights(5, 18, **NO_RESAMPLES)
    for _ in range(300):
        # Two predictors that see a domain's movability alike are alike: the true difference is 0.
        (one,), measured = study(rng, 5, 18, shared=0.8, own=0.5)
        clean = (one - 0.5 * measured)[None]
        blur = [clean + 0.5 * measured + 0.5 * rng.normal(size=(1, 5, 18)) for _ in range(2)]
        r = mean_over_targets(counted, within_targets(counted, np.concatenate(blur), measured))
        found = estimate(r[:, 0] - r[:, 1], 5, 18)
        held += found.low <= 0 <= found.high
    assert 0.92 <= held / 300 <= 0.995
