"""Correlations and their intervals against scipy, a transcription, simulations with known truth, and invariances."""

import math

import numpy as np
import pytest
from as_saved import filled, plain
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mixplan.outcome import judge as judging
from mixplan.outcome.judge import pearson, pearson_interval, spearman_interval, squared
from mixplan.saved.outcome import Domain


def correlations(predicted, size):
    return plain(judging.correlations(predicted, size))


def judge(domains):
    return plain(judging.judge({name: filled(Domain, domain) for name, domain in domains.items()}))


def drawn(n, seed=0):
    rng = np.random.default_rng(seed)
    x = np.exp(rng.standard_normal(n))
    return x, np.abs(x * rng.standard_normal(n)) + 0.1 * x


@pytest.mark.parametrize("n", [3, 5, 8, 16])
def test_correlations_are_scipys(n):
    x, y = drawn(n, n)
    found = correlations(x, y)
    assert found["pearson"] == pytest.approx(stats.pearsonr(x, y).statistic, rel=1e-12)
    assert found["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-12)
    assert found["r2"] == pytest.approx(stats.linregress(x, y).rvalue ** 2, rel=1e-12)


def test_the_interval_is_the_jackknife_of_z():
    x, y = drawn(8)
    z = [math.atanh(stats.pearsonr(np.delete(x, i), np.delete(y, i)).statistic) for i in range(8)]
    error = math.sqrt(7 / 8 * sum((value - sum(z) / 8) ** 2 for value in z))
    middle = math.atanh(stats.pearsonr(x, y).statistic)
    found = correlations(x, y)
    assert found["pearson_low"] == pytest.approx(math.tanh(middle - 2.446912 * error), rel=1e-6)
    assert found["pearson_high"] == pytest.approx(math.tanh(middle + 2.446912 * error), rel=1e-6)
    assert found["pearson_leave_one_out"] == pytest.approx([math.tanh(min(z)), math.tanh(max(z))], rel=1e-9)


def test_the_rank_interval_is_bonett_and_wrights():
    low, high = spearman_interval(0.6, 12)
    error = math.sqrt((1 + 0.18) / 9)
    assert (low, high) == pytest.approx([math.tanh(math.atanh(0.6) + s * 1.959964 * error) for s in (-1, 1)])
    low, high = spearman_interval(1.0, 8)
    assert high == 1.0
    assert 0.8 < low < 0.95


def samples(kind, n, rng):
    if kind == "normal":
        x = rng.standard_normal(n)
        return x, 0.5 * x + math.sqrt(0.75) * rng.standard_normal(n)
    x = np.exp(0.6 * rng.standard_normal(n))
    return x, np.abs(x * rng.standard_normal(n))


@pytest.mark.parametrize("kind", ["normal", "size"])
@pytest.mark.parametrize("n", [8, 16])
def test_intervals_hold_the_truth(kind, n):
    rng = np.random.default_rng(1)
    truth = [pearson(*samples(kind, 100_000, rng)), stats.spearmanr(*samples(kind, 100_000, rng)).statistic]
    held, count = np.zeros(2), 200
    for _ in range(count):
        found = correlations(*samples(kind, n, rng))
        held += [
            found["pearson_low"] <= truth[0] <= found["pearson_high"],
            found["spearman_low"] <= truth[1] <= found["spearman_high"],
        ]
    # 95 % of 200 has a standard error of 1.5 %; the method's own error is up to 2 %.
    assert (held / count >= 0.895).all()


@given(
    points=st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 50)), min_size=3, max_size=20),
    scale=st.floats(0.01, 100),
    shift=st.floats(-10, 10),
    order=st.randoms(use_true_random=False),
)
def test_unit_and_order_do_not_matter(points, scale, shift, order):
    before = correlations(*np.array(points, dtype=np.float64).T)
    order.shuffle(points)
    x, y = np.array(points, dtype=np.float64).T
    after = correlations(x * scale + shift, y)
    for key in ("pearson", "spearman", "r2"):
        assert (before[key] is None) == (after[key] is None)
        if before[key] is not None:
            assert after[key] == pytest.approx(before[key], abs=1e-6)
    if before["pearson"] is not None:
        assert correlations(y, x)["pearson"] == pytest.approx(before["pearson"], abs=1e-6)


