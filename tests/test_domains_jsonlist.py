"""One JSON list read by a window over its file, wherever that cuts it, and what a damaged one is answered with."""

import json

import pytest
from text_rows import CONVERT, LONG, TOO_LONG, refusal, rows, write

from mixplan.domains.jsonlist import CHUNK, json_items


def test_json_list_longer_than_the_window(tmp_path):
    values = [{"text": "x" * (index * 997 % 9000), "index": index} for index in range(200)]
    path = write(tmp_path, "a.json", json.dumps(values).encode())
    assert path.stat().st_size > 2 * CHUNK
    assert rows(path) == values


def test_json_window_cut_at_every_place(tmp_path, monkeypatch):
    values = [{"a": True, "b": None, "c": -12.5e3, "d": 'tru\\e \u20ac "q"'}, {"e": [1, {"f": "é"}]}]
    path = write(tmp_path, "a.json", json.dumps(values).encode())
    (tmp_path / "spaced.json").write_bytes(b" [\n" + json.dumps(values)[1:-1].encode() + b" ] \n\n")
    for size in range(1, 40):
        monkeypatch.setattr("mixplan.domains.jsonlist.CHUNK", size)
        assert [json.loads(content) for _, content in json_items(tmp_path / "spaced.json")] == values
        assert [json.loads(content) for _, content in json_items(path)] == values


DAMAGED = {
    "not utf-8 in json": ("a.json", b'[{"a": "\xe9"}]', f"{{path}}, after row 0: not UTF-8 (byte 0xe9). {CONVERT}"),
    "long item": ("a.json", b'[{"a": 1}, {"a": "' + LONG + b'"}]', f"{{path}}, row 2: {TOO_LONG}"),
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
    "a second list behind the first": (
        "a.json",
        b'[{"a": 1}]\n[{"a": 2}]',
        "{path}: '[' behind the end of the list, after row 1. Write all rows into one list, [{{...}}, {{...}}], or one "
        "object a line.",
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
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_named_with_its_line(tmp_path, case):
    name, data, message = DAMAGED[case]
    assert refusal(tmp_path, name, data) == message.format(path="{path}")
