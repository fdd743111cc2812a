"""Text files of rows: what is read, in which memory, and what a damaged one is answered with."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_rows import CONVERT, LONG, TOO_LONG, around_a_broken_row, refusal, rows, write

from mixplan.domains.textfiles import open_text

VALUES = st.dictionaries(
    st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=("Cs",))),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2),
        max_leaves=5,
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(VALUES, max_size=6), indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_json_and_jsonl_give_back_the_rows(tmp_path_factory, values, indent, ascii_only):
    folder = tmp_path_factory.mktemp("rows")
    listed = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    lines = "\n\n".join(json.dumps(value, ensure_ascii=ascii_only) for value in values)
    assert rows(write(folder, "a.json", listed.encode())) == values
    assert rows(write(folder, "a.jsonl", lines.encode())) == values


def test_json_file_of_lines_and_byte_order_marks(tmp_path):
    assert rows(write(tmp_path, "a.json", b'{"a": 1}\n{"a": 2}\n')) == [{"a": 1}, {"a": 2}]
    assert rows(write(tmp_path, "b.jsonl", b'\xef\xbb\xbf{"a": 1}')) == [{"a": 1}]
    assert rows(write(tmp_path, "c.json", b'\xef\xbb\xbf[{"a": 1}]')) == [{"a": 1}]
    assert rows(write(tmp_path, "d.csv", b"\xef\xbb\xbfa,b\n1,2\n")) == [{"a": "1", "b": "2"}]


def test_a_row_number_is_the_line_in_the_file(tmp_path):
    path = write(tmp_path, "a.jsonl", b'\n{"a": 1}\n\n\n{"a": 2}\n')
    assert [number for number, _ in open_text(path).raw_rows()] == [2, 5]


DAMAGED = {
    "not utf-8 in jsonl": (
        "a.jsonl",
        b'{"a": "x"}\n{"a": "caf\xe9"}\n',
        f"{{path}}, line 2: not UTF-8 (byte 0xe9). {CONVERT}",
    ),
    "long line": ("a.jsonl", b'{"a": "x"}\n{"a": "' + LONG + b'"}\n', f"{{path}}, line 2: {TOO_LONG}"),
    "not json": (
        "a.jsonl",
        b'{"a": 1}\nhello\n',
        "{path}, line 2: not JSON (Expecting value: line 1 column 1 (char 0)). Write one JSON object a line.",
    ),
    "nul bytes": (
        "a.jsonl",
        b'{"a": "x\x00y"}\n',
        "{path}, line 1: not JSON (Invalid control character at: line 1 column 9 (char 8)). "
        "Write one JSON object a line.",
    ),
    "a list a line": (
        "a.jsonl",
        b"[1]\n",
        '{path}, line 1: holds a list, not an object of columns. Write {{"column": value}}.',
    ),
    "a number a line": (
        "a.jsonl",
        b"3\n",
        '{path}, line 1: holds a number, not an object of columns. Write {{"column": value}}.',
    ),
    "deep nesting": (
        "a.jsonl",
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
        "{path}, line 1: nested too deeply to read. Flatten the row.",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_named_with_its_line(tmp_path, case):
    name, data, message = DAMAGED[case]
    assert refusal(tmp_path, name, data) == message.format(path="{path}")


BROKEN = {
    "a long line": ("a.jsonl", b'{"a": "1"}\n{"a": "' + LONG + b'"}\n{"a": "3"}\n', 2),
    "a line that is not JSON": ("a.jsonl", b'{"a": "1"}\n{"a": \n{"a": "3"}\n', 2),
    "a line that is not UTF-8": ("a.jsonl", b'{"a": "1"}\n{"a": "\xe9"}\n{"a": "3"}\n', 2),
}


@pytest.mark.parametrize("case", BROKEN)
def test_one_broken_row_leaves_the_others(tmp_path, case):
    name, data, line = BROKEN[case]
    assert around_a_broken_row(tmp_path, name, data) == ["1", f"{tmp_path}/{name}, line {line}", "3"]
