"""The plain format's template: the text that planning reads, its end apart, and no trace of it in what is shipped."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixplan.chat.template import PLAIN
from mixplan.model import load_model, render
from mixplan.recipe import ModelSpec, SaeSpec
from mixplan.train.job import Job
from mixplan.train.tokens import load_tokenizer, save_tokenizer

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)


@pytest.fixture(scope="module")
def plain(build_model, tmp_path_factory):
    """A model without a chat template, and the tokenizer that its training gets."""
    folder = build_model("gpt2", tmp_path_factory.mktemp("plain"), chat=False)
    model = {"name": str(folder), "revision": None, "trust_remote_code": False, "dtype": "auto", "device": "cpu"}
    job = Job(model=model, train={}, mixture="mixture", planned_rows={}, hashes={})
    spec = ModelSpec(name=str(folder), device="cpu", dtype="float32", sae=SaeSpec(embedded=True))
    return load_model(spec), load_tokenizer(job)


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXT), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_the_template_gives_the_plain_format(plain, turns):
    model, tokenizer = plain
    messages = [{"role": role, "content": content} for role, content in turns]
    asked = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert asked == render(model, turns, awaiting=True)
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    heads = {"system": "", "user": "Question: ", "assistant": "Answer: "}
    blocks = "\n\n".join(heads[role] + content for role, content in turns)
    ended = tokenizer.eos_token if turns[-1][0] == "assistant" else ""
    assert whole == render(model, turns, awaiting=False) == tokenizer.bos_token + blocks + ended


def test_the_template_is_not_shipped(plain, tmp_path):
    _, tokenizer = plain
    tokenizer.save_pretrained(tmp_path)
    assert (tmp_path / "chat_template.jinja").read_text() == PLAIN
    save_tokenizer(tokenizer, tmp_path)
    assert not (tmp_path / "chat_template.jinja").exists()
    assert json.loads((tmp_path / "tokenizer_config.json").read_text()).get("chat_template") is None
    tokenizer.chat_template = PLAIN


def test_a_template_of_its_own_is_kept(tiny_model, tmp_path):
    model = {"name": str(tiny_model), "revision": None, "trust_remote_code": False, "dtype": "auto", "device": "cpu"}
    tokenizer = load_tokenizer(Job(model=model, train={}, mixture="m", planned_rows={}, hashes={}))
    save_tokenizer(tokenizer, tmp_path)
    assert (tmp_path / "chat_template.jinja").read_bytes() == (tiny_model / "chat_template.jinja").read_bytes()
