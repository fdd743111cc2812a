"""Text files of rows: what is read, in which memory, and what a damaged one is answered with."""

import bz2
import gzip
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixplan.domains.jsonlist import CHUNK, json_items
from mixplan.domains.limits import MAX_ROW_BYTES
from mixplan.domains.textfiles import open_text
from mixplan.errors import DataError


def rows(path: Path) -> list[dict]:
    file = open_text(path)
    return [file.decode(number, content) for number, content in file.raw_rows()]


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


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


def test_json_list_longer_than_the_window(tmp_path):
    values = [{"text": "x" * (index * 997 % 9000), "index": index} for index in range(200)]
    path = write(tmp_path, "a.json", json.dumps(values).encode())
    assert path.stat().st_size > 2 * CHUNK
    assert rows(path) == values


def test_json_window_cut_at_every_place(tmp_path, monkeypatch):
    values = [{"a": True, "b": None, "c": -12.5e3, "d": 'tru\\e \u20ac "q"'}, {"e": [1, {"f": "é"}]}]
    path = write(tmp_path, "a.json", json.dumps(values).encode())
    for size in range(1, 40):
        monkeypatch.setattr("mixplan.domains.jsonlist.CHUNK", size)
        assert [json.loads(content) for _, content in json_items(path)] == values


def test_json_file_of_lines_and_byte_order_marks(tmp_path):
    assert rows(write(tmp_path, "a.json", b'{"a": 1}\n{"a": 2}\n')) == [{"a": 1}, {"a": 2}]
    assert rows(write(tmp_path, "b.jsonl", b'\xef\xbb\xbf{"a": 1}')) == [{"a": 1}]
    assert rows(write(tmp_path, "c.json", b'\xef\xbb\xbf[{"a": 1}]')) == [{"a": 1}]
    assert rows(write(tmp_path, "d.csv", b"\xef\xbb\xbfa,b\n1,2\n")) == [{"a": "1", "b": "2"}]


def test_csv_cells_with_commas_quotes_and_line_ends(tmp_path):
    path = write(tmp_path, "a.csv", b'q,a\r\n"one, ""two""\nthree",4\r\n\r\n5,\r\n')
    assert rows(path) == [{"q": 'one, "two"\nthree', "a": "4"}, {"q": "5", "a": ""}]


def test_a_row_number_is_the_line_in_the_file(tmp_path):
    path = write(tmp_path, "a.jsonl", b'\n{"a": 1}\n\n\n{"a": 2}\n')
    assert [number for number, _ in open_text(path).raw_rows()] == [2, 5]


LONG = b"x" * (MAX_ROW_BYTES + 10)
TOO_LONG = (
    "longer than 4 MiB, which no model reads as one prompt. Shorten or remove it, or put each row on a line of its own."
)
CONVERT = "Convert the file, for example with: iconv -f LATIN1 -t UTF-8"

