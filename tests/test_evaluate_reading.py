"""One reading for several askers against readings of their own, and how little of it there is."""

import dataclasses

import torch
from evaluated import asked_rows, loaded

from mixplan.evaluate.packing import Tree
from mixplan.evaluate.reading import merged, read_together
from mixplan.evaluate.scoring import score_continuations

FIRST, SECOND = asked_rows(2)
LONG = (1, 40, 41, 42, 43)


def test_a_row_has_one_tree_for_each_of_its_prompts():
    same = Tree(LONG, ((7, 8), (9,)))
    other = Tree(LONG, ((9,), (10, 11)))
    shorter = Tree(LONG[:4], ((50, 51),))
    asked = [([(FIRST, same), (SECOND, same)], False), ([(FIRST, other), (SECOND, shorter)], False),
             ([(SECOND, Tree(LONG, ((9,),)))], True)]  # fmt: skip
    trees, places, first = merged(asked)
    assert trees == [Tree(LONG, ((7, 8), (9,), (10, 11))), Tree(LONG, ((7, 8), (9,), (9,))), shorter]
    assert first == [True, True, False]
    assert [len(group) for group in places] == [3, 3, 1]
    assert merged([]) == ([], [], [])


def test_scores_and_states_are_those_of_readings_of_their_own(any_model):
    model = loaded(any_model)
    rows = [dataclasses.replace(FIRST, id=str(number)) for number in range(4)]
    options = [(row, Tree((*LONG, 60 + n), ((7, 8), (9, 10, 11), (12,)))) for n, row in enumerate(rows)]
    answers = [(row, Tree((*LONG, 60 + n)[: 6 - n % 2], ((9, 10, 11),))) for n, row in enumerate(rows)]
    own = [(row, Tree((*LONG, 60 + n), (tuple(range(70, 75 + n)),))) for n, row in enumerate(rows[:3])]
    told = []
    (both, one), states = read_together(model, [options, answers], own, advance=told.append)
    assert sum(told) == 4
    for together, asked in ((both, options), (one, answers)):
        apart = score_continuations(model, [tree for _, tree in asked])
        for mine, plain in zip(together, apart, strict=True):
            assert len(mine) == len(plain)
            for branch, its in zip(mine, plain, strict=True):
                torch.testing.assert_close(torch.tensor(branch.logs), torch.tensor(its.logs), rtol=1e-4, atol=1e-4)
                assert branch.likeliest.tolist() == its.likeliest.tolist()
    for (read,), (_, tree) in zip(states, own, strict=True):
        text = torch.tensor([[*tree.trunk, *tree.branches[0]]])
        with torch.inference_mode():
            plain = model.lm.get_decoder()(input_ids=text, use_cache=False).last_hidden_state[0]
        torch.testing.assert_close(read, plain[len(tree.trunk) - 1 : -1], rtol=1e-3, atol=1e-4)


def test_nothing_asked_is_nothing_read(tiny_model):
    assert read_together(loaded(tiny_model), [], advance=lambda _: None) == ([], [])
    assert read_together(loaded(tiny_model), [[], []], advance=lambda _: None) == ([[], []], [])
