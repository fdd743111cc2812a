"""Scores and divergences against the model's own logits, one text at a time, on every architecture."""

import math

import numpy as np
import pytest
import torch
from evaluated import loaded

from mixplan.errors import ModelError
from mixplan.evaluate import scoring
from mixplan.evaluate.packing import Tree
from mixplan.evaluate.scoring import (
    check_vocabularies,
    divergence,
    divergences,
    entropies,
    score_continuations,
    score_states,
)

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


def states_of(model, tree):
    """The final states that predict a tree's first continuation, by one plain pass, and the logits they give."""
    text = torch.tensor([[*tree.trunk, *tree.branches[0]]])
    with torch.inference_mode():
        states = model.lm.get_decoder()(input_ids=text, use_cache=False).last_hidden_state[0]
    return states[len(tree.trunk) - 1 : -1], own_logs(model, tree, tree.branches[0])[0]


def test_states_are_scored_as_the_texts_they_come_from(any_model):
    model, given = loaded(any_model), trees()
    states = torch.cat([states_of(model, tree)[0] for tree in given])
    scored = score_states(model, states, [tree.branches[0] for tree in given])
    for tree, branch in zip(given, scored, strict=True):
        rows, logs = own_logs(model, tree, tree.branches[0])
        torch.testing.assert_close(torch.tensor(branch.logs), logs.double(), rtol=1e-4, atol=1e-4)
        assert branch.likeliest.tolist() == (rows.argmax(-1) == torch.tensor(tree.branches[0])).tolist()
    assert score_states(model, states[:0], []) == []


def test_entropy_equals_the_formula(any_model):
    model = loaded(any_model)
    tree = Tree((*SHARED, *range(6, 20)), (tuple(range(50, 60)),))
    states, logs = states_of(model, tree)
    expected = -(logs.double().exp() * logs.double()).sum(-1)
    torch.testing.assert_close(torch.tensor(entropies(model, states)), expected, rtol=1e-4, atol=1e-4)
    assert entropies(model, states[:0]).shape == (0,)


@pytest.mark.parametrize("rows_at_once", [3, 1000])
def test_divergence_equals_the_formula(any_model, build_model, tmp_path, rows_at_once, monkeypatch):
    monkeypatch.setitem(scoring.LOGIT_VALUES, "cpu", 320 * rows_at_once)
    first = loaded(any_model)
    second = loaded(build_model(any_model.name, tmp_path / "other", seed=1))
    tree = Tree((*SHARED, *range(6, 20)), (tuple(range(50, 60)),))
    (states, p), (others, q) = (states_of(model, tree) for model in (first, second))
    p, q = p.double(), q.double()
    values = divergences(first, states, second, others)
    torch.testing.assert_close(torch.tensor(values), (p.exp() * (p - q)).sum(-1), rtol=1e-3, atol=1e-4)
    assert (values > 0).all()
    assert abs(divergences(first, states, loaded(any_model), states)).max() <= 1e-6
    assert divergences(first, states[:0], second, others[:0]).shape == (0,)


@pytest.mark.parametrize(("first", "second"), [(20, 26), (26, 20)])
def test_divergence_over_heads_of_other_lengths_is_over_the_tokens_of_both(first, second):
    """A longer second head keeps its mass beyond the first; padding that the second lacks is left out of the first."""
    logits, others = torch.randn(5, first).double(), torch.randn(5, second).double()
    p, q = logits[:, :20].softmax(-1), others.softmax(-1)[:, :20]
    expected = torch.stack([(row * (row / other).log()).sum() for row, other in zip(p, q, strict=True)])
    torch.testing.assert_close(divergence(logits, others), expected)


def test_models_of_different_vocabularies_are_not_compared(tiny_model):
    other = loaded(tiny_model)
    for outputs in (304, 320, 330):  # the tokenizer has 304 tokens, and the head 16 more that pad it
        other.lm.config.vocab_size = outputs
        check_vocabularies(loaded(tiny_model), other)
    other.lm.config.vocab_size = 303
    with pytest.raises(ModelError) as caught:
        check_vocabularies(loaded(tiny_model), other)
    assert str(caught.value) == (
        f"'{tiny_model}' has 303 output tokens, but the untrained '{tiny_model}' has 320, so they cannot be compared "
        "token by token. Leave `behaviour` out of `evaluate`."
    )


def test_whatever_a_head_does_to_its_logits_is_done(tiny_model, monkeypatch):
    model = loaded(tiny_model)
    plain = type(model.lm).forward

    def scaled(self, *args, **given):
        output = plain(self, *args, **given)
        output.logits = output.logits * 1.03 + torch.arange(output.logits.shape[-1])
        return output

    monkeypatch.setattr(type(model.lm), "forward", scaled)
    found = score_continuations(model, trees())
    for tree, branches in zip(trees(), found, strict=True):
        for ids, branch in zip(tree.branches, branches, strict=True):
            with torch.inference_mode():
                logits = model.lm(input_ids=torch.tensor([[*tree.trunk, *ids]])).logits[0].double()
            logs = logits.log_softmax(-1)[len(tree.trunk) - 1 : -1].gather(1, torch.tensor(ids)[:, None])[:, 0]
            np.testing.assert_allclose(branch.logs, logs.numpy(), rtol=1e-4, atol=1e-4)


def test_a_head_that_reads_more_than_the_states_is_refused(tiny_model, monkeypatch):
    model = loaded(tiny_model)
    plain = type(model.lm).forward

    def counting(self, input_ids, **given):
        output = plain(self, input_ids, **given)
        output.logits = output.logits * (1 + input_ids.sum())
        return output

    monkeypatch.setattr(type(model.lm), "forward", counting)
    with pytest.raises(ModelError) as caught:
        score_continuations(model, trees())
    assert str(caught.value) == (
        f"model '{tiny_model}': LlamaForCausalLM makes its logits of more than its final states, so mixplan cannot "
        "score its answers. Choose a model whose output head reads the last layer's states alone."
    )


@pytest.mark.parametrize("never", [-math.inf, torch.finfo(torch.float32).min])
def test_tokens_that_may_never_come_count_for_nothing(tiny_model, monkeypatch, never):
    model = loaded(tiny_model)
    plain = type(model.lm).forward

    def masking(self, **given):
        output = plain(self, **given)
        output.logits[..., 7] = never
        return output

    states = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    others = states + 0.1 * torch.randn(5, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        first, second = (model.lm.get_output_embeddings()(each).double() for each in (states, others))
    for logits in (first, second):
        logits[:, 7] = -1e9
    logs, other = first.log_softmax(1), second.log_softmax(1)
    monkeypatch.setattr(type(model.lm), "forward", masking)
    np.testing.assert_allclose(entropies(model, states), -(logs.exp() * logs).sum(1), rtol=1e-4)
    np.testing.assert_allclose(
        divergences(model, states, model, others), (logs.exp() * (logs - other)).sum(1), rtol=1e-3
    )
