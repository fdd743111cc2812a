"""Options and answers in all the ways that data sets write them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixplan.domains.choice import LETTERS, find_answer, read_options, render
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
    assert read_options(written, "row") == OPTIONS


def test_an_option_of_two_lines():
    assert read_options("A. one\nand a half\nB. two\nD. not an option", "row") == (
        "one\nand a half",
        "two\nD. not an option",
    )


@pytest.mark.parametrize(
    "written", ["B", "b", "(B)", "B.", "B)", " B ", 1, "1", "green", "Green ", "B. green", "B) Green", "(B) green"]
)
def test_the_answer_is_found(written):
    assert find_answer(written, OPTIONS, "row") == 1


def test_a_number_that_is_an_option_means_that_option():
    assert find_answer("2", ("3", "2", "1"), "row") == 1
    assert find_answer(2, ("3", "2", "1"), "row") == 1
    assert find_answer(2, ("x", "y", "z"), "row") == 2


@pytest.mark.parametrize("written", ["D", "3", -1, "yellow", "B. red", "", True])
def test_an_answer_that_is_no_option(written):
    with pytest.raises(DataError) as caught:
        find_answer(written, OPTIONS, "file.jsonl, line 7")
    shown = "true" if written is True else str(written)
    assert str(caught.value) == (
        f"file.jsonl, line 7: the answer {shown!r} is not among the options A to C. "
        "Give a letter A to C, an index 0 to 2, or an option's text."
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
    assert read_options(listed, "row") == tuple(options)
    for index, option in enumerate(options):
        assert find_answer(f"{LETTERS[index]}. {option}", options, "row") == index
