"""Packed scoring against the model's own logits, one text at a time, on every architecture."""

import pytest
import torch
from evaluated import loaded

from mixplan.errors import ModelError
from mixplan.evaluate import scoring
from mixplan.evaluate.scoring import Tree, score_continuations, shared_prefix, token_divergences

SHARED = (1, 40, 41, 42)


def trees(count=5, seed=0):
    """Prompts of different lengths behind a shared beginning, each with continuations of one to nine tokens."""
    draw = torch.Generator().manual_seed(seed)

    def ids(length):
        return tuple(torch.randint(6, 300, (length,), generator=draw).tolist())

    return [
        Tree((*SHARED, *ids(3 + 4 * n)), tuple(ids(1 + (n + k) * 2 % 9) for k in range(1 + n % 3)))
        for n in range(count)
    ]


def own_logs(model, tree, branch):
    """Log-probabilities of a continuation by one plain forward pass over the whole text."""
    text = torch.tensor([[*tree.trunk, *branch]])
    with torch.inference_mode():
        logs = model.lm(input_ids=text, use_cache=False).logits[0].float().log_softmax(-1)
    rows = logs[len(tree.trunk) - 1 : -1]
    return rows, rows[torch.arange(len(branch)), torch.tensor(branch)]


def test_scores_equal_plain_forward_passes(any_model):
    model = loaded(any_model)
    given = [*trees(), Tree((*SHARED, *range(6, 96)), ((7, 8, 9), (10,)))]  # longer than a sliding window of 64
    for scored, tree in zip(score_continuations(model, given), given, strict=True):
        for branch, ids in zip(scored, tree.branches, strict=True):
            rows, logs = own_logs(model, tree, ids)
            torch.testing.assert_close(torch.tensor(branch.logs), logs.double(), rtol=1e-4, atol=1e-4)
            assert branch.likeliest.tolist() == (rows.argmax(-1) == torch.tensor(ids)).tolist()
            assert branch.log == pytest.approx(float(logs.sum()), abs=1e-3)


def test_a_single_continuation_needs_no_mask_of_its_own(any_model):
    model = loaded(any_model)
    (tree,) = [Tree((*SHARED, *range(6, 80)), (tuple(range(100, 140)),))]
    ((branch,),) = score_continuations(model, [tree])
    torch.testing.assert_close(
        torch.tensor(branch.logs), own_logs(model, tree, tree.branches[0])[1].double(), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("pack_tokens", [1, 17, 60, 10_000])
def test_packing_changes_nothing(tiny_model, pack_tokens, monkeypatch):
    model = loaded(tiny_model)
    alone = [score_continuations(model, [tree])[0] for tree in trees()]
    told = []
    monkeypatch.setitem(scoring.LOGIT_VALUES, "cpu", 320 * 3)  # three rows of logits at a time
    together = score_continuations(model, trees(), pack_tokens=pack_tokens, on_trees=told.append)
    for one, other in zip(alone, together, strict=True):
        for first, second in zip(one, other, strict=True):
            assert second.logs == pytest.approx(first.logs, abs=2e-5)
    assert sum(told) == 5


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


def test_divergence_equals_the_formula(any_model, build_model, tmp_path):
    first = loaded(any_model)
    second = loaded(build_model(any_model.name, tmp_path / "other", seed=1))
    given = [Tree(tree.trunk, tree.branches[:1]) for tree in trees()]
    for (values,), tree in zip(token_divergences(first, second, given, pack_tokens=40), given, strict=True):
        p, q = (own_logs(model, tree, tree.branches[0])[0].double() for model in (first, second))
        expected = (p.exp() * (p - q)).sum(-1)
        torch.testing.assert_close(torch.tensor(values), expected, rtol=1e-3, atol=1e-4)
        assert (values > 0).all()


def test_two_loads_of_one_model_diverge_by_nothing(any_model):
    values = token_divergences(loaded(any_model), loaded(any_model), [Tree(t.trunk, t.branches[:1]) for t in trees()])
    assert max(abs(value) for (branch,) in values for value in branch) <= 1e-6


def test_models_of_different_vocabularies_are_not_compared(tiny_model):
    other = loaded(tiny_model)
    other.lm.config.vocab_size = 330
    with pytest.raises(ModelError) as caught:
        token_divergences(loaded(tiny_model), other, trees())
    assert str(caught.value) == (
        f"'{tiny_model}' has 330 output tokens, but the untrained '{tiny_model}' has 320, so they cannot be compared "
        "token by token. Leave `behaviour` out of `evaluate`."
    )


def test_another_output_head_is_refused(tiny_model, monkeypatch):
    model = loaded(tiny_model)
    plain = type(model.lm).forward

    def scaled(self, *args, **given):
        output = plain(self, *args, **given)
        output.logits = output.logits * 3
        return output

    monkeypatch.setattr(type(model.lm), "forward", scaled)
    with pytest.raises(ModelError) as caught:
        score_continuations(model, trees())
    assert str(caught.value) == (
        "LlamaForCausalLM does more to its logits than an output head with soft capping, so mixplan cannot score its "
        "answers. Use a Llama, Qwen, Gemma, Mistral, GPT-2 or GPT-NeoX model."
    )
