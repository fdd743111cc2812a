"""Each format's records read as rows."""

import json

import pytest
from small_rows import ASSISTANT, PC, QA, USER, M, m, read, save, spec

from mixplan.chat.tool_calls import call_text
from mixplan.domains.formats import MIXED
from mixplan.domains.rows import RowReader
from mixplan.domains.sources import open_source
from mixplan.errors import DataError
from mixplan.recipe import ColumnsSpec


def test_question_and_answer(tmp_path):
    columns = ColumnsSpec(
        question="{passage}\n{q}", answer="a", rationale="meta.steps", system="Answer {{briefly}} about {topic}."
    )
    record = {"passage": "P", "q": " why? ", "a": 12, "topic": "law", "meta": {"steps": "A: so\n12"}}
    [row] = read(tmp_path, "question_answer", columns, [record])
    assert row.id == "rows.jsonl:0"
    assert row.prompt == (("system", "Answer {briefly} about law."), ("user", "P\n why?"))
    assert (row.answer, row.rationale, row.options, row.gold, row.entry) == ("12", "so\n12", (), None, None)


def test_several_accepted_answers(tmp_path):
    [row] = read(tmp_path, "question_answer", QA, [{"question": "q", "answer": ["", " b ", "c", "b"]}])
    assert (row.answer, row.accepted) == ("b", ("c",))


def test_a_question_of_one_row_is_not_one_of_several(tmp_path):
    asked = ["When was it founded?", "Who founded it?"]
    record = {"q": asked, "a": ["1875", "Leo XIII"], "o": ["x", "y"]}
    for format_, more in (("question_answer", {}), ("choice", {"options": "o"})):
        with pytest.raises(
            DataError, match=r"the question is a list of 2 texts, where a row asks one\. Name one by its"
        ):
            read(tmp_path, format_, ColumnsSpec(question="q", answer="a", **more), [record])
    for number, answer in enumerate(record["a"]):
        columns = ColumnsSpec(question=f"q.{number}", answer=f"a.{number}")
        [row] = read(tmp_path, "question_answer", columns, [record])
        assert (row.prompt, row.answer, row.accepted) == ((("user", asked[number]),), answer, ())
    [row] = read(tmp_path, "question_answer", QA, [{"question": [asked[0], "", asked[0]], "answer": "1875"}])
    assert row.prompt == (("user", asked[0]),)


@pytest.mark.parametrize(
    ("rationale", "answer", "expected"),
    [
        ("1 + 1 = 2\n#### 2", "2", "1 + 1 = 2\n#### 2"),
        ("so we get \\boxed{2}.", "2", "so we get \\boxed{2}."),
        ("1 + 1\nmakes 12", "2", "1 + 1\nmakes 12\n\n2"),
        ("2 is first\nthen more", "2", "2 is first\nthen more\n\n2"),
        ("think", "a long\nanswer", "think\n\na long\nanswer"),
        ("think, a long\nanswer", "a long\nanswer", "think, a long\nanswer"),
        (" ", "2", None),
        (None, "2", None),
    ],
)
def test_a_rationale_ends_with_the_answer(tmp_path, rationale, answer, expected):
    columns = ColumnsSpec(question="question", answer="answer", rationale="why")
    [row] = read(tmp_path, "question_answer", columns, [{"question": "q", "answer": answer, "why": rationale}])
    assert row.rationale == expected


def test_choice_as_mmlu_pro_writes_it(tmp_path):
    record = {
        "question": "Which?",
        "options": ["one", "two", "three"],
        "answer": "B",
        "answer_index": 1,
        "cot_content": "A: Let's think step by step. The answer is (B).",
    }
    columns = ColumnsSpec(question="question", options="options", answer="answer", rationale="cot_content")
    [row] = read(tmp_path, "choice", columns, [record])
    assert row.prompt == (("user", "Which?\n\nA. one\nB. two\nC. three"),)
    assert (row.answer, row.options, row.gold) == ("B. two", ("one", "two", "three"), 1)
    assert row.rationale == "Let's think step by step. The answer is (B).\n\nB. two"


def test_choice_options_from_columns_of_their_own(tmp_path):
    columns = ColumnsSpec(question="q", options="A. {opa}\nB. {opb}", answer="cop")
    records = [{"q": f"q{cop}", "opa": "x", "opb": "y", "cop": cop} for cop in (1, 0)]
    row, _ = read(tmp_path, "choice", columns, records)
    assert (row.options, row.gold) == (("x", "y"), 1)
    listed = ColumnsSpec(question="q", options=["opa", "opb", "opc"], answer="cop")
    records = [
        {"q": "q1", "opa": "x\nB. w", "opb": "y", "opc": "z", "cop": 2},
        {"q": "q2", "opa": "x", "opb": "y", "opc": None, "cop": 0},
    ]
    first, second = read(tmp_path, "choice", listed, records)
    assert (first.options, first.gold) == (("x\nB. w", "y", "z"), 2)
    assert (second.options, second.gold) == (("x", "y"), 0)


