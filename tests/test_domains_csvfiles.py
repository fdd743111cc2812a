"""Separated cells: what parts them, what quotes hold, and what a damaged file is answered with."""

import pytest
from text_rows import CONVERT, LONG, TOO_LONG, around_a_broken_row, refusal, rows, write

from mixplan.domains.limits import MAX_ROW_BYTES


def test_csv_cells_with_commas_quotes_and_line_ends(tmp_path):
    path = write(tmp_path, "a.csv", b'q,a\r\n"one, ""two""\nthree",4\r\n\r\n5,\r\n')
    assert rows(path) == [{"q": 'one, "two"\nthree', "a": "4"}, {"q": "5", "a": ""}]


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


DAMAGED = {
    "not utf-8 in csv": ("a.csv", b"a\nx\ncaf\xe9\n", f"{{path}}, line 3: not UTF-8 (byte 0xe9). {CONVERT}"),
    "long csv line": ("a.csv", b"a,b\n" + LONG + b",1\n", f"{{path}}, line 2: {TOO_LONG}"),
    "long quoted cell": (
        "a.csv",
        b'a\n"' + b"xxxxxxx\n" * (MAX_ROW_BYTES // 8 + 2) + b'"\n',
        f"{{path}}, line {MAX_ROW_BYTES // 8 + 2}: {TOO_LONG}",
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
    assert refusal(tmp_path, name, data) == message.format(path="{path}")


BROKEN = {
    "a long CSV line": ("a.csv", b"a,b\n1,x\n" + LONG + b",y\n3,z\n", 3),
    "a CSV line of other cells": ("a.csv", b"a,b\n1,x\n2\n3,z\n", 3),
    "a CSV line that is not UTF-8": ("a.csv", b"a,b\n1,x\n\xe9,y\n3,z\n", 3),
    "a stray quote": ("a.csv", b'a,b\n1,x\n"2"x,y\n3,z\n', 3),
}


@pytest.mark.parametrize("case", BROKEN)
def test_one_broken_row_leaves_the_others(tmp_path, case):
    name, data, line = BROKEN[case]
    assert around_a_broken_row(tmp_path, name, data) == ["1", f"{tmp_path}/{name}, line {line}", "3"]
