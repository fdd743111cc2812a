"""Tool calls as text in rows, and as each chat template writes them."""

import importlib.util
import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from mixplan.chat.template import RENDERING_FAULTS, ChatTemplate
from mixplan.chat.tool_calls import TOOLS, call_text, parted_calls, parted_tools, with_calls

SHIPPED = Path(importlib.util.find_spec("trl").origin).parent / "chat_templates"
CALL = call_text("warmth", {"at": "sea", "n": 2})
FUNCTION = {"type": "function", "function": {"name": "warmth", "arguments": {"at": "sea", "n": 2}}}


def template(name: str) -> ChatTemplate:
    return ChatTemplate((SHIPPED / f"{name}.jinja").read_text(), {"bos_token": "<s>", "eos_token": "</s>"}, name)


def test_calls_are_parted_from_what_is_said():
    assert parted_calls(with_calls("I look.", [CALL, CALL])) == ("I look.", [FUNCTION["function"]] * 2)
    assert parted_calls(CALL) == ("", [FUNCTION["function"]])


@pytest.mark.parametrize("text", ["no call", "<tool_call>\nnot json\n</tool_call>", CALL + " and more", "<tool_call>"])
def test_other_text_is_no_call(text):
    assert parted_calls(text) == (text, [])


def test_tools_are_parted_from_the_turns():
    assert parted_tools(((TOOLS, '[{"name": "f"}]'), ("user", "q"))) == ([{"name": "f"}], (("user", "q"),))
    assert parted_tools((("user", "q"),)) == (None, (("user", "q"),))


@pytest.mark.parametrize("name", ["qwen3", "qwen3_6", "llama3_1", "lfm2_2_5", "qwen2_5"])
def test_a_conversation_reads_as_with_the_templates_own_calls(name):
    """The template given the calls as transformers documents them is the second formulation."""
    one = template(name)
    turns = (("user", "q"), ("assistant", with_calls("I look.", [CALL])), ("tool", "12"), ("assistant", "It is 12."))
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "I look.", "tool_calls": [FUNCTION]},
        {"role": "tool", "content": "12"},
        {"role": "assistant", "content": "It is 12."},
    ]
    try:
        own = one.fill(messages, awaiting=False)
    except RENDERING_FAULTS:
        pytest.fail(f"{name} refuses a call")
    text = one.render(turns, awaiting=False)
    assert "warmth" in text
    if name == "llama3_1":
        # Its own calls drop what the turn says; the words stay in front of the call then.
        own = own.replace('{"name"', 'I look.\n{"name"')
    assert text == own


def test_a_template_that_takes_arguments_as_text_is_given_them_so():
    """DeepSeek's put JSON together with other text; a mapping fails there."""
    one = template("deepseekv3")
    turns = (("user", "q"), ("assistant", CALL), ("tool", "12"), ("assistant", "It is 12."))
    function = {**FUNCTION["function"], "arguments": json.dumps(FUNCTION["function"]["arguments"])}
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]},
        {"role": "tool", "content": "12"},
        {"role": "assistant", "content": "It is 12."},
    ]
    assert one.render(turns, awaiting=False) == one.fill(messages, awaiting=False)
    assert not one.keeps_calls_as_text(CALL)


@pytest.mark.parametrize(
    ("name", "stays"),
    [("qwen3", False), ("llama3_1", False), ("gptoss", True), ("llama3", True), ("deepseek_r1_distill", True)],
)
def test_calls_that_stay_text_are_known(name, stays):
    one = template(name)
    for text in (CALL, with_calls("I look.", [CALL]), f"<think>\nso\n</think>\n\n{CALL}"):
        assert one.keeps_calls_as_text(text) is stays
    assert not one.keeps_calls_as_text("no call")


@pytest.mark.parametrize("name", ["llama3_1", "llama3_2", "qwen3_6", "gemma4_v2", "lfm2_2_5", "glm4moe"])
def test_a_call_alone_is_in_the_templates_own_words(name):
    written = template(name).native("assistant", CALL)
    assert written != CALL
    assert "warmth" in written
    assert template(name).native("assistant", written) == written


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.jinja")), ids=lambda path: path.stem)
def test_no_template_loses_a_call_or_invents_a_result(path):
    written = template(path.stem).native("assistant", CALL)
    assert "warmth" in written
    assert "sea" in written
    assert "result" not in written


def test_reasoning_stays_in_front_of_a_call():
    reasoned = f"<think>\nso\n</think>\n\n{CALL}"
    assert (
        template("qwen3_6").native("assistant", reasoned).startswith("<think>\nso\n</think>\n\n<tool_call>\n<function=")
    )


def test_a_template_that_drops_tool_turns_is_faulted():
    silent = ChatTemplate(
        "{% for m in messages %}{% if m.role != 'tool' %}{{ m.role }}: {{ m.content }}\n{% endif %}{% endfor %}",
        {},
        "x",
    )
    assert silent.fault(["user", "assistant", "tool", "assistant"]) == "it leaves out what tools give"
    assert silent.fault(["user", "assistant"]) is None
    assert template("gemma4").fault(["user", "assistant", "tool", "assistant"]) is not None


def test_tools_reach_the_template_as_by_transformers(build_model, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(build_model("llama", tmp_path / "model"))
    tokenizer.chat_template = (SHIPPED / "qwen3.jinja").read_text()
    tools = [{"type": "function", "function": {"name": "warmth", "parameters": {"type": "object"}}}]
    special = {key: str(value) for key, value in tokenizer.special_tokens_map.items() if isinstance(value, str)}
    ours = ChatTemplate(tokenizer.chat_template, special, "x").render(
        ((TOOLS, json.dumps(tools)), ("user", "q")), awaiting=True
    )
    theirs = tokenizer.apply_chat_template(
        [{"role": "user", "content": "q"}], tools=tools, tokenize=False, add_generation_prompt=True
    )
    assert ours == theirs
