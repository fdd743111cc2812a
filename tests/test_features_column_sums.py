"""Sums of chosen dimensions from what is kept of all features, against NumPy on every token's dense features."""

import numpy as np
import pytest

from mixplan.features.column_sums import statistics_of
from mixplan.features.sparse import Entries, Sparse
from mixplan.features.statistics import Columns, to_bytes

WIDTH, COUNTS = 12, np.array([3, 0, 5, 1])


@pytest.fixture
def dense() -> tuple[np.ndarray, np.ndarray]:
    """Activations `[tokens, d_sae]` and squared changes by row `[rows, d_sae]`, most of both 0, halves alone."""
    rng = np.random.default_rng(3)
    act = rng.integers(1, 5, (COUNTS.sum(), WIDTH)) / 2 * (rng.random((COUNTS.sum(), WIDTH)) < 0.4)
    shift = rng.integers(1, 9, (len(COUNTS), WIDTH)) / 2 * (rng.random((len(COUNTS), WIDTH)) < 0.6)
    shift[COUNTS == 0] = 0
    return act, shift


@pytest.fixture
def sparse(dense) -> Sparse:
    act, shift = (Entries(np.flatnonzero(matrix), matrix[matrix > 0].astype(np.float32), WIDTH) for matrix in dense)
    raw = np.arange(2 * len(COUNTS) * 3, dtype=np.float32).reshape(2, len(COUNTS), 3)
    return Sparse(COUNTS, act, shift, raw[0], raw[1])


COLUMNS = Columns(np.array([7, 0, 11, 3]), np.array([5, 2]), np.array([2, 0]))


def test_sums_are_those_of_the_dense_features(sparse, dense):
    act, shift = dense
    found = statistics_of(sparse, COLUMNS, whole=True)
    row = np.repeat(np.arange(len(COUNTS)), COUNTS)
    by_row = np.stack([act[row == number].sum(0) for number in range(len(COUNTS))])
    expected = {
        "drift_shift": shift[:, COLUMNS.drift].sum(1),
        "drift_act": by_row[:, COLUMNS.drift].sum(1),
        "low_shift": shift[:, COLUMNS.low].sum(1),
        "raw_icl": sparse.raw_shift[:, COLUMNS.raw].sum(1),
        "raw_act": sparse.raw_act[:, COLUMNS.raw].sum(1),
        "total_shift": shift.sum(1),
    }
    assert set(found.rows) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found.rows[name], value)
    np.testing.assert_array_equal(found.by_column["drift_shift"], shift[:, COLUMNS.drift].sum(0))
    np.testing.assert_array_equal(found.by_column["drift_act"], act[:, COLUMNS.drift].sum(0))
    np.testing.assert_array_equal(found.shift, shift.sum(0))
    np.testing.assert_array_equal(found.act, act.sum(0))
    np.testing.assert_array_equal(found.fired, (act > 0).sum(0))
    np.testing.assert_array_equal(found.raw_shift, sparse.raw_shift.sum(0))


def test_examples_are_the_largest_and_of_equal_ones_the_earliest(sparse, dense):
    act, _ = dense
    found = statistics_of(sparse, COLUMNS, whole=False)
    places = [(row, token) for row, count in enumerate(COUNTS) for token in range(count)]
    tied = False
    for column, feature in enumerate(COLUMNS.drift):
        fired = sorted((-value, number) for number, value in enumerate(act[:, feature]) if value > 0)
        tied |= len({value for value, _ in fired}) < len(fired)
        shown = fired[:3] + [(0.0, None)] * (3 - len(fired))
        assert found.example_values[column].tolist() == [-value for value, _ in shown]
        assert found.example_places[column].tolist() == [
            [-1, -1] if number is None else list(places[number]) for _, number in shown
        ]
    assert tied


def test_without_all_features_no_sum_is_over_them(sparse):
    found = statistics_of(sparse, COLUMNS, whole=False)
    assert "total_shift" not in found.rows
    assert {len(found.shift), len(found.act), len(found.fired)} == {0}


def test_the_order_of_dimensions_changes_no_row(sparse):
    turned = Columns(COLUMNS.drift[::-1].copy(), COLUMNS.low, COLUMNS.raw)
    first, second = (statistics_of(sparse, columns, whole=True) for columns in (COLUMNS, turned))
    np.testing.assert_array_equal(first.rows["drift_shift"], second.rows["drift_shift"])
    np.testing.assert_array_equal(first.by_column["drift_act"], second.by_column["drift_act"][::-1])
    assert to_bytes(first) != to_bytes(second)


def test_no_dimension_and_no_activation(sparse):
    none = np.zeros(0, dtype=np.int64)
    found = statistics_of(sparse, Columns(none, none, none), whole=False)
    assert not found.rows["drift_shift"].any()
    silent = Sparse(
        COUNTS, Entries(none, np.zeros(0, np.float32), WIDTH), sparse.shift, sparse.raw_shift, sparse.raw_act
    )
    assert (statistics_of(silent, COLUMNS, whole=True).example_places == -1).all()
