"""Which reasoning templates keep, and which of their settings keeps more, seen in what they render."""

import pytest
from trl_templates import TEMPLATES

from mixplan.chat.template import ChatTemplate
from mixplan.chat.template_reasoning import asked_beyond_trained, keeping_setting, keeps_reasoning
from mixplan.chat.template_settings import hold

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


def template(name, settings=None):
    made = hold(TEMPLATES[name], settings=settings or {}, date=None, special=SPECIAL, name="tiny")
    return ChatTemplate(made.source, SPECIAL, "tiny")


@pytest.mark.parametrize(
    ("name", "trained", "earlier"),
    [
        ("qwen3", True, False),
        ("deepseek_r1_distill", False, False),
        ("gptoss", True, False),
        ("llama3", True, True),
        ("nemotron_3_nano", True, False),
        ("glm4moe", True, False),
    ],
)
def test_reasoning_that_a_template_keeps(name, trained, earlier):
    assert keeps_reasoning(template(name), last=True) is trained
    assert keeps_reasoning(template(name), last=False) is earlier


def test_the_setting_that_is_named_keeps_it():
    key, value = keeping_setting(template("nemotron_3_nano"), {}, last=False)
    assert (key, value) == ("truncate_history_thinking", False)
    assert keeps_reasoning(template("nemotron_3_nano", {key: value}), last=False)
    assert keeping_setting(template("qwen3"), {}, last=False) is None
    assert keeping_setting(template("deepseek_r1_distill"), {}, last=True) is None


@pytest.mark.parametrize(
    ("name", "settings", "added"),
    [
        ("deepseek_r1_distill", {}, "<think>\n"),
        ("nemotron_3_nano", {}, "\n"),
        ("qwen3", {}, ""),
        ("qwen3_5_nothink", {}, ""),
        ("qwen3_5_think", {}, ""),
        ("llama3", {}, ""),
    ],
)
def test_what_a_prompt_holds_beyond_a_trained_row(name, settings, added):
    assert asked_beyond_trained(template(name, settings)) == added