@given(points=st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_what_is_given_is_ordered_and_within_bounds(points):
    found = correlations(*np.array(points, dtype=np.float64).T)
    for name in ("pearson", "spearman", "r2"):
        value, low, high = (found[f"{name}{end}"] for end in ("", "_low", "_high"))
        assert (low is None) == (high is None)
        if low is not None:
            assert -1 <= low <= value + 1e-9
            assert value - 1e-9 <= high <= 1


def test_what_cannot_be_said_is_not_said():
    nothing = dict.fromkeys(correlations(np.zeros(0), np.zeros(0)))
    assert correlations(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == nothing
    assert correlations(np.ones(9), np.arange(9.0)) == nothing
    four = correlations(np.array([1.0, 2, 3, 5]), np.array([1.0, 2, 4, 3]))
    assert four["pearson"] is not None
    assert four["pearson_low"] is four["pearson_leave_one_out"] is four["spearman_low"] is four["r2_low"] is None
    assert pearson_interval(0.5, None) == (None, None)


@pytest.mark.parametrize(
    ("interval", "square"),
    [((-0.5, 0.2), (0, 0.25)), ((0.1, 0.9), (0.01, 0.81)), ((-0.9, -0.1), (0.01, 0.81)), ((None, None), (None, None))],
)
def test_squares_of_an_interval(interval, square):
    found = squared(*interval)
    assert found == (square if None in square else pytest.approx(square))


def of(change):
    return {"change": change, "changed": abs(change) > 0.15}


def domain(headline, predictors, **changes):
    measures = {headline: {name: of(value) for name, value in changes.items() if name != "kl"}}
    if "kl" in changes:
        measures["behaviour"] = {"kl": of(changes["kl"])}
    return {"headline": headline, "measures": measures, "predictors": predictors}


def test_headlines_of_one_unit_are_pooled_and_sizes_have_no_sign():
    domains = {
        "law": domain("choice", {"sts_icl": 1.0, "total_shift": None}, correct=-0.1, kl=0.1),
        "sums": domain("exact", {"sts_icl": 2.0, "total_shift": 5.0}, score=0.2, kl=0.2),
        "sorting": domain("exact", {"sts_icl": 3.0, "total_shift": 5.0}, score=-0.3, kl=0.3),
        "prose": domain("likelihood", {"sts_icl": 9.0, "total_shift": 5.0}, bits_per_byte=7.0),
    }
    found = {(entry["measure"], entry["quantity"], entry["predictor"]): entry for entry in judge(domains)}
    assert list(found)[:2] == [("headline", "accuracy", "sts_icl"), ("headline", "accuracy", "total_shift")]
    assert found["headline", "accuracy", "sts_icl"]["domains"] == 3
    assert found["headline", "accuracy", "sts_icl"]["pearson"] == pytest.approx(1.0)
    assert found["headline", "accuracy", "total_shift"]["domains"] == 2
    assert found["behaviour", "kl", "sts_icl"]["pearson"] == pytest.approx(1.0)
    assert found["likelihood", "bits_per_byte", "sts_icl"]["domains"] == 1
    assert {key for key in found if key[0] == "exact"} == {("exact", "score", p) for p in ("sts_icl", "total_shift")}


def test_domains_without_any_measure_give_no_judgement():
    assert judge({"law": {"headline": "choice", "measures": {}, "predictors": {"sts_icl": 1.0}}}) == []


def test_how_many_domains_changed_is_told_beside_each_correlation():
    domains = {f"d{i}": domain("exact", {"sts_icl": float(i)}, score=0.02 * i, kl=0.1 * i) for i in range(6)}
    changed = {entry["measure"]: entry["changed"] for entry in judge(domains)}
    assert changed == {"headline": 0, "exact": 0, "behaviour": 4}
