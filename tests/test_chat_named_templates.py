"""Of a tokenizer with several chat templates each conversation reads by the one that transformers chooses for it."""

import json

import pytest
from transformers import AutoTokenizer
from trl_templates import TEMPLATES, as_trl_trains, row_of, tokenizer_with

from mixplan.chat.named_templates import chooses_by_tools, one_template
from mixplan.chat.reasoning import joined
from mixplan.chat.template import ChatTemplate
from mixplan.chat.template_files import stored_template
from mixplan.chat.template_settings import hold
from mixplan.chat.tool_calls import TOOLS, call_text
from mixplan.errors import ModelError
from mixplan.model import give_back_template, hold_template, special_tokens, template_source
from mixplan.train.tokens import save_tokenizer as save_trained

TOOL = {"type": "function", "function": {"name": "warmth", "description": "d", "parameters": {"type": "object"}}}
CALL = call_text("warmth", {"at": "sea"})
PLAIN_TURNS = "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}"
WITH_TOOLS = "{{ tools | tojson }}" + PLAIN_TURNS
PAIRS = {
    "spaces and line ends": ("\n  " + PLAIN_TURNS + "  \n  \n\n", "  \n" + WITH_TOOLS + "\n  "),
    "tags at the ends": ("{%- if true %}\n" + PLAIN_TURNS + "{%- endif %}\n",
                         "{# said #}\n" + WITH_TOOLS + "{% if true %}{% endif -%}"),
    "tool_use by macros": (TEMPLATES["llama3"], TEMPLATES["qwen3"]),
    "of two families": (TEMPLATES["qwen2_5"], TEMPLATES["llama3_1"]),
}  # fmt: skip
CONVERSATIONS = [
    [("user", "q")],
    [("system", " s\n"), ("user", "q"), ("assistant", "a")],
    [("user", "q"), ("assistant", "a"), ("user", "r")],
]


def named_tokenizer(folder, default, tool_use, **others):
    return tokenizer_with({"default": default, "tool_use": tool_use, **others}, folder)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("tools", [None, [TOOL]], ids=["without", "with tools"])
def test_each_conversation_reads_as_transformers_renders_it(pair, tools, tmp_path):
    tokenizer = named_tokenizer(tmp_path, *PAIRS[pair])
    messages = [[{"role": role, "content": content} for role, content in turns] for turns in CONVERSATIONS]

    def by_transformers():
        return [tokenizer.apply_chat_template(one, tools=tools, tokenize=False) for one in messages]

    expected = by_transformers()
    hold_template(tokenizer, "tiny", settings={}, date=None)
    template = ChatTemplate(template_source(tokenizer), special_tokens(tokenizer), "tiny")
    first = [(TOOLS, json.dumps(tools))] if tools else []
    assert [template.render([*first, *turns], awaiting=False) for turns in CONVERSATIONS] == expected
    if "families" not in pair and "macros" not in pair:  # what is held in front is the recipe's own
        assert by_transformers() == expected


@pytest.mark.parametrize("tools", [None, [TOOL]], ids=["without", "with tools"])
def test_a_row_trains_on_the_text_that_planning_reads(tools, tmp_path):
    tokenizer = named_tokenizer(tmp_path, *PAIRS["of two families"])
    hold_template(tokenizer, "tiny", settings={}, date=None)
    template = ChatTemplate(template_source(tokenizer), special_tokens(tokenizer), "tiny")
    row = row_of([("user", "q")], template.native("assistant", CALL, tools), tools=json.dumps(tools) if tools else None)
    trained = tokenizer.decode(as_trl_trains(tokenizer, [row])[0]["input_ids"])
    turns = [*([(TOOLS, json.dumps(tools))] if tools else []), ("user", "q"), ("assistant", CALL)]
    read = template.render(turns, awaiting=False)
    assert trained == tokenizer.decode(tokenizer(read, add_special_tokens=False)["input_ids"])


