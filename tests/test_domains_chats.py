"""Conversations in the forms in which people export them."""

import json
from dataclasses import replace
from datetime import date

import pytest

from mixplan.chat.tool_calls import parted_calls
from mixplan.domains.chats import (
    ASKED_JOINED,
    CUT,
    JOINED,
    LAST,
    OPENING,
    ChatForm,
    examples,
    joined_turns,
    not_trained,
    read_turns,
    with_tools,
)
from mixplan.domains.row_problems import Lacking
from mixplan.errors import DataError

ASK, SAY = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


def turns(*messages, **form) -> tuple:
    return read_turns(list(messages), "row", "messages", ChatForm(**form))


def refused(*messages, **form) -> str:
    with pytest.raises(DataError) as caught:
        turns(*messages, **form)
    return str(caught.value)


def test_sharegpt_names():
    chat = [("system", "s"), ("human", "q"), ("gpt", "a"), ("observation", "o")]
    assert turns(*({"from": role, "value": text} for role, text in chat)) == (
        ("system", "s"), ("user", "q"), ("assistant", "a"), ("tool", "o"),
    )  # fmt: skip


def test_key_and_role_names_of_ones_own():
    message = {"speaker": "Customer", "says": "q"}
    assert turns(message, role="speaker", content="says", roles={"Customer": "user"}) == (("user", "q"),)
    assert "it has speaker, says. Name its keys in the recipe, as in `columns: {role:" in refused(message)
    assert "`roles: {Customer: assistant}`" in refused(message, role="speaker", content="says")


def test_role_names_are_read_in_any_case_unless_the_recipe_says_otherwise():
    assert turns({"role": "User", "content": "q"}, {"role": "Assistant", "content": "a"}) == turns(ASK, SAY)
    assert turns({"role": "User", "content": "q"}, roles={"User": "system"}) == (("system", "q"),)


def test_developer_reads_as_system():
    assert turns({"role": "developer", "content": "d"}) == (("system", "d"),)


def test_text_parts_are_joined():
    parts = [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}, "c"]
    assert turns({"role": "user", "content": parts}) == (("user", "a bc"),)


def test_a_part_that_is_no_text_is_named():
    picture = {"type": "image_url", "image_url": {"url": "x"}}
    message = refused(ASK, {"role": "user", "content": [picture]})
    assert (
        message
        == "row: message 2 of messages has a part of type 'image_url', which is not text and no text model reads."
    )


@pytest.mark.parametrize("field", ["reasoning_content", "thinking", "reasoning"])
def test_reasoning_beside_the_answer(field):
    assert turns(SAY | {field: "so"}) == (("assistant", "<think>\nso\n</think>\n\na"),)


CALLS = {
    "OpenAI": {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "warmth", "arguments": '{"at": "sea"}'}}],
    },
    "arguments as an object": {
        "role": "assistant",
        "tool_calls": [{"function": {"name": "warmth", "arguments": {"at": "sea", "filler": None}}}],
    },
    "arguments as JSON of JSON": {
        "role": "assistant",
        "tool_calls": [{"function": {"name": "warmth", "arguments": json.dumps('{"at": "sea"}')}}],
    },
    "function_call": {
        "role": "assistant",
        "content": "",
        "function_call": {"name": "warmth", "arguments": '{"at": "sea"}'},
    },
    "ShareGPT": {"from": "function_call", "value": '{"name": "warmth", "arguments": {"at": "sea"}}'},
}


@pytest.mark.parametrize("form", CALLS)
def test_a_tool_call_is_kept_with_its_arguments(form):
    [(role, text)] = turns(CALLS[form])
    assert role == "assistant"
    assert parted_calls(text) == ("", [{"name": "warmth", "arguments": {"at": "sea"}}])


@pytest.mark.parametrize("given", [None, "", "{}", {}, "null", "[]", [], {"filler": None}])
def test_a_call_without_arguments(given):
    [(_, text)] = turns({"role": "assistant", "tool_calls": [{"function": {"name": "warmth", "arguments": given}}]})
    assert parted_calls(text) == ("", [{"name": "warmth", "arguments": {}}])


@pytest.mark.parametrize("given", ["{'at': 'sea'}", '{"at": "sea"', "sea", "5", "0", 0, ["sea"], '["sea"]'])
def test_a_call_whose_arguments_cannot_be_read_is_a_cause(given):
    call = {"function": {"name": "warmth", "arguments": given}}
    with pytest.raises(Lacking, match=r"^a tool call whose arguments are not a JSON object$"):
        turns(ASK, {"role": "assistant", "content": "I look.", "tool_calls": [call]})


