"""Cells and tables of RESULTS.md, written by hand."""

import pytest

from mixplan.study.files.figure import Bounded
from mixplan.study.results.figures import figure, listed, side, signed, table_of, told


@pytest.mark.parametrize(
    ("entry", "keywords", "text"),
    [
        (None, {}, "–"),
        (Bounded(value=None, low=None, high=None), {}, "–"),
        (Bounded(value=0.614, low=None, high=None), {}, "0.61"),
        (Bounded(value=0.614, low=0.4, high=0.75), {}, "0.61 [0.40, 0.75]"),
        (Bounded(value=0.614, low=-0.4, high=0.75), {"sign": True}, "+0.61 [-0.40, +0.75]"),
        (Bounded(value=59.04, low=50, high=68), {"digits": 1}, "59.0 [50.0, 68.0]"),
        (Bounded(value=0.1, low=0.05, high=None), {}, "0.10 [0.05, –]"),
    ],
)
def test_a_figure_with_its_interval(entry, keywords, text):
    assert figure(entry, **keywords) == text


def test_a_table_keeps_its_columns():
    assert table_of(("a", "b"), [("1|2", "3")]) == "| a | b |\n| --- | --- |\n| 1\\|2 | 3 |"


def test_numbers_alone():
    assert (told(None), told(0.98765), signed(0.051)) == ("–", "0.988", "+0.05")


@pytest.mark.parametrize(
    ("entry", "bar", "where"),
    [
        (None, 0.0, "unsure"),
        (Bounded(value=None, low=None, high=None), 0.0, "unsure"),
        (Bounded(value=0.9, low=None, high=None), 0.0, "unsure"),
        (Bounded(value=0.3, low=0.1, high=0.5), 0.0, "above"),
        (Bounded(value=0.3, low=0.1, high=0.5), 0.1, "unsure"),
        (Bounded(value=0.3, low=0.1, high=0.5), 0.6, "below"),
        (Bounded(value=0.3, low=0.1, high=None), 0.0, "unsure"),
    ],
)
def test_on_which_side_of_a_bar_a_figure_surely_lies(entry, bar, where):
    assert side(entry, bar) == where


def test_words_in_a_list():
    assert [listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
