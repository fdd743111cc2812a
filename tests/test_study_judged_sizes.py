"""Cells and noise floors against simulated variances and formulas by hand."""

import numpy as np
import pytest

from mixplan.study.judged.sizes import cells, noise_floor


def test_seeds_are_averaged_and_items_counted_once():
    measured = np.array([[[1.0, 3.0], [-2.0, np.nan], [np.nan, np.nan]]])
    noise = np.array([[[0.3, 0.5], [0.7, np.nan], [np.nan, np.nan]]])
    found = cells("gold_probability", measured, noise)
    np.testing.assert_allclose(found.change, [[2.0, -2.0, np.nan]])
    np.testing.assert_allclose(found.size, [[2.0, 2.0, np.nan]])
    np.testing.assert_allclose(found.error, [[np.sqrt((0.09 + 0.25) / 2 + 2.0 / 2), 0.7, np.nan]])


def test_an_unsigned_quantity_is_its_own_size():
    measured = np.array([[[0.2], [-0.001]]])
    found = cells("kl", measured, np.full((1, 2, 1), 0.01))
    np.testing.assert_array_equal(found.size, [[0.2, -0.001]])
    np.testing.assert_allclose(found.log_size, np.log([[0.2, 0.01]]))  # below its error only the error is known


def test_nothing_at_all_has_no_logarithm():
    assert np.isnan(cells("correct", np.zeros((1, 1, 1)), np.zeros((1, 1, 1))).log_size).all()


def test_reliability_is_the_share_of_variance_that_is_not_error():
    rng = np.random.default_rng(0)
    targets, domains, seeds = 200, 40, 3
    true = rng.normal(0, 2.0, (targets, domains, 1))
    items = rng.normal(0, 0.8, (targets, domains, 1))
    measured = true + items + rng.normal(0, 0.6, (targets, domains, seeds))
    found = noise_floor("correct", measured, np.full(measured.shape, 0.8))
    error = 0.8**2 + 0.6**2 / 3
    assert found.between_domains == pytest.approx(np.sqrt(4 + error), rel=0.02)
    assert found.item_error == pytest.approx(0.8)
    assert found.seed_sd == pytest.approx(0.6, rel=0.02)
    assert found.error == pytest.approx(np.sqrt(error), rel=0.02)
    assert found.reliability == pytest.approx(4 / (4 + error), rel=0.02)
    # What knows the true change exactly correlates so with the measured one.
    r = [np.corrcoef(true[t, :, 0], measured[t].mean(1))[0, 1] for t in range(targets)]
    assert found.ceiling == pytest.approx(np.mean(r), rel=0.02)


def test_noise_alone_has_no_reliability_and_one_seed_no_spread():
    still = noise_floor("correct", np.array([[[0.1], [0.0], [-0.1]]]), np.ones((1, 3, 1)))
    assert (still.reliability, still.ceiling, still.seed_sd) == (0.0, 0.0, None)
    missing = noise_floor("correct", np.full((1, 3, 1), np.nan), np.ones((1, 3, 1)))
    assert set(missing.values().values()) == {None}