def test_a_call_stands_behind_what_the_turn_says():
    [(_, text)] = turns(CALLS["OpenAI"] | {"content": "I look.", "reasoning_content": "so"})
    said, calls = parted_calls(text)
    assert (said, len(calls)) == ("<think>\nso\n</think>\n\nI look.", 1)


def test_what_a_tool_gives_may_be_an_object():
    assert turns({"role": "tool", "content": {"degrees": 12}}) == (("tool", '{"degrees": 12}'),)


@pytest.mark.parametrize(
    "found",
    [
        [{"title": "A"}, {"title": "B"}],
        [{"title": "A", "text": "what A says"}],
        [{"type": "file", "name": "a.txt"}],
        ["Paris", "London"],
        [1, 2.5],
        [["a", 1], ["b", 2]],
        [],
    ],
)
def test_what_a_tool_gives_may_be_a_list(found):
    [(role, text)] = turns({"role": "tool", "content": found})
    assert (role, json.loads(text)) == ("tool", found)


@pytest.mark.parametrize("found", [{"name": "\ud83d"}, [{"name": "\ud83d"}]])
def test_half_a_character_in_what_a_tool_gives_is_told(found):
    assert "U+D83D, half a surrogate pair" in refused({"role": "tool", "content": found})


def test_what_json_cannot_write_is_told():
    day = {"day": date(2024, 2, 3)}
    words = "cannot be written as JSON (Object of type date is not JSON serializable). Write it as text."
    for content in (day, [day]):
        assert refused({"role": "tool", "content": content}) == f"row: message 1 of messages {words}"
    with pytest.raises(DataError, match="row: tools cannot be written as JSON"):
        with_tools((("user", "q"),), [day], "row")


@pytest.mark.parametrize("parts", [["ab"], [{"text": "a"}, "b"], [{"type": "text", "text": "ab", "title": None}]])
def test_text_parts_of_a_tool_s_turn_are_joined(parts):
    assert turns({"role": "tool", "content": parts}) == (("tool", "ab"),)


def test_a_part_without_text_is_refused():
    words = "row: message 1 of messages has a part without `text`; it has {}. Write its text as `text`."
    assert refused({"role": "user", "content": [{"title": "A"}]}) == words.format("title")
    assert refused({"role": "user", "content": [{"type": "text", "content": "A"}]}) == words.format("type, content")
    assert turns({"role": "user", "content": [{"type": "text", "text": None}]}) == (("user", ""),)
    for kind in ("image_url", "input_audio", "video"):
        assert f"part of type '{kind}'" in refused({"role": "tool", "content": [{"type": kind, kind: "x"}]})


def test_tools_stand_in_front():
    tools = [{"type": "function", "function": {"name": "warmth", "parameters": {"type": "object", "extra": None}}}]
    found = with_tools((("user", "q"),), tools, "row")
    assert [role for role, _ in found] == ["tools", "user"]
    assert json.loads(found[0][1])[0]["function"] == {"name": "warmth", "parameters": {"type": "object"}}
    assert with_tools((("user", "q"),), json.dumps(tools), "row")[0][0] == "tools"
    for none in (None, "", [], "[]"):
        assert with_tools((("user", "q"),), none, "row") == (("user", "q"),)
    with pytest.raises(DataError, match="tools is text that is not a JSON list"):
        with_tools((("user", "q"),), "warmth", "row")


def test_a_role_that_is_left_out_is_a_cause():
    with pytest.raises(Lacking, match=r"^a turn of role tool$"):
        turns(ASK, {"role": "tool", "content": "x"}, roles={"tool": "leave_out"})


def test_roles_behind_a_turn_that_leaves_the_row_out_are_met():
    form = ChatForm(roles={"note": "leave_out", "bot": "assistant"})
    with pytest.raises(Lacking):
        read_turns([{"role": "note", "content": "x"}, ASK, {"role": "bot", "content": "b"}], "row", "messages", form)
    assert list(form.met) == ["note", "user", "bot"]


def test_an_unknown_role_is_refused_with_its_remedy():
    assert refused(ASK, {"role": "bot", "content": "b"}) == (
        "row: message 2 of messages has the role 'bot', not system, developer, user, human, assistant, gpt, model, "
        "function_call, tool, function or observation. Say in this section of the recipe what it means, as in "
        "`roles: {bot: assistant}`; `leave_out` leaves such rows out."
    )


def chat(*said) -> tuple:
    return tuple((role, text) for role, text in zip(said[::2], said[1::2], strict=True))


