"""What rows lack or hold that they should not: each malformed record is answered with its row, and counted."""

import json

import pytest
from small_rows import ASSISTANT, CHOICE, PC, QA, USER, M, m, read, refused, save, spec

from mixplan.domains import read_rows, read_texts
from mixplan.domains.rows import RowReader
from mixplan.domains.sources import open_source
from mixplan.errors import DataError
from mixplan.recipe import ColumnsSpec, DataSpec


def test_rows_that_lack_something_are_counted(tmp_path):
    complete = {"question": "q", "options": ["a", "b"], "answer": "A"}
    lacking = [
        {"question": None},
        {"question": " "},
        {"answer": None},
        {"answer": ""},
        {"answer": []},
        {"options": None},
    ]
    save(tmp_path, [complete, *({**complete, **change} for change in lacking), {"question": "no more columns"}])
    domain = spec("choice", CHOICE)
    reader = RowReader(domain, generated=False)
    rows = list(reader.read(open_source(domain.data, folder=tmp_path, seed=0), domain.data, 0))
    assert [row.answer for row in rows] == ["A. a"]
    assert (reader.rows, dict(reader.causes.left_out)) == (8, {"no question": 2, "no answer": 4, "no options": 1})


def test_one_faulty_row_in_a_hundred_is_left_out(tmp_path):
    good = [{"question": f"q{index}", "options": ["a", "b"], "answer": "A"} for index in range(99)]
    bad = {"question": "q", "options": ["a", "b"], "answer": "C"}
    save(tmp_path, [*good, bad])
    domain = spec("choice", CHOICE)
    reader = RowReader(domain, generated=False)
    rows = list(reader.read(open_source(domain.data, folder=tmp_path, seed=0), domain.data, 0))
    assert len(rows) == 99
    assert dict(reader.causes.left_out) == {"faulty": 1}
    assert reader.causes.examples == {
        "faulty": "rows.jsonl, line 100: the answer 'C' is not among the options A to B. Expected a letter A to B."
    }
    assert refused(tmp_path, "choice", CHOICE, [*good, bad, bad]) == (
        f"{tmp_path}/rows.jsonl, line 100: the answer 'C' is not among the options A to B. Expected a letter A to B. "
        "(2 of 101 rows are faulty. Set `data.faulty_share: 0.02` in this section to leave them out.)"
    )


def q(**changes) -> dict:
    return {"question": "q", "options": ["a", "b"], "answer": "A", **changes}


FAULTY = {
    "one option": ("choice", CHOICE, q(options=["a"]), ": 1 option, but a choice needs two or more."),
    "no options": ("choice", CHOICE, q(options=[]), ": 0 options, but a choice needs two or more."),
    "27 options": (
        "choice",
        CHOICE,
        q(options=[str(n) for n in range(27)]),
        ": 27 options, but only 26 letters. Use `format: question_answer`.",
    ),
    "empty option": ("choice", CHOICE, q(options=["a", "", "b"]), ": option B is empty. Remove it or fill it in."),
    "options of a wrong type": (
        "choice",
        CHOICE,
        q(options=5),
        ": the options are a number, not a list or lettered lines. Map `options`.",
    ),
    "an option of a wrong type": (
        "choice",
        CHOICE,
        q(options=["a", ["b"]]),
        ": an option holds a list, not text. Name a column of text, or write a template.",
    ),
    "options without letters": (
        "choice",
        CHOICE,
        q(options="one\ntwo"),
        ": the options begin with 'one', not with `A.`. Letter them, or list them.",
    ),
    "an object as answer": (
        "question_answer",
        QA,
        q(answer={"a": 1}),
        ": the answer holds an object, not text. Name a column of text, or write a template.",
    ),
    "an object in a template": (
        "question_answer",
        ColumnsSpec(question="Q: {question}", answer="answer"),
        q(question={"a": 1}),
        ": column 'question' holds an object, not text. Name a column of text, or write a template.",
    ),
    "nul character": (
        "question_answer",
        QA,
        q(question="a\0b"),
        ": the question holds a NUL character. Remove it: the file may be damaged or binary.",
    ),
    "half a surrogate pair": (
        "question_answer",
        QA,
        q(answer="a\ud800"),
        ": the answer holds U+D800, half a surrogate pair, not text in UTF-8. Remove it.",
    ),
    "messages as text": (
        "messages",
        M,
        {"m": "hello"},
        ": messages is text, not a list of messages. Map a column of messages.",
    ),
    "messages as broken json": (
        "messages",
        M,
        {"m": "[hello"},
        ": messages is text that is not a JSON list. Write a list of messages.",
    ),
    "message without content": (
        "messages",
        M,
        m(USER, {"role": "assistant"}),
        ": message 2 of messages is not an object with `role` and `content`; it has role. Name its keys in the recipe, "
        "as in `columns: {role: speaker, content: text}`.",
    ),
    "prompt ends with the assistant": (
        "prompt_completion",
        PC,
        {"p": [USER, ASSISTANT], "c": "x"},
        ": the prompt does not end with a user message. Use `format: messages` for whole chats.",
    ),
    "completion of two messages": (
        "prompt_completion",
        PC,
        {"p": [USER], "c": [ASSISTANT, ASSISTANT]},
        ": the completion is not one assistant message. Use `format: messages` for whole chats.",
    ),
}


