"""Scores against sums written out, intervals against their coverage, ranking stability against its limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import rankdata, spearmanr

from mixplan.features.statistics import Statistics
from mixplan.sts import average_ranks, interval, ranking_stability, resample, score_domain


def unit(tokens, shift, act=None, total=None):
    tokens = np.asarray(tokens)
    shift = np.asarray(shift, dtype=np.float64)
    rows = {
        "drift_shift": shift,
        "drift_act": np.asarray(shift if act is None else act, dtype=np.float64),
        "low_shift": shift / 10,
        "raw_icl": shift * 2,
        "raw_act": shift * 3,
    }
    if total is not None:
        rows["total_shift"] = np.asarray(total, dtype=np.float64)
    whole = np.zeros(0)
    by_column = {name: np.array([rows[name].sum(), 0.0]) for name in ("drift_shift", "drift_act")}
    return Statistics(tokens, whole, whole, whole.astype(np.int64), np.zeros(3), np.zeros((0, 0)), rows, by_column)


def test_scores_are_means_over_tokens_not_over_rows():
    scored = score_domain([unit([1, 9], [10, 0], act=[0, 9]), unit([10], [30])], resamples=200, seed=0)
    assert scored.scores["sts_icl"].value == pytest.approx(40 / 20)
    assert scored.scores["sts_act"].value == pytest.approx((9 + 30) / 20)
    assert scored.scores["low_shift"].value == pytest.approx(4 / 20)
    assert scored.scores["raw_icl"].value == pytest.approx(80 / 20)
    assert scored.tokens == 20
    assert scored.shift_by_column.sum() == pytest.approx(scored.scores["sts_icl"].value)
    assert "total_shift" not in scored.scores
    assert "outside_shift" not in scored.scores


def test_outside_is_total_less_drift_dimensions():
    scored = score_domain([unit([2, 2], [4, 6], total=[10, 7])], resamples=100, seed=0)
    assert scored.scores["outside_shift"].value == pytest.approx((17 - 10) / 4)


def test_equal_rows_have_no_interval():
    scored = score_domain([unit([3, 3, 3], [6, 6, 6]), unit([3, 3], [6, 6])], resamples=300, seed=1)
    found = scored.scores["sts_icl"]
    assert (found.value, found.low, found.high) == (pytest.approx(2), pytest.approx(2), pytest.approx(2))


def test_resamples_keep_rows_of_a_draw_together():
    units = [unit([1] * 4, [1] * 4), unit([1] * 2, [1] * 2)]
    weights = resample([len(part.tokens) for part in units], 500, seed=0)
    first, second = weights[:, :4].sum(1), weights[:, 4:].sum(1)
    np.testing.assert_array_equal(first / 4 + second / 2, 2)
    assert {0.0, 4.0, 8.0} == set(first.tolist())


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        values = rng.gamma(2.0, 1.0, 120)
        found = score_domain([unit([1] * 120, values)], resamples=300, seed=trial).scores["sts_icl"]
        covered += found.low <= 2.0 <= found.high
    # 95 % of 200 is 190; binomial noise and the bootstrap's slight optimism allow 175 to 200.
    assert 175 <= covered <= 200


def test_interval_holds_its_value():
    found = interval(5.0, np.array([1.0, 2.0, 3.0]))
    assert found.low <= found.value <= found.high


def test_the_same_seed_gives_the_same_interval():
    units = [unit([1, 2, 3], [1, 5, 2]), unit([4], [8])]
    first, again = (score_domain(units, resamples=100, seed=7).scores for _ in "ab")
    assert first == again


def test_ranking_is_stable_when_domains_are_far_apart():
    far = {
        name: score_domain([unit([1] * 30, np.random.default_rng(n).normal(10.0**n, 0.1, 30))], resamples=100, seed=n)
        for n, name in enumerate(("a", "b", "c"))
    }
    assert ranking_stability(far, "sts_icl") == pytest.approx(1.0)
    assert ranking_stability({"a": far["a"], "b": far["b"]}, "sts_icl") is None
    assert ranking_stability({"a": far["a"], "b": far["a"], "c": far["a"]}, "sts_icl") is None


def test_ranking_of_indistinguishable_domains_is_unstable():
    rng = np.random.default_rng(1)
    near = {str(n): score_domain([unit([1] * 30, rng.gamma(2, 1, 30))], resamples=200, seed=n) for n in range(8)}
    assert ranking_stability(near, "sts_icl") < 0.9


def test_ranking_stability_is_the_mean_spearman_correlation():
    rng = np.random.default_rng(2)
    domains = {str(n): score_domain([unit([1] * 12, rng.integers(0, 4, 12))], resamples=100, seed=n) for n in range(6)}
    values = [entry.scores["sts_icl"].value for entry in domains.values()]
    resampled = np.stack([entry.resampled["sts_icl"] for entry in domains.values()])
    expected = np.mean([spearmanr(values, column).statistic for column in resampled.T])
    assert ranking_stability(domains, "sts_icl") == pytest.approx(expected, abs=1e-12)


TIED = st.sampled_from([-1.5, 0.0, 0.25, 2.0, 1e300, np.inf, np.nan])


@given(arrays(np.float64, array_shapes(max_dims=3, max_side=8), elements=TIED))
def test_ranks_are_scipys(values):
    np.testing.assert_array_equal(average_ranks(values), rankdata(values, axis=-1))
