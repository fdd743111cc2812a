"""Columns and templates: what each takes of a row, and what is said of a value that is no text."""

import pytest

from mixplan.domains.fields import MISSING, Template, as_text, column_of, fill, first_text, listed, lookup
from mixplan.errors import DataError

ROW = {"q": "why?", "a.b": "whole name", "a": {"b": "inside", "c": [{"d": 1}, None]}, "none": None, "n": 3, "yes": True}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("q", "why?"),
        ("a.b", "whole name"),
        ("a.c.0.d", 1),
        ("a.c.1", None),
        ("none", None),
        ("none.deeper", None),
        ("a.c.2", MISSING),
        ("a.x", MISSING),
        ("q.x", MISSING),
        ("x", MISSING),
    ],
)
def test_a_name_is_a_column_before_it_is_a_path(name, value):
    assert lookup(ROW, name) == value


@pytest.mark.parametrize(
    ("name", "column"), [("a.b", "a.b"), ("a.c.0", "a"), ("q", "q"), ("a.b.c", "a.b"), ("x.y", "x.y")]
)
def test_the_column_that_a_path_reads_has_the_longest_name(name, column):
    assert column_of(name, ROW) == column


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{q} ({n})", "why? (3)"),
        ("{yes}{none}", "true"),
        ("{{{q}}}", "{why?}"),
        ("{none}", None),
        ("q", "why?"),
        ("absent", None),
    ],
)
def test_a_template_is_filled(template, text):
    assert Template.parse(template).value(ROW, "row 1") == text


@pytest.mark.parametrize("template", ["{", "{a}}", "{ }", "{{a}"])
def test_a_brace_without_a_place_is_refused(template):
    with pytest.raises(DataError, match=r"is not a place. Write `\{column\}`; double a brace that is text."):
        Template.parse(template)


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), ("", ""), (1, "1"), (0.5, "0.5"), (False, "false"), (None, None), (float("nan"), None)],
)
def test_cells_as_text(value, text):
    assert as_text(value, "row 1") == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "row 1 holds a list, not text. Name a column of text, or write a template."),
        ("a\0", "row 1 holds a NUL character. Remove it: the file may be damaged or binary."),
        ("\ud83d", "row 1 holds U+D83D, half a surrogate pair, not text in UTF-8. Remove it."),
    ],
)
def test_cells_that_are_no_text_are_refused(value, message):
    with pytest.raises(DataError) as caught:
        as_text(value, "row 1")
    assert str(caught.value) == message


def test_lists_of_accepted_texts():
    assert first_text([" ", "a ", "b", "a", 3], "row 1") == ("a", ("b", "3"))
    assert first_text(None, "row 1") == (None, ())
    assert listed(' ["a", 1]') == ["a", 1]
    assert [listed(text) for text in ("a", "[a]", '{"a": []}')] == [None, None, None]


def test_a_column_that_is_not_there_is_named_with_those_that_are():
    assert fill(ROW, "{q}!") == "why?!"
    with pytest.raises(DataError) as caught:
        fill({"question": "a", "answer": "b"}, "{qestion}")
    assert str(caught.value) == ("the row: no column 'qestion'; it has answer, question. Did you mean 'question'?")
