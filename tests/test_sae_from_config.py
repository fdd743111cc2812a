"""What an SAE asks of its input: honoured, against formulas of its own, or refused; read from its config alone."""

import json

import numpy as np
import pytest
import torch
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory
from saved_hub import lay, save_gemma_scope2, save_saelens5, tensors

from mixplan.errors import SaeError
from mixplan.model import load_model, read_stream
from mixplan.recipe import ModelSpec, SaeSpec
from mixplan.sae import columns_of, load_sae, outline, sae_depth
from mixplan.sae.health import check_health

D_IN, D_SAE = 32, 48
HOOK = "blocks.2.hook_resid_post"


def loaded(folder):
    return load_model(ModelSpec(name=str(folder), dtype="float32", device="cpu", sae=SaeSpec(path="x")))


@pytest.fixture(scope="module")
def model(tiny_model):
    return loaded(tiny_model)


@pytest.fixture(scope="module")
def gpt2(build_model, tmp_path_factory):
    return loaded(build_model("gpt2", tmp_path_factory.mktemp("centred") / "gpt2"))


@pytest.fixture
def parameters():
    return {name: value.numpy() for name, value in tensors(D_IN, D_SAE).items()}


def saved(folder, **changes):
    """A standard SAE in SAELens's older layout, entries of its config changed."""
    save_saelens5(folder, HOOK, "", tensors(D_IN, D_SAE))
    config = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps(config | changes))
    return SaeSpec(path=str(folder))


def refused(spec, model) -> str:
    with pytest.raises(SaeError) as caught:
        load_sae(spec, model)
    return str(caught.value)


def stream(shift: float = 0.0) -> np.ndarray:
    return (3 * np.random.default_rng(1).standard_normal((20, D_IN)) + shift).astype(np.float32)


def standard(x: np.ndarray, p: dict[str, np.ndarray], *, less_b_dec: bool = True) -> np.ndarray:
    return np.maximum((x - p["b_dec"] * less_b_dec) @ p["W_enc"] + p["b_enc"], 0)


def test_centred_writing_weights_give_the_features_of_the_processed_model(gpt2, parameters, tmp_path):
    """The processed model is built here, matrix by matrix, as TransformerLens's option does it; its logits stay."""
    spec = saved(tmp_path / "sae", model_from_pretrained_kwargs={"center_writing_weights": True, "fold_ln": True})
    sae = load_sae(spec, gpt2)
    tokens = torch.randint(3, 300, (2, 12), generator=torch.Generator().manual_seed(0))
    found = sae.encode(read_stream(gpt2, sae.depth, tokens).flatten(0, 1))
    plain = load_sae(saved(tmp_path / "plain"), gpt2).encode(read_stream(gpt2, sae.depth, tokens).flatten(0, 1))

    processed = loaded(gpt2.place)
    with torch.no_grad():
        before = processed.lm(tokens).logits
        body = processed.lm.transformer
        processed.lm.lm_head.weight = torch.nn.Parameter(processed.lm.lm_head.weight.clone())  # it is tied to wte
        for written in (body.wte.weight, body.wpe.weight):
            written.data = written - written.mean(-1, keepdim=True)
        for block in body.h:
            for writer in (block.attn.c_proj, block.mlp.c_proj):
                writer.weight.data = writer.weight - writer.weight.mean(-1, keepdim=True)
                writer.bias.data = writer.bias - writer.bias.mean()
        torch.testing.assert_close(processed.lm(tokens).logits, before, rtol=1e-4, atol=1e-4)
    x = read_stream(processed, sae.depth, tokens).flatten(0, 1).numpy()
    np.testing.assert_allclose(found.numpy(), standard(x, parameters), atol=1e-4)
    assert (found - plain).norm() > 0.01 * plain.norm()
    part = columns_of(sae, torch.tensor([3, 7]))
    np.testing.assert_allclose(
        part.encode(read_stream(gpt2, sae.depth, tokens)[0]).numpy(), found[:12, [3, 7]].numpy(), atol=1e-5
    )
    assert sae.fingerprint != load_sae(saved(tmp_path / "plain"), gpt2).fingerprint


