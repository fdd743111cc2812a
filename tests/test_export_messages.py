"""Messages: read back as data they are the mixture's rows again; calls, tools and reasoning stand in their fields."""

import json
from collections import Counter

import pytest
from mixed_rows import WEATHER, hand, lay_mixed

from mixplan.domains.chats import ChatForm, examples, not_trained, read_turns
from mixplan.export import messages
from mixplan.export.messages import message
from mixplan.export.rows import mixture_rows

LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{% if m['tool_calls'] %}{% for c in m['tool_calls'] %}"
    '{"name": "{{ c.function.name }}", "parameters": {{ c.function.arguments | tojson }}}{% endfor %}'
    "{% else %}{{ m['content'] }}{% endif %}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture
def written(tmp_path, own_cache):
    loaded, mixture = lay_mixed(tmp_path)
    done = messages.write(hand(loaded, mixture, tmp_path / "out"))
    return [json.loads(line) for line in (tmp_path / "out" / "rows.jsonl").read_text().splitlines()], mixture, done


def test_read_back_as_data_they_are_the_mixtures_rows(written):
    rows, mixture, done = written
    assert done.notes == ()
    found = []
    for row in rows:
        turns = read_turns(row["messages"], "row", "messages", ChatForm())
        (example,) = examples(turns, every=True, untrained=not_trained(row["messages"]))
        found.append(([list(turn) for turn in example.prompt], example.answer, row.get("tools")))
    planned = [
        ([[turn["role"], turn["content"]] for turn in row.prompt], row.answer, row.tools)
        for row in mixture_rows(mixture.folder)
    ]
    assert found == planned


def test_calls_tools_and_reasoning_stand_in_their_fields(written):
    rows, _, _ = written
    kinds = Counter(key for row in rows for one in row["messages"] for key in one)
    assert {"tool_calls", "tool_call_id", "reasoning_content", "weight"} <= set(kinds)
    calling = next(row for row in rows if row["domain"] == "target.tools" and "tool_calls" in row["messages"][-1])
    assert calling["tools"] == [WEATHER]
    first, second = calling["messages"][-1]["tool_calls"]
    assert json.loads(first["function"]["arguments"])["city"] == "Oslo"
    assert (first["id"], second["id"]) == ("call_0", "call_1")
    answered = next(row for row in rows if any(one["role"] == "tool" for one in row["messages"]))
    assert [one["tool_call_id"] for one in answered["messages"] if one["role"] == "tool"] == ["call_0", "call_1"]


def test_only_the_last_answer_is_to_be_trained(written):
    rows, _, _ = written
    for row in rows:
        weights = [one.get("weight", 1) for one in row["messages"] if one["role"] == "assistant"]
        assert weights == [0] * (len(weights) - 1) + [1]


def test_calls_in_a_models_own_words_stay_text_and_are_told_with_their_number(tmp_path, own_cache):
    """Calls as bare JSON with `parameters`, as Llama 3.1 has them, which nothing tells from an answer in JSON."""
    loaded, mixture = lay_mixed(tmp_path, LLAMA)
    done = messages.write(hand(loaded, mixture, tmp_path / "out"))
    behind = sum(
        any(turn["role"] == "tool" for turn in row.prompt)
        for row in mixture_rows(mixture.folder)
        if row.domain == "target.tools"
    )
    assert behind
    assert done.notes == (
        f"{behind} rows of 'target.tools' have tools and hold their calls as the model's own template writes them, in "
        "the text of the turn: it is no form that can be read back into `tool_calls`.",
    )


def test_text_that_only_looks_like_a_call_stays_text():
    assert message("assistant", "I write <tool_call> like this.") == {
        "role": "assistant",
        "content": "I write <tool_call> like this.",
    }
    assert message("user", "<think>no</think> yes") == {"role": "user", "content": "<think>no</think> yes"}
