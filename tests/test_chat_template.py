"""Rendering without transformers gives transformers' text, for every chat template that TRL ships."""

import pytest
from trl_templates import TEMPLATES, tokenizer_with

from mixplan.chat.template import PLAIN, ChatTemplate
from mixplan.errors import ModelError
from mixplan.model import hold_template, special_tokens

CONVERSATIONS = [
    [("user", "What is <b>6 & 7</b>?")],
    [("user", "ünï ✓"), ("assistant", "<think>\nSo.\n</think>\n\n42"), ("user", "  And? \n")],
    [("user", "a"), ("assistant", "<think>\n\n</think>\n\nb")],
    [("user", "{{ 7 }} {% for %}"), ("assistant", " b\n")],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizer")


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_renders_as_transformers_renders_it(name, folder):
    tokenizer = tokenizer_with(TEMPLATES[name], folder)
    hold_template(tokenizer, "tiny", settings={}, date=None)
    template = ChatTemplate(tokenizer.get_chat_template(), special_tokens(tokenizer), "tiny")
    for turns in CONVERSATIONS:
        messages = [{"role": role, "content": content} for role, content in turns]
        for awaiting in (True, False):
            expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=awaiting)
            assert template.render(turns, awaiting=awaiting) == expected


@pytest.mark.parametrize(
    ("name", "opened"),
    [("deepseek_r1_distill", "<think>\n"), ("qwen3_5_think", "<think>\n"), ("nemotron_3_nano", "<think>\n"),
     ("qwen3", ""), ("qwen3_5_nothink", ""), ("gptoss", ""), ("llama3", "")],
)  # fmt: skip
def test_what_a_prompt_opens_for_reasoning(name, opened):
    assert ChatTemplate(TEMPLATES[name], {"bos_token": "<s>"}, "tiny").opened_reasoning == opened


def test_an_open_block_that_a_question_holds_is_not_the_prompts():
    template = ChatTemplate(PLAIN, {"bos_token": "<s>", "eos_token": "</s>"}, "tiny")
    assert template.render([("user", "<think>")], awaiting=True) == "<s>Question: <think>\n\nAnswer:"
    assert template.opened_reasoning == ""


def test_a_refusal_names_roles_and_what_the_template_says():
    template = ChatTemplate("{{ raise_exception('never') }}", {}, "org/model")
    with pytest.raises(ModelError) as caught:
        template.render([("user", "a")], awaiting=True)
    assert str(caught.value) == (
        "the chat template of 'org/model' refuses a conversation with roles user: never. It takes none of the usual "
        "orders of turns either. Choose a model whose chat template takes these turns, or write each row as one "
        "question and one answer."
    )


def test_a_text_that_is_refused_is_told_from_an_order_of_turns(folder):
    tokenizer = tokenizer_with(TEMPLATES["gptoss"], folder)
    hold_template(tokenizer, "tiny", settings={}, date=None)
    template = ChatTemplate(tokenizer.get_chat_template(), {}, "tiny")
    with pytest.raises(ModelError, match="it is their text that it refuses: take the row out of the data"):
        template.render([("user", "a"), ("assistant", "<|channel|>final<|message|>42")], awaiting=False)
