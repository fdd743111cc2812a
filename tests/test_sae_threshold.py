"""The threshold of a BatchTopK SAE: k activations a token lie above it over all tokens at once, whatever the slices."""

import numpy as np
import pytest
import torch
from sae_lens import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig

from mixplan.errors import RunError
from mixplan.sae import threshold
from mixplan.sae.threshold import set_threshold


@pytest.fixture
def sae():
    torch.manual_seed(0)
    made = BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(d_in=16, d_sae=40, k=3.5))
    for name, parameter in made.named_parameters():
        parameter.data = torch.randn_like(parameter) * (0.3 if name.startswith("W") else 0.1)
    return made


@pytest.mark.parametrize("slice_tokens", [7, 100, 4096])
def test_against_a_sort_of_everything(sae, monkeypatch, slice_tokens):
    monkeypatch.setattr(threshold, "SLICE_TOKENS", slice_tokens)
    acts = torch.randn(200, 16, generator=torch.Generator().manual_seed(1))
    set_threshold(sae, acts)
    p = {name: value.detach().numpy() for name, value in sae.named_parameters()}
    pre = ((acts.numpy() - p["b_dec"]) @ p["W_enc"] + p["b_enc"]) * np.linalg.norm(p["W_dec"], axis=1)
    ordered = np.sort(pre.ravel())[::-1]
    assert float(sae.topk_threshold) == pytest.approx(ordered[699:701].mean(), abs=1e-6)
    assert (pre > float(sae.topk_threshold)).sum() == 700


def test_the_saved_sae_keeps_as_many(sae, tmp_path):
    from sae_lens import SAE

    acts = torch.randn(200, 16, generator=torch.Generator().manual_seed(1))
    set_threshold(sae, acts)
    sae.save_inference_model(tmp_path)
    saved = SAE.load_from_disk(tmp_path)
    assert saved.cfg.architecture() == "jumprelu"
    assert int((saved.encode(acts) > 0).sum()) == 700


def test_where_fewer_fire_than_k_all_of_them_stay(sae):
    sae.b_enc.data -= 100
    sae.b_enc.data[0] += 200
    acts = torch.randn(50, 16, generator=torch.Generator().manual_seed(2))
    set_threshold(sae, acts)
    assert float(sae.topk_threshold) == 0


def test_a_diverged_training_is_refused(sae):
    sae.W_enc.data[0, 0] = float("nan")
    with pytest.raises(RunError, match="its training diverged"):
        set_threshold(sae, torch.ones(5, 16))
