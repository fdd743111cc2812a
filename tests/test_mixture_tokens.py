"""Tokens counted without transformers equal those of the model's own tokenizer and template, for every template."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from mixplan.chat.template import PLAIN
from mixplan.errors import ModelError
from mixplan.mixture import token_counter
from mixplan.reading.tokenizer import description

TEMPLATES = {
    "plain loop": "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{{ eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    "trained part marked": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "{{ eos_token }}{% endgeneration %}{% else %}<|user|>{{ m.content }}{% endif %}{% endfor %}",
    "system in front of the first turn": "{{- bos_token }}\n{%- set ns = namespace(first='') %}\n"
    "{%- for m in messages %}\n  {%- if m.role == 'system' %}\n    {%- set ns.first = m.content + '\\n\\n' %}\n"
    "    {%- continue %}\n  {%- endif %}\n  {{- '<|' + m.role + '|>' + ns.first + m.content | trim }}\n"
    "  {%- set ns.first = '' %}\n{%- endfor %}\n",
    "JSON and a date": "{{ strftime_now('%d %b %Y') }}{% for m in messages %}{{ m | tojson }}\n"
    "{{ m['content'] | tojson(indent=2) }}{% endfor %}",
    "indented blocks": "{% for m in messages %}\n  {% if loop.last %}\n<|assistant|>{{ m.content }}\n  {% endif %}\n"
    "{% if loop.index0 > 6 %}{% break %}{% endif %}{% endfor %}",
}
ROWS = [
    ([{"role": "user", "content": "What is the sum of 12 and 30?"}], "The answer is 42."),
    ([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "  <b>fever & cough</b>  "}], "ünïcode"),
    ([{"role": "user", "content": "</s> fox <|user|>"}, {"role": "assistant", "content": "a"},
      {"role": "user", "content": "{{ 7 * 7 }} {% for %}"}], ""),
]  # fmt: skip


@pytest.fixture
def tokenizer(tiny_model):
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_counts_as_transformers_does(template, tokenizer):
    tokenizer.chat_template = TEMPLATES[template]
    # What a length asked of the tokenizer leaves behind must not cut what is counted.
    tokenizer(["a long text " * 9, "b"], padding=True, truncation=True, max_length=4)
    counter = token_counter(description(tokenizer), "tiny")
    for prompt, answer in ROWS:
        whole = [*prompt, {"role": "assistant", "content": answer}]
        expected = tokenizer.apply_chat_template(whole, tokenize=True, return_dict=True)["input_ids"]
        assert counter.count(prompt, answer) == len(expected)


def test_without_a_template_the_plain_format_is_counted(tokenizer, build_model, tmp_path):
    folder = build_model("gpt2", tmp_path / "model", chat=False)
    counter = token_counter(description(AutoTokenizer.from_pretrained(folder)), "tiny")
    text = "<s>Be brief.\n\nQuestion: Why?\n\nAnswer: So.</s>"
    prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    assert counter.count(prompt, "So.") == len(tokenizer(text, add_special_tokens=False)["input_ids"])
    assert "Question: " in PLAIN


def test_another_template_is_another_counter(tokenizer):
    first = token_counter(description(tokenizer), "tiny").fingerprint
    assert token_counter(description(tokenizer), "tiny").fingerprint == first
    tokenizer.chat_template = TEMPLATES["JSON and a date"]
    assert token_counter(description(tokenizer), "tiny").fingerprint != first


def test_a_template_that_refuses_a_role_is_named(tokenizer):
    tokenizer.chat_template = (
        "{{ raise_exception('System role not supported') if messages[0].role == 'system' }}"
        "{% for message in messages %}{{ message.content }}{% endfor %}"
    )
    counter = token_counter(description(tokenizer), "org/model")
    with pytest.raises(ModelError) as caught:
        counter.count(*ROWS[1])
    assert str(caught.value) == (
        "the chat template of 'org/model' refuses a conversation with roles system, user, assistant: System role not "
        "supported. It takes them without the system turn: remove `system` from the domain's columns where the text "
        "comes from there; where it is a turn of `messages` or `prompt`, set `roles: {system: user}` and "
        "`turn_order: alternating` in the domain's section, which puts its text at the beginning of the first user "
        "turn."
    )


def test_templates_run_in_a_sandbox(tokenizer):
    tokenizer.chat_template = "{{ messages.append(1) }}{{ ''.__class__.__mro__ }}"
    counter = token_counter(description(tokenizer), "tiny")
    with pytest.raises(ModelError, match="refuses a conversation"):
        counter.count(*ROWS[0])


def test_trl_prepares_as_many_tokens(tiny_model, tmp_path: Path, tokenizer):
    import datasets
    from trl import SFTConfig, SFTTrainer

    counter = token_counter(description(tokenizer), "tiny")
    rows = [{"prompt": prompt, "completion": [{"role": "assistant", "content": answer}]} for prompt, answer in ROWS]
    settings = SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none", max_length=None)
    trainer = SFTTrainer(str(tiny_model), args=settings, train_dataset=datasets.Dataset.from_list(rows))
    counted = [counter.count(prompt, answer) for prompt, answer in ROWS]
    assert [len(row["input_ids"]) for row in trainer.train_dataset] == counted
