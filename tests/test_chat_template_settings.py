"""Held templates against transformers' own settings, a fixed date, reasoning fields and lists of parts."""

import datetime

import pytest
from trl_templates import TEMPLATES, tokenizer_with

from mixplan.chat import template as rendering
from mixplan.chat.template import ChatTemplate, environment
from mixplan.chat.template_settings import TEMPLATE_DATE, hold, holds_more, model_template, prints_date
from mixplan.errors import ModelError

SETTINGS = [
    ("qwen3", {"enable_thinking": False}),
    ("qwen3", {"enable_thinking": True}),
    ("gptoss", {"reasoning_effort": "high"}),
    ("llama3_1", {"date_string": "1 Jan 2031"}),
    ("llama3_2", {"date_string": "übermorgen \"x\" {{ 1 }} %}"}),
    ("nemotron_3_nano", {"enable_thinking": False, "truncate_history_thinking": False}),
    ("qwen3_5_think", {"enable_thinking": False}),
]  # fmt: skip
TURNS = [("user", "Why?"), ("assistant", "<think>\nSo.\n</think>\n\nYes."), ("user", "And?")]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


def held(name, settings=None, date=None):
    return hold(TEMPLATES[name], settings=settings or {}, date=date, special=SPECIAL, name="tiny")


def rendered(source, turns, *, awaiting):
    return ChatTemplate(source, SPECIAL, "tiny").render(turns, awaiting=awaiting)


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_a_held_setting_is_what_transformers_gives_for_the_setting(name, settings, tmp_path):
    """Told by transformers with the template that holds nothing but the rest, so that only settings differ."""
    tokenizer = tokenizer_with(held(name).source, tmp_path)
    messages = [{"role": role, "content": content} for role, content in TURNS]
    for awaiting, count in ((True, 3), (True, 1), (False, 2)):
        expected = tokenizer.apply_chat_template(
            messages[:count], tokenize=False, add_generation_prompt=awaiting, **settings
        )
        assert rendered(held(name, settings).source, TURNS[:count], awaiting=awaiting) == expected


def test_a_setting_that_no_template_reads_is_refused_with_those_that_it_reads():
    with pytest.raises(ModelError) as caught:
        held("qwen3", {"enable_thinkin": False})
    assert str(caught.value) == (
        "model.chat_template_kwargs.enable_thinkin: the chat template of 'tiny' does not read `enable_thinkin`; it "
        "reads enable_thinking. Did you mean 'enable_thinking'? Remove the key."
    )
    with pytest.raises(ModelError, match="does not read `enable_thinking` and takes no settings"):
        held("gemma", {"enable_thinking": True})


@pytest.mark.parametrize("name", ["llama3_2", "gptoss", "muse_glimmer"])
def test_a_printed_date_is_the_held_one_on_any_day(name, monkeypatch):
    assert prints_date(TEMPLATES[name])
    made = held(name, date="2031-02-03")
    assert made.date == "2031-02-03"

    class Then(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2031, 2, 3)

    today = rendered(made.source, TURNS[:1], awaiting=True)
    monkeypatch.setattr(rendering, "datetime", Then)
    rendering.compiled.cache_clear()
    assert today == rendered(TEMPLATES[name], TURNS[:1], awaiting=True)
    monkeypatch.undo()
    rendering.compiled.cache_clear()
    assert rendered(TEMPLATES[name], TURNS[:1], awaiting=True) != today
    assert held(name).date == TEMPLATE_DATE


