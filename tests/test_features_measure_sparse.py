"""Reading a unit for all features at once gives what reading chosen ones token by token gives."""

import numpy as np
import pytest
from dense_features import D_SAE, make_rows, open_pair

from mixplan.features import measure_sparse as module
from mixplan.features.column_sums import statistics_of
from mixplan.features.measure import measure_unit
from mixplan.features.measure_sparse import measure_sparse, sparse_key
from mixplan.features.queries import plan_reading
from mixplan.features.sparse import from_bytes, to_bytes
from mixplan.features.statistics import Columns

COLUMNS = Columns(np.arange(12), np.array([20, 33]), np.array([2, 7]))


@pytest.fixture
def read(tiny_model, tmp_path, tiny_sae):
    """Opens model, SAE of a kind and the units of a small reading."""

    def opened(kind):
        model, sae = open_pair(tiny_model, tmp_path / kind, tiny_sae, kind)
        reading = plan_reading(model, make_rows(17, 1), make_rows(6, 2), tokens=150, shots=2, draws=2, seed=5)
        return model, sae, reading.units

    return opened


def assert_same(found, expected):
    for group in ("rows", "by_column"):
        first, second = getattr(found, group), getattr(expected, group)
        assert set(first) == set(second)
        for name in first:
            # Today's sums over columns are of float32 a token.
            np.testing.assert_allclose(first[name], second[name], rtol=3e-6, atol=1e-9, err_msg=name)
    for name in ("shift", "act", "raw_shift"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-6, atol=1e-12)
    for name in ("tokens", "fired", "example_values", "example_places"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_every_kind_gives_what_chosen_dimensions_give(read, sae_kind):
    model, sae, units = read(sae_kind)
    for pack_tokens in (40, 4096):
        found = measure_sparse(model, sae, units[0], pack_tokens=pack_tokens)
        expected = measure_unit(model, sae, units[0], columns=COLUMNS, pack_tokens=pack_tokens)
        assert_same(statistics_of(found, COLUMNS, whole=True), expected)


@pytest.mark.parametrize("at_once", [1, 5, 16])
def test_slices_that_cut_rows_change_nothing(read, monkeypatch, at_once):
    model, sae, units = read("jumprelu")
    expected = measure_sparse(model, sae, units[0])
    monkeypatch.setattr(module, "ENCODED_VALUES", at_once * D_SAE)
    found = measure_sparse(model, sae, units[0])
    np.testing.assert_array_equal(found.shift.places, expected.shift.places)
    np.testing.assert_allclose(found.shift.values, expected.shift.values, rtol=1e-5)
    np.testing.assert_allclose(found.act.values, expected.act.values, rtol=1e-5)
    np.testing.assert_allclose(found.raw_shift, expected.raw_shift, rtol=1e-5)


def test_reading_again_gives_the_same_bytes_and_keeping_changes_no_sum(read):
    model, sae, units = read("gated")
    first, again = (measure_sparse(model, sae, units[1]) for _ in "ab")
    assert to_bytes(first) == to_bytes(again)
    kept = from_bytes(to_bytes(first))
    for name, value in statistics_of(kept, COLUMNS, whole=True).rows.items():
        np.testing.assert_array_equal(value, statistics_of(first, COLUMNS, whole=True).rows[name])


def test_an_sae_that_fires_too_much_is_not_kept_and_no_token_counts_as_read(read, monkeypatch):
    model, sae, units = read("standard")
    monkeypatch.setattr(module, "MOST_ACTIVE", 8)
    told = []
    assert measure_sparse(model, sae, units[0], pack_tokens=20, on_tokens=told.append) is None
    assert sum(told) == 0
    model, sae, units = read("topk")
    assert measure_sparse(model, sae, units[0], on_tokens=told.append) is not None
    assert sum(told) == units[0].tokens


def test_the_key_holds_model_sae_and_tokens_and_the_model_beside(read, build_model, tmp_path):
    model, sae, units = read("jumprelu")
    _, other, _ = read("gated")
    keys = [
        sparse_key(model, sae, units[0]),
        sparse_key(model, sae, units[1]),
        sparse_key(model, other, units[0]),
        sparse_key(model, sae, units[0], trained=model),
    ]
    assert len(set(keys)) == 4
    assert sparse_key(model, sae, units[0]) == keys[0]
