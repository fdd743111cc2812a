"""Statistics come back from bytes as they were, and other bytes are none."""

from dataclasses import fields, replace

import numpy as np
import pytest

from mixplan.features.statistics import EXAMPLES, Statistics, from_bytes, to_bytes


@pytest.fixture
def statistics() -> Statistics:
    draw = np.random.default_rng(0)
    return Statistics(
        tokens=draw.integers(1, 9, 4), shift=draw.random(7), act=draw.random(7), fired=draw.integers(0, 9, 7),
        raw_shift=draw.random(3), replicas=draw.random((2, 7)),
        rows={"drift_shift": draw.random(4), "total_shift": draw.random(4)}, by_column={"drift_act": draw.random(2)},
        example_values=draw.random((2, EXAMPLES)).astype(np.float32),
        example_places=draw.integers(-1, 4, (2, EXAMPLES, 2)),
    )  # fmt: skip


def test_every_array_comes_back_with_its_type(statistics):
    found = from_bytes(to_bytes(statistics))
    assert found is not None
    for entry in fields(statistics):
        before, after = getattr(statistics, entry.name), getattr(found, entry.name)
        for name in before if isinstance(before, dict) else [None]:
            one, other = (part if name is None else part[name] for part in (before, after))
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    assert found.rows.keys() == statistics.rows.keys()


def test_equal_statistics_give_equal_bytes_whatever_the_memory_order(statistics):
    other = replace(statistics, replicas=np.asfortranarray(statistics.replicas), rows=dict(statistics.rows))
    assert to_bytes(other) == to_bytes(statistics)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-5], lambda data: b"noise" * 9])
def test_other_bytes_are_no_statistics(statistics, damage):
    assert from_bytes(damage(to_bytes(statistics))) is None


def test_arrays_of_another_kind_are_no_statistics():
    from safetensors.numpy import save

    assert from_bytes(bytes(save({"other": np.zeros(2)}))) is None
    assert from_bytes(bytes(save({"group.name": np.zeros(2)}))) is None
