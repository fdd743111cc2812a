"""What vLLM is asked and how its answers are read, with a stand-in for it: no test machine has a GPU."""

import dataclasses
import sys
import types

import pytest
import torch
from evaluated import asked_rows, loaded

from mixplan.errors import EvaluateError
from mixplan.evaluate import answering, vllm_answers
from mixplan.evaluate.answering import Answering
from mixplan.evaluate.prompts import prompt_text, token_ids


class StandIn:
    """Answers each prompt with its number of tokens, cut or ended by turns, and keeps what it was asked."""

    started, asked, full = [], [], False

    def __init__(self, **settings):
        if self.full:
            raise ValueError("No available memory\n for the cache blocks.")
        StandIn.started.append(settings)

    def generate(self, prompts, settings, *, use_tqdm, lora_request):
        StandIn.asked.append((prompts, vars(settings), lora_request))
        return [
            types.SimpleNamespace(outputs=[types.SimpleNamespace(
                token_ids=[40 + len(p["prompt_token_ids"]) % 7, 2], finish_reason="stop" if n % 2 else "length")])
            for n, p in enumerate(prompts)
        ]  # fmt: skip


@pytest.fixture
def on_gpu(tiny_model, monkeypatch):
    """A tiny model that says it is on a GPU, beside the stand-in for vLLM."""
    StandIn.started, StandIn.asked, StandIn.full = [], [], False
    vllm = types.ModuleType("vllm")
    vllm.LLM, vllm.SamplingParams = StandIn, types.SimpleNamespace
    request = types.ModuleType("vllm.lora.request")
    request.LoRARequest = lambda *given: given
    for name, module in {
        "vllm": vllm,
        "vllm.lora": types.ModuleType("vllm.lora"),
        "vllm.lora.request": request,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(answering, "is_served", lambda model: True)
    return dataclasses.replace(loaded(tiny_model), device=torch.device("cuda"))


def test_answers_come_in_order_with_their_ends(on_gpu, tiny_model):
    rows, told = asked_rows(), []
    kept, answers = Answering(on_gpu).answers(rows, answer_tokens=5, advance=told.append)
    assert (kept, told) == (list(rows), [4])
    assert [answer.finished for answer in answers] == [False, True, False, True]
    ((prompts, settings, adapter),) = StandIn.asked
    assert [tuple(p["prompt_token_ids"]) for p in prompts] == [token_ids(on_gpu, prompt_text(on_gpu, r)) for r in rows]
    assert settings == {"temperature": 0.0, "max_tokens": 5, "stop_token_ids": [2]}
    assert adapter is None
    assert StandIn.started[0]["model"] == str(tiny_model)
    assert answers[0].text == on_gpu.tokenizer.decode([answers[0].ids[0]]).strip()


def test_the_engine_starts_once_and_again_only_for_longer_texts(on_gpu):
    one = Answering(on_gpu)
    for tokens in (5, 6, 300):
        one.answers(asked_rows(), answer_tokens=tokens, advance=lambda _: None)
    lengths = [settings["max_model_len"] for settings in StandIn.started]
    assert len(lengths) == 2
    assert lengths[0] < lengths[1] <= on_gpu.window


def test_an_adapter_is_asked_for_by_its_rank(on_gpu, tmp_path):
    import peft

    peft.LoraConfig(r=4, task_type="CAUSAL_LM").save_pretrained(tmp_path)
    trained = dataclasses.replace(on_gpu, adapter=tmp_path)
    Answering(trained).answers(asked_rows(1), answer_tokens=5, advance=lambda _: None)
    assert (StandIn.started[0]["enable_lora"], StandIn.started[0]["max_lora_rank"]) == (True, 4)
    assert StandIn.asked[0][2] == ("trained", 1, str(tmp_path))


def test_an_engine_that_does_not_start_is_one_message(on_gpu):
    StandIn.full = True
    with pytest.raises(EvaluateError) as caught:
        Answering(on_gpu).answers(asked_rows(1), answer_tokens=5, advance=lambda _: None)
    assert str(caught.value) == (
        f"vLLM cannot serve '{on_gpu.name}' with 32 tokens a text in 40% of the GPU's memory: No available memory for "
        "the cache blocks. Remove vLLM from this environment to answer with transformers."
    )


@pytest.mark.parametrize(
    ("device", "found", "expected"), [("cuda", True, True), ("cuda", False, False), ("cpu", True, False)]
)
def test_vllm_answers_on_a_gpu_where_it_is_installed(on_gpu, monkeypatch, device, found, expected):
    monkeypatch.setattr(vllm_answers.importlib.util, "find_spec", lambda name: object() if found else None)
    assert vllm_answers.is_served(dataclasses.replace(on_gpu, device=torch.device(device))) == expected
