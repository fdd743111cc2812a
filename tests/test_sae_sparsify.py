"""SAEs of EleutherAI's sparsify against its own formulas, and what of its kinds is refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from saved_hub import lay, save_sparsify, tensors

from mixplan.errors import SaeError
from mixplan.model import load_model
from mixplan.recipe import ModelSpec, SaeSpec
from mixplan.sae import load_sae, sae_depth

D_IN, D_SAE, K = 32, 48, 5
HUB = SaeSpec(repo="EleutherAI/sae-tiny", id="layers.2", format="sparsify")


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(ModelSpec(name=str(tiny_model), dtype="float32", device="cpu", sae=SaeSpec(path="x")))


def by_hand(x: np.ndarray, p: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Features and reconstruction as sparsify 1.3 computes them: a top-k of ReLUs of the input less `b_dec`."""
    pre = np.maximum((x - p["b_dec"]) @ p["W_enc"] + p["b_enc"], 0)
    for row in pre:
        row[np.argsort(-row)[K:]] = 0
    return pre, pre @ p["W_dec"] + p["b_dec"]


@pytest.mark.parametrize("normalize_decoder", [True, False])
def test_by_repository_and_by_folder(model, normalize_decoder):
    parameters = tensors(D_IN, D_SAE)
    folder = lay("models", "EleutherAI/sae-tiny") / "layers.2"
    save_sparsify(folder, K, parameters, normalize_decoder=normalize_decoder)
    x = np.random.default_rng(0).standard_normal((9, D_IN)).astype(np.float32)
    features, decoded = by_hand(x, {name: value.numpy() for name, value in parameters.items()})
    for spec in (HUB, SaeSpec(path=str(folder), format="sparsify")):
        assert sae_depth(spec) == 3
        sae = load_sae(spec, model)
        assert (sae.kind, sae.hook_name, sae.d_sae) == ("topk", "blocks.2.hook_resid_post", D_SAE)
        found = sae.encode(torch.from_numpy(x))
        np.testing.assert_allclose(found.numpy(), features, atol=1e-5)
        np.testing.assert_allclose(sae.decode(found).numpy(), decoded, atol=1e-5)


def refused(spec, model) -> str:
    with pytest.raises(SaeError) as caught:
        load_sae(spec, model)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"transcode": True}, "it is a transcoder"),
        ({"skip_connection": True}, "it has a skip connection"),
        ({"signed": True}, "its features may be negative"),
        ({"activation": "groupmax"}, "its activation is 'groupmax'"),
    ],
)
def test_other_kinds_are_refused(model, tmp_path, change, why):
    folder = tmp_path / "layers.2"
    save_sparsify(folder, K, tensors(D_IN, D_SAE), **change)
    assert refused(SaeSpec(path=str(folder), format="sparsify"), model) == (
        f"SAE '{folder}': {why}, which mixplan does not read. Choose a top-k SAE of sparsify."
    )


def test_a_skip_connection_that_only_the_weights_show_is_refused(model, tmp_path):
    folder = tmp_path / "layers.2"
    save_sparsify(folder, K, tensors(D_IN, D_SAE))
    weights = folder / "sae.safetensors"
    save_file(load_file(weights) | {"W_skip": torch.zeros(D_IN, D_IN)}, weights)
    assert "it has a skip connection" in refused(SaeSpec(path=str(folder), format="sparsify"), model)


def test_a_module_inside_a_block_is_off_the_stream(model, tmp_path):
    save_sparsify(tmp_path / "layers.2.mlp", K, tensors(D_IN, D_SAE))
    assert "reads 'layers.2.mlp', which is not the residual stream" in refused(
        SaeSpec(path=str(tmp_path / "layers.2.mlp"), format="sparsify"), model
    )


def test_a_folder_of_sparsify_is_known_by_its_weights(model, tmp_path):
    folder = tmp_path / "layers.2"
    save_sparsify(folder, K, tensors(D_IN, D_SAE))
    assert refused(SaeSpec(path=str(folder)), model) == (
        f"{folder}: this SAE was saved by sparsify. Set `model.sae.format: sparsify`."
    )
    assert refused(SaeSpec(path=str(tmp_path), format="sparsify"), model) == (
        f"{tmp_path}: no SAE here: cfg.json is missing. `model.sae.path` is a folder in sparsify's layout, with "
        "cfg.json and sae.safetensors."
    )
