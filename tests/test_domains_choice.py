"""Options and answers in all the ways that data sets write them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixplan.domains.choice import LETTERS, Options, read_options, render
from mixplan.domains.labels import Named
from mixplan.errors import DataError

OPTIONS = ("red", "green", "1.5 blue")


@pytest.mark.parametrize(
    "written",
    [
        list(OPTIONS),
        json.dumps(list(OPTIONS)),
        "A. red\nB. green\nC. 1.5 blue",
        "\n A) red\n\nB) green\nC) 1.5 blue\n",
        "(A) red\n(B) green\n(C) 1.5 blue",
        ["A. red", "B. green", "C. 1.5 blue"],
    ],
)
def test_options_are_read_without_letters(written):
    assert read_options(written, "row").texts == OPTIONS


def test_an_option_of_two_lines():
    assert read_options("A. one\nand a half\nB. two\nD. not an option", "row").texts == (
        "one\nand a half",
        "two\nD. not an option",
    )


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        ({"text": ["red", "green", "1.5 blue"], "label": ["1", "2", "3"]}, ("1", "2", "3")),
        ({"A": "red", "B": "green", "C": "1.5 blue"}, ("A", "B", "C")),
        ({"A": "red", "B": "green", "C": "1.5 blue", "D": None, "E": None}, ("A", "B", "C")),
        ({"text": ["red", "green", "1.5 blue"], "label": ["1", "1", "3"]}, ()),
    ],
)
def test_options_bring_their_own_labels(written, labels):
    assert read_options(written, "row") == Options(OPTIONS, labels)


def test_labels_in_a_list_of_their_own():
    assert read_options(list(OPTIONS), "row", ["A", "B", "C"]) == Options(OPTIONS, ("A", "B", "C"))
    assert read_options(list(OPTIONS), "row", ["A", "B"]) == Options(OPTIONS)


@pytest.mark.parametrize("empty", [None, "", " ", float("nan")])
def test_options_left_empty_at_the_end_are_none(empty):
    assert read_options([*OPTIONS, empty, empty], "row").texts == OPTIONS


def test_an_object_of_lists_is_refused_with_the_list_to_name():
    with pytest.raises(DataError) as caught:
        read_options({"choices": ["a", "b"], "labels": [1, 0]}, "row")
    assert str(caught.value) == (
        "row: the options are an object whose 'choices' holds a list, not text. "
        "Name the list inside it, as in `options: COLUMN.choices`."
    )


@given(
    st.lists(
        st.text("abcxyz ", min_size=3).map(str.strip).filter(lambda text: len(text) > 2),
        min_size=2,
        max_size=26,
        unique=True,
    )
)
def test_rendered_options_are_read_back(options):
    question, _, listed = render("Which?", options).partition("\n\n")
    assert question == "Which?"
    read = read_options(listed, "row")
    assert read.texts == tuple(options)
    for index, option in enumerate(options):
        assert Named.of("row", f"{LETTERS[index]}. {option}", read).index("letter") == index
