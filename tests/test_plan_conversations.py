"""Reports of rows and template before anything is read: refused turns, lost reasoning, dates."""

import json
import shutil
from dataclasses import replace

import pytest
from evaluated import asked_rows, domain_of, loaded, spec_of
from trl_templates import TEMPLATES

from mixplan.chat.named_templates import one_template
from mixplan.chat.refused_turns import MOVED
from mixplan.chat.template import ANY_TOOL
from mixplan.chat.tool_calls import TOOLS, call_text
from mixplan.errors import ModelError
from mixplan.model import hold_template
from mixplan.plan.conversations import conversations_as_read
from mixplan.recipe import ColumnsSpec, TrainSpec

STRICT = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('turns must alternate') }}{% endif %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
)
THOUGHT = "<think>\nA river is a thing.\n</think>\n\nA river."


class Recipe:
    """As much of a recipe as is asked for."""

    def __init__(self, folder, method="sft", **settings):
        self.model, self.train = spec_of(folder, chat_template_kwargs=settings), TrainSpec(method=method)


@pytest.fixture
def reader(tiny_model):
    """Loads the tiny model with one of TRL's templates, held."""

    def read(name, date=None, **settings):
        model = loaded(tiny_model)
        model.tokenizer.chat_template = TEMPLATES.get(name, name)
        day = hold_template(model.tokenizer, "tiny", settings=settings, date=date)
        return replace(model, name="tiny", template_date=day)

    return read


def domain(answers, **changes):
    rows = [replace(row, answer=text) for row, text in zip(asked_rows(len(answers)), answers, strict=True)]
    return replace(domain_of("target", tuple(rows[:1]), **changes), pool=tuple(rows), demonstration=tuple(rows[:2]))


def test_refused_rows_are_named_with_a_remedy_for_their_format(reader, tiny_model):
    model = reader(STRICT)
    rows = [replace(row, prompt=(("system", "Be brief."), *row.prompt)) for row in asked_rows(3)]
    for columns, remedy in (
        (ColumnsSpec(messages="messages"), MOVED),
        (ColumnsSpec(question="q", answer="a", system="s"), "remove `system` from the domain's columns."),
    ):
        sound, faulty = domain(["a"]), replace(domain_of("law", (), columns=columns), pool=tuple(rows))
        with pytest.raises(ModelError) as caught:
            conversations_as_read(Recipe(tiny_model), model, sound, {"law": faulty})
        assert str(caught.value) == (
            "domains.law: the chat template of 'tiny' refuses 3 of its 3 rows, such as test:0 with the roles system, "
            f"user, assistant: turns must alternate. It takes them without the system turn: {remedy}"
        )
    assert conversations_as_read(Recipe(tiny_model), model, domain(["a"]), {"law": domain(["b"])}) == []


def test_reasoning_that_is_not_trained_or_not_read_is_told_with_its_tokens(reader, tiny_model):
    model = reader("deepseek_r1_distill")
    tokens = len(model.tokenizer("A river is a thing.", add_special_tokens=False)["input_ids"])
    trained, shown, _asked = conversations_as_read(
        Recipe(tiny_model), model, domain([THOUGHT, "plain", THOUGHT]), {"law": domain(["a"])}
    )
    assert trained == (
        f"target: the chat template leaves the reasoning out of the answers of 2 pool rows, so {2 * tokens} tokens of "
        "reasoning are not trained. To keep it, write it without `<think>` and `</think>`, as part of the answer's "
        "text."
    )
    assert shown == (
        f"target: the chat template leaves the reasoning out of 1 demonstrations, so {tokens} tokens of reasoning are "
        "not read. To keep it, write it without `<think>` and `</think>`, as part of the answer's text."
    )
    rewarded = conversations_as_read(Recipe(tiny_model, "grpo"), model, domain([THOUGHT]), {})
    assert [line.partition(" of ")[2][:16] for line in rewarded] == ["1 demonstrations"]


def test_a_setting_of_the_template_is_the_remedy_where_it_keeps_reasoning(reader, tiny_model):
    shown, _asked = conversations_as_read(Recipe(tiny_model), reader("nemotron_3_nano"), domain([THOUGHT]), {})
    assert shown.endswith("To keep it, set `model.chat_template_kwargs: {truncate_history_thinking: false}`.")
    settings = {"truncate_history_thinking": False}
    kept = conversations_as_read(
        Recipe(tiny_model, **settings), reader("nemotron_3_nano", **settings), domain([THOUGHT]), {}
    )
    assert [line for line in kept if "reasoning" in line] == []


def test_what_a_prompt_opens_and_training_drops_is_told(reader, tiny_model):
    (line,) = conversations_as_read(Recipe(tiny_model), reader("deepseek_r1_distill"), domain(["a"]), {})
    assert line == (
        r"The chat template of 'tiny' ends a prompt with '<think>\n' when the model is asked, and leaves that out of "
        "the rows that are trained. `choice` and `likelihood` are measured as trained, `exact` and `behaviour` as "
        "asked."
    )
    assert conversations_as_read(Recipe(tiny_model), reader("qwen3"), domain(["a"]), {}) == []


