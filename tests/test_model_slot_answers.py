"""Answers in few slots are those of each prompt alone: they end, move and take over without changing another."""

import pytest
from evaluated import loaded

from mixplan.model import beginnings, generation_way, slot_answers
from mixplan.model.answers import end_tokens, likeliest
from mixplan.model.beginnings import Beginning
from mixplan.model.slot_answers import alike, answer_in_slots, next_to_fill, room_beside, together
from mixplan.model.slots import Slots


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_answers_are_the_same_in_any_number_of_slots(tiny_model, slots):
    model = loaded(tiny_model)
    assert generation_way(model).way == "parted"
    prompts = [(1, 40, 41, *range(50, 50 + 1 + 7 * n % 5 + 9 * (n % 3)), 90 + n) for n in range(7)]
    alone = [answer_in_slots(model, [prompt], 9, likeliest)[0] for prompt in prompts]
    assert all(len(answer) == 9 for answer in alone)
    # Tokens of some answers end all in which they stand, at different places.
    ends = frozenset({alone[0][2], alone[3][5]}) | end_tokens(model)
    told = []
    found = answer_in_slots(model, prompts, 9, likeliest, ends=ends, on_answers=told.append, slots=slots)
    for answer, whole in zip(found, alone, strict=True):
        end = next((place for place, token in enumerate(whole) if token in ends), 8)
        assert answer == whole[: end + 1]
    assert len({len(answer) for answer in found}) > 1
    assert sum(told) == len(prompts)


@pytest.mark.parametrize(("prompts", "slots", "steps"), [(9, 9, 11), (10, 8, 2 * 8 + 2)])
def test_the_last_prompts_do_not_wait_until_all_others_have_ended(tiny_model, monkeypatch, prompts, slots, steps):
    """Four prompts are read at once; each answer has nine tokens, the first of which its reading gives."""
    model, stepped = loaded(tiny_model), []
    monkeypatch.setitem(slot_answers.FILL_TOKENS, "cpu", 44)
    step = Slots.step
    monkeypatch.setattr(Slots, "step", lambda self, tokens: (stepped.append(len(tokens)), step(self, tokens))[1])
    asked = [(1, 90 + number, *range(50, 60)) for number in range(prompts)]
    found = answer_in_slots(model, asked, 9, likeliest, slots=slots)
    assert found == [answer_in_slots(model, [prompt], 9, likeliest)[0] for prompt in asked]
    assert len(stepped[: -8 * prompts]) <= steps
    assert sum(stepped[: -8 * prompts]) == 8 * prompts


@pytest.mark.parametrize("slots", [1, 3, 9, None])
def test_each_beginning_is_read_once_and_answers_are_as_alone(tiny_model, monkeypatch, slots):
    """Two tasks' instructions, a prompt that is asked three times, and one of its own kind."""
    model, read, filled = loaded(tiny_model), [], []
    first, second = tuple(range(100, 160)), (*range(100, 110), *range(30, 70))
    prompts = [
        *((1, 2, *(first if number % 2 else second), 90 + number, 7) for number in range(6)),
        *[(1, 2, *range(200, 260))] * 3,
        (1, 2, 50, 51),
    ]
    alone = [answer_in_slots(model, [prompt], 5, likeliest)[0] for prompt in prompts]
    made, fill = beginnings.read_beginning, Slots.fill
    monkeypatch.setattr(
        beginnings, "read_beginning", lambda model, tokens: (read.append(len(tokens)), made(model, tokens))[1]
    )
    monkeypatch.setattr(
        Slots,
        "fill",
        lambda self, texts, behind: (filled.extend(map(len, texts)), fill(self, texts, behind))[1],
    )
    told = []
    found = answer_in_slots(model, prompts, 5, likeliest, on_answers=told.append, slots=slots)
    assert found == alone
    assert sum(told) == len(prompts)
    assert sorted(read) == [2, 52, 61, 62]
    assert sorted(filled) == [1] * 3 + [2] * 7


def test_what_is_read_next_keeps_to_free_slots_and_the_limit():
    texts = [(0,) * length for length in (10, 7, 5, 2)]
    waiting = [3, 2, 1, 0]  # the longest at the end
    assert next_to_fill(texts, waiting, 3, 17) == [0, 1]
    assert waiting == [3, 2]
    assert next_to_fill(texts, waiting, 1, 100) == [2]
    assert next_to_fill(texts, waiting, 9, 1) == [3]


def test_prompts_behind_one_beginning_follow_one_another():
    one, other, third = Beginning((1,)), Beginning((1,)), Beginning(())
    behind = [one, other, one, third, other]
    waiting = [0, 1, 2, 3, 4]
    together(waiting, behind)
    assert waiting == [0, 2, 3, 1, 4]


def test_beginnings_take_their_room():
    small, large = Beginning((1,) * 10), Beginning((1,) * 60)
    assert room_beside([small, large, small], 200) == (130, 0)
    assert room_beside([small, large, small], 140) == (70, 0)
    # More than half of it: a slot has room for the longest beginning.
    assert room_beside([small, large, small], 139) == (139, 60)


def test_no_more_beginnings_are_held_than_slots_where_not_all_have_room(tiny_model, monkeypatch):
    """Eight tasks, each with rows of two lengths, which are answered in slots of two sizes one after the other."""
    model, most, read = loaded(tiny_model), [], []
    monkeypatch.setattr(slot_answers, "most_tokens", lambda _: 300)
    prompts = [(1, *range(50 + task, 90 + task), *range(100 + length, 100 + 2 * length), 7 + task)
               for task in range(8) for length in (2, 3, 90, 91)]  # fmt: skip
    alone = [answer_in_slots(model, [prompt], 3, likeliest)[0] for prompt in prompts]
    fill, made = Slots.fill, beginnings.read_beginning

    def filled(held, texts, behind):
        logits = fill(held, texts, behind)
        most.append((sum(one.cache is not None for one in found), held.size))
        return logits

    def noted(*asked):
        split = beginnings.beginnings_of(*asked)
        found[:] = {id(one): one for one in split}.values()
        return split

    found = []
    monkeypatch.setattr(slot_answers, "beginnings_of", noted)
    monkeypatch.setattr(Slots, "fill", filled)
    monkeypatch.setattr(beginnings, "read_beginning", lambda model, ids: (read.append(ids), made(model, ids))[1])
    assert answer_in_slots(model, prompts, 3, likeliest) == alone
    assert len({size for _, size in most}) == 2
    assert all(count <= size < 8 for count, size in most)
    assert len(read) == 16  # once for each length


def test_slots_are_shared_by_prompts_of_about_one_length_unless_all_fit_at_once():
    lengths = [5, 900, 7, 4, 300, 6, 700]
    assert list(alike(lengths, 1000)) == [[6, 1], [4], [3, 0, 5, 2]]
    assert list(alike(lengths, 2000)) == [[6, 1], [3, 0, 5, 2, 4]]
    assert list(alike(lengths, 7 * 900)) == [[3, 0, 5, 2, 4, 6, 1]]
    assert list(alike([30, 50, 20], 10)) == [[0, 1], [2]]
