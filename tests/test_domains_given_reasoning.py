"""Reasoning that a message holds beside its text and in it is read once."""

import pytest

from mixplan.domains.chats import ChatForm, read_turns, repeated_reasoning
from mixplan.domains.given_reasoning import OTHER, UNLIKE, reasoning_changes, with_reasoning
from mixplan.errors import DataError

ONCE = "<think>\nR\n</think>\n\nA"


@pytest.mark.parametrize(
    ("fields", "text", "expected", "changes"),
    [
        ({}, ONCE, ONCE, []),
        ({"reasoning_content": "R"}, "A", ONCE, []),
        ({"reasoning_content": "R"}, ONCE, ONCE, []),
        ({"reasoning_content": "R", "reasoning": " R\n"}, "A", ONCE, []),
        ({"reasoning": "so  it\nis "}, "so it is</think>A", "<think>\nso  it\nis\n</think>\n\nA", []),
        ({"thinking": "R"}, "<think>\n\n</think>\n\nA", ONCE, []),
        # Beside a text other fields may hold settings or parts, and an answer may speak of the marks.
        ({"reasoning_content": "R", "reasoning": {"effort": "high"}}, "A", ONCE, []),
        ({"reasoning_content": "R", "thinking": [{"type": "thinking"}]}, "A", ONCE, []),
        ({"thinking": "R"}, "A </think> closes", "<think>\nR\n</think>\n\nA </think> closes", []),
        ({"thinking": "R"}, "<think></think>A", ONCE, []),
        ({"thinking": " "}, ONCE, ONCE, []),
        ({"thinking": " ", "reasoning": "R"}, "A", ONCE, []),
        ({"thinking": "short"}, ONCE, ONCE, [OTHER.format("thinking")]),
        ({"thinking": "R", "reasoning": "short"}, "A", ONCE, [UNLIKE.format("reasoning", "thinking")]),
        ({"reasoning": "R"}, "Say <think>x</think>.", "<think>\nR\n</think>\n\nSay <think>x</think>.", []),
    ],
)
def test_reasoning_is_read_once(fields, text, expected, changes):
    assert with_reasoning(fields, text, "row") == expected
    assert expected.count("R\n</think>") <= 1
    assert reasoning_changes(fields, text, "row") == changes


def test_reasoning_that_is_no_text_is_refused():
    with pytest.raises(DataError, match="row: its reasoning holds an object, not text"):
        with_reasoning({"reasoning": {"steps": 1}}, "A", "row")


def test_a_conversation_with_reasoning_in_both_places():
    form = ChatForm(role="who", content="says", roles={"bot": "assistant"})
    said = [{"type": "text", "text": ONCE}]
    call = [{"function": {"name": "look", "arguments": {}}}]
    messages = [
        {"who": "user", "says": "q", "reasoning": "not the model's"},
        {"who": "bot", "says": said, "reasoning": "R", "tool_calls": call},
        {"who": "tool", "says": [{"found": 1}], "reasoning": "not the model's"},
        {"who": "bot", "says": ONCE, "reasoning": "R"},
    ]
    turns = read_turns(messages, "row", "messages", form)
    assert turns[1][1].startswith(ONCE)
    assert turns[1][1].count("<think>") == 1
    assert turns[3] == ("assistant", ONCE)
    assert repeated_reasoning(messages, form) == ()
    messages[3]["reasoning"] = "other"
    assert read_turns(messages, "row", "messages", form) == turns
    assert repeated_reasoning(messages, form) == (OTHER.format("reasoning"),)


def test_a_turn_of_calls_alone_has_no_text_to_compare():
    turn = {"from": "function_call", "value": {"name": "f", "arguments": {}}, "reasoning": "r"}
    assert repeated_reasoning([turn], ChatForm()) == ()


def test_a_call_behind_reasoning_without_text_has_no_empty_line_more():
    call = {"type": "function", "function": {"name": "f", "arguments": {}}}
    message = {"role": "assistant", "content": "", "reasoning_content": "R", "tool_calls": [call]}
    ((role, text),) = read_turns([message], "here", "messages", ChatForm())
    assert role == "assistant"
    assert text.startswith("<think>\nR\n</think>\n\n<tool_call>")
