"""SAEs from folders and hub layouts held against their model; every refusal in full; columns exact; health by hand."""

import json

import numpy as np
import pytest
import torch

from mixplan.errors import SaeError
from mixplan.model import load_model
from mixplan.recipe import ModelSpec, SaeSpec
from mixplan.recipe.shapes import family
from mixplan.sae import blocks_before, load_sae
from mixplan.sae.health import check_health


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(ModelSpec(name=str(tiny_model), dtype="float32", device="cpu", sae=SaeSpec(path="x")))


def refused(spec, model, **kwargs):
    with pytest.raises(SaeError) as caught:
        load_sae(spec, model, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "blocks"),
    [("blocks.3.hook_resid_pre", 3), ("blocks.3.hook_resid_post", 4), ("model.layers.2", 3), ("transformer.h.0", 1),
     ("gpt_neox.layers.11", 12), ("layers.5", 6), ("model.language_model.layers.7", 8)],
)  # fmt: skip
def test_hook_points(name, blocks):
    assert blocks_before(name, "x") == blocks


@pytest.mark.parametrize(
    "name", ["blocks.3.hook_mlp_out", "hook_embed", "blocks.3.attn.hook_z", "blocks.x.hook_resid_post", "ln_final"]
)
def test_hook_points_off_the_residual_stream_are_refused(name):
    with pytest.raises(SaeError) as caught:
        blocks_before(name, "mine")
    assert str(caught.value) == (
        f"SAE 'mine' reads '{name}', which is not the residual stream. Choose one at "
        "blocks.L.hook_resid_pre, blocks.L.hook_resid_post, or a layer's output such as model.layers.L."
    )


def test_families():
    assert family("google/gemma-2-9b-it") == family("gemma-2-9b")
    assert family("meta-llama/Meta-Llama-3-8B-Instruct") == family("llama-3-8b")
    assert family("Qwen/Qwen2.5-7B-Instruct") != family("Qwen/Qwen2.5-14B-Instruct")
    assert family("google/gemma-3-4b-pt") == family("google/gemma-3-4b-it")
    assert family("Qwen/Qwen3-4B-Instruct-2507") == family("unsloth/Qwen3-4B-Base-bnb-4bit")
    assert family("mistralai/Mistral-7B-Instruct-v0.1") != family("mistralai/Mistral-7B-Instruct-v0.3")


def test_refusals(model, tiny_sae, tmp_path):
    missing = refused(SaeSpec(path="nowhere"), model, folder=tmp_path)
    assert missing == (
        f"{tmp_path}/nowhere: no SAE here: cfg.json is missing. `model.sae.path` is a folder in SAELens's layout, "
        "with cfg.json and sae_weights.safetensors."
    )
    wide = tiny_sae("standard", 48, 64, "blocks.1.hook_resid_post", tmp_path / "wide")
    assert refused(SaeSpec(path=str(wide)), model) == (
        f"SAE '{wide}' reads 48 dimensions, but the residual stream of '{model.name}' has 32. "
        "Choose an SAE made for this model."
    )
    high = tiny_sae("standard", 32, 64, "blocks.4.hook_resid_post", tmp_path / "high")
    assert refused(SaeSpec(path=str(high)), model) == (
        f"SAE '{high}' reads 'blocks.4.hook_resid_post', but '{model.name}' has blocks 0 to 3. "
        "Choose an SAE of a layer that it has."
    )


def test_a_hook_name_can_be_given_where_the_sae_has_none(model, tiny_sae, tmp_path):
    folder = tiny_sae("topk", 32, 64, "blocks.1.hook_resid_post", tmp_path / "s")
    config = json.loads((folder / "cfg.json").read_text())
    del config["metadata"]["hook_name"]
    (folder / "cfg.json").write_text(json.dumps(config))
    assert refused(SaeSpec(path=str(folder)), model) == (
        f"SAE '{folder}' does not say where it reads. "
        "Set `model.sae.hook_name`, for example 'blocks.12.hook_resid_post' for the stream after block 12."
    )
    assert load_sae(SaeSpec(path=str(folder), hook_name="model.layers.0"), model).depth == 1


def test_transcoders_are_refused(model, tiny_sae, tmp_path):
    folder = tiny_sae("standard", 32, 64, "blocks.1.hook_resid_post", tmp_path / "t")
    config = json.loads((folder / "cfg.json").read_text())
    config["metadata"]["hook_name_out"] = "blocks.1.hook_mlp_out"
    (folder / "cfg.json").write_text(json.dumps(config))
    assert refused(SaeSpec(path=str(folder)), model) == (
        f"SAE '{folder}' is a transcoder: it reads 'blocks.1.hook_resid_post' and writes 'blocks.1.hook_mlp_out'. "
        "Choose an SAE of the residual stream, which writes what it reads."
    )


def test_saes_of_the_same_weights_that_select_otherwise_are_told_apart(model, tiny_sae, tmp_path):
    """Readings are kept by the fingerprint: with one alone, those of another k would be taken."""
    marks = set()
    for name, changes in {"8": {}, "4": {"k": 4}, "scaled": {"rescale_acts_by_decoder_norm": True}}.items():
        folder = tiny_sae("topk", 32, 64, "blocks.1.hook_resid_post", tmp_path / name, **changes)
        marks.add(load_sae(SaeSpec(path=str(folder)), model).fingerprint)
    assert len(marks) == 3


def test_health_against_numpy(model, tiny_sae, tmp_path):
    folder = tiny_sae("jumprelu", 32, 64, "blocks.1.hook_resid_post", tmp_path / "s")
    sae = load_sae(SaeSpec(path=str(folder)), model)
    streams = [torch.randn(30, 32) + 3, torch.randn(50, 32)]
    found = check_health(sae, streams, slice_tokens=7)
    x = torch.cat(streams)
    features = sae.encode(x)
    error = (x - sae.decode(features)).double().square().sum()
    fvu = float(error / (x.double() - x.double().mean(0)).square().sum())
    assert found.fvu == pytest.approx(fvu, rel=1e-5)
    assert found.l0 == pytest.approx(float((features > 0).sum(1).double().mean()))
    assert found.dead_share == pytest.approx(float((~(features > 0).any(0)).double().mean()))
    assert found.tokens == 80


def test_a_bad_fit_is_told(model, tiny_sae, tmp_path):
    folder = tiny_sae("standard", 32, 64, "blocks.1.hook_resid_post", tmp_path / "s")
    found = check_health(load_sae(SaeSpec(path=str(folder)), model), [torch.randn(64, 32) * 5])
    assert not found.fits
    assert found.warning == (
        f"the SAE does not fit this model's tokens: it leaves {found.fvu:.0%} of their variance unexplained "
        f"(expected under 50%) with {found.l0:.1f} active features per token. "
        "Scores from it mean little; check `model.sae` and its hook point."
    )
    assert np.isfinite(found.fvu)
