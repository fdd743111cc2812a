"""The completion model against closed forms, a second formulation of its conditional, simulations and invariances."""

import numpy as np
import pytest

from mixplan.forecast import completion
from mixplan.forecast.completion import (
    Factors,
    Seen,
    calibration,
    complete,
    fit_factors,
    left_out_factors,
    reach,
    two_way,
    unseen,
)


def world(rng, targets, domains, *, rank, noise=0.25):
    """Logarithms of changes of a known model, a row a target."""
    level, loadings = rng.normal(-2, 0.5, domains), 0.5 * rng.standard_normal((domains, rank))
    strength, latent = 0.8 * rng.standard_normal(targets), rng.standard_normal((targets, rank))
    error = noise * rng.standard_normal((targets, domains))
    return level + strength[:, None] + latent @ loadings.T + error


def test_strength_alone_has_the_closed_form_of_a_balanced_table():
    logs = world(np.random.default_rng(0), 7, 12, rank=0)
    found = fit_factors(logs, 0)
    left = logs - logs.mean(0)
    rows = left.mean(1)
    noise = np.square(left - rows[:, None]).sum() / (7 * 11)
    np.testing.assert_allclose(found.level, logs.mean(0), atol=1e-9)
    np.testing.assert_allclose(found.noise, noise, rtol=1e-3)
    np.testing.assert_allclose(found.strength, np.square(rows).mean() - noise / 12, rtol=1e-2)


def test_levels_and_strengths_of_a_table_with_gaps_are_least_squares():
    rng = np.random.default_rng(1)
    logs = world(rng, 6, 9, rank=0)
    weights = (rng.random(logs.shape) > 0.25).astype(float)
    level, strengths = two_way(weights, weights * logs)
    rows, columns = np.nonzero(weights)
    design = np.zeros((len(rows), 15))
    design[np.arange(len(rows)), rows] = design[np.arange(len(rows)), 6 + columns] = 1
    fitted = design @ np.linalg.lstsq(design, logs[rows, columns], rcond=None)[0]
    np.testing.assert_allclose((level + strengths[:, None])[rows, columns], fitted, atol=1e-6)


@pytest.mark.parametrize("rank", [1, 2])
def test_a_table_of_low_rank_is_completed_exactly(rank):
    rng = np.random.default_rng(2)
    logs = world(rng, 40, 12, rank=rank, noise=0.0)
    seen = Seen.exact(range(5), logs[-1])
    found = complete(fit_factors(logs[:-1], rank), seen)
    np.testing.assert_allclose(found.mean, logs[-1], atol=0.05)
    fewer = complete(fit_factors(logs[:-1], rank - 1), seen)
    assert np.abs(fewer.mean - logs[-1]).max() > 0.2


def test_a_new_target_is_the_posterior_of_its_latent_columns():
    """Conditioned by way of strength, columns and common error, where the module conditions on the covariance."""
    rng = np.random.default_rng(3)
    factors = Factors(rng.normal(size=8), rng.normal(size=(8, 2)), 0.7, 0.3)
    places, variance, common = np.array([1, 4, 6]), np.array([0.1, 0.5, 0.02]), 0.9
    logs = rng.normal(size=3)
    found = complete(factors, Seen(places, logs, variance, common))
    # unknowns: strength, u1, u2, common error, and the noise of the three domains themselves
    design = np.column_stack([np.ones(3), factors.loadings[places], np.ones(3), np.eye(3)])
    prior = np.diag([1 / 0.7, 1, 1, 1 / common, *[1 / 0.3] * 3])
    spread = np.linalg.inv(prior + design.T @ np.diag(1 / variance) @ design)
    mean = spread @ design.T @ ((logs - factors.level[places]) / variance)
    for domain in range(8):
        own = (places == domain).astype(float)
        of = np.concatenate([[1.0], factors.loadings[domain], [0.0], own])
        noise = 0.0 if own.any() else 0.3
        np.testing.assert_allclose(found.mean[domain], factors.level[domain] + of @ mean)
        np.testing.assert_allclose(found.deviation[domain] ** 2, of @ spread @ of + noise)


