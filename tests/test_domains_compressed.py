"""Files of rows, compressed or not: the same rows, and a message for each that cannot be read."""

import json
from pathlib import Path

import pytest
from text_rows import pack, rows, write

from mixplan.domains.compressed import kind_of
from mixplan.errors import DataError


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
    ("name", "kind"),
    [("a.jsonl", ".jsonl"), ("a.JSONL.GZ", ".jsonl"), ("a.b.csv.zst", ".csv"), ("a.gz", ""), ("a", "")],
)
def test_the_kind_of_a_file_is_its_suffix_without_its_compression(name, kind):
    assert kind_of(Path(name)) == kind