def test_trailing_user_turns_are_cut():
    whole = chat("user", "q", "assistant", "a", "user", "thanks", "user", "bye")
    [example] = examples(whole, every=False)
    assert (example.prompt, example.answer, example.changes) == (chat("user", "q"), "a", (CUT,))


def test_an_empty_last_answer_is_cut_with_its_question():
    [example] = examples(chat("user", "q", "assistant", "a", "user", "r", "assistant", " "), every=False)
    assert (example.prompt, example.answer, example.changes) == (chat("user", "q"), "a", (CUT,))


def test_two_answers_in_a_row_are_both_kept():
    [example] = examples(chat("user", "q", "assistant", "a", "assistant", "b"), every=False)
    assert (example.prompt, example.answer, example.changes) == (chat("user", "q"), "a\n\nb", (JOINED,))


def test_every_answer_with_what_stood_before_it():
    whole = chat("system", "s", "assistant", "hi", "user", "q", "assistant", "a", "user", "r", "assistant", "b")
    found = examples(whole, every=True)
    assert [(one.prompt, one.answer, one.number) for one in found] == [(whole[:3], "a", 1), (whole[:5], "b", 2)]
    assert examples(whole, every=False) == [replace(found[-1], changes=(LAST,))]
    assert examples(whole, every=False, untrained={3}) == examples(whole, every=True, untrained={3})


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (("assistant", "a"), "no question"),
        (("user", " ", "assistant", "a"), "no question"),
        (("user", "q"), "no answer"),
        (("assistant", "a", "user", "q"), "no answer"),
        ((), "no question"),
    ],
)
def test_what_a_conversation_lacks(said, cause):
    with pytest.raises(Lacking, match=rf"^{cause}$"):
        examples(chat(*said), every=True)


def test_answers_of_weight_0_are_not_trained():
    messages = [ASK, SAY | {"weight": 0}, ASK, SAY | {"content": "b", "weight": 1}, ASK, SAY | {"weight": 0}]
    read = turns(*messages)
    assert not_trained(messages) == not_trained(json.dumps(messages)) == {1, 5}
    for every in (True, False):
        [example] = examples(read, every=every, untrained={1, 5})
        assert (example.prompt, example.answer) == (read[:3], "b")
    with pytest.raises(Lacking, match=r"^no answer$"):
        examples(read[:2], every=True, untrained={1})


@pytest.mark.parametrize("name", ["train", "training", "loss"])
def test_answers_that_axolotl_or_swift_rows_do_not_train(name):
    messages = [ASK | {name: False}, SAY | {name: True}, ASK, SAY | {name: False}, ASK, SAY | {name: None}, ASK, SAY]
    assert not_trained(messages) == not_trained(json.dumps(messages)) == {0, 3}
    assert not_trained([SAY | {name: 0.0}]) == set()  # a loss that somebody measured
    [example] = examples(turns(*messages[:4]), every=False, untrained={0, 3})
    assert (example.prompt, example.changes) == (turns(ASK), (CUT,))


def test_turns_that_alternate_are_left_as_they_are():
    chat = (("system", "s"), ("user", "q"), ("assistant", "a"), ("tool", "t"), ("tool", "u"), ("assistant", "b"))
    assert joined_turns(chat, alternating=True).turns == chat
    assert joined_turns(chat, alternating=True).changes == ()


def test_a_conversation_is_made_to_alternate():
    chat = (("assistant", "hello"), ("user", "p"), ("user", ""), ("user", "q"), ("assistant", "a"), ("assistant", "b"))
    found = joined_turns(chat, {4, 5}, alternating=True)
    assert found.turns == (("user", "p\n\nq"), ("assistant", "a\n\nb"))
    assert (found.untrained, set(found.changes)) == ({1}, {OPENING, ASKED_JOINED, JOINED})
    as_given = joined_turns(chat, {4, 5})
    assert (len(as_given.turns), as_given.changes) == (5, (JOINED,))


def test_a_system_turn_can_become_part_of_the_question():
    message = {"role": "system", "content": "Be brief."}
    chat = turns(message, ASK, SAY, roles={"system": "user"})
    (found,) = examples(chat, every=False, alternating=True)
    assert (found.prompt, found.answer) == ((("user", "Be brief.\n\nq"),), "a")


@pytest.mark.parametrize("untrained", [{1}, {2}])
def test_an_answer_that_is_not_trained_is_joined_with_none_that_is(untrained):
    chat = (("user", "q"), ("assistant", "wrong"), ("assistant", "good"))
    with pytest.raises(Lacking, match="an answer of weight 0 beside one that is trained"):
        examples(chat, every=False, untrained=untrained)
    assert joined_turns(chat, {1, 2}).untrained == {1}
