"""Says what a generation config changes exactly where transformers' own `generate` then answers otherwise."""

import json

import pytest
import torch
from conftest import save_model
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from mixplan.recipe import TrainSpec
from mixplan.recipe.generation_settings import NEUTRAL, SET_BY_TRL, answers_otherwise

SFT, GRPO = TrainSpec(), TrainSpec(method="grpo")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = save_model("llama", tmp_path_factory.mktemp("tiny") / "llama")
    return folder, AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def answer(model, stated, **asked):
    """What `generate` says by a generation config, without being asked for anything or by one of a caller's own."""
    folder, lm, tokenizer = model
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 2, "pad_token_id": 0, **stated}))
    lm.generation_config = GenerationConfig.from_pretrained(folder)
    ids = tokenizer("what is the", return_tensors="pt")
    own = {"generation_config": GenerationConfig(do_sample=False, max_new_tokens=16, **asked)} if asked else {}
    with torch.no_grad():
        return lm.generate(**ids, **own, **({} if own else {"max_new_tokens": 16, "do_sample": False}))[0].tolist()


def changed(plain, start):
    first, second = plain[start], plain[start + 1]
    return {
        "repetition_penalty": 5.0,
        "no_repeat_ngram_size": 1,
        "suppress_tokens": [first],
        "begin_suppress_tokens": [first],
        "bad_words_ids": [[first]],
        "forced_eos_token_id": 2,
        "sequence_bias": [[[second], -50.0]],
        "num_beams": 16,
    }


def test_what_changes_an_answer_is_said_and_its_neutral_value_is_not(model):
    plain = answer(model, {})
    start = len(model[2]("what is the")["input_ids"])
    assert answers_otherwise(str(model[0]), "tiny", GRPO) is None
    for key, value in changed(plain, start).items():
        assert answer(model, {key: NEUTRAL[key] or None}) == plain, key
        assert answers_otherwise(str(model[0]), "tiny", SFT) is None, key
        assert answer(model, {key: value}) != plain, key
        said = answers_otherwise(str(model[0]), "tiny", SFT)
        assert said.startswith("generation_config.json of 'tiny' sets `"), key
        assert (f"`{key}`" in said) is isinstance(value, list)
        assert "GRPO" not in said
        # As TRL asks for answers: what it does not set, transformers takes from the model's file.
        obeyed = answer(model, {key: value}, repetition_penalty=1.0) != plain
        told = answers_otherwise(str(model[0]), "tiny", GRPO)
        assert obeyed is (key not in SET_BY_TRL) is ("The GRPO job itself samples by" in told), key


def test_settings_of_sampling_alone_and_a_job_by_vllm_say_nothing_of_grpo(model):
    answer(model, {"temperature": 0.6, "top_p": 0.9, "do_sample": True})
    assert answers_otherwise(str(model[0]), "tiny", GRPO) is None
    answer(model, {"suppress_tokens": [5], "repetition_penalty": 1.05})
    by_vllm = answers_otherwise(str(model[0]), "tiny", TrainSpec(method="grpo", args={"use_vllm": True}))
    assert by_vllm == answers_otherwise(str(model[0]), "tiny", SFT)
    assert "sets `repetition_penalty: 1.05`, `suppress_tokens`, by which" in by_vllm
    assert answers_otherwise(str(model[0]), "tiny", GRPO) == (
        f"{by_vllm} The GRPO job itself samples by `suppress_tokens`; `drift.from` does not."
    )
    assert answers_otherwise("someone/far-away", "tiny", GRPO) is None
