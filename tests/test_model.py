"""Loads, renders and generates with tiny random models of every type and device, and holds each message in full."""

import json
import os
import platform
import shutil
from pathlib import Path

import pytest
import torch

from mixplan import embedded
from mixplan.errors import ModelError
from mixplan.model import (
    device,
    fingerprint_tensors,
    generate,
    give_back_memory,
    load_model,
    read_stream,
    render,
    resolve_device,
    resolve_dtype,
)
from mixplan.model.device import time_matmul
from mixplan.recipe import ModelSpec, SaeSpec


def spec(name, **changes):
    return ModelSpec(name=str(name), sae=SaeSpec(embedded=True), **{"dtype": "float32", "device": "cpu", **changes})


def test_loads_from_a_folder_relative_to_the_yaml(tiny_model):
    model = load_model(spec(tiny_model.name), folder=tiny_model.parent)
    assert (model.d_model, len(model.blocks), model.window, model.dtype) == (32, 4, 512, "float32")
    assert model.why_dtype == "float32 was asked for"
    assert model.parameters == sum(p.numel() for p in model.lm.parameters())


def test_weights_tell_models_apart_and_the_fingerprint_types_and_configs_too(tiny_model, build_model, tmp_path):
    first = load_model(spec(tiny_model))
    again, short = load_model(spec(tiny_model)), load_model(spec(tiny_model, dtype="bfloat16"))
    assert (again.weights, again.fingerprint) == (first.weights, first.fingerprint)
    assert short.weights == first.weights
    assert short.fingerprint != first.fingerprint
    other = load_model(spec(build_model("llama", tmp_path / "m", seed=1)))
    assert first.weights != other.weights
    assert first.fingerprint != other.fingerprint
    # The same weights that turn positions otherwise are read otherwise, so nothing kept of the one serves the other.
    shutil.copytree(tiny_model, tmp_path / "turned")
    config = json.loads((tmp_path / "turned" / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": 77.0}
    (tmp_path / "turned" / "config.json").write_text(json.dumps(config))
    turned = load_model(spec(tmp_path / "turned"))
    assert turned.weights == first.weights
    assert turned.fingerprint != first.fingerprint
    changed = {"w": torch.zeros(3000)}
    changed["w"][2 * 700] = 1
    assert fingerprint_tensors(changed) != fingerprint_tensors({"w": torch.zeros(3000)})


def test_stream_after_every_depth_equals_the_models_own_hidden_states(any_model):
    model = load_model(spec(any_model))
    tokens = torch.randint(6, 300, (2, 9))
    with torch.inference_mode():
        states = model.lm(input_ids=tokens, output_hidden_states=True, use_cache=False).hidden_states
    for depth in range(4):
        torch.testing.assert_close(read_stream(model, depth, tokens), states[depth], rtol=1e-4, atol=1e-5)
    last = read_stream(model, 4, tokens)
    decoder = model.lm.get_decoder()
    (norm,) = (getattr(decoder, name) for name in ("norm", "ln_f", "final_layer_norm") if hasattr(decoder, name))
    torch.testing.assert_close(norm(last), states[4], rtol=1e-4, atol=1e-5)
    with pytest.raises(ModelError) as caught:
        read_stream(model, 5, tokens)
    assert str(caught.value) == f"model '{any_model}' has 4 blocks; the SAE reads after block 5."


def test_blocks_above_the_depth_do_not_run(tiny_model):
    model = load_model(spec(tiny_model))
    ran = []
    for number, block in enumerate(model.blocks):
        block.register_forward_hook(lambda *_, number=number: ran.append(number))
    read_stream(model, 2, torch.tensor([[5, 6]]))
    assert ran == [0, 1]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("no/such-model", {}, "model 'no/such-model' is neither a local folder with safetensors weights nor reachable "
         "on the hub. Check `model.name`, or fetch it once with `hf download no/such-model`."),
        ("x", {"device": "cuda:77"}, "model.device: 'cuda:77' cannot be used on this machine. Use `auto` or `cpu`."),
        ("x", {"device": "meta"}, "model.device: 'meta' cannot be used on this machine. Use `auto` or `cpu`."),
        ("x", {"device": "toaster"}, "model.device: 'toaster' cannot be used on this machine. Use `auto` or `cpu`."),
    ],
)  # fmt: skip
def test_refusals(name, changes, message):
    with pytest.raises(ModelError) as caught:
        load_model(spec(name, **changes))
    assert str(caught.value).startswith(message)


