"""Weighted correlations against repeated rows, scipy, and least squares with dummies."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from mixplan.study.judged.correlate import (
    by_moments,
    hits_within_targets,
    mean_over_targets,
    over_cells,
    weighted_correlation,
    within_targets,
)
from mixplan.study.judged.resample import Weights, weights

T, D = 4, 7


@pytest.fixture
def cells():
    rng = np.random.default_rng(2)
    measured = rng.normal(size=(T, D))
    predicted = rng.normal(size=(3, T, D)).round(1)
    predicted[0] += measured
    measured[1, 3] = predicted[2, 0, 0] = np.nan
    return predicted, measured


def repeated(counted, row, *values):
    """Cells as often as they count."""
    times = counted.cells[row].astype(int)
    return [np.repeat(part.ravel(), times.ravel()) for part in values]


@pytest.mark.parametrize(("ranks", "rival"), [(False, pearsonr), (True, spearmanr)])
def test_within_targets_is_that_of_repeated_cells(cells, ranks, rival):
    predicted, measured = cells
    counted = weights(T, D, resamples=30, seed=0)
    found = within_targets(counted, predicted, measured, ranks=ranks)
    checked = 0
    for row in range(len(counted.cells)):
        for p in range(3):
            for t in range(T):
                times = counted.cells[row, t].astype(int)
                x, y = np.repeat(predicted[p, t], times), np.repeat(measured[t], times)
                known = ~np.isnan(x) & ~np.isnan(y)
                if len(set(y[known])) >= 3 and len(set(x[known])) > 1:
                    assert found[row, p, t] == pytest.approx(rival(x[known], y[known])[0], abs=1e-9)
                    checked += 1
    assert checked > 500
    assert np.isnan(found[1, :, 0]).all()  # a target left out


def test_moments_and_two_passes_agree(cells):
    predicted, measured = np.nan_to_num(cells[0]), np.nan_to_num(cells[1])
    times = weights(T, D, resamples=20, seed=4).cells[:, 2]
    one = by_moments(times, np.ones((3, D)), predicted[:, 2], np.tile(measured[2], (3, 1)))
    other = weighted_correlation(times[:, None], predicted[None, :, 2], measured[2])
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_a_flat_side_has_no_correlation(cells):
    flat = np.full((1, T, D), 0.1)
    counted = weights(T, D, resamples=0, seed=0)
    assert np.isnan(within_targets(counted, flat, cells[1])).all()
    assert np.isnan(over_cells(counted, flat, cells[1])).all()
    by_domain_alone = np.tile(np.arange(D) / 3, (1, T, 1))
    assert np.isnan(over_cells(counted, by_domain_alone, cells[1])).all()


def test_the_mean_over_targets_counts_each_as_often_as_it_is_drawn():
    counted = Weights(np.array([[1.0, 1, 1], [2, 0, 1]]), np.ones((2, 3, 2)))
    values = np.array([[[0.2, 0.4, np.nan]], [[0.2, 0.4, 0.5]]])
    np.testing.assert_allclose(mean_over_targets(counted, values), [[0.3], [0.3]])
    assert np.isnan(mean_over_targets(counted, np.full((2, 1, 3), np.nan))).all()


def residual(values, targets, domains):
    """What least squares on target and domain dummies leaves."""
    design = np.concatenate([np.eye(T)[targets], np.eye(D)[domains]], axis=1)
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


def test_over_cells_is_the_correlation_of_residuals(cells):
    predicted, measured = cells
    counted = weights(T, D, resamples=20, seed=3)
    found = over_cells(counted, predicted, measured)
    at, of = np.meshgrid(np.arange(T), np.arange(D), indexing="ij")
    for row in range(len(counted.cells)):
        for p in range(3):
            x, y, t, d = repeated(counted, row, predicted[p], measured, at, of)
            known = ~np.isnan(x) & ~np.isnan(y)
            left = [residual(part[known], t[known], d[known]) for part in (x, y)]
            if min(np.ptp(part) for part in left) > 1e-6:
                assert found[row, p] == pytest.approx(pearsonr(*left)[0], abs=1e-6)


def test_hits_are_the_share_of_the_largest_foretold():
    measured = np.array([[9.0, 8, 7, 1, 2, 3]])
    predicted = np.array([[[5.0, 4, 0, 6, 1, 2]], [[1.0, 1, 1, 1, 1, 1]], [[1.0, 2, np.nan, 0, 0, 0]]])
    one = Weights(np.ones((1, 1)), np.ones((1, 1, 6)))
    found = hits_within_targets(one, predicted, measured, top=3)[0, :, 0]
    # A flat predictor names each domain by half; without the third domain the three largest are 9, 8 and 3,
    # and the third place of the forecast is shared by three domains at 0.
    assert found == pytest.approx([2 / 3, 0.5, (1 + 1 + 1 / 3) / 3])
    assert np.isnan(hits_within_targets(one, predicted, measured, top=6)).all()
