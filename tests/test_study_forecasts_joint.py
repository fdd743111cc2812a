"""Holds the joint forecast against a ridge's gradient conditions; a development target's own data is unused."""

import numpy as np
import pytest

from mixplan.study.forecasts.joint import PARTS, RIDGE, centred, coefficients, combined, logarithm, standardised

TARGETS = ("a", "b", "c", "d")


@pytest.fixture
def made():
    generator = np.random.default_rng(3)
    predictors = {name: np.exp(generator.normal(size=(4, 9))) for name in PARTS}
    size = (
        predictors["preview_kl"] ** 0.8
        * predictors["answer_entropy"] ** 0.5
        * np.exp(0.1 * generator.normal(size=(4, 9)))
    )
    return predictors, size


def test_the_coefficients_meet_the_first_order_condition(made):
    predictors, size = made
    x = standardised(np.stack([centred(logarithm(predictors[name])) for name in PARTS], axis=2))
    y = centred(logarithm(size))
    y[1, 2] = np.nan
    found = coefficients(x[:2], y[:2])
    known = ~np.isnan(y[:2])
    left = (y[:2] - x[:2] @ found)[known]
    gradient = x[:2][known].T @ left - RIDGE * found
    assert np.abs(gradient).max() < 1e-9


def test_it_finds_what_made_the_changes(made):
    predictors, size = made
    found = combined(predictors, size, TARGETS, ("a", "b"))
    for t in (2, 3):
        assert np.corrcoef(np.log(found[t]), np.log(size[t]))[0, 1] > 0.95


def test_a_development_target_is_forecast_without_its_own_changes(made):
    predictors, size = made
    other = size.copy()
    other[0] *= np.exp(np.random.default_rng(1).normal(size=9))
    before, after = (combined(predictors, one, TARGETS, ("a", "b")) for one in (size, other))
    assert np.array_equal(before[0], after[0])
    assert not np.allclose(before[1], after[1])


def test_held_out_changes_are_never_used(made):
    predictors, size = made
    other = size.copy()
    other[2:] = np.nan
    assert np.array_equal(*(combined(predictors, one, TARGETS, ("a", "b")) for one in (size, other)))


def test_a_domain_left_out_stays_out(made):
    predictors, size = made
    predictors["behind"][3, 4] = np.nan
    found = combined(predictors, size, TARGETS, ("a", "b"))
    assert np.isnan(found[3, 4])
    assert np.isnan(found).sum() == 1


def test_one_development_target_fits_nothing(made):
    predictors, size = made
    assert np.isnan(combined(predictors, size, TARGETS, ("a",))).all()
