"""Prompts are read behind beginnings of which no longer one would save more, and which are kept while they are used."""

import random
from itertools import combinations

import pytest
from evaluated import loaded

from mixplan.model.beginnings import Beginning, beginnings_of, shared_beginning


def test_the_shared_beginning_leaves_every_text_its_last_token():
    assert shared_beginning([(1, 2, 3), (1, 2, 3)]) == 2
    assert shared_beginning([(1, 2, 3), (1, 2, 4, 5)]) == 2
    assert shared_beginning([(1,), (1, 2)]) == 0


def lengths(prompts, worth):
    return [len(one.tokens) for one in beginnings_of(prompts, worth)]


def test_prompts_of_several_tasks_are_read_behind_their_own_beginnings():
    tasks = [(1, 2, *range(10, 40)), (1, 2, *range(50, 60)), (1, 2)]
    prompts = [(*tasks[number % 3], 90 + number, 5) for number in range(12)]
    found = beginnings_of(prompts, 20)
    assert [len(one.tokens) for one in found] == [32, 12, 2] * 4
    assert len({id(one) for one in found}) == 3
    assert [one.waiting for one in found[:3]] == [4, 4, 4]
    # By the second task's 4 times 10 tokens less the 12 that are read for it are saved.
    assert lengths(prompts, 27) == [32, 12, 2] * 4
    assert lengths(prompts, 28) == [32, 2, 2] * 4
    assert lengths(prompts, 1000) == [2] * 12


def test_samples_of_one_prompt_share_all_but_its_last_token():
    prompts = [(1, 2, *range(10, 30))] * 4 + [(1, 3, *range(40, 60))] * 4
    assert lengths(prompts, 10) == [21] * 8
    assert lengths(prompts, 10**6) == [1] * 8
    assert lengths([(7,)], 0) == [0]
    assert lengths([(7, 8, 9)], 0) == [2]


def test_the_first_beginning_is_what_all_share_however_little_that_saves():
    assert lengths([(1, 2, 3), (1, 4, 5)], 10**6) == [1, 1]


@pytest.mark.parametrize("seed", range(20))
def test_a_beginning_begins_all_its_prompts_and_saves_what_it_must(seed):
    chance = random.Random(seed)
    prompts = [tuple(chance.choices((1, 2), k=chance.randint(1, 12))) for _ in range(9)]
    worth = chance.choice((0, 2, 5))
    found = beginnings_of(prompts, worth)
    every = shared_beginning(prompts)
    for prompt, one in zip(prompts, found, strict=True):
        assert prompt[: len(one.tokens)] == one.tokens
        assert len(one.tokens) < len(prompt)
        assert len(one.tokens) >= every
    # No further set of prompts that are read behind one beginning would save enough by a longer one.
    for one in {id(one): one for one in found}.values():
        rows = [prompt for prompt, other in zip(prompts, found, strict=True) if other is one]
        assert one.waiting == len(rows)
        for count in range(2, len(rows) + 1):
            for some in combinations(rows, count):
                common = shared_beginning(some)
                assert count * (common - len(one.tokens)) - common <= worth


def test_a_beginning_is_kept_until_its_last_prompt_is_answered(tiny_model):
    model, one = loaded(tiny_model), Beginning((1, 40, 41), 2)
    one.read(model)
    cache = one.cache
    assert cache.get_seq_length() == 3
    one.read(model)
    assert one.cache is cache
    one.answered()
    assert one.cache is cache
    one.answered()
    assert one.cache is None
