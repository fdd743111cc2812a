"""Trained models loaded afresh: adapters in both types, whole folders, and every way they can be damaged."""

import json
import shutil

import pytest
import torch
from evaluated import loaded, spec_of
from safetensors.torch import load_file, save_file
from small_adapter import TOKENS, save_adapter

from mixplan.errors import ModelError
from mixplan.model import load_trained
from mixplan.model.answers import end_tokens


def logits(model):
    with torch.inference_mode():
        return model.lm(input_ids=TOKENS, use_cache=False).logits.float()


def test_an_adapter_gives_the_trained_models_logits(any_model, tmp_path):
    expected = save_adapter(any_model, tmp_path / "model")
    model = load_trained(spec_of(any_model.name), tmp_path / "model", folder=any_model.parent)
    untrained = loaded(any_model)
    torch.testing.assert_close(logits(model), expected, rtol=1e-3, atol=1e-3)
    assert (logits(model) - logits(untrained)).abs().max() > 0.01
    assert model.fingerprint != untrained.fingerprint
    assert model.fingerprint == load_trained(spec_of(any_model), tmp_path / "model").fingerprint
    assert (model.name, model.window, model.dtype) == (f"{any_model.name}, trained", 512, "float32")
    assert not any("lora" in name for name in model.lm.state_dict())
    assert not any(value.requires_grad for value in model.lm.parameters())


def test_in_a_short_type_the_adapter_stays_beside_the_weights(tiny_model, tmp_path):
    save_adapter(tiny_model, tmp_path / "model")
    spec = spec_of(tiny_model, dtype="bfloat16")
    model = load_trained(spec, tmp_path / "model")
    names = [name for name in model.lm.state_dict() if "lora" in name]
    assert names
    whole = load_trained(spec_of(tiny_model), tmp_path / "model")
    assert (logits(model) - logits(whole)).abs().max() < 0.1 * logits(whole).abs().max()
    assert type(model.lm).__name__ == "LlamaForCausalLM"


@pytest.mark.parametrize("stated", ["<|user|>", {"content": "<|user|>", "special": True}])
def test_an_adapter_ends_answers_as_the_tokenizer_beside_it_says(tiny_model, tmp_path, stated):
    """As TRL saves it of a training with `eos_token`, which the untrained model's files say nothing of."""
    save_adapter(tiny_model, tmp_path / "model")
    before = load_trained(spec_of(tiny_model), tmp_path / "model")
    for text, more in (("</s>", set()), (stated, {before.tokenizer.convert_tokens_to_ids("<|user|>")}), (7, set())):
        (tmp_path / "model" / "tokenizer_config.json").write_text(json.dumps({"eos_token": text}))
        after = load_trained(spec_of(tiny_model), tmp_path / "model")
        assert end_tokens(after) == end_tokens(before) | more
        assert (after.fingerprint != before.fingerprint) == bool(more)


def test_a_whole_folder_is_loaded_as_it_is(tiny_model, build_model, tmp_path):
    folder = build_model("llama", tmp_path / "model", seed=3)
    model = load_trained(spec_of(tiny_model), folder)
    assert torch.equal(logits(model), logits(loaded(folder)))
    assert model.fingerprint == loaded(folder).fingerprint
    assert model.name == f"{tiny_model}, trained"


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "adapter_model.safetensors is missing"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "adapter_config.json is not JSON"),
        (lambda folder: (folder / "adapter_config.json").write_text("{}"), "adapter_config.json names no `peft_type`"),
    ],
)
def test_a_damaged_adapter_is_one_message(tiny_model, tmp_path, damage, why):
    folder = tmp_path / "model"
    save_adapter(tiny_model, folder)
    damage(folder)
    with pytest.raises(ModelError) as caught:
        load_trained(spec_of(tiny_model), folder)
    assert str(caught.value) == (
        f"{folder}: the trained model cannot be loaded: {why}. Run `mixplan train` on the run again."
    )


def test_an_adapter_of_cut_tensors_or_of_another_model(tiny_model, build_model, tmp_path):
    folder = tmp_path / "model"
    save_adapter(tiny_model, folder)
    start = f"{folder}: the trained model cannot be loaded: the adapter cannot be put on '{tiny_model}': "
    tensors = folder / "adapter_model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-100])
    with pytest.raises(ModelError) as caught:
        load_trained(spec_of(tiny_model), folder)
    assert str(caught.value).startswith(start)
    assert str(caught.value).endswith(". Run `mixplan train` on the run again.")
    save_adapter(build_model("llama", tmp_path / "wide", intermediate_size=80), folder)
    with pytest.raises(ModelError) as caught:
        load_trained(spec_of(tiny_model), folder)
    assert str(caught.value).startswith(start)


def test_an_adapter_that_reaches_fewer_layers_than_it_says(tiny_model, tmp_path):
    folder = tmp_path / "model"
    save_adapter(tiny_model, folder)
    tensors = load_file(folder / "adapter_model.safetensors")
    gone = "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"
    other = {name: value for name, value in tensors.items() if name != gone}
    save_file(other, folder / "adapter_model.safetensors")
    with pytest.raises(ModelError) as caught:
        load_trained(spec_of(tiny_model), folder)
    start = f"{folder}: the trained model cannot be loaded: "
    assert str(caught.value).startswith(f"{start}the adapter has no tensor '{gone}', which '{tiny_model}' needs of it")
    save_file({**tensors, gone.replace("mlp", "moe"): tensors[gone].clone()}, folder / "adapter_model.safetensors")
    with pytest.raises(ModelError) as caught:
        load_trained(spec_of(tiny_model), folder)
    assert "has no layer for the adapter's tensor 'base_model.model.model.layers.1.moe" in str(caught.value)


def test_an_empty_and_a_damaged_folder(tiny_model, build_model, tmp_path):
    with pytest.raises(ModelError) as caught:
        load_trained(spec_of(tiny_model), tmp_path / "none")
    assert str(caught.value) == (
        f"{tmp_path / 'none'}: no trained model here; expected adapter_config.json with adapter_model.safetensors, or "
        "config.json with safetensors weights. Run `mixplan train` on the run again."
    )
    folder = build_model("llama", tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ModelError) as caught:
        load_trained(spec_of(tiny_model), folder)
    start = f"{folder}: the trained model cannot be loaded: "
    assert str(caught.value).startswith(f"{start}model '{folder}' cannot be loaded: {folder / 'model.safetensors'}: ")
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ModelError) as caught:
        load_trained(spec_of(tiny_model), folder)
    assert str(caught.value).startswith(start)
