"""Features leave the residual stream as the formula in NumPy has it, in every architecture and kind of SAE."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from dense_features import numpy_encode, open_pair
from evaluated import asked_rows, loaded
from safetensors.numpy import load_file

from mixplan.errors import ModelError
from mixplan.evaluate.likelihood import measure_likelihood
from mixplan.features.zeroed import zeroed
from mixplan.model import generate, read_stream
from mixplan.recipe import SaeSpec
from mixplan.sae import load_sae

TOKENS = torch.arange(20, 44).reshape(2, 12)
CHOSEN = [3, 17, 40, 41, 90, 0, 8, 9, 55]


def without(folder, x, features):
    """The stream less Σ h_j(x) W_dec,j, written out from the SAE's file alone. x: [tokens, d_in] float32."""
    config, w = json.loads((folder / "cfg.json").read_text()), load_file(folder / "sae_weights.safetensors")
    scale, seen = np.ones((len(x), 1), np.float32), x
    if config["normalize_activations"] == "layer_norm":
        scale = x.std(1, keepdims=True, ddof=1)
    if config["normalize_activations"] == "constant_norm_rescale":
        scale = np.linalg.norm(x, axis=1, keepdims=True) / np.sqrt(x.shape[1])
        seen = x / scale
    h, decoder = numpy_encode(folder, seen), w["W_dec"]
    if config["architecture"] == "topk" and config["rescale_acts_by_decoder_norm"]:
        decoder = decoder / np.linalg.norm(decoder, axis=1, keepdims=True)
    gone = sum(h[:, j : j + 1] * decoder[j] for j in features)
    assert np.abs(gone).max() > 0
    return x - scale * gone


def hooks(model):
    return sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.lm.modules())


def assert_zeroed(model, sae, folder):
    before = read_stream(model, sae.depth, TOKENS).float().numpy()
    with zeroed(model, sae, CHOSEN):
        after = read_stream(model, sae.depth, TOKENS).float().numpy()
    np.testing.assert_array_equal(after[:, 0], before[:, 0])
    for row, read in zip(before, after, strict=True):
        np.testing.assert_allclose(read[1:], without(folder, row[1:], CHOSEN), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("hook", ["blocks.0.hook_resid_pre", "blocks.1.hook_resid_post", "blocks.3.hook_resid_post"])
def test_the_hook_point_of_every_architecture(any_model, tmp_path, tiny_sae, hook):
    model, sae = open_pair(any_model, tmp_path, tiny_sae, "jumprelu", hook)
    untouched = model.lm(input_ids=TOKENS).logits
    assert_zeroed(model, sae, tmp_path)
    with zeroed(model, sae, CHOSEN):
        assert not torch.allclose(model.lm(input_ids=TOKENS).logits, untouched, atol=1e-4)
    assert hooks(model) == 0
    torch.testing.assert_close(model.lm(input_ids=TOKENS).logits, untouched, rtol=0, atol=0)


@pytest.mark.parametrize("scaling", ["none", "layer_norm", "constant_norm_rescale"])
def test_every_kind_of_sae_in_the_stream_s_own_units(tiny_model, tmp_path, tiny_sae, sae_kind, scaling):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, sae_kind, normalize_activations=scaling)
    assert_zeroed(model, sae, tmp_path)


def test_the_blocks_above_read_the_changed_stream(tiny_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, "standard")

    def changed(_module, _args, output):
        stream = output if torch.is_tensor(output) else output[0]
        rows = [np.vstack([row[:1], without(tmp_path, row[1:], CHOSEN)]) for row in stream.detach().numpy()]
        new = torch.from_numpy(np.stack(rows).astype(np.float32))
        return new if torch.is_tensor(output) else (new, *output[1:])

    handle = model.blocks[sae.depth - 1].register_forward_hook(changed)
    expected = model.lm(input_ids=TOKENS).logits
    handle.remove()
    with zeroed(model, sae, CHOSEN):
        found = model.lm(input_ids=TOKENS).logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_packed_rows_and_shared_prefixes_begin_where_they_begin(tiny_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, "jumprelu")
    rows = asked_rows(5)
    with zeroed(model, sae, CHOSEN):
        together = measure_likelihood(model, rows, advance=lambda _: None).values["bits_per_byte"]
        single = [measure_likelihood(model, [row], advance=lambda _: None).values["bits_per_byte"][0] for row in rows]
    plain = measure_likelihood(model, rows, advance=lambda _: None).values["bits_per_byte"]
    np.testing.assert_allclose(together, single, rtol=1e-4)
    assert not np.allclose(together, plain, rtol=1e-3)


def test_answers_are_made_without_the_features_at_every_step(tiny_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, "jumprelu")
    prompts = ["<s>what is 12 and 30?", "<s>the quick brown fox jumps over", "<s>a patient"]
    with zeroed(model, sae, range(sae.d_sae)):
        made = generate(model, prompts, max_new_tokens=6)
        for prompt, answer in zip(prompts, made, strict=True):
            ids = model.tokenizer(prompt, add_special_tokens=False)["input_ids"]
            for token in answer.ids:  # each step read whole, without a cache
                assert int(model.lm(input_ids=torch.tensor([ids])).logits[0, -1].argmax()) == token
                ids = [*ids, token]
    assert made != generate(model, prompts, max_new_tokens=6)


def test_a_short_type_stays_what_it_is(tiny_model, tmp_path, tiny_sae):
    _, sae = open_pair(tiny_model, tmp_path, tiny_sae, "jumprelu")
    model = loaded(tiny_model, dtype="bfloat16")
    before = read_stream(model, sae.depth, TOKENS)
    with zeroed(model, sae, CHOSEN):
        after = read_stream(model, sae.depth, TOKENS)
    assert after.dtype == torch.bfloat16
    expected = [without(tmp_path, row[1:].float().numpy(), CHOSEN) for row in before]
    np.testing.assert_allclose(after[:, 1:].float().numpy(), np.stack(expected), rtol=0.01, atol=0.01)


def test_no_hook_is_left_whatever_happens_inside(tiny_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, "jumprelu")
    with zeroed(model, sae, CHOSEN):
        assert hooks(model) == 2
        with zeroed(model, sae, [1]):
            assert hooks(model) == 4
        assert hooks(model) == 2
        with pytest.raises(IndexError), zeroed(model, sae, [1]):
            model.lm(input_ids=TOKENS + model.lm.config.vocab_size)
    assert hooks(model) == 0
    with zeroed(model, sae, []):
        assert hooks(model) == 0


def test_a_hook_point_that_the_model_lacks(tiny_model, tmp_path, tiny_sae):
    model, _ = open_pair(tiny_model, tmp_path, tiny_sae, "jumprelu")
    sae = replace(load_sae(SaeSpec(path=str(tmp_path)), model), depth=9)
    with pytest.raises(ModelError) as caught, zeroed(model, sae, [1]):
        pass
    assert str(caught.value) == f"model '{model.name}' has 4 blocks; the SAE reads after block 9."
    assert hooks(model) == 0
