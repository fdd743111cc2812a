"""Attention in parts, against one softmax over all that a token sees; layers that ask for more are left alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixplan.model import prefix_attention as module
from mixplan.model.prefix_attention import attend, parts_of

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=9)


def in_one(query, key, value, lengths, prefix, scale):
    """Softmax over the beginning and a token's own text up to itself, in float64, query head by query head."""
    count, heads, shared = query.shape[2], query.shape[1], key.shape[1]
    text = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    places = torch.arange(count)
    own = (text[:, None] == text) & (places[:, None] >= places)
    seen = torch.cat([torch.ones(count, prefix, dtype=torch.bool), own], dim=1)
    out = torch.empty(1, count, heads, value.shape[-1], dtype=torch.float64)
    for head in range(heads):
        keys, values = (part[0, head // (heads // shared)].double() for part in (key, value))
        scores = (query[0, head].double() @ keys.T * scale).masked_fill(~seen, float("-inf"))
        out[0, :, head] = scores.softmax(-1) @ values
    return out


def attended(query, key, value, lengths, prefix, **asked):
    module._open.append(parts_of(lengths, prefix, query.device))
    try:
        return attend(None, query, key, value, None, **asked)[0]
    finally:
        module._open.pop()


@settings(max_examples=40, deadline=None)
@given(lengths, st.sampled_from([0, 1, 70]), st.sampled_from([(1, 1), (6, 2), (4, 4)]), st.integers(0, 99))
def test_two_parts_are_one_softmax(lengths, prefix, heads, seed):
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(1, heads[0], sum(lengths), 16, generator=generator)
    # Scores of very different size, so that either part may outweigh the other.
    key = torch.randn(1, heads[1], prefix + sum(lengths), 16, generator=generator) * 10 ** (seed % 3 - 1)
    value = torch.randn(1, heads[1], prefix + sum(lengths), 16, generator=generator)
    found = attended(query, key, value, lengths, prefix, scaling=0.3)
    expected = in_one(query, key, value, lengths, prefix, 0.3)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def test_short_types_are_put_together_in_float32():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, size, 16, generator=generator) for size in (9, 40, 40))
    short = attended(*(part.bfloat16() for part in (query, key, value)), [4, 5], 31)
    assert short.dtype == torch.bfloat16
    expected = in_one(*(part.bfloat16() for part in (query, key, value)), [4, 5], 31, 0.25)
    assert (short.double() - expected).abs().max() < 0.02


@pytest.mark.parametrize("asked", [{"softcap": 30.0}, {"s_aux": torch.zeros(2)}, {"sliding_window": 8}])
def test_a_layer_that_asks_for_more_is_refused(asked):
    part = torch.zeros(1, 2, 4, 16)
    with pytest.raises(NotImplementedError, match=f"attention in parts has no {next(iter(asked))}"):
        attended(part, part, part, [4], 0, **asked)
    assert attended(part, part, part, [4], 0, **dict.fromkeys(asked)).shape == (1, 4, 2, 16)


def test_a_layer_with_a_mask_of_its_own_is_refused():
    """Such as one that picks the keys a token sees, which attention in parts would let it see all."""
    part, layout = torch.zeros(1, 2, 4, 16), parts_of([4], 0, torch.device("cpu"))
    module._open.append(layout)
    try:
        assert attend(None, part, part, part, torch.zeros(1, 1, 1, 1))[0].shape == (1, 4, 2, 16)
        with pytest.raises(NotImplementedError, match="no mask of a layer's own"):
            attend(None, part, part, part, torch.zeros(1, 1, 4, 4))
    finally:
        module._open.pop()


def test_no_text_is_padded_to_one_and_a_half_times_its_length():
    lengths = [1, 40, 3, 2, 33, 64, 7, 48, 47, 5, 4, 6]
    laid = parts_of(lengths, 0, torch.device("cpu"))
    assert torch.equal(laid.rows[laid.back], torch.arange(sum(lengths)))
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    sizes, met = torch.tensor(lengths), []
    for group, rows in zip(laid.groups, laid.rows.split([one.texts * one.longest for one in laid.groups]), strict=True):
        texts = owner[rows].view(group.texts, group.longest)
        assert torch.equal(texts, texts[:, :1].expand_as(texts)), "a row is one text's"
        assert group.longest == sizes[texts[:, 0]].max()
        assert (2 * group.longest < 3 * sizes[texts[:, 0]]).all()
        met += texts[:, 0].tolist()
    assert sorted(met) == list(range(len(lengths)))


def test_a_text_may_see_less_of_itself():
    """Two branches of one trunk, each blind to the other, beside a text that sees all up to itself."""
    generator = torch.Generator().manual_seed(4)
    lengths, prefix = [5, 4, 3], 6
    query, key, value = (
        torch.randn(1, heads, size, 16, generator=generator) for heads, size in ((6, 12), (2, 18), (2, 18))
    )
    blind = torch.ones(5, 5, dtype=torch.bool).tril()
    blind[4, 2:4] = False
    other = torch.ones(3, 3, dtype=torch.bool).tril()
    other[2, 1] = False
    module._open.append(parts_of(lengths, prefix, query.device, seen=[blind, None, other]))
    try:
        found = attend(None, query, key, value, None, scaling=0.3)[0]
    finally:
        module._open.pop()
    seen = torch.block_diag(blind, torch.ones(4, 4).tril(), other).bool()
    whole = torch.cat([torch.ones(12, prefix, dtype=torch.bool), seen], dim=1)
    for head in range(6):
        scores = (query[0, head].double() @ key[0, head // 3].double().T * 0.3).masked_fill(~whole, float("-inf"))
        expected = scores.softmax(-1) @ value[0, head // 3].double()
        torch.testing.assert_close(found[0, :, head].double(), expected, atol=1e-5, rtol=1e-5)
