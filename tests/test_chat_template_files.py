"""A model's chat template is found in any of the files that transformers reads it from."""

import json
import re

import pytest
from conftest import save_model
from transformers import AutoTokenizer
from trl_templates import TEMPLATES

from mixplan.chat.template import PLAIN
from mixplan.chat.template_files import LIKELY, held_template, processors_alone, special_in, stored_template
from mixplan.errors import ModelError
from mixplan.model import hold_template
from mixplan.model.tokenizer_template import special_tokens, template_source

SOURCE = "{% if enable_thinking %}think{% endif %}{% if effort == 'no' %}idle{% endif %}{{ messages[0].content }}"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("chat_template.jinja", SOURCE),
        ("tokenizer_config.json", json.dumps({"chat_template": SOURCE})),
        (
            "tokenizer_config.json",
            json.dumps({"chat_template": [{"name": "rag", "template": ""}, {"name": "default", "template": SOURCE}]}),
        ),
    ],
)
def test_found_in(tmp_path, file, content):
    assert stored_template(str(tmp_path)) is None
    (tmp_path / file).write_text(content)
    assert stored_template(str(tmp_path)) == SOURCE


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, None),
        ({"enable_thinking": False, "effort": "no"}, None),
        ({"thinking": True}, "does not read `thinking`; it reads effort, enable_thinking."),
        ({"enable_thinking": "no"}, "takes for true, as any text. Write it without quotes: `enable_thinking: false`."),
    ],
)
def test_settings(tmp_path, settings, expected):
    (tmp_path / "chat_template.jinja").write_text(SOURCE)
    if expected is None:
        template, day = held_template(str(tmp_path), settings, None, "tiny")
        assert (template.name, day) == ("tiny", None)
        assert template.source.endswith(SOURCE)
    else:
        with pytest.raises(ModelError, match=re.escape(expected)):
            held_template(str(tmp_path), settings, None, "tiny")


def test_a_template_that_is_not_here_says_nothing_and_a_damaged_one_is_named(tmp_path):
    assert held_template(str(tmp_path), {"a": 1}, None, "tiny") is None
    assert held_template("someone/far-away", {"a": 1}, None, "tiny") is None
    (tmp_path / "chat_template.jinja").write_text("{% if %}")
    with pytest.raises(ModelError, match=r"the chat template of 'tiny' cannot be read: .*Mend it"):
        held_template(str(tmp_path), {}, None, "tiny")


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_what_the_files_tell_is_what_the_loaded_tokenizer_holds(tmp_path, kind):
    folder = save_model(kind, tmp_path / kind)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for source in (None, TEMPLATES["qwen3"], TEMPLATES["llama3_2"], "{{ bos_token }}{{ messages[0].content }}"):
        tokenizer.chat_template = source
        tokenizer.save_pretrained(folder)
        again = AutoTokenizer.from_pretrained(folder)
        day = hold_template(again, "tiny", settings={}, date="2030-01-02")
        found, told = held_template(str(folder), {}, "2030-01-02", "tiny")
        assert (found.source, told) == (template_source(again), day)
        assert special_tokens(again).items() <= found.special.items()
        if source is None:
            (folder / "chat_template.jinja").unlink(missing_ok=True)


def test_settings_of_a_model_without_a_template_are_refused(tmp_path):
    folder = save_model("llama", tmp_path / "llama")
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"'tiny' has no chat template, so nothing reads thinking\. Remove the key\."):
        held_template(str(folder), {"thinking": False}, None, "tiny")


def test_named_templates_without_a_default_are_refused(tmp_path):
    listed = [{"name": "rag", "template": SOURCE}, {"name": "chat", "template": SOURCE}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": listed}))
    with pytest.raises(
        ModelError, match=r"has chat templates named chat, rag and none named default, so none is chosen"
    ):
        held_template(str(tmp_path), {}, None, "tiny")


def test_special_tokens_are_those_of_the_files(tmp_path):
    config = {"bos_token": None, "eos_token": {"content": "<end>"}, "image_token": "<i>", "padding_side": "left"}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"pad_token": "<pad>"}))
    assert special_in(str(tmp_path), config) == {"eos_token": "<end>", "image_token": "<i>", "pad_token": "<pad>"}
    assert special_in(str(tmp_path / "nowhere"), {}) == LIKELY


@pytest.mark.parametrize("file", ["chat_template.json", "processor_config.json"])
def test_a_processor_s_template_is_none_of_the_tokenizer_s_and_said_where_it_stands_alone(tmp_path, file):
    folder = save_model("llama", tmp_path / "llama")
    (folder / file).write_text(json.dumps({"chat_template": TEMPLATES["llama3_2"]}))
    own = AutoTokenizer.from_pretrained(folder).chat_template
    assert (stored_template(str(folder)), processors_alone(str(folder), "tiny")) == (own, None)
    (folder / "chat_template.jinja").unlink()
    assert AutoTokenizer.from_pretrained(folder).chat_template is None
    assert held_template(str(folder), {}, None, "tiny")[0].source == PLAIN
    assert f"of 'tiny' stands in {file} alone" in processors_alone(str(folder), "tiny")
    (folder / "chat_template.jinja").write_text(TEMPLATES["llama3_2"])
    assert AutoTokenizer.from_pretrained(folder).chat_template == stored_template(str(folder))


def test_a_template_is_that_of_the_revision_which_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    root = tmp_path / "models--someone--tiny"
    for name, source in (("main", "{{ messages }}"), ("v2", SOURCE)):
        commit = name.ljust(40, "0")
        (root / "refs").mkdir(parents=True, exist_ok=True)
        (root / "refs" / name).write_text(commit)
        folder = save_model("llama", root / "snapshots" / commit)
        (folder / "chat_template.jinja").write_text(source)
        assert AutoTokenizer.from_pretrained("someone/tiny", revision=name, cache_dir=tmp_path).chat_template == source
        assert stored_template("someone/tiny", name) == source
        assert held_template("someone/tiny", {}, None, "tiny", name)[0].source.endswith(source)
    assert stored_template("someone/tiny") == "{{ messages }}"
    assert held_template("someone/tiny", {"effort": "no"}, None, "tiny", "v2") is not None


@pytest.mark.parametrize("further", [{}, {"added_tokens_decoder": {}}])
def test_tokens_that_a_tokenizer_s_files_name_in_several_places_are_those_that_transformers_gives(tmp_path, further):
    folder = save_model("llama", tmp_path / "llama")
    own = json.loads((folder / "tokenizer_config.json").read_text())
    named = {"extra_special_tokens": {"image_token": "<pad>"}, "eos_token": "<|user|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(own | named | further))
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": {"content": "<|system|>"}}))
    (folder / "chat_template.jinja").write_text("{{ 'a' + image_token + eos_token }}{{ messages[0].content }}")
    again, (template, _) = AutoTokenizer.from_pretrained(folder), held_template(str(folder), {}, None, "tiny")
    assert special_tokens(again).items() <= template.special.items()
    turns = [{"role": "user", "content": "b"}]
    assert template.fill(turns, awaiting=False) == again.apply_chat_template(turns, tokenize=False)