def test_health_holds_a_centred_reconstruction_against_the_centred_stream(gpt2, tmp_path):
    spec = saved(tmp_path / "sae", model_from_pretrained_kwargs={"center_writing_weights": True})
    sae, x = load_sae(spec, gpt2), torch.from_numpy(stream(5.0))
    centred = x - x.mean(-1, keepdim=True)
    error = (centred - sae.decode(sae.encode(x))).double().square().sum()
    expected = float(error / (centred.double() - centred.double().mean(0)).square().sum())
    assert check_health(sae, [x]).fvu == pytest.approx(expected, rel=1e-5)


def test_centring_a_model_whose_norms_do_not_subtract_the_mean_is_refused(model, tmp_path):
    spec = saved(tmp_path / "sae", model_from_pretrained_kwargs={"center_writing_weights": True})
    assert refused(spec, model) == (
        f"SAE '{tmp_path}/sae' asks for a model with centred writing weights (`center_writing_weights`), but the norms "
        f"of '{model.name}' do not subtract the mean, so that centring would change it. Choose another SAE."
    )


def test_the_table_s_word_on_centring_reaches_configs_that_lack_it(gpt2):
    release = get_pretrained_saes_directory()["gpt2-small-res-jb"]
    folder = lay("models", release.repo_id) / "blocks.3.hook_resid_pre"
    save_saelens5(folder, "blocks.3.hook_resid_pre", "gpt2-small", tensors(D_IN, D_SAE))
    spec = SaeSpec(release="gpt2-small-res-jb", id="blocks.3.hook_resid_pre")
    assert outline(spec).centred
    assert load_sae(spec.model_copy(update={"accept": True}), gpt2).centred
    assert not outline(SaeSpec(path=str(folder))).centred


def test_other_changes_of_the_model_are_refused(model, tmp_path):
    harmless = saved(tmp_path / "a", model_from_pretrained_kwargs={"fold_ln": True, "center_unembed": True})
    assert not load_sae(harmless, model).centred
    spec = saved(tmp_path / "b", model_from_pretrained_kwargs={"checkpoint_value": 1000})
    assert refused(spec, model) == (
        f"SAE '{tmp_path}/b' was trained on a model loaded with `checkpoint_value` = 1000, which mixplan does not "
        "follow. Choose another SAE."
    )


def test_layer_norm_against_numpy(model, parameters, tmp_path):
    """OpenAI's manner: less the mean, over the unbiased deviation; the reconstruction goes back by the same figures."""
    sae = load_sae(saved(tmp_path / "sae", normalize_activations="layer_norm"), model)
    x = stream(1.0)
    mean, deviation = x.mean(1, keepdims=True), x.std(1, ddof=1, keepdims=True)
    features = standard((x - mean) / (deviation + 1e-5), parameters)
    decoded = (features @ parameters["W_dec"] + parameters["b_dec"]) * deviation + mean
    agree(sae, x, features, decoded)


def test_constant_norm_against_numpy(model, parameters, tmp_path):
    """Every token is scaled to a norm of sqrt(d_in), and its reconstruction scaled back."""
    sae = load_sae(saved(tmp_path / "sae", normalize_activations="constant_norm_rescale"), model)
    x = stream()
    scale = np.sqrt(D_IN) / np.linalg.norm(x, axis=1, keepdims=True)
    features = standard(x * scale, parameters)
    agree(sae, x, features, (features @ parameters["W_dec"] + parameters["b_dec"]) / scale)


@pytest.mark.parametrize("apply", [True, False])
def test_the_decoder_s_bias_on_the_input_against_numpy(model, parameters, tmp_path, apply):
    sae = load_sae(saved(tmp_path / "sae", apply_b_dec_to_input=apply), model)
    features = standard(stream(), parameters, less_b_dec=apply)
    agree(sae, stream(), features, features @ parameters["W_dec"] + parameters["b_dec"])


