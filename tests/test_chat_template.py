"""Rendering without transformers gives transformers' text, for every chat template that TRL ships."""

import pytest
from trl_templates import TEMPLATES, as_trl_trains, row_of, tokenizer_with

from mixplan.chat.template import PLAIN, ChatTemplate
from mixplan.chat.template_settings import hold
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


LATE = (
    "{% for m in messages if m.role != 'system' %}[{{ m.role }}]"
    "{% if loop.last and m.role == 'user' and messages[0].role == 'system' %}{{ messages[0].content }} {% endif %}"
    "{{ m.content }}{% endfor %}"
)
"""Writes a system turn into a question as long as nothing stands behind that, as Mistral's templates do."""


def test_a_turn_that_the_answer_drives_out_is_a_fault(folder):
    turns = [("system", "Be brief."), ("user", "Why?")]
    tokenizer = tokenizer_with(LATE, folder)
    (row,) = as_trl_trains(tokenizer, [row_of(turns, "So.")])
    learnt = tokenizer.decode(
        [token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label >= 0]
    )
    assert "Why?" in learnt  # the question carries loss, and the system turn is not there
    assert "brief" not in tokenizer.decode(row["input_ids"])
    template = ChatTemplate(LATE, {}, "x")
    assert template.fault(["system", "user", "assistant"]) == "it leaves out a turn of the role system"
    assert template.fault(["user", "assistant"]) is None


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_at_fault_where_a_turn_is_missing_when_asked_or_trained(name):
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    held = hold(TEMPLATES[name], settings={}, date=None, special=special, name="tiny")
    template = ChatTemplate(held.source, special, "tiny")
    for roles in (["user"], ["system", "user"], ["system", "system", "user"], ["user", "assistant", "system", "user"]):
        turns = [(role, f"said {number}!") for number, role in enumerate(roles)]
        try:
            asked = template.render(turns, awaiting=True)
            trained = template.render([*turns, ("assistant", "said last!")], awaiting=False)
        except ModelError:
            continue
        missing = [text for _, text in turns if text not in asked or text not in trained]
        assert (template.fault([*roles, "assistant"]) is not None) == bool(missing)
