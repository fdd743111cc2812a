"""Factors learned from runs against closed forms, dense covariance, simulations with known truth, and invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mixplan.forecast import factors
from mixplan.forecast.factors import Changes, left_out_error, predict, quantile


def world(rng, runs, domains, *, own=0.5, run=0.3, noise=0.3, growing=False):
    """Changes with known factors: b = -1."""
    extra, base = own * rng.standard_normal(domains), np.exp(0.5 * rng.standard_normal(domains))
    rows = []
    for number in range(runs):
        strength, scores = run * rng.standard_normal(), base * np.exp(0.2 * rng.standard_normal(domains))
        error = noise * (scores if growing else 1.0) * rng.standard_normal(domains)
        changes = scores * (extra + strength - 1) + error
        rows += [(s, y, f"d{index}", number) for index, (s, y) in enumerate(zip(scores, changes, strict=True))]
    return changes_of(rows)


def changes_of(rows):
    scores, changes, names, runs = zip(*rows, strict=True)
    return Changes(np.array(scores), np.array(changes), tuple(names), np.array(runs))


@pytest.fixture
def one_point(monkeypatch):
    """Make the grid a single point."""

    def set_to(own, run, growth):
        grid = [np.array([own, run, growth])]
        monkeypatch.setattr(factors, "product", lambda *_: grid)

    return set_to


def test_without_spread_it_is_regression_through_the_origin(one_point):
    one_point(0.0, 0.0, 0.0)
    known = world(np.random.default_rng(0), 2, 6)
    s, y = known.scores, known.changes
    slope = s @ y / (s @ s)
    variance = np.square(y - slope * s).sum() / (len(s) - 1)
    t = stats.t.ppf(0.975, len(s) - 1)
    new = np.array([0.5, 3.0])
    found = predict(known, ["d0", "x"], new, own=False)
    half, narrow = (t * np.sqrt(variance * (extra + new**2 / (s @ s))) for extra in (1.0, 0.0))
    np.testing.assert_allclose(found.change, slope * new)
    np.testing.assert_allclose([found.low, found.high], [slope * new - half, slope * new + half], rtol=1e-6)
    np.testing.assert_allclose(
        [found.factor_low, found.factor_high], [slope * new - narrow, slope * new + narrow], rtol=1e-6
    )


def dense(known, point, new_names, new_scores):
    """Generalised least squares on the whole covariance, written out: mean, spread, log marginal likelihood."""
    own, run, growth = point
    unit = np.sqrt(np.square(known.scores).mean())
    s, new = known.scores / unit, np.asarray(new_scores) / unit
    names = np.array(known.domains)
    same_domain = names[:, None] == names
    same_run = known.runs[:, None] == known.runs
    v = np.outer(s, s) * (own**2 * same_domain + run**2 * same_run) + np.diag(1 - growth + growth * s**2)
    inverse = np.linalg.inv(v)
    information = s @ inverse @ s
    b = s @ inverse @ known.changes / information
    rest = known.changes - b * s
    n, squares = len(s), float(rest @ inverse @ rest)
    log = -0.5 * (np.linalg.slogdet(v)[1] + np.log(information) + (n - 1) * np.log(squares))
    across = own**2 * np.outer(new, s) * (np.array(new_names)[:, None] == names)
    mean = b * new + across @ inverse @ rest
    leverage = new - across @ inverse @ s
    own_part = new**2 * own**2 - np.einsum("mi,ij,mj->m", across, inverse, across)
    spread = own_part + leverage**2 / information + run**2 * new**2 + 1 - growth + growth * new**2
    return mean, np.sqrt(squares / (n - 1) * spread), log


@pytest.mark.parametrize("point", [(0.5, 1.0, 0.5), (2.0, 0.25, 0.0), (0.0, 4.0, 0.9), (1.0, 0.0, 0.5)])
def test_a_grid_point_is_generalised_least_squares(one_point, point):
    one_point(*point)
    known = world(np.random.default_rng(1), 3, 5)
    names, new = ["d1", "d4", "never met"], np.array([0.4, 2.0, 1.0])
    mean, spread, _ = dense(known, point, names, new)
    found = predict(known, names, new, own=True)
    t = stats.t.ppf(0.975, len(known.changes) - 1)
    np.testing.assert_allclose(found.change, mean, rtol=1e-9)
    np.testing.assert_allclose([found.low, found.high], [mean - t * spread, mean + t * spread], rtol=1e-6, atol=1e-8)


def test_grid_points_are_weighed_by_their_likelihood():
    known = world(np.random.default_rng(2), 3, 4)
    grid = [(own, run, growth) for own in factors.SPREADS for run in factors.SPREADS for growth in factors.GROWTH]
    parts = [dense(known, point, ["d2"], [1.5]) for point in grid]
    logs = np.array([log for *_, log in parts])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    found = predict(known, ["d2"], np.array([1.5]), own=True)
    assert found.change[0] == pytest.approx(sum(w * mean[0] for w, (mean, *_) in zip(weights, parts, strict=True)))
    laws = [stats.t(len(known.changes) - 1, mean[0], spread[0]) for mean, spread, _ in parts]
    for end, share in ((found.low[0], 0.025), (found.high[0], 0.975)):
        assert sum(w * law.cdf(end) for w, law in zip(weights, laws, strict=True)) == pytest.approx(share, abs=2e-3)


@given(st.floats(0.01, 0.99), st.floats(-5, 5), st.floats(0.01, 50), st.integers(1, 40))
def test_a_quantile_of_one_law_is_scipys(share, mean, spread, freedom):
    found = quantile(share, np.array([[mean]]), np.array([[spread]]), np.ones(1), freedom)
    assert found[0] == pytest.approx(stats.t.ppf(share, freedom, mean, spread), abs=1e-6 * spread)


def test_the_error_of_a_run_left_out(one_point):
    one_point(0.0, 0.0, 0.0)
    known = world(np.random.default_rng(3), 3, 5)
    squares = []
    for run in range(3):
        rest, out = known.runs != run, known.runs == run
        slope = known.scores[rest] @ known.changes[rest] / (known.scores[rest] @ known.scores[rest])
        squares.append(np.square(known.changes[out] - slope * known.scores[out]).mean())
    assert left_out_error(known, own=False) == pytest.approx(np.sqrt(np.mean(squares)))


@pytest.mark.parametrize(
    ("runs", "law"),
    [
        (2, {}),
        (4, {}),
        (3, {"own": 0.0, "run": 0.5, "noise": 0.1, "growing": True}),
        (4, {"own": 1.0, "run": 0.0, "noise": 0.5}),
        (2, {"own": 0.0, "run": 0.0, "noise": 1.0}),
    ],
)
def test_intervals_hold_what_a_new_run_measures(runs, law):
    rng, held = np.random.default_rng(4), []
    for _ in range(30):
        known = world(rng, runs + 1, 8, **law)
        past, new = known.part(known.runs < runs), known.part(known.runs == runs)
        found = predict(past, new.domains, new.scores, own=True)
        held.append(((found.low <= new.changes) & (new.changes <= found.high)).mean())
    # A run's domains miss together, so 30 runs leave about 4 % of error.
    assert np.mean(held) >= 0.87


def test_own_factors_win_where_domains_differ_and_one_factor_where_they_do_not():
    rng = np.random.default_rng(5)
    differ = [world(rng, 4, 10, own=1.0, run=0.1, noise=0.2) for _ in range(5)]
    assert all(left_out_error(one, own=True) < left_out_error(one, own=False) for one in differ)
    alike = [world(rng, 4, 10, own=0.0, run=0.1, noise=0.5) for _ in range(12)]
    ratios = [left_out_error(one, own=True) / left_out_error(one, own=False) for one in alike]
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.05)


@settings(deadline=None, max_examples=25)
@given(unit=st.floats(1e-3, 1e3), factor=st.floats(1e-3, 1e3), order=st.randoms(use_true_random=False))
def test_units_order_and_numbering_do_not_matter(unit, factor, order):
    known = world(np.random.default_rng(6), 2, 3)
    rows = list(zip(known.scores * unit, known.changes * factor, known.domains, known.runs * 7 + 1, strict=True))
    order.shuffle(rows)
    before = predict(known, ["d0", "new"], np.array([1.0, 2.0]), own=True)
    after = predict(changes_of(rows), ["d0", "new"], np.array([1.0, 2.0]) * unit, own=True)
    for name in ("change", "low", "high", "factor_low", "factor_high"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name) * factor, rtol=1e-5, atol=1e-6 * factor)


def test_a_domain_never_met_is_less_sure():
    known = world(np.random.default_rng(7), 5, 6, own=1.0)
    found = predict(known, ["d0", "new"], np.array([1.0, 1.0]), own=True)
    assert found.high[1] - found.low[1] > found.high[0] - found.low[0]


@pytest.mark.parametrize("changes", [[0.0, 0.0, 0.0, 0.0], [2.0, 4.0, 2.0, 6.0]])
def test_changes_without_noise_are_no_trouble(changes):
    known = Changes(np.array([1.0, 2.0, 1.0, 3.0]), np.array(changes), ("a", "b", "a", "b"), np.array([0, 0, 1, 1]))
    found = predict(known, ["a"], np.array([2.0]), own=True)
    assert found.change[0] == pytest.approx(2 * changes[0], abs=1e-6)
    assert found.low[0] == pytest.approx(found.high[0], abs=1e-3)
    assert np.isfinite(left_out_error(known, own=True))


def test_a_job_as_strong_as_a_known_run_is_expected_as_that_run_was():
    """Three domains of each run are known; of the strong run, what the fourth does is expected three times as high."""
    scores, names, runs = [1.0] * 11, [], []
    strength = {0: 0.1, 1: 0.1, 2: 0.3}
    for run in strength:
        for name in "abcd"[: 4 if run < 2 else 3]:
            names.append(name)
            runs.append(run)
    changes = [strength[run] for run in runs]
    known = Changes(np.array(scores), np.array(changes), tuple(names), np.array(runs))
    strong, weak, new = (predict(known, ["d"], np.array([1.0]), own=True, like=like) for like in (2, 0, None))
    assert strong.change[0] == pytest.approx(0.3, rel=0.1)
    assert weak.change[0] == pytest.approx(0.1, rel=0.1)
    assert new.high[0] - new.low[0] > strong.high[0] - strong.low[0]
