"""What is loaded is all of the model, in the type it computes in, wherever it lies; what is not is refused by name."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from evaluated import spec_of
from other_models import EXPERTS, WRAPPED, save_other
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from mixplan.errors import ModelError
from mixplan.evaluate.packing import Tree
from mixplan.evaluate.scoring import score_continuations
from mixplan.model import chat_template, generate, load_model, load_trained, read_stream
from mixplan.model.answers import next_logits
from mixplan.model.load import settings_now
from mixplan.runs import content_hash

TOKENS = torch.randint(6, 300, (2, 40), generator=torch.Generator().manual_seed(0))


def change(folder, **entries):
    path = folder / "config.json"
    values = json.loads(path.read_text()) | entries
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not None}))


def refused(folder, **changes):
    with pytest.raises(ModelError) as caught:
        load_model(spec_of(folder, **changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path, tiny_model):
    return shutil.copytree(tiny_model, tmp_path / "model")


def test_positions_keep_their_frequencies_in_a_short_type(tiny_model):
    model = load_model(spec_of(tiny_model, dtype="bfloat16"))
    plain = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
    assert model.lm.model.rotary_emb.inv_freq.dtype == torch.float32
    with torch.inference_mode():
        assert torch.equal(model.lm(TOKENS).logits, plain.eval()(TOKENS).logits)


def test_weights_that_the_files_lack_are_not_made_up(folder):
    change(folder, num_hidden_layers=6)
    assert refused(folder) == (
        f"model '{folder}': its files lack 18 weights of a LlamaForCausalLM, 'model.layers.4.input_layernorm.weight' "
        "first. They were cut, or are of a model of another kind; fetch it again, or choose a causal language model."
    )
    change(folder, num_hidden_layers=4, intermediate_size=80)
    assert refused(folder).startswith(f"model '{folder}': 12 weights have another shape in the files than config.json")


@pytest.mark.parametrize("changes", [{"architectures": None}, {"architectures": ["LlamaModel"]}])
def test_a_config_without_the_class_of_a_language_model(folder, tiny_model, changes):
    change(folder, **changes)
    found = load_model(spec_of(folder))
    assert type(found.lm).__name__ == "LlamaForCausalLM"
    assert torch.equal(found.lm(TOKENS).logits, load_model(spec_of(tiny_model)).lm(TOKENS).logits)


def test_what_a_trainer_left_in_the_config_does_not_count(tmp_path):
    folder = save_other(EXPERTS["mixtral"](), tmp_path / "model")
    plain = load_model(spec_of(folder)).lm(TOKENS).logits
    change(folder, output_router_logits=True, use_cache=False, output_hidden_states=True)
    model = load_model(spec_of(folder))
    assert torch.equal(model.lm(input_ids=TOKENS, attention_mask=None).logits, plain)
    assert generate(model, ["the quick brown"], max_new_tokens=3)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_type": "t5"}, "is an encoder-decoder (t5); mixplan reads decoder-only language models"),
        ({"model_type": "vit"}, "is a vit model, for which transformers "),
        (
            {"model_type": "nope"},
            "cannot be loaded as a causal LM: The checkpoint you are trying to load has",
        ),
        ({"hidden_size": 33}, "cannot be loaded as a causal LM: "),
        ({"hidden_size": "x"}, "cannot be loaded as a causal LM: "),
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "bitsandbytes"),
        ({"quantization_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
    ],
)
def test_other_kinds_are_one_message(folder, changes, says):
    change(folder, architectures=None, **changes)
    found = refused(folder)
    assert says in found
    assert len(found) < 500


def test_weights_that_are_not_numbers(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][2, 3] = float("inf")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert refused(folder).startswith(
        f"model '{folder}': the weight 'model.layers.1.mlp.up_proj.weight' holds values that are not numbers (NaN or "
    )
    tensors["model.layers.1.mlp.up_proj.weight"][2, 3] = 1e5
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    load_model(spec_of(folder))
    assert "not numbers in float16, whose largest is 65,504. Set `model.dtype: bfloat16`" in refused(
        folder, dtype="float16"
    )


def test_activations_that_overflow(folder):
    tensors = load_file(folder / "model.safetensors")
    for name in ("up_proj", "down_proj"):
        tensors[f"model.layers.1.mlp.{name}.weight"] *= 1e4
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    model = load_model(spec_of(folder, dtype="float16"))
    read_stream(model, 1, TOKENS)
    with pytest.raises(ModelError) as caught:
        read_stream(model, 2, TOKENS)
    assert str(caught.value) == (
        f"model '{folder}': its residual stream after 2 blocks holds values that are not numbers. Its activations "
        "overflow float16, whose largest value is 65,504. Set `model.dtype: bfloat16` or `float32`."
    )


def test_answers_and_scores_of_what_overflows(folder):
    tensors = load_file(folder / "model.safetensors")
    for name in ("up_proj", "down_proj"):
        tensors[f"model.layers.3.mlp.{name}.weight"] *= 1e4
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    model = load_model(spec_of(folder, dtype="float16"))
    for ask in (
        lambda: generate(model, ["the quick brown"], max_new_tokens=2),
        lambda: score_continuations(model, [Tree((1, 40, 50), ((60, 70),))]),
    ):
        with pytest.raises(ModelError) as caught:
            ask()
        assert "not numbers" in str(caught.value) or "cannot be trusted" in str(caught.value)
        assert "float32" in str(caught.value)
    with torch.inference_mode(), pytest.raises(ModelError, match="its row of next-token scores holds values that"):
        next_logits(model, torch.tensor([[1, 40]]), torch.ones(1, 2, dtype=torch.long), None)


def spread(*, head):
    places = {"model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.norm": "cpu", "lm_head": head}
    return places | {f"model.layers.{number}": "disk" if number % 2 else "cpu" for number in range(4)}


@pytest.mark.parametrize("device_map", ["auto", spread(head="cpu"), spread(head="disk")])
def test_a_spread_model_reads_and_answers_as_a_whole_one(tiny_model, device_map):
    plain = load_model(spec_of(tiny_model))
    found = load_model(spec_of(tiny_model, device_map=device_map))
    assert (found.device, found.parameters, found.fingerprint) == (plain.device, plain.parameters, plain.fingerprint)
    assert any(value.is_meta for value in found.lm.parameters()) == (device_map != "auto")
    for depth in (0, 2, 4):
        assert torch.equal(read_stream(found, depth, TOKENS), read_stream(plain, depth, TOKENS))
    part = load_model(spec_of(tiny_model, device_map=device_map), depth=2)
    assert torch.equal(read_stream(part, 2, TOKENS), read_stream(plain, 2, TOKENS))
    prompts = ["the quick brown", "a lazy dog jumps"]
    assert generate(found, prompts, max_new_tokens=5) == generate(plain, prompts, max_new_tokens=5)


def test_an_adapter_on_a_spread_model(tiny_model, tmp_path):
    from small_adapter import save_adapter

    expected = save_adapter(tiny_model, tmp_path / "model")
    found = load_trained(spec_of(tiny_model, device_map=spread(head="disk")), tmp_path / "model")
    with torch.inference_mode():
        logits = found.lm(input_ids=torch.tensor([[1, 40, 50, 60, 70]])).logits
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", WRAPPED)
def test_a_wrapped_model_is_read_inside(tmp_path, family):
    folder = save_other(WRAPPED[family](), tmp_path / family)
    model = load_model(spec_of(folder))
    with torch.inference_mode():
        states = model.lm(input_ids=TOKENS, output_hidden_states=True).hidden_states
    for depth in range(4):
        torch.testing.assert_close(read_stream(model, depth, TOKENS), states[depth], rtol=1e-5, atol=1e-5)
    assert all(len(answer.ids) <= 4 for answer in generate(model, ["the quick", "a lazy dog"], max_new_tokens=4))


def test_what_is_stated_is_known_without_the_weights_and_ends_of_answers_count(any_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(any_model, folder)
    first = load_model(spec_of(folder))
    template = content_hash(chat_template(first).source)
    assert settings_now(spec_of(folder), Path()) == (first.config, template)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_version": "4.0.0", "use_cache": False}))
    assert settings_now(spec_of(folder), Path())[0] == first.config
    (folder / "config.json").write_text(json.dumps(config | {"bos_token_id": 7}))
    assert settings_now(spec_of(folder), Path())[0] != first.config
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 9]}))
    other = load_model(spec_of(folder))
    assert other.weights == first.weights
    assert other.fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("name", "text", "other"),
    [
        ("tokenizer_config.json", '"eos_token": "</s>"', '"eos_token": "<|user|>"'),
        ("chat_template.jinja", "{{ eos_token }}", "<|user|>"),
        ("generation_config.json", '"eos_token_id": 2', '"eos_token_id": [2, 9]'),
    ],
)
def test_whatever_says_what_ends_an_answer_makes_another_model_of_it(folder, name, text, other):
    first = load_model(spec_of(folder))
    file = folder / name
    assert text in file.read_text()
    file.write_text(file.read_text().replace(text, other))
    second = load_model(spec_of(folder))
    assert second.weights == first.weights
    assert second.fingerprint != first.fingerprint