def test_messages_end_at_the_last_answer(tmp_path):
    chat = [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", " d "), ("user", "e")]
    record = {"m": [{"role": role, "content": content} for role, content in chat]}
    [row] = read(tmp_path, "messages", ColumnsSpec(messages="m"), [record])
    assert (row.id, row.prompt, row.answer) == ("rows.jsonl:0", tuple(chat[:4]), " d ")


def test_every_answer_of_a_conversation_is_a_row(tmp_path):
    chat = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")]
    record = {"m": [{"role": role, "content": content} for role, content in chat]}
    single = m(USER, ASSISTANT)
    save(tmp_path, [record, single])
    domain = spec("messages", M).model_copy(update={"turns": "all"})
    reader = RowReader(domain, generated=False)
    rows = list(reader.read(open_source(domain.data, folder=tmp_path, seed=0), domain.data, 0))
    assert [(row.id, row.prompt, row.answer) for row in rows] == [
        ("rows.jsonl:0.1", tuple(chat[:1]), "b"),
        ("rows.jsonl:0.2", tuple(chat[:3]), "d"),
        ("rows.jsonl:1", (("user", "a"),), "b"),
    ]
    assert reader.rows == 2
    assert reader.causes.changed == {"cut behind the last answer": 1}


def test_a_system_column_of_a_conversation(tmp_path):
    columns = ColumnsSpec(messages="m", system="s", tools="t")
    tools = [{"name": "f"}]
    row, own = read(
        tmp_path,
        "messages",
        columns,
        [
            m(USER, ASSISTANT) | {"s": "S", "t": tools},
            m({"role": "system", "content": "own"}, USER, ASSISTANT) | {"s": "S"},
        ],
    )
    assert row.prompt == (("tools", json.dumps(tools)), ("system", "S"), ("user", "a"))
    assert own.prompt == (("system", "own"), ("user", "a"))


def test_messages_as_json_text(tmp_path):
    text = json.dumps([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
    [row] = read(tmp_path, "messages", ColumnsSpec(messages="m"), [{"m": text}])
    assert (row.prompt, row.answer) == ((("user", "a"),), "b")


def test_prompt_and_completion_as_text_and_as_messages(tmp_path):
    columns = ColumnsSpec(prompt="p", completion="c", system="s")
    [plain] = read(tmp_path, "prompt_completion", columns, [{"p": "def f():\n", "c": "    return 1\n", "s": "Code."}])
    assert (plain.prompt, plain.answer) == ((("system", "Code."), ("user", "def f():\n")), "    return 1\n")
    record = {
        "p": [{"role": "system", "content": "own"}, {"role": "user", "content": "q"}],
        "c": [{"role": "assistant", "content": "a"}],
        "s": "Code.",
    }
    [chat] = read(tmp_path, "prompt_completion", columns, [record])
    assert (chat.prompt, chat.answer) == ((("system", "own"), ("user", "q")), "a")


def test_prompt_and_completion_as_messages_in_json_text(tmp_path):
    columns = ColumnsSpec(prompt="p", completion="c")
    record = {"p": [{"role": "system", "content": "s"}, USER], "c": [ASSISTANT]}
    texts = {key: json.dumps(value) for key, value in record.items()}
    called = {"p": json.dumps([USER]), "c": json.dumps([{"role": "assistant", "tool_calls": [{"name": "f"}]}])}
    assert [
        (row.prompt, row.answer) for row in read(tmp_path, "prompt_completion", columns, [record, texts, called])
    ] == [
        ((("system", "s"), ("user", "a")), "b"),
        ((("system", "s"), ("user", "a")), "b"),
        ((("user", "a"),), call_text("f", {})),
    ]


@pytest.mark.parametrize(
    "text", ["[1, 2]", "[]", "[not a list", '[{"role": "user"}]', '[{"name": "x", "content": "y"}]']
)
def test_other_text_that_opens_with_a_bracket_is_a_prompt_as_it_is(tmp_path, text):
    columns = ColumnsSpec(prompt="p", completion="c")
    [row] = read(tmp_path, "prompt_completion", columns, [{"p": text, "c": text}])
    assert (row.prompt, row.answer) == ((("user", text),), text)


FIRST = ColumnsSpec(question="q", options=["right", "wrong", "other"], answer="right", rationale="why", system="s")


def listed_first(count, why="It is known."):
    return [
        {"q": f"Which {n}?", "right": f"r{n}", "wrong": f"w{n}", "other": "none", "why": why, "s": "Choose."}
        for n in range(count)
    ]


def test_options_whose_right_one_always_stands_first_are_put_in_another_order(tmp_path):
    records = listed_first(300)
    rows = read(tmp_path, "choice", FIRST, records)
    for record, row in zip(records, rows, strict=True):
        assert sorted(row.options) == sorted([record["right"], record["wrong"], "none"])
        assert row.options[row.gold] == record["right"]
        assert row.answer == f"{'ABC'[row.gold]}. {record['right']}"
        assert row.rationale == f"It is known.\n\n{row.answer}"
        lines = [f"{letter}. {text}" for letter, text in zip("ABC", row.options, strict=True)]
        assert row.prompt == (("system", "Choose."), ("user", "\n".join([record["q"], "", *lines])))
    # Each place is as likely: 100 of 300 are expected, with a standard deviation of 8.
    assert all(60 < sum(row.gold == place for row in rows) < 140 for place in range(3))
    # Neither the rows around it nor the place of its options decides on a row's order.
    turned = FIRST.model_copy(update={"options": ["other", "wrong", "right"]})
    assert {(row.key, row.options) for row in read(tmp_path, "choice", turned, records[:50])} == {
        (row.key, row.options) for row in rows[:50]
    }
    domain = spec("choice", FIRST)
    reader = RowReader(domain, generated=False)
    list(reader.read(open_source(domain.data, folder=tmp_path, seed=0), domain.data, 0))
    assert reader.causes.changed == {MIXED: 50}


@pytest.mark.parametrize(
    "why",
    [
        "The answer is A.",
        "(B) is a river, and (C) a hill.",
        "So option A fits.",
        "A is the only metal.",
        "C) is no bird.",
    ],
)
def test_options_stay_where_worked_solutions_name_their_letters(tmp_path, why):
    assert {row.gold for row in read(tmp_path, "choice", FIRST, listed_first(20, why))} == {0}


def test_demonstrations_follow_the_order_of_their_domain(tmp_path):
    domain = spec("choice", FIRST)
    reader = RowReader(domain, generated=False)
    for count in (20, 9):
        save(tmp_path, listed_first(count))
        rows = list(reader.read(open_source(domain.data, folder=tmp_path, seed=0), domain.data, 0))
    assert len({row.gold for row in rows}) > 1
    assert {row.gold for row in read(tmp_path, "choice", FIRST, listed_first(9))} == {0}


def counted(folder, format_, columns, records, **more):
    save(folder, records)
    domain = spec(format_, columns).model_copy(update=more)
    reader = RowReader(domain, generated=False)
    rows = list(reader.read(open_source(domain.data, folder=folder, seed=0), domain.data, 0))
    return rows, dict(reader.causes.changed), dict(reader.causes.left_out)


def test_conversations_of_which_the_last_answer_alone_is_taken_are_counted(tmp_path):
    skipped = {"role": "assistant", "content": "no", "weight": 0}
    records = [m(USER, ASSISTANT), m(USER, ASSISTANT, USER, ASSISTANT), m(USER, skipped, USER, ASSISTANT)]
    rows, changed, _ = counted(tmp_path, "messages", M, records)
    assert (len(rows), changed) == (3, {"with the last of several answers alone (`turns: all` takes each)": 1})
    rows, changed, _ = counted(tmp_path, "messages", M, records, turns="all")
    assert (len(rows), changed) == (4, {})


def test_reasoning_beside_a_text_that_holds_other_reasoning_is_counted(tmp_path):
    written = ASSISTANT | {"content": "<think>\nR\n</think>\n\nA", "reasoning_content": "R"}
    other = written | {"reasoning_content": "short"}
    change = "without their messages' `reasoning_content`, since the text holds other reasoning"
    records = [m(USER, one) for one in (written, other)]
    chats = counted(tmp_path, "messages", M, records)
    completed = counted(tmp_path, "prompt_completion", PC, [{"p": [USER], "c": [one]} for one in (written, other)])
    for rows, changed, _ in (chats, completed):
        assert ([row.answer for row in rows], changed) == ([written["content"]] * 2, {change: 1})


@pytest.mark.parametrize("mark", [{"weight": 0}, {"train": False}, {"loss": False}])
def test_a_completion_that_is_not_to_be_trained_is_left_out(tmp_path, mark):
    records = [{"p": [USER], "c": [ASSISTANT | marked]} for marked in ({}, mark, {"weight": 1}, {"train": True})]
    rows, changed, left_out = counted(tmp_path, "prompt_completion", PC, records)
    assert ([row.id for row in rows], changed) == ([f"rows.jsonl:{number}" for number in (0, 2, 3)], {})
    assert left_out == {"an answer of weight 0": 1}


def test_answers_that_are_a_list_as_text_are_counted_and_stand(tmp_path):
    answers = ['["The Seine", "Seine"]', ["The Seine", "Seine"], "[1, 2]", "[]", "[sic]", '[["a"]]', '["Seine"]']
    records = [{"question": f"{number}?", "answer": answer} for number, answer in enumerate(answers)]
    rows, changed, left_out = counted(tmp_path, "question_answer", QA, records)
    assert changed == {"with the text of a JSON list as their answer, where a list would hold accepted answers": 2}
    assert [(row.answer, row.accepted) for row in rows[:2]] == [(answers[0], ()), ("The Seine", ("Seine",))]
    assert left_out == {}
