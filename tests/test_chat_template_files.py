"""A model's chat template is found in any of the files that transformers reads it from."""

import json

import pytest

from mixplan.chat.template_files import stored_template, unread_setting

SOURCE = "{% if enable_thinking %}think{% endif %}{% if effort == 'no' %}idle{% endif %}{{ messages[0].content }}"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("chat_template.jinja", SOURCE),
        ("chat_template.json", json.dumps({"chat_template": SOURCE})),
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
    found = unread_setting(str(tmp_path), settings, "tiny")
    assert (found is None) == (expected is None)
    assert expected is None or expected in found


def test_a_template_that_is_not_here_or_damaged_says_nothing_yet(tmp_path):
    assert unread_setting(str(tmp_path), {"a": 1}, "tiny") is None
    (tmp_path / "chat_template.jinja").write_text("{% if %}")
    assert unread_setting(str(tmp_path), {"a": 1}, "tiny") is None