DAMAGED = {
    "not utf-8 in jsonl": (
        "a.jsonl",
        b'{"a": "x"}\n{"a": "caf\xe9"}\n',
        f"{{path}}, line 2: not UTF-8 (byte 0xe9). {CONVERT}",
    ),
    "not utf-8 in csv": ("a.csv", b"a\nx\ncaf\xe9\n", f"{{path}}, line 3: not UTF-8 (byte 0xe9). {CONVERT}"),
    "not utf-8 in json": ("a.json", b'[{"a": "\xe9"}]', f"{{path}}, after row 0: not UTF-8 (byte 0xe9). {CONVERT}"),
    "long line": ("a.jsonl", b'{"a": "x"}\n{"a": "' + LONG + b'"}\n', f"{{path}}, line 2: {TOO_LONG}"),
    "long csv line": ("a.csv", b"a,b\n" + LONG + b",1\n", f"{{path}}, line 2: {TOO_LONG}"),
    "long quoted cell": (
        "a.csv",
        b'a\n"' + b"xxxxxxx\n" * (MAX_ROW_BYTES // 8 + 2) + b'"\n',
        f"{{path}}, line {MAX_ROW_BYTES // 8 + 2}: {TOO_LONG}",
    ),
    "long item": ("a.json", b'[{"a": 1}, {"a": "' + LONG + b'"}]', f"{{path}}, row 2: {TOO_LONG}"),
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
    "deep nesting in a list": (
        "a.json",
        b"[" * 100_000,
        "{path}, row 1: nested too deeply to read. Flatten the row.",
    ),
    "not a list": (
        "a.json",
        b'"text"',
        '{path}: not a JSON list of objects. Write [{{"column": value}}, ...], or JSONL.',
    ),
    "items that are no objects": (
        "a.json",
        b'[{"a": 1}, "b"]',
        '{path}, row 2: holds text, not an object of columns. Write {{"column": value}}.',
    ),
    "malformed item": (
        "a.json",
        b'[{"a": 1}, {"a" 2, "b": "and so on and so on"}]',
        "{path}, row 2: not JSON (Expecting ':' delimiter). Write [{{...}}, {{...}}].",
    ),
    "no comma": (
        "a.json",
        b'[{"a": 1} {"a": 2}]',
        "{path}, row 1: '{{' instead of a comma after it. Write [{{...}}, {{...}}].",
    ),
    "cut short": (
        "a.json",
        b'[{"a": 1}',
        "{path}, row 1: nothing: the file is cut short after it. Write [{{...}}, {{...}}].",
    ),
    "cut inside an item": (
        "a.json",
        b'[{"a": "b',
        "{path}, row 1: not JSON (Unterminated string starting at). Write [{{...}}, {{...}}].",
    ),
    "doubled header": ("a.csv", b"a,b,a\n1,2,3\n", "{path}: its header names column 'a' twice. Rename one."),
    "too many cells": (
        "a.csv",
        b"a,b\n1,2\n1,2,3\n",
        "{path}, line 3: 3 cells, but the header has 2. Quote cells that hold commas.",
    ),
    "open quote": (
        "a.csv",
        b'a,b\n"1,2\n',
        '{path}, line 2: not CSV (unexpected end of data). Quote cells with " and double quotes inside them.',
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_named_with_its_line(tmp_path, case):
    name, data, message = DAMAGED[case]
    path = write(tmp_path, name, data)
    with pytest.raises(DataError) as caught:
        rows(path)
    assert str(caught.value) == message.format(path=path)


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    path = write(tmp_path, "a.jsonl", b"{}")
    for error, message in (
        (PermissionError(13, "Permission denied"), f"no permission to read it. Allow it with `chmod u+r {path}`."),
        (OSError(5, "Input/output error"), "cannot be read (Input/output error)."),
    ):

        def refuse(*args, error=error, **kwargs):
            raise error

        monkeypatch.setattr("builtins.open", refuse)
        with pytest.raises(DataError) as caught:
            rows(path)
        monkeypatch.undo()
        assert str(caught.value) == f"{path}: {message}"


def pack(suffix: str, data: bytes) -> bytes:
    if suffix == ".zst":
        return pa.compress(data, codec="zstd", asbytes=True)
    return {".gz": gzip, ".bz2": bz2, ".xz": lzma}[suffix].compress(data)


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2", ".xz"])
def test_compressed_files_give_the_same_rows(tmp_path, suffix):
    values = [{"a": "x" * 5000, "b": str(number)} for number in range(40)]
    lines = "".join(json.dumps(value) + "\n" for value in values).encode()
    table = "".join(f"{value['a']};{value['b']}\n" for value in values).encode()
    for name, data in (
        ("a.jsonl", lines),
        ("a.json", json.dumps(values).encode()),
        ("b.json", lines),
        ("a.csv", b"a;b\n" + table),
        ("a.tsv", b"a\tb\n" + table.replace(b";", b"\t")),
    ):
        assert rows(write(tmp_path, name + suffix, pack(suffix, data))) == values


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2", ".xz"])
def test_a_damaged_compressed_file(tmp_path, suffix):
    whole = pack(suffix, b"".join(b'{"a": "%d"}\n' % number for number in range(5000)))
    for number, data in enumerate((b"no archive at all", whole[: len(whole) // 2])):
        path = write(tmp_path, f"{number}.jsonl{suffix}", data)
        with pytest.raises(DataError) as caught:
            rows(path)
        assert str(caught.value).startswith(f"{path}: damaged, or not compressed as its name says (")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "q;a\none, two;3,5\n"),
        ("a.csv", 'q,a\n"one, two","3,5"\n'),
        ("a.csv", "q\ta\none, two\t3,5\n"),
        ("a.tsv", "q\ta\none, two\t3,5\n"),
    ],
)
def test_the_header_tells_what_parts_the_cells(tmp_path, name, text):
    assert rows(write(tmp_path, name, text.encode())) == [{"q": "one, two", "a": "3,5"}]


def test_a_text_with_semicolons_under_a_header_with_commas(tmp_path):
    assert rows(write(tmp_path, "a.csv", b"q,a;b\nx;y,1\n")) == [{"q": "x;y", "a;b": "1"}]


BROKEN = {
    "a long line": ("a.jsonl", b'{"a": "1"}\n{"a": "' + LONG + b'"}\n{"a": "3"}\n', 2),
    "a line that is not JSON": ("a.jsonl", b'{"a": "1"}\n{"a": \n{"a": "3"}\n', 2),
    "a line that is not UTF-8": ("a.jsonl", b'{"a": "1"}\n{"a": "\xe9"}\n{"a": "3"}\n', 2),
    "a long CSV line": ("a.csv", b"a,b\n1,x\n" + LONG + b",y\n3,z\n", 3),
    "a CSV line of other cells": ("a.csv", b"a,b\n1,x\n2\n3,z\n", 3),
    "a CSV line that is not UTF-8": ("a.csv", b"a,b\n1,x\n\xe9,y\n3,z\n", 3),
    "a stray quote": ("a.csv", b'a,b\n1,x\n"2"x,y\n3,z\n', 3),
}


@pytest.mark.parametrize("case", BROKEN)
def test_one_broken_row_leaves_the_others(tmp_path, case):
    name, data, line = BROKEN[case]
    file = open_text(write(tmp_path, name, data))
    found = []
    for number, content in file.raw_rows():
        try:
            found.append(file.decode(number, content)["a"])
        except DataError as fault:
            found.append(str(fault).partition(":")[0])
    assert found == ["1", f"{tmp_path}/{name}, line {line}", "3"]