def agree(sae, x: np.ndarray, features: np.ndarray, decoded: np.ndarray) -> None:
    """Features, some of them alone, and the reconstruction are as given."""
    found = sae.encode(torch.from_numpy(x))
    np.testing.assert_allclose(found.numpy(), features, atol=1e-4)
    np.testing.assert_allclose(sae.decode(found).numpy(), decoded, atol=1e-4)
    np.testing.assert_allclose(
        columns_of(sae, torch.tensor([1, 9])).encode(torch.from_numpy(x)).numpy(), features[:, [1, 9]], atol=1e-4
    )


@pytest.mark.parametrize("kind", ["topk"])
def test_topk_over_decoder_norms_against_numpy(model, tiny_sae, tmp_path, kind):
    """`rescale_acts_by_decoder_norm`: the k largest of pre-activation times decoder norm; decoded by unit rows."""
    folder = tiny_sae(kind, D_IN, D_SAE, HOOK, tmp_path / "sae", rescale_acts_by_decoder_norm=True)
    sae = load_sae(SaeSpec(path=str(folder)), model)
    p = {name: value.numpy() for name, value in sae.sae.state_dict().items()}
    norms = np.linalg.norm(p["W_dec"], axis=1)
    pre = ((stream() - p["b_dec"]) @ p["W_enc"] + p["b_enc"]) * norms
    features = np.zeros_like(pre)
    for row, kept in zip(pre, features, strict=True):
        top = np.argsort(-row)[:8]
        kept[top] = np.maximum(row[top], 0)
    found = sae.encode(torch.from_numpy(stream()))
    np.testing.assert_allclose(found.numpy(), features, atol=1e-4)
    decoded = features @ (p["W_dec"] / norms[:, None]) + p["b_dec"]
    np.testing.assert_allclose(sae.decode(found).numpy(), decoded, atol=1e-4)


def test_a_scale_that_was_not_folded_in(model, parameters, tmp_path):
    """SAELens folds the scale of a release that its table knows; of the same files by repository it would not."""
    table = get_pretrained_saes_directory()["gemma-2b-res-jb"]
    (sae_id, scale), inside = next(iter(table.norm_scaling_factor.items())), table.saes_map
    folder = lay("models", table.repo_id) / inside[sae_id]
    save_saelens5(folder, HOOK, "", tensors(D_IN, D_SAE))
    config = json.loads((folder / "cfg.json").read_text()) | {"normalize_activations": "expected_average_only_in"}
    (folder / "cfg.json").write_text(json.dumps(config))
    features = standard(stream() * scale, parameters)
    decoded = (features @ parameters["W_dec"] + parameters["b_dec"]) / scale
    release = SaeSpec(release="gemma-2b-res-jb", id=sae_id, accept=True)
    for spec in (release, SaeSpec(repo=table.repo_id, id=inside[sae_id])):
        agree(load_sae(spec, model), stream(), features, decoded)
    assert refused(SaeSpec(path=str(folder)), model) == (
        f"SAE '{folder}' reads activations scaled to a mean norm of sqrt(d_in), and its files do not hold the scale. "
        "Fold it in with SAELens's `fold_activation_norm_scaling_factor`, save the SAE with `save_model`, and name its "
        "folder."
    )
    # The remedy, done.
    from sae_lens import SAE

    own = SAE.load_from_disk(folder)
    own.fold_activation_norm_scaling_factor(scale)
    own.save_model(tmp_path / "folded")
    agree(load_sae(SaeSpec(path=str(tmp_path / "folded")), model), stream(), features, decoded)


