"""Slots against one softmax over all that a token sees, and answers in few slots against each prompt answered alone."""

from types import SimpleNamespace

import pytest
import torch
from evaluated import loaded
from transformers import DynamicCache

from mixplan.model import generation_way
from mixplan.model import slots as module
from mixplan.model.answers import answer_in_slots, end_tokens, likeliest, next_to_fill, shared_beginning
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
        monkeypatch.setattr(module, "read_beginning", lambda *_: prefix)
        made = Slots(SimpleNamespace(device=torch.device("cpu")), (5,) * keys.shape[2], slots, length)
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


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_answers_are_the_same_in_any_number_of_slots(tiny_model, slots):
    model = loaded(tiny_model)
    assert generation_way(model).way == "parted"
    prompts = [(1, 40, 41, *range(50, 50 + 1 + 7 * n % 5), 60 + n) for n in range(7)]
    alone = [answer_in_slots(model, [prompt], 9, frozenset(), likeliest, lambda _: None)[0] for prompt in prompts]
    assert all(len(answer) == 9 for answer in alone)
    # Tokens of some answers end all in which they stand, at different places.
    ends = frozenset({alone[0][2], alone[3][5]}) | end_tokens(model)
    told = []
    found = answer_in_slots(model, prompts, 9, ends, likeliest, told.append, slots=slots)
    for answer, whole in zip(found, alone, strict=True):
        end = next((place for place, token in enumerate(whole) if token in ends), 8)
        assert answer == whole[: end + 1]
    assert len({len(answer) for answer in found}) > 1
    assert sum(told) == len(prompts)


def test_what_is_read_next_keeps_to_free_slots_and_the_limit():
    prompts = [(0,) * length for length in (12, 9, 7, 4)]
    waiting = [3, 2, 1, 0]  # the longest at the end
    assert next_to_fill(prompts, waiting, 2, 3, 17) == [0, 1]
    assert waiting == [3, 2]
    assert next_to_fill(prompts, waiting, 2, 1, 100) == [2]
    assert next_to_fill(prompts, waiting, 2, 9, 1) == [3]


def test_the_shared_beginning_leaves_every_text_its_last_token():
    assert shared_beginning([(1, 2, 3), (1, 2, 3)]) == 2
    assert shared_beginning([(1, 2, 3), (1, 2, 4, 5)]) == 2
    assert shared_beginning([(1,), (1, 2)]) == 0