def test_calls_are_in_the_words_of_the_template_that_the_tools_choose():
    template = ChatTemplate(one_template({"default": TEMPLATES["qwen3_6"], "tool_use": TEMPLATES["llama3_1"]}), {}, "t")
    assert template.native("assistant", CALL).startswith("<tool_call>\n<function=warmth>")
    assert template.native("assistant", CALL, [TOOL]) == '{"name": "warmth", "parameters": {"at": "sea"}}'
    silent = ChatTemplate(one_template({"default": TEMPLATES["qwen3"], "tool_use": TEMPLATES["gptoss"]}), {}, "t")
    assert not silent.keeps_calls_as_text(CALL)
    assert silent.keeps_calls_as_text(CALL, [TOOL])


def test_turns_are_refused_by_the_template_that_the_tools_choose():
    refuses_tools = "{% if messages[-1].role == 'tool' %}{{ raise_exception('no results') }}{% endif %}" + PLAIN_TURNS
    template = ChatTemplate(one_template({"default": refuses_tools, "tool_use": WITH_TOOLS}), {}, "t")
    turns = ["user", "assistant", "tool"]
    assert template.fault(turns) == "no results"
    assert template.fault([TOOLS, *turns]) is None


FIELD = WITH_TOOLS.replace("{{ message.content }}", "[{{ message.thinking }}]{{ message.content }}")
PARTS = "{{ tools | tojson }}{% for m in messages %}{% for part in m.content %}{{ part.text }};{% endfor %}{% endfor %}"


@pytest.mark.parametrize("tools", [None, [TOOL]], ids=["without", "with tools"])
@pytest.mark.parametrize("pair", [(PLAIN_TURNS, FIELD), (FIELD, PLAIN_TURNS), (FIELD, PARTS), (PARTS, FIELD)])
def test_messages_are_held_to_the_form_that_each_template_takes(pair, tools):
    turns = [*([(TOOLS, json.dumps(tools))] if tools else []), ("user", "q"), ("assistant", joined("so", "a"))]

    def read(source):
        held = hold(source, settings={}, date=None, special={}, name="t")
        return ChatTemplate(held.source, {}, "t").render(turns, awaiting=False)

    default, tool_use = pair
    assert read(one_template({"default": default, "tool_use": tool_use})) == read(tool_use if tools else default)


def test_any_tool_has_what_templates_read_of_tools():
    names_parameters = "{% for tool in tools %}{{ tool.function.parameters.properties.items() | list }}{% endfor %}"
    template = ChatTemplate(one_template({"default": PLAIN_TURNS, "tool_use": names_parameters + PLAIN_TURNS}), {}, "t")
    assert template.fault([TOOLS, "user", "assistant"]) is None


def test_all_named_templates_are_saved_as_they_came(tmp_path):
    names = {"default": TEMPLATES["llama3"], "tool_use": TEMPLATES["llama3_2"], "rag": "{{ documents }}"}
    tokenizer = tokenizer_with(names, tmp_path)
    day = hold_template(tokenizer, "tiny", settings={}, date="2025-01-02")
    assert day == "2025-01-02"  # of the template for conversations with tools alone
    assert chooses_by_tools(tokenizer.chat_template)
    save_trained(tokenizer, tmp_path / "trained")
    assert AutoTokenizer.from_pretrained(tmp_path / "trained").chat_template == names
    assert stored_template(str(tmp_path / "trained")) == one_template(names)
    give_back_template(tokenizer)
    assert tokenizer.chat_template == names


def test_templates_of_which_none_is_the_default_are_refused(tmp_path):
    tokenizer = tokenizer_with({"tool_use": WITH_TOOLS, "rag": PLAIN_TURNS}, tmp_path)
    with pytest.raises(ModelError) as caught:
        hold_template(tokenizer, "tiny", settings={}, date=None)
    assert str(caught.value) == (
        f"the tokenizer in '{tmp_path}' has chat templates named rag, tool_use and none named default, so none is "
        "chosen for a conversation. Name one of them default in its files."
    )


def test_one_template_stays_as_it_is(tmp_path):
    assert one_template({"default": PLAIN_TURNS, "rag": "x"}) == PLAIN_TURNS
    assert one_template({"default": PLAIN_TURNS, "tool_use": PLAIN_TURNS}) == PLAIN_TURNS
    listed = [{"name": "tool_use", "template": WITH_TOOLS}, {"name": "default", "template": PLAIN_TURNS}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": listed}))
    assert stored_template(str(tmp_path)) == one_template({"default": PLAIN_TURNS, "tool_use": WITH_TOOLS})