def test_what_was_measured_exactly_is_known_exactly():
    logs = world(np.random.default_rng(4), 6, 9, rank=1)
    found = complete(fit_factors(logs[:-1], 1), Seen.exact([0, 5], logs[-1]))
    np.testing.assert_allclose(found.mean[[0, 5]], logs[-1, [0, 5]], atol=1e-9)
    np.testing.assert_allclose(found.deviation[[0, 5]], 0, atol=1e-6)


def test_an_error_that_all_share_leaves_the_strength_open_and_not_the_shape():
    factors = Factors(np.zeros(4), np.array([[1.0], [-1.0], [1.0], [-1.0]]), 0.5, 0.01)
    measured = np.array([1.0, -1.0]) + 3.0  # the shape, and a common error of 3
    found = complete(factors, Seen(np.array([0, 1]), measured, np.full(2, 1e-6), common=1e6))
    assert found.mean[2] - found.mean[3] == pytest.approx(2, abs=0.05)
    assert abs(found.mean.mean()) < 0.01
    assert found.deviation[2] == pytest.approx(np.sqrt(0.5), abs=0.05)


def test_another_unit_moves_levels_alone():
    logs = world(np.random.default_rng(5), 6, 9, rank=1)
    logs[2, 3] = np.nan
    first, second = fit_factors(logs, 1), fit_factors(logs + 1.5, 1)
    np.testing.assert_allclose(second.level, first.level + 1.5, atol=1e-6)
    np.testing.assert_allclose(second.covariance, first.covariance, atol=1e-6)


def test_nothing_measured_is_a_target_like_the_earlier_ones():
    factors = Factors(np.array([1.0, 2.0]), np.array([[0.5], [0.0]]), 0.4, 0.1)
    found = complete(factors, Seen.exact([], np.array([np.nan, np.nan])))
    np.testing.assert_allclose(found.mean, [1, 2])
    np.testing.assert_allclose(found.deviation, np.sqrt([0.75, 0.5]))


def test_a_domain_that_only_one_target_measured_has_the_mean_level_without_it():
    logs = world(np.random.default_rng(6), 5, 6, rank=0)
    logs[1:, 2] = np.nan
    without = left_out_factors(logs, 1)[0]
    assert without.level[2] == pytest.approx(np.delete(without.level, 2).mean())
    assert without.loadings[2] == pytest.approx(0)


@pytest.mark.parametrize("rank", [0, 1])
def test_intervals_of_completed_domains_hold_nineteen_of_twenty(rank):
    """Of worlds with eight earlier targets, rank and domains given, scaled by what targets left out say."""
    rng, inside, total = np.random.default_rng(7), 0, 0
    for _ in range(30):
        logs = world(rng, 9, 14, rank=rank, noise=0.3)
        earlier, new = logs[:-1], logs[-1]
        places = [0, 3, 6, 9]
        seen = [Seen.exact(places, row) for row in earlier]
        scale = calibration(earlier, seen, left_out_factors(earlier, rank))
        known = Seen.exact(places, new)
        found, rest = complete(fit_factors(earlier, rank), known), unseen(new, known)
        inside += int((np.abs(found.mean - new)[rest] <= reach(8) * scale * found.deviation[rest]).sum())
        total += int(rest.sum())
    assert 0.92 <= inside / total <= 0.995


def test_too_small_deviations_are_scaled_by_their_own_errors():
    """Two targets left out, each with standardised errors of 3 and 1: the scale is the root of (9 + 1) / 2."""
    fits = [Factors(np.zeros(2), np.zeros((2, 0)), 3e-9, 1.0)] * 2
    logs = np.array([[3.0, 1.0], [-3.0, 1.0]])
    seen = [Seen.exact([], row) for row in logs]
    assert calibration(logs, seen, fits) == pytest.approx(np.sqrt(5))
    assert calibration(logs / 10, seen, fits) == 1.0


def test_reach_is_students():
    assert reach(8) == pytest.approx(2.3646, abs=1e-4)
    assert completion.FEWEST_TARGETS == 3
