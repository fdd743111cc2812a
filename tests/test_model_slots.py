"""Slots against one softmax over all that a token sees; layers that ask for more are left alone."""

from types import SimpleNamespace

import pytest
import torch
from transformers import DynamicCache

from mixplan.model import slots as module
from mixplan.model.prefix_attention import parts_of
from mixplan.model.slots import Slots, attend

HEADS, SHARED, WIDTH = 6, 2, 16


@pytest.fixture
def bare_slots(monkeypatch):
    """The function `(prefix keys, prefix values, slots, length)`: slots without a model, open for `attend`."""

    def make(keys, values, slots, length):
        prefix = DynamicCache()
        if keys.shape[2]:
            prefix.update(keys, values, 0)
        made = Slots(SimpleNamespace(device=torch.device("cpu")), prefix, keys.shape[2], slots, length)
        monkeypatch.setattr(module, "_open", [made])
        return made

    return make


def softmax(query, keys, values, scale):
    """`[heads, width]` in float64 from one token's and all keys it sees, `[key heads, seen, width]`."""
    rows = []
    for head in range(HEADS):
        key, value = keys[head // (HEADS // SHARED)].double(), values[head // (HEADS // SHARED)].double()
        rows.append((key @ query[head].double() * scale).softmax(0) @ value)
    return torch.stack(rows)


@pytest.mark.parametrize("beginning", [0, 7])
def test_a_token_sees_the_beginning_and_its_own_slot(bare_slots, beginning):
    generator = torch.Generator().manual_seed(beginning)

    def drawn(*shape):
        return torch.randn(*shape, WIDTH, generator=generator)

    first = drawn(1, SHARED, beginning), drawn(1, SHARED, beginning)
    slots = bare_slots(*first, 4, 9)
    own = {}  # each text's keys and values so far, by name

    def check(found, query, names):
        for place, name in enumerate(names):
            keys, values = (torch.cat([start[0], part], dim=1) for start, part in zip(first, own[name], strict=True))
            expected = softmax(query[place], keys, values, 0.3)
            torch.testing.assert_close(found[place].double(), expected, atol=1e-5, rtol=1e-5)

    def fill(lengths, names):
        slots.new, slots.parts = tuple(lengths), parts_of(lengths, 0, torch.device("cpu"))
        given = drawn(1, SHARED, sum(lengths)), drawn(1, SHARED, sum(lengths))
        query = drawn(1, HEADS, sum(lengths))
        out, _ = attend(None, query, *slots.update(*given, 0), None, scaling=0.3)
        for name, keys, values in zip(names, *(part[0].split(lengths, dim=1) for part in given), strict=True):
            own[name] = (keys, values)
        ends = torch.tensor(lengths).cumsum(0) - 1
        check(out[0, ends], query[0].transpose(0, 1)[ends], names)
        slots.counts += lengths
        slots.new, slots.parts = (), None

    def step(names):
        slots.at = torch.tensor(slots.counts)
        slots.mask = (torch.arange(max(slots.counts) + 1) <= slots.at[:, None])[:, None, None, :]
        given = drawn(len(names), SHARED, 1), drawn(len(names), SHARED, 1)
        query = drawn(len(names), HEADS, 1)
        out, _ = attend(None, query, *slots.update(*given, 0), None, scaling=0.3)
        for place, name in enumerate(names):
            own[name] = tuple(torch.cat([old, new[place]], dim=1) for old, new in zip(own[name], given, strict=True))
        check(out[:, 0], query[:, :, 0], names)
        slots.counts = [count + 1 for count in slots.counts]

    fill([3, 1, 5], ["a", "b", "c"])
    step(["a", "b", "c"])
    slots.leave(0)
    step(["c", "b"])
    fill([2, 4], ["d", "e"])
    step(["c", "b", "d", "e"])
    slots.leave(3)
    slots.leave(1)
    step(["c", "d"])


def test_a_layer_that_attends_to_other_keys_is_refused(bare_slots):
    part = torch.zeros(1, SHARED, 1, WIDTH)
    slots = bare_slots(part[:, :, :0], part[:, :, :0], 1, 2)
    slots.new, slots.parts = (1,), parts_of([1], 0, torch.device("cpu"))
    key, value = slots.update(part, part, 0)
    with pytest.raises(NotImplementedError, match="to other keys than it has just kept"):
        attend(None, part, key.clone(), value, None)
    with pytest.raises(NotImplementedError, match="attention in parts has no softcap"):
        attend(None, part, key, value, None, softcap=3.0)
