"""What one pass reads: shared beginnings once, packs within their limit, states where plain passes have them."""

import torch
from evaluated import loaded

from mixplan.evaluate.packing import Tree, packs, passes, scoring_way, shared_prefix
from mixplan.evaluate.scoring import score_continuations
from mixplan.model import read_stream

SHARED = (1, 40, 41, 42)


def test_what_all_prompts_begin_with_is_read_once_and_one_letter_needs_no_token_of_its_own(tiny_model):
    model = loaded(tiny_model)
    read = []
    handle = model.lm.get_decoder().register_forward_pre_hook(
        lambda _module, _args, given: read.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    given = [Tree((*SHARED, 50 + n), ((7,), (8,), (9,))) for n in range(6)]
    score_continuations(model, given)
    handle.remove()
    assert shared_prefix(given) == len(SHARED)
    assert read[-2:] == [len(SHARED), 6]


def test_the_shared_beginning_stops_before_any_prompts_last_token():
    assert shared_prefix([Tree((1, 2, 3), ((4,),)), Tree((1, 2, 3), ((5,),))]) == 2
    assert shared_prefix([Tree((1, 2), ((4,),)), Tree((1, 2, 3), ((5,),))]) == 1
    assert shared_prefix([Tree((1,), ((4,),)), Tree((2, 3), ((5,),))]) == 0
    assert shared_prefix([]) == 0


def test_packs_keep_the_order_and_the_limit():
    given = [Tree((1, 2, 3, 4), ((5, 6),)) for _ in range(3)] + [Tree(tuple(range(30)), ((5,),))]
    assert [tree.tokens(2) for tree in given] == [3, 3, 3, 28]
    assert list(packs(given, 2, 6)) == [given[:2], given[2:3], given[3:]]
    assert list(packs([], 0, 6)) == []


def test_states_are_those_of_plain_passes(any_model):
    model = loaded(any_model)
    given = [Tree((*SHARED, 50 + n, *range(60, 60 + 30 * n)), ((7, 8), (9, 10, 11))) for n in range(3)]
    with torch.inference_mode():
        read = torch.cat([states for _, states, _ in passes(model, given, 40)])
        plain = []
        for tree in given:
            for branch in tree.branches:
                text = torch.tensor([[*tree.trunk, *branch]])
                states = model.lm.get_decoder()(input_ids=text, use_cache=False).last_hidden_state[0]
                plain.append(states[len(tree.trunk) - 1 : -1])
    torch.testing.assert_close(read, torch.cat(plain), rtol=1e-3, atol=1e-4)


def test_the_stream_of_the_same_pass_is_that_of_plain_passes(any_model):
    model = loaded(any_model)
    given = [Tree((*SHARED, 50 + n, *range(60, 60 + 30 * n)), ((7, 8), (9, 10, 11))) for n in range(3)]
    width = model.d_model
    with torch.inference_mode():
        alone = torch.cat([states for _, states, _ in passes(model, given, 40)])
        for depth in range(len(model.blocks)):
            both = torch.cat([states for _, states, _ in passes(model, given, 40, depth=depth)])
            plain = [
                read_stream(model, depth, torch.tensor([[*tree.trunk, *branch[:-1]]]))[0, len(tree.trunk) - 1 :]
                for tree in given
                for branch in tree.branches
            ]
            assert torch.equal(both[:, :width], alone)
            torch.testing.assert_close(both[:, width:], torch.cat(plain), rtol=1e-3, atol=1e-4)


def test_a_plain_model_is_scored_in_parts_as_under_a_mask(tiny_model):
    model = loaded(tiny_model)
    assert scoring_way(model).way == "parted"
    given = [Tree((*SHARED, 50 + n, *range(60, 60 + 9 * n)), ((7, 8), (9, 10, 11))[: 1 + n % 2]) for n in range(4)]
    with torch.inference_mode():
        parted, packed = (
            torch.cat([states for _, states, _ in passes(model, given, 40, way=way)]) for way in ("parted", "packed")
        )
    torch.testing.assert_close(parted, packed, rtol=1e-4, atol=1e-5)