def test_whitening_that_was_not_folded_in_is_refused(model, tmp_path):
    spec = saved(tmp_path / "sae", normalize_activations="covariance_whitening")
    assert refused(spec, model) == (
        f"SAE '{tmp_path}/sae' reads whitened activations, and its files do not hold the whitening. Fold it in with "
        "SAELens's `fold_activation_whitening`, save the SAE with `save_model`, and name its folder."
    )


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"activation_fn_str": "tanh-relu"}, "tanh-relu"),
        ({"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 4, "signed": True}}, "signed topk"),
    ],
)
def test_activations_that_saelens_reads_over_are_refused(model, tmp_path, change, found):
    assert refused(saved(tmp_path / "sae", **change), model) == (
        f"SAE '{tmp_path}/sae' has the activation '{found}', which SAELens no longer computes. Choose another."
    )


@pytest.mark.parametrize("change", [{"hook_head_index": 3}, {"reshape_activations": "hook_z"}])
def test_attention_heads_are_refused(model, tmp_path, change):
    assert refused(saved(tmp_path / "sae", **change), model) == (
        f"SAE '{tmp_path}/sae' reads attention heads, not the residual stream. Choose one of the stream."
    )


def test_finetuned_scaling_factors_are_refused(model, tmp_path):
    from safetensors.torch import load_file, save_file

    spec = saved(tmp_path / "sae", finetuning_scaling_factor=True)
    weights = tmp_path / "sae" / "sae_weights.safetensors"
    save_file(load_file(weights) | {"scaling_factor": torch.full((D_SAE,), 1.5)}, weights)
    assert refused(spec, model) == (
        f"SAE '{tmp_path}/sae' asks for finetuned scaling factors of its features, which SAELens no longer applies. "
        "Choose another SAE."
    )


def test_gemma_scope_2_is_read_without_a_network(model):
    """Its config holds no widths: SAELens asks the hub for them; here there is only the cache."""
    inside = "resid_post/layer_1_width_16k_l0_small"
    folder = lay("models", "google/gemma-scope-2-1b-it") / inside
    spec = SaeSpec(repo="google/gemma-scope-2-1b-it", id=inside)
    release = get_pretrained_saes_directory()["gemma-scope-2-1b-it-res-all"]
    sae_id = next(one for one in release.saes_map if one.startswith("layer_1_width_16k_l0_small"))
    folder = folder.parents[1] / release.saes_map[sae_id]
    spec = SaeSpec(release="gemma-scope-2-1b-it-res-all", id=sae_id, accept=True)
    with pytest.raises(SaeError) as caught:
        sae_depth(spec)
    assert str(caught.value) == (
        f"SAE 'gemma-scope-2-1b-it-res-all/{sae_id}' is neither in the hub's cache nor reachable on the hub. Fetch it "
        f"once with: hf download google/gemma-scope-2-1b-it --include '{release.saes_map[sae_id]}*'"
    )
    parameters = tensors(D_IN, D_SAE)
    save_gemma_scope2(folder, "model.layers.1.output", "gemma-v3-1b-it", parameters)
    told = outline(spec)
    assert (told.depth, told.d_in, told.d_sae) == (2, D_IN, D_SAE)
    assert told.made_for == ("google/gemma-3-1b-it", "google/gemma-3-1b-it")
    p = {name: value.numpy() for name, value in parameters.items()}
    pre = stream() @ p["W_enc"] + p["b_enc"]
    expected = np.where(pre > p["threshold"], np.maximum(pre, 0), 0)
    np.testing.assert_allclose(load_sae(spec, model).encode(torch.from_numpy(stream())).numpy(), expected, atol=1e-5)


def test_depth_is_told_without_parameters_or_model(tmp_path):
    spec = saved(tmp_path / "sae")
    (tmp_path / "sae" / "sae_weights.safetensors").unlink()
    assert (sae_depth(spec), outline(spec).d_in, outline(spec).d_sae) == (3, D_IN, D_SAE)
    assert sae_depth(spec.model_copy(update={"hook_name": "model.layers.0"})) == 1
    assert sae_depth(SaeSpec(embedded=True)) == 20