def test_what_the_template_for_tools_leaves_out_or_adds_is_told_of_rows_with_tools(reader, tiny_model):
    tools = (TOOLS, json.dumps([ANY_TOOL]))
    target = domain([THOUGHT, THOUGHT, "a"])
    first, *others = target.pool
    with_tools = replace(first, prompt=(tools, *first.prompt))
    target = replace(target, pool=(with_tools, *others), query=(with_tools,))
    keeps, leaves_out = TEMPLATES["qwen2_5"], TEMPLATES["deepseek_r1_distill"]
    tokens = len(reader(keeps).tokenizer("A river is a thing.", add_special_tokens=False)["input_ids"])

    def told(default, tool_use):
        model = reader(one_template({"default": default, "tool_use": tool_use}))
        return conversations_as_read(Recipe(tiny_model), model, target, {})

    end = "To keep it, write it without `<think>` and `</think>`, as part of the answer's text."
    opens = r"with '<think>\n' when the model is asked"
    lines = [line for line in told(keeps, leaves_out) if "not write a conversation's tools" not in line]
    assert [line.partition(opens)[0] for line in lines] == [
        f"target: the chat template leaves the reasoning out of the answers of 1 pool rows with tools, so {tokens} "
        f"tokens of reasoning are not trained. {end}",
        "target: the chat template leaves the reasoning out of 2 demonstrations before queries with tools, so "
        f"{2 * tokens} tokens of reasoning are not read. {end}",
        "The chat template of 'tiny' ends a prompt of conversations with tools ",
    ]
    assert [line.partition(opens)[0] for line in told(leaves_out, keeps)] == [
        f"target: the chat template leaves the reasoning out of the answers of 1 pool rows, so {tokens} tokens of "
        f"reasoning are not trained. {end}",
        "The chat template of 'tiny' ends a prompt ",
    ]


def test_a_setting_that_one_of_two_templates_does_not_read_is_told_of_the_rows_that_it_renders(reader, tiny_model):
    tools = (TOOLS, json.dumps([ANY_TOOL]))
    thinks = "{% if think %}Think.{% endif %}{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    plain = "{{ tools }}{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    first, *others = asked_rows(4)
    target = replace(domain(["a"]), pool=(replace(first, prompt=(tools, *first.prompt)), *others))

    def told(default, tool_use, **settings):
        model = reader(one_template({"default": default, "tool_use": tool_use}), **settings)
        found = conversations_as_read(Recipe(tiny_model, **settings), model, target, {})
        return [line for line in found if "does not read" in line]

    end = "does not read `think` of `model.chat_template_kwargs`, which therefore changes nothing in"
    assert told(thinks, plain, think=True) == [
        f"The chat template of 'tiny' named tool_use {end} 1 of the rows, those with tools."
    ]
    assert told(plain, thinks, think=True) == [
        f"The chat template of 'tiny' named default {end} {len(target.rows) - 1} of the rows, those without tools."
    ]
    assert told(thinks, thinks + " ", think=True) == told(thinks, plain) == []


def test_a_held_date_is_told(reader, tiny_model):
    (line,) = conversations_as_read(Recipe(tiny_model), reader("llama3_2", date="2031-02-03"), domain(["a"]), {})
    assert line == (
        "The chat template of 'tiny' prints the date. It is held at 3 February 2031 in reading, training and "
        "measuring, so that the recipe plans the same on any day; `model.template_date` sets another."
    )


def test_calls_that_the_template_writes_in_a_way_no_answer_can_are_told(reader, tiny_model):
    call = call_text("warmth", {"at": "sea"})
    target, law = domain(["a", call, f"I look.\n{call}"]), domain(["a", "b"])
    told = conversations_as_read(Recipe(tiny_model), reader("gptoss"), target, {"law": law})
    (line,) = [line for line in told if "tool calls" in line]
    assert line.startswith("target: the chat template of 'tiny' has no form of tool calls that an answer's text can")
    assert "so 2 pool rows have them as `<tool_call>`" in line
    assert "how this model calls; 2 of them end in one, which is trained." in line
    for method, name in (("sft", "qwen3"), ("sft", "deepseekv3"), ("grpo", "gptoss")):
        told = conversations_as_read(Recipe(tiny_model, method), reader(name), target, {"law": law})
        assert not [line for line in told if "tool calls" in line]


def test_rows_whose_tools_are_not_written_are_counted_once(reader, tiny_model):
    tools = (TOOLS, json.dumps([ANY_TOOL]))
    rows = [replace(row, prompt=(tools, *row.prompt)) for row in asked_rows(5)]
    law = replace(domain_of("law", tuple(rows[:2])), pool=tuple(rows[2:]), query=tuple(rows[2:4]))
    told = conversations_as_read(Recipe(tiny_model), reader("llama3"), domain(["a"]), {"law": law})
    (line,) = [line for line in told if "does not write a conversation's tools" in line]
    assert "does not see what it may call in 5 rows." in line
    assert not [line for line in conversations_as_read(Recipe(tiny_model), reader("qwen3"), domain(["a"]), {"law": law})
                if "tools" in line]  # fmt: skip


def test_a_template_that_only_a_processor_reads_is_told(tiny_model, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": TEMPLATES["qwen3"]}))
    assert not any("alone" in line for line in conversations_as_read(Recipe(folder), loaded(folder), domain(["a"]), {}))
    (folder / "chat_template.jinja").unlink()
    *_, said = conversations_as_read(Recipe(folder), loaded(folder), domain(["a"]), {})
    assert "stands in chat_template.json alone" in said
    assert "rows are read and trained as plain text (`Question: …`, `Answer: …`)" in said


def test_settings_of_the_generation_config_that_nothing_here_answers_by_are_told(tiny_model, tmp_path):
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_model, folder)
    (folder / "generation_config.json").write_text(json.dumps({"repetition_penalty": 1.05, "eos_token_id": 2}))
    *_, said = conversations_as_read(Recipe(folder), loaded(folder), domain(["a"]), {})
    assert "sets `repetition_penalty: 1.05`, by which transformers' `generate` answers." in said
