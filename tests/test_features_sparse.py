"""What is kept of a unit for all features: the same back from its bytes, damaged bytes refused, small where wide."""

import numpy as np
import pytest
from safetensors.numpy import load, save

from mixplan.features.sparse import Entries, Sparse, from_bytes, gaps_of, places_of, to_bytes


def random_sparse(*, rows: int, tokens: int, width: int, active: int, d_in: int = 4, seed: int = 0) -> Sparse:
    """Each token fires `active` features, each row moves as many as its tokens fire in both readings."""
    rng = np.random.default_rng(seed)

    def entries(lines: int, each: int) -> Entries:
        picked = [np.sort(rng.choice(width, min(each, width), replace=False)) + line * width for line in range(lines)]
        places = np.concatenate(picked).astype(np.int64)
        return Entries(places, rng.random(len(places), dtype=np.float32) + 0.1, width)

    counts = np.diff(np.sort(rng.choice(np.arange(1, tokens), rows - 1, replace=False)), prepend=0, append=tokens)
    raw = rng.random((2, rows, d_in), dtype=np.float32)
    return Sparse(counts, entries(tokens, active), entries(rows, 2 * active * tokens // rows), raw[0], raw[1])


@pytest.mark.parametrize(
    "places",
    [
        [],
        [0],
        [0, 1, 2],
        [254, 509, 764, 765],
        [255, 511, 767],
        [*range(0, 300 * 1000, 1000)],
        [7, 65541, 65542, 131077],
        [3, 2**32 + 2, 2**32 + 3, 2**33 + 5],
        [2**40, 2**62],
    ],
)
def test_places_come_back_from_their_gaps(places):
    given = np.array(places, dtype=np.int64)
    gaps, far = gaps_of(given)
    np.testing.assert_array_equal(places_of(gaps, far), given)
    assert gaps.nbytes <= 2 * len(given)


def test_gaps_take_one_byte_where_that_is_less():
    near, _ = gaps_of(np.arange(0, 10_000, 17))
    wide, far = gaps_of(np.arange(0, 2_000_000, 2048))
    assert (near.dtype, wide.dtype, len(far)) == (np.uint8, np.uint16, 0)


def test_a_unit_comes_back_from_its_bytes():
    given = random_sparse(rows=7, tokens=60, width=300, active=9)
    data = to_bytes(given)
    back = from_bytes(data)
    assert back is not None
    assert to_bytes(back) == data
    for name in ("act", "shift"):
        first, second = getattr(given, name), getattr(back, name)
        np.testing.assert_array_equal(first.places, second.places)
        np.testing.assert_array_equal(first.values, second.values)
    for name in ("tokens", "raw_shift", "raw_act"):
        np.testing.assert_array_equal(getattr(given, name), getattr(back, name))


def test_bytes_of_something_else_are_refused():
    arrays = load(to_bytes(random_sparse(rows=3, tokens=20, width=300, active=5)))
    assert from_bytes(b"nonsense") is None
    assert from_bytes(save({"tokens": np.array([1])})) is None
    changes = {
        "act.values": arrays["act.values"][:-1],
        "shift.gaps": np.full_like(arrays["shift.gaps"], 255),
        "act.far": np.array([9], dtype=np.uint32),
        "width": np.array([2], dtype=np.int64),
        "raw_act": arrays["raw_act"][:-1],
    }
    for name, value in changes.items():
        assert from_bytes(save(arrays | {name: value})) is None, name
    assert from_bytes(save(arrays)) is not None


def test_a_domain_at_131072_features_takes_under_12_mb():
    # 10,000 query tokens in rows of 60 where each token fires 64 features of its own: real ones fire again and again.
    given = random_sparse(rows=17, tokens=1000, width=131_072, active=64, d_in=576)
    assert len(to_bytes(given)) * 10 < 12e6