def test_code_of_the_model_is_not_run_unasked(tiny_model, tmp_path):
    import json
    import shutil

    folder = tmp_path / "custom"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    with pytest.raises(ModelError) as caught:
        load_model(spec(folder))
    assert str(caught.value) == (
        f"model '{folder}' brings code of its own, which mixplan does not run unasked. "
        "If you have read and trust it, set `model.trust_remote_code: true`."
    )
    assert not (tmp_path / "ran").exists()


def test_a_damaged_model_is_one_message(tiny_model, tmp_path):
    import shutil

    folder = tmp_path / "damaged"
    shutil.copytree(tiny_model, folder)
    (folder / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ModelError) as caught:
        load_model(spec(folder))
    assert str(caught.value).startswith(f"model '{folder}' cannot be loaded")


def test_auto_measures_on_a_cpu_and_says_so(monkeypatch):
    cases = [((3.0, 1.0), "bfloat16", ""), ((1.1, 1.0), "float32", "not "), ((1.0, 4.0), "float32", "not ")]
    for seconds, chosen, negated in cases:
        times = dict(zip((torch.float32, torch.bfloat16), seconds, strict=True))
        monkeypatch.setattr(device, "time_matmul", lambda dtype, _width, times=times: times[dtype])
        why = f"bfloat16 was measured {negated}to be at least 1.2 times as fast as float32 on this CPU"
        assert resolve_dtype("auto", torch.device("cpu"), 8) == (chosen, why)
    assert time_matmul(torch.float32, 8) > 0
    assert resolve_device("cpu") == torch.device("cpu")


def test_render_uses_the_chat_template_or_the_plain_format(tiny_model, build_model, tmp_path):
    turns = [("system", "Be brief."), ("user", "Why?")]
    model = load_model(spec(tiny_model))
    assert render(model, turns, awaiting=True) == "<s><|system|>\nBe brief.</s>\n<|user|>\nWhy?</s>\n<|assistant|>\n"
    plain = load_model(spec(build_model("gpt2", tmp_path / "m", chat=False)))
    assert render(plain, turns, awaiting=True) == "<s>Be brief.\n\nQuestion: Why?\n\nAnswer:"
    model.tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
        "{% for message in messages %}{{ message.content }}{% endfor %}"
    )
    with pytest.raises(ModelError) as caught:
        render(model, turns, awaiting=True)
    assert str(caught.value) == (
        f"the chat template of '{tiny_model}' refuses a conversation with roles system, user: no system turn. "
        "It takes them without the system turn: remove `system` from the domain's columns where the text comes from "
        "there; where it is a turn of `messages` or `prompt`, set `roles: {system: user}` and "
        "`turn_order: alternating` in the domain's section, which puts its text at the beginning of the first user "
        "turn."
    )


def test_generation_does_not_depend_on_the_batch(tiny_model):
    model = load_model(spec(tiny_model))
    prompts = [
        render(model, [("user", text)], awaiting=True) for text in ("the quick brown", "a", "lazy dog jumps over it")
    ]
    together = generate(model, prompts, max_new_tokens=6)
    assert together == [generate(model, [prompt], max_new_tokens=6)[0] for prompt in prompts]


def test_the_embedded_model_needs_its_package(monkeypatch):
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="the embedded model is not installed"):
        load_model(spec("embedded"))
    assert isinstance(embedded.sae_folder(), Path)


def test_freed_memory_goes_back_to_the_system():
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    blocks = [torch.ones(16_000) for _ in range(4_000)]
    held, size = resident(), len(blocks) * blocks[0].nbytes
    # One block that stays keeps all below it in the heap.
    last = blocks[-1]
    del blocks
    give_back_memory()
    # Other C libraries give freed pages back by themselves, or cannot.
    assert resident() <= held - (0.8 * size if platform.libc_ver()[0] == "glibc" else 0)
    assert last.sum() == 16_000