@pytest.mark.parametrize(
    "source",
    [
        "{% set form = '%Y-%m-%d' %}{{ strftime_now(form) }}",
        "{% set mark = '%' %}{{ strftime_now(mark ~ 'Y-' ~ mark ~ 'm-' ~ mark ~ 'd') }}",
        "{% set today = strftime_now %}{{ today('%Y-%m-%d') }}",
        "{{ strftime_now(format='%Y-%m-%d') }}",
        "{% if strftime_now is defined %}{{ strftime_now('%Y-%m-%d') }}{% endif %}",
        "{% macro day(form) %}{{ strftime_now(form) }}{% endmacro %}{{ day('%Y-%m') }}-{{ strftime_now('%d') }}",
    ],
)
def test_a_date_is_held_however_a_template_asks_for_it(source):
    source += "{% for m in messages %}{{ m.content }}{% endfor %}"
    made = hold(source, settings={}, date="2031-02-03", special={}, name="tiny")
    assert rendered(made.source, [("user", "x")], awaiting=True) == "2031-02-03x"
    assert made.date == "2031-02-03"
    assert prints_date(source)


def test_any_form_prints_what_the_day_itself_does():
    moment = datetime.datetime(2031, 2, 3)
    forms = [
        "%d %b %Y",
        "%A, %B %-d, %Y",
        "%%d is %d",
        "%H:%M:%S",
        "100%% on %j",
        "%c",
        "%x %X %p",
        "no date",
        "%%%Y%%",
    ]
    source = "{% for m in messages %}{{ strftime_now(m.content) }}{% endfor %}"
    made = hold(source, settings={}, date="2031-02-03", special={}, name="tiny")
    for form in forms:
        assert rendered(made.source, [("user", form)], awaiting=True) == moment.strftime(form)


def test_a_template_that_only_asks_whether_it_could_print_a_date_prints_none():
    source = "{% if strftime_now is defined %}{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}"
    assert hold(source, settings={}, date=None, special={}, name="tiny").date is None


@pytest.mark.parametrize("name", TEMPLATES)
def test_holding_is_undone_and_done_again(name):
    once = held(name)
    assert model_template(once.source) == TEMPLATES[name]
    again = hold(once.source, settings={}, date=None, special=SPECIAL, name="tiny")
    assert again == once
    assert (once.source == TEMPLATES[name]) == (not holds_more(once.source, {}))


def test_what_needs_nothing_held_stays_as_it_is():
    for name in ("llama3", "gemma3", "qwen2_5", "qwen3", "phi3"):
        assert held(name).source == TEMPLATES[name]
        assert held(name).date is None
    settings = {"enable_thinking": False}
    assert held("qwen3", settings).source != TEMPLATES["qwen3"]
    assert not holds_more(held("qwen3", settings).source, settings)
    assert holds_more(held("gptoss", {"reasoning_effort": "low"}).source, {"reasoning_effort": "low"})


@pytest.mark.parametrize(
    ("name", "field"),
    [("gptoss", "thinking"), ("nemotron_3_nano", "reasoning_content"), ("muse_glimmer", "reasoning_content"),
     ("lfm2_2_5", "thinking")],
)  # fmt: skip
def test_reasoning_is_given_in_the_field_that_a_template_takes(name, field):
    """Against the template itself, given the field by hand."""
    own = environment().from_string(TEMPLATES[name])
    monkey = held(name)
    messages = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Yes.", field: "So."}]
    if monkey.date is not None:
        own.globals["strftime_now"] = datetime.date.fromisoformat(monkey.date).strftime
    expected = own.render(messages=messages, tools=None, documents=None, add_generation_prompt=False, **SPECIAL)
    assert "So." in expected
    assert rendered(monkey.source, TURNS[:2], awaiting=False) == expected


@pytest.mark.parametrize("name", ["idefics3", "smolvlm", "llava_next"])
def test_a_template_for_lists_of_parts_is_given_them(name):
    own = environment().from_string(TEMPLATES[name])
    messages = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in TURNS]
    expected = own.render(messages=messages, tools=None, documents=None, add_generation_prompt=True, **SPECIAL)
    assert rendered(held(name).source, TURNS, awaiting=True) == expected
    assert "Why?" in expected


def test_a_template_that_cannot_be_read_is_named():
    with pytest.raises(ModelError, match=r"the chat template of 'tiny' cannot be read: .* Mend it in"):
        hold("{% for %}", settings={}, date=None, special={}, name="tiny")
