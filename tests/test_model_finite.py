"""What is a number and what is not, in words, and next-token scores of which some may never come."""

import pytest
import torch
from torch import nn

from mixplan.errors import ModelError
from mixplan.model.finite import (
    is_finite,
    refuse_activations,
    refuse_scores,
    refuse_weights,
    same_scores,
)

LOWEST = torch.finfo(torch.float32).min


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_no_number_is_found(value):
    tensor = torch.zeros(3, 4)
    assert is_finite(tensor)
    tensor[1, 2] = value
    assert not is_finite(tensor)
    assert not is_finite(tensor.to(torch.float16))


def test_what_has_no_values_or_no_fractions_is_finite():
    assert is_finite(torch.zeros(0))
    assert is_finite(torch.ones(2, dtype=torch.int64))
    assert is_finite(torch.zeros(2, device="meta"))
    assert is_finite(torch.ones(2).to(torch.float8_e4m3fn))


def test_the_weight_is_named_with_what_helps():
    layer = nn.Linear(2, 2)
    refuse_weights(layer, "ann/tiny", "float32")
    with torch.no_grad():
        layer.bias[0] = float("inf")
    with pytest.raises(ModelError, match=r"the weight 'bias' holds values that are not numbers \(NaN or"):
        refuse_weights(layer, "ann/tiny", "float32")
    with pytest.raises(ModelError, match=r"not numbers in float16, whose largest is 65,504\. Set `model\.dtype"):
        refuse_weights(layer, "ann/tiny", "float16")


def test_activations_and_scores_are_refused_by_what_they_are():
    refuse_activations(torch.ones(2), "m", "float32", "stream")
    with pytest.raises(ModelError, match=r"its stream holds values that are not numbers\. Its activations"):
        refuse_activations(torch.full((2,), float("inf")), "m", "float16", "stream")
    refuse_scores(torch.tensor([[0.0, -float("inf")]]), "m", "float32")  # a token that may never come
    with pytest.raises(ModelError, match="row of next-token scores holds values that are not numbers"):
        refuse_scores(torch.tensor([[0.0, float("nan")]]), "m", "float32")


@pytest.mark.parametrize("never", [-float("inf"), LOWEST, torch.finfo(torch.bfloat16).min, -1e4])
def test_tokens_that_may_never_come_do_not_hide_what_differs(never):
    own = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    own[:, 3] = never
    ours = own.clone()
    assert same_scores(ours, own, 1e-4)
    ours[1, 5] += 0.5  # a part of 1e-38 of the lowest number
    assert not same_scores(ours, own, 1e-4)
    open_ = own.clone()
    open_[:, 3] = 0.0
    assert not same_scores(open_, own, 1e-4)
    assert not same_scores(own, open_, 1e-4)


def test_scores_differ_by_no_more_than_noise_of_the_largest():
    own = torch.tensor([[10.0, -1.0, 0.0]])
    assert same_scores(own + 0.009, own, 1e-3)
    assert not same_scores(own + 0.02, own, 1e-3)
    assert not same_scores(own[:, :2], own, 1e-3)
    assert not same_scores(torch.full((1, 3), float("nan")), own, 1e-3)
    infinite = torch.tensor([[float("inf"), 1.0, 0.0]])
    assert not same_scores(own, infinite, 1e-3)
    assert not same_scores(infinite, infinite, 1e-3)
    shifted = own - 5000  # scores are known up to a sum
    assert same_scores(shifted, shifted, 1e-3)
