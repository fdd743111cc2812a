"""Cells and tables of RESULTS.md, written by hand."""

import pytest

from mixplan.report.study_told import figure, signed, table_of, told


@pytest.mark.parametrize(
    ("entry", "keywords", "text"),
    [
        (None, {}, "–"),
        ({"value": None, "low": None, "high": None}, {}, "–"),
        ({"value": 0.614, "low": None, "high": None}, {}, "0.61"),
        ({"value": 0.614, "low": 0.4, "high": 0.75}, {}, "0.61 [0.40, 0.75]"),
        ({"value": 0.614, "low": -0.4, "high": 0.75}, {"sign": True}, "+0.61 [-0.40, +0.75]"),
        ({"value": 59.04, "low": 50, "high": 68}, {"digits": 1}, "59.0 [50.0, 68.0]"),
        ({"value": 0.1, "low": 0.05}, {}, "0.10 [0.05, –]"),
    ],
)
def test_a_figure_with_its_interval(entry, keywords, text):
    assert figure(entry, **keywords) == text


def test_a_table_keeps_its_columns():
    assert table_of(("a", "b"), [("1|2", "3")]) == "| a | b |\n| --- | --- |\n| 1\\|2 | 3 |"


def test_numbers_alone():
    assert (told(None), told(0.98765), signed(0.051)) == ("–", "0.988", "+0.05")
