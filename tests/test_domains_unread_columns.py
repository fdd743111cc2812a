"""Counts rows that lose what trainers read by a column's name, in text files and tables alike."""

import json

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from datasets import Dataset
from small_rows import ASSISTANT, PC, QA, USER, M, save, spec

from mixplan.domains.rows import RowReader
from mixplan.domains.sources import open_source
from mixplan.recipe import ColumnsSpec, DataSpec

KINDS = ("jsonl", "parquet", "saved")
PICTURE = {"bytes": b"\x89PNG" * 1000, "path": None}
SYSTEM = {"role": "system", "content": "Be kind."}


@pytest.fixture(params=KINDS)
def changed(request, tmp_path):
    """The counts of changed rows, of records in a text file, a Parquet file or a saved data set."""

    def read(format_, columns, records, **data):
        place = {"saved": "rows"}.get(request.param, f"rows.{request.param}")
        if request.param == "jsonl":
            save(tmp_path, records)
        elif request.param == "parquet":
            parquet.write_table(pa.Table.from_pylist(records), tmp_path / place)
        else:
            Dataset.from_list(records).save_to_disk(str(tmp_path / place))
        domain = spec(format_, columns, file=place, **data)
        reader = RowReader(domain, generated=False)
        assert list(reader.read(open_source(domain.data, folder=tmp_path, seed=0), domain.data, 0))
        return dict(reader.causes.changed)

    return read


def unnamed(name, count):
    return {f"without their `{name}`, which `columns` does not name": count}


@pytest.mark.parametrize(("format_", "columns"), [("messages", M), ("prompt_completion", PC), ("question_answer", QA)])
def test_a_system_text_that_is_not_named_is_counted_where_the_turns_bring_none(changed, format_, columns):
    turns = [[USER], [USER], [SYSTEM, USER], [USER]]
    texts = ["Be brief.", "", "Be brief.", "Be brief."]
    records = [
        {
            "m": [*asked, ASSISTANT],
            "p": asked,
            "c": [ASSISTANT],
            "question": f"{number}?",
            "answer": "!",
            "system": text,
        }
        for number, (asked, text) in enumerate(zip(turns, texts, strict=True))
    ]
    lost = 3 if format_ == "question_answer" else 2
    assert changed(format_, columns, records) == unnamed("system", lost)
    assert changed(format_, columns.model_copy(update={"system": "system"}), records) == {}
    other = [{"system_prompt" if name == "system" else name: value for name, value in row.items()} for row in records]
    assert changed(format_, columns, other) == unnamed("system_prompt", lost)


def test_what_alpaca_s_rows_say_besides_is_counted_where_it_is_not_read(changed):
    records = [
        {"instruction": f"Translate {number}.", "input": text, "output": "x", "history": before}
        for number, (text, before) in enumerate([("un", []), ("", [["a", "b"]]), (None, None), ("deux", [])])
    ]
    earlier = {"without the earlier turns in their `history`, which `format: messages` reads": 1}
    asked = ColumnsSpec(question="instruction", answer="output")
    assert changed("question_answer", asked, records) == unnamed("input", 2) | earlier
    whole = ColumnsSpec(question="{instruction}\n{input}\n{history}", answer="output")
    flat = [row | {"history": str(row["history"])} for row in records]
    assert changed("question_answer", whole, flat) == {}
    nothing_to_do_with_alpaca = [{"question": "a?", "answer": "b", "input": "c"}]
    assert changed("question_answer", QA, nothing_to_do_with_alpaca) == {}


def test_functions_of_older_files_are_counted(changed):
    records = [{"m": [USER, ASSISTANT], "functions": found} for found in ([{"name": "look"}], None, [{"name": "go"}])]
    assert changed("messages", M, records) == unnamed("functions", 2)
    assert changed("messages", M.model_copy(update={"tools": "functions"}), records) == {}


def test_answers_that_are_marked_as_not_wanted_are_counted_unless_they_are_left_out(changed):
    records = [{"p": f"{number}?", "c": "x", "label": number % 3 != 0} for number in range(7)]
    marked = {"with a `label` of false, by which data for KTO says that an answer is not wanted": 3}
    assert changed("prompt_completion", PC, records) == marked
    assert changed("prompt_completion", PC, records, where={"label": True}) == {}
    numbers = [row | {"label": int(row["label"])} for row in records]
    assert changed("prompt_completion", PC, numbers) == {}


@pytest.mark.parametrize(
    ("name", "there", "absent"),
    [("images", ["a.png"], []), ("image_2", "a.png", ""), ("audio", {"bytes": None, "path": "a.wav"}, None)],
)
def test_rows_with_pictures_or_sound_are_counted(changed, name, there, absent):
    records = [{"question": f"{number}?", "answer": "x", name: there if number % 2 else absent} for number in range(5)]
    assert changed("question_answer", QA, records) == {f"without their `{name}`, which no text model reads": 2}


def test_pictures_are_counted_and_not_read(tmp_path):
    records = [
        {"question": f"{number}?", "answer": "x", "image": PICTURE if number else None, "images": [PICTURE] * number}
        for number in range(3)
    ]
    parquet.write_table(pa.Table.from_pylist(records), tmp_path / "rows.parquet")
    table = open_source(DataSpec(file="rows.parquet"), folder=tmp_path, seed=0)
    met = [batch.schema for batch in table.batches(["question", *table.parts.values()])]
    assert "binary" not in str(met)
    rows = [values for _, values in table.rows(["question"], {0, 2}, shown=["image", "images"])]
    assert rows == [
        {"question": "0?", "image": False, "images": False},
        {"question": "2?", "image": True, "images": True},
    ]


@pytest.mark.parametrize("as_text", [False, True])
def test_what_a_message_holds_beside_its_text_is_counted_by_conversation(changed, as_text):
    seen = {"role": "user", "content": "a", "images": ["a.png", "b.png"]}
    planned = {"role": "assistant", "content": "b", "tool_plan": "I look.", "images": None}
    reasoned = {"role": "assistant", "content": "b", "reasoning_details": [{"text": "Hm."}]}
    known = reasoned | {"reasoning": "Hm."}
    whole = {"images": None, "tool_plan": None, "reasoning_details": None, "reasoning": None}
    found = [[seen, seen, ASSISTANT], [seen, planned], [USER, reasoned], [USER, known]]
    turns = [[{**whole, **message} for message in conversation] for conversation in found]
    records = [{"m": json.dumps(one) if as_text else one, "p": one[:-1], "c": one[-1:]} for one in turns]
    lost = {
        "without their messages' `images`, which no text model reads": 2,
        "without their messages' `tool_plan`, which is not read": 1,
        "without their messages' `reasoning_details`, which is not read": 1,
    }
    assert changed("messages", M, records) == lost
    assert changed("prompt_completion", PC, records) == lost