@pytest.mark.parametrize("case", FAULTY)
def test_a_faulty_row_is_named(tmp_path, case):
    kind, columns, record, message = FAULTY[case]
    assert refused(tmp_path, kind, columns, [record]) == (
        f"{tmp_path}/rows.jsonl, line 1{message} (1 of 1 rows are faulty.)"
    )


@pytest.mark.parametrize("odd", [0, 7, 19])
def test_numbers_beside_texts_are_texts_in_any_order(tmp_path, odd):
    records = [{"question": f"q{index}", "answer": 2 * index} for index in range(20)]
    records.insert(odd, {"question": "half of x", "answer": "x/2"})
    rows = read(tmp_path, "question_answer", QA, records)
    assert {row.answer for row in rows} == {"x/2", *(str(2 * index) for index in range(20))}


@pytest.mark.parametrize("record", [{"input": None}, {"input": ""}, {}])
def test_a_null_or_absent_column_empties_its_place(tmp_path, record):
    columns = ColumnsSpec(question="{instruction}\n\n{input}", answer="answer")
    records = [{"instruction": "Write.", "answer": "a", **record}, {"instruction": "Add.", "input": "1", "answer": "1"}]
    first, second = read(tmp_path, "question_answer", columns, records)
    assert (first.prompt, second.prompt) == ((("user", "Write."),), (("user", "Add.\n\n1"),))


def test_a_template_with_nothing_in_it_is_no_question(tmp_path):
    columns = ColumnsSpec(question="Summarise: {text}", answer="answer")
    records = [{"text": None, "answer": "a"}, {"text": " ", "answer": "a"}, {"text": "t", "answer": "a"}]
    [row] = read(tmp_path, "question_answer", columns, records)
    assert row.prompt == (("user", "Summarise: t"),)


def test_nan_is_no_answer(tmp_path):
    record = {"question": "q", "answer": float("nan")}
    assert len(read(tmp_path, "question_answer", QA, [record, {"question": "r", "answer": 1.5}])) == 1
    assert len(read(tmp_path, "choice", CHOICE, [q(answer=float("nan")), q()])) == 1


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_faulty_rows_are_left_out_by_a_key(tmp_path, share):
    good, bad = {"question": "q", "answer": "a"}, {"question": "r", "answer": {"a": 1}}
    save(tmp_path, [good, bad])
    domain = spec("question_answer", QA, file="rows.jsonl", faulty_share=share)
    if share:
        assert len(list(read_rows(domain, folder=tmp_path, seed=0))) == 1
    else:
        with pytest.raises(DataError, match=r"Set `data.faulty_share: 0.5` in this section to leave them out"):
            list(read_rows(domain, folder=tmp_path, seed=0))


def test_a_broken_line_is_a_faulty_row(tmp_path):
    lines = [json.dumps({"question": f"q{number}", "answer": "a", "kind": "x"}) for number in range(99)]
    (tmp_path / "rows.jsonl").write_text("\n".join([*lines[:40], "{broken", *lines[40:]]) + "\n")
    for where in ({}, {"kind": "x"}):
        domain = spec("question_answer", QA, file="rows.jsonl", where=where)
        reader = RowReader(domain, generated=False)
        assert len(list(reader.read(open_source(domain.data, folder=tmp_path, seed=0), domain.data, 0))) == 99
        assert reader.causes.left_out == {"faulty": 1}
        assert reader.causes.examples["faulty"].startswith("rows.jsonl, line 41: not JSON")


def test_arc_rows_name_their_option_by_their_own_label(tmp_path):
    records = [
        {"question": f"q{key}", "choices": {"text": ["w", "x", "y", "z"], "label": list(keys)}, "answer": key}
        for keys in ("ABCD", "1234")
        for key in keys
    ]
    for options in ("choices", "choices.text"):
        columns = ColumnsSpec(question="question", options=options, answer="answer")
        assert [row.gold for row in read(tmp_path, "choice", columns, records)] == [0, 1, 2, 3, 0, 1, 2, 3]


def test_the_recipe_says_how_labels_are_read(tmp_path):
    save(tmp_path, [q(question=f"q{answer}", options=["a", "b", "c"], answer=answer) for answer in (1, 2)])
    domain = spec("choice", CHOICE)
    with pytest.raises(DataError, match="can be read in 2 ways"):
        list(read_rows(domain, folder=tmp_path, seed=0))
    for labels, golds in (("index0", [1, 2]), ("index1", [0, 1])):
        said = domain.model_copy(update={"labels": labels})
        assert [row.gold for row in read_rows(said, folder=tmp_path, seed=0)] == golds


