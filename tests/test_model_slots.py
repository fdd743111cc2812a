"""Slots attend as one softmax over all that a token sees; layers that ask for more are left alone."""

from types import SimpleNamespace

import pytest
import torch
from transformers import DynamicCache

from mixplan.model import slots as module
from mixplan.model.beginnings import Beginning
from mixplan.model.prefix_attention import parts_of
from mixplan.model.slots import Slots, attend, attended

HEADS, SHARED, WIDTH = 6, 2, 16


@pytest.fixture
def bare_slots(monkeypatch):
    """The function `(slots, length)`: slots without a model, open for `attend`."""

    def make(slots, length):
        made = Slots(SimpleNamespace(device=torch.device("cpu")), slots, length)
        monkeypatch.setattr(module, "_open", [made])
        return made

    return make


def behind(keys, values):
    """A beginning that was read: its keys and values, `[1, key heads, tokens, width]`."""
    cache = DynamicCache()
    cache.update(keys, values, 0)
    return Beginning((0,) * keys.shape[2], 1, cache)


def softmax(query, keys, values, scale):
    """`[heads, width]` in float64 from one token's and all keys it sees, `[key heads, seen, width]`."""
    rows = []
    for head in range(HEADS):
        key, value = keys[head // (HEADS // SHARED)].double(), values[head // (HEADS // SHARED)].double()
        rows.append((key @ query[head].double() * scale).softmax(0) @ value)
    return torch.stack(rows)


@pytest.mark.parametrize("lengths", [{"first": 0}, {"first": 7}, {"first": 7, "second": 3}, {"first": 0, "second": 4}])
def test_a_token_sees_its_beginning_and_its_own_slot(bare_slots, lengths):
    generator = torch.Generator().manual_seed(len(lengths))

    def drawn(*shape):
        return torch.randn(*shape, WIDTH, generator=generator)

    read = {name: (drawn(1, SHARED, length), drawn(1, SHARED, length)) for name, length in lengths.items()}
    beginnings = {name: behind(*pair) for name, pair in read.items()}
    # Texts whose names are further on in the alphabet alternate, so that one beginning's are not side by side.
    of = {name: "second" if "second" in lengths and number % 2 else "first" for number, name in enumerate("abcde")}
    slots = bare_slots(4, 9)
    own = {}  # each text's keys and values so far, by name

    def check(found, query, names):
        for place, name in enumerate(names):
            pairs = zip(read[of[name]], own[name], strict=True)
            keys, values = (torch.cat([start[0], part], dim=1) for start, part in pairs)
            expected = softmax(query[place], keys, values, 0.3)
            torch.testing.assert_close(found[place].double(), expected, atol=1e-5, rtol=1e-5)

    def fill(lengths, names):
        asked = [beginnings[of[name]] for name in names]
        slots.new, slots.parts = tuple(lengths), parts_of(lengths, 0, torch.device("cpu"))
        slots.read = attended(asked, lengths, torch.device("cpu"))
        given = drawn(1, SHARED, sum(lengths)), drawn(1, SHARED, sum(lengths))
        query = drawn(1, HEADS, sum(lengths))
        out, _ = attend(None, query, *slots.update(*given, 0), None, scaling=0.3)
        for name, keys, values in zip(names, *(part[0].split(lengths, dim=1) for part in given), strict=True):
            own[name] = (keys, values)
        ends = torch.tensor(lengths).cumsum(0) - 1
        check(out[0, ends], query[0].transpose(0, 1)[ends], names)
        slots.counts += lengths
        slots.behind += asked
        slots.new, slots.parts = (), None

    def step(names):
        assert slots.behind == [beginnings[of[name]] for name in names]
        slots.at = torch.tensor(slots.counts)
        slots.mask = (torch.arange(max(slots.counts) + 1) <= slots.at[:, None])[:, None, None, :]
        slots.read = attended(slots.behind, [1] * len(names), torch.device("cpu"))
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
    slots = bare_slots(1, 2)
    slots.new, slots.parts = (1,), parts_of([1], 0, torch.device("cpu"))
    key, value = slots.update(part, part, 0)
    with pytest.raises(NotImplementedError, match="to other keys than it has just kept"):
        attend(None, part, key.clone(), value, None)
    with pytest.raises(NotImplementedError, match="attention in parts has no softcap"):
        attend(None, part, key, value, None, softcap=3.0)
