"""Reading the live model: KL over the likeliest tokens and the rest, and batches without effect on their texts."""

import numpy as np
import pytest
import torch

from mixplan.errors import ModelError
from mixplan.evaluate import scoring
from mixplan.evaluate.scoring import score_states
from mixplan.model import load_model
from mixplan.monitor.reading import TOP, coarse, distribution, divergence, quantity
from mixplan.recipe import ModelSpec, SaeSpec


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(ModelSpec(name=str(tiny_model), dtype="float32", device="cpu", sae=SaeSpec(path="none")))


def drawn(generator: torch.Generator, rows: int, size: int) -> torch.Tensor:
    return (3 * torch.randn(rows, size, generator=generator, dtype=torch.float64)).log_softmax(dim=1)


def test_over_all_tokens_it_is_the_divergence_itself():
    generator = torch.Generator().manual_seed(0)
    p, q = drawn(generator, 5, 40), drawn(generator, 5, 40)
    whole = torch.nn.functional.kl_div(q, p, log_target=True, reduction="none").sum(dim=1)
    torch.testing.assert_close(coarse(p, q, whole=True), whole)


def test_the_rest_as_one_never_gives_more_and_all_but_one_token_gives_all():
    generator = torch.Generator().manual_seed(1)
    p, q = drawn(generator, 50, 40), drawn(generator, 50, 40)
    whole = coarse(p, q, whole=True)
    lower = torch.zeros_like(whole)
    for top in (1, 5, 20, 39):
        logs, ids = p.topk(top, dim=1)
        found = coarse(logs, q.gather(1, ids), whole=False)
        # A finer partition tells at least as much.
        assert bool((found <= whole + 1e-9).all())
        assert bool((found >= lower - 1e-9).all())
        lower = found
    torch.testing.assert_close(lower, whole)
    assert bool((coarse(logs, p.gather(1, ids), whole=False).abs() < 1e-12).all())


def test_divergence_is_that_of_whole_distributions_and_0_of_the_same_model(model, tiny_model):
    generator = torch.Generator().manual_seed(2)
    with torch.inference_mode():
        states = torch.randn(7, model.d_model, generator=generator)
        others = states + 0.3 * torch.randn(states.shape, generator=generator)
        before = distribution(model, states)
        assert before.ids.shape[1] == min(TOP, 320)
        head = model.lm.get_output_embeddings()
        p, q = (head(one).double().log_softmax(dim=1) for one in (states, others))
        expected = float(torch.nn.functional.kl_div(q, p, log_target=True, reduction="sum")) / 7
        assert divergence(model, before, others) == pytest.approx(expected, rel=1e-4)
        assert divergence(model, before, states) == pytest.approx(0, abs=1e-7)
        few = distribution(model, states, top=20)
        assert 0 < divergence(model, few, others) <= expected + 1e-6


def test_scores_that_overflow_are_no_movement_of_0(model, monkeypatch):
    """A greater score than a type can hold makes a distribution that is no number, and `max(0, NaN)` is 0."""
    states = torch.randn(3, model.d_model, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        before = distribution(model, states)
        plain = scoring._HEADS[model.lm]

        def overflown(of, at):
            logits = plain(of, at)
            logits[1, 7] = torch.inf
            return logits

        monkeypatch.setitem(scoring._HEADS, model.lm, overflown)
        for read in (lambda: divergence(model, before, states), lambda: score_states(model, states, [(5, 6, 7)])):
            with pytest.raises(ModelError, match="its row of next-token scores holds values that are not numbers"):
                read()


def test_values_of_a_row():
    assert quantity("likelihood", None, "four", [-4 * np.log(2) * 4]) == pytest.approx(4)
    assert quantity("choice", 1, "", [-3.0, -2.0, -4.0]) == pytest.approx(
        np.exp(-2) / (np.exp(-3) + np.exp(-2) + np.exp(-4))
    )