def test_missing_columns(tmp_path):
    records = [{"qestion": "q", "answer": "a", "meta": {"x": 1}}]
    place = f"{tmp_path}/rows.jsonl"
    assert refused(tmp_path, "question_answer", QA, records) == (
        f"{place}: no column 'question'; it has answer, meta, qestion. Did you mean 'qestion'?"
    )
    columns = ColumnsSpec(question="{qestion.__class__}", answer="answer")
    assert refused(tmp_path, "question_answer", columns, records) == (
        f"{place}: no column 'qestion.__class__'; it has answer, meta, qestion."
    )
    columns = ColumnsSpec(question="{meta[x]}", answer="answer")
    assert refused(tmp_path, "question_answer", columns, records) == (
        f"{place}: no column 'meta[x]'; it has answer, meta, qestion. Did you mean 'meta'?"
    )


def test_bad_templates(tmp_path):
    for text, part in (("{question", "{"), ("{}", "{}"), ("{a} b}", "}"), ("{a{b}}", "{")):
        columns = ColumnsSpec(question=text, answer="answer")
        assert refused(tmp_path, "question_answer", columns, [q()]) == (
            f"template {text!r}: {part!r} is not a place. Write `{{column}}`; double a brace that is text."
        )


def test_no_usable_row(tmp_path):
    records = [{"question": "q", "answer": None}, {"question": "", "answer": "a"}]
    assert refused(tmp_path, "question_answer", QA, records) == (
        f"{tmp_path}/rows.jsonl: none of its 2 rows can be used: 1 with no answer, 1 with no question. Check `columns`."
    )
    assert refused(tmp_path, "messages", M, [m(ASSISTANT), m(USER), {"m": None}]) == (
        f"{tmp_path}/rows.jsonl: none of its 3 rows can be used: 2 with no question, 1 with no answer. Check `columns`."
    )


def test_a_row_of_100_mb_in_a_table(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    table = pa.table({"question": ["q" * 5_000_000], "answer": ["a"]})
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(DataError) as caught:
        list(read_rows(spec("question_answer", QA, file="rows.parquet"), folder=tmp_path, seed=0))
    assert str(caught.value) == (
        f"{tmp_path}/rows.parquet, row 1: longer than 4 MiB, which no model reads as one prompt. Shorten or remove it, "
        "or put each row on a line of its own. (1 of 1 rows are faulty.)"
    )


def test_texts(tmp_path):
    save(tmp_path, [{"t": "a", "u": 1}, {"t": None, "u": 2}, {"t": ["b", "c"], "u": 3}])
    data = DataSpec(file="rows.jsonl")
    assert list(read_texts(data, "t", folder=tmp_path, seed=0)) == ["a", "b"]
    assert list(read_texts(data, "#{u}", folder=tmp_path, seed=0)) == ["#1", "#2", "#3"]
    with pytest.raises(DataError) as caught:
        list(read_texts(data, "text", folder=tmp_path, seed=0))
    assert str(caught.value) == f"{tmp_path}/rows.jsonl: no column 'text'; it has t, u."


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize(("format_", "columns"), [("messages", M), ("prompt_completion", PC)])
def test_what_trl_reads_by_name_and_the_recipe_does_not_name_is_counted(tmp_path, kind, format_, columns):
    import pyarrow
    import pyarrow.parquet

    tool = {"type": "function", "function": {"name": "look", "description": ""}}
    chat = {"m": [USER, ASSISTANT], "p": [USER], "c": [ASSISTANT]}
    beside = [
        {"tools": [tool], "chat_template_kwargs": {"think": False, "effort": None}},
        {"tools": [], "chat_template_kwargs": {"think": None, "effort": None}},
        {"tools": None, "chat_template_kwargs": None},
        {"tools": [tool], "chat_template_kwargs": None},
    ]
    records = [{**chat, **more, "note": "x"} for more in beside]
    if kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "rows.parquet")
    else:
        save(tmp_path, records)

    def changed(**named):
        domain = spec(format_, columns.model_copy(update=named), file=f"rows.{kind}")
        reader = RowReader(domain, generated=False)
        rows = list(reader.read(open_source(domain.data, folder=tmp_path, seed=0), domain.data, 0))
        return dict(reader.causes.changed), [row.prompt[0][0] for row in rows]

    kwargs = "without their own `chat_template_kwargs`, which `model.chat_template_kwargs` sets for all"
    untold = {"without their `tools`, which `columns` does not name": 2, kwargs: 1}
    assert changed() == (untold, ["user"] * 4)
    assert changed(tools="tools") == ({kwargs: 1}, ["tools", "user", "user", "tools"])


def test_a_column_of_tools_beside_questions_is_nothing_that_trl_reads(tmp_path):
    save(tmp_path, [{"q": "?", "a": "!", "tools": ["hammer"]}])
    domain = spec("question_answer", ColumnsSpec(question="q", answer="a"))
    reader = RowReader(domain, generated=False)
    assert len(list(reader.read(open_source(domain.data, folder=tmp_path, seed=0), domain.data, 0))) == 1
    assert dict(reader.causes.changed) == {}
