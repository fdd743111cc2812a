"""Numbers keep their digits, and nothing in a data set's text can steer the reader's screen."""

import math
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from saved_plan import sample

from mixplan.report.text import (
    best_context,
    bounds,
    ends,
    expected_ends,
    few_words,
    in_line,
    number,
    passage,
    passage_line,
    percent,
    stability_sentence,
    visible,
    whole,
)
from mixplan.saved.base_types import Context, Expected, Interval
from mixplan.saved.plan import Domain
from mixplan.saved.scores import Ranking


@pytest.mark.parametrize(
    ("value", "written"),
    [
        *[(0, "0"), (1, "1.00"), (1.234, "1.23"), (9.999, "10.0"), (99.96, "100"), (-0.0456, "-0.0456")],
        *[(1234.5, "1,234"), (12, "12.0"), (0.00012345, "0.000123"), (0.000012, "1.2e-05"), (999.9, "1,000")],
    ],
)
def test_number(value: float, written: str) -> None:
    assert number(value) == written


@given(st.floats(min_value=1e-4, max_value=999, allow_nan=False))
def test_number_is_within_half_a_unit_of_the_third_digit(value: float) -> None:
    half = 0.5 * 10 ** (math.floor(math.log10(value)) - 2)
    assert abs(float(number(value).replace(",", "")) - value) <= half * 1.0001


def test_small_forms() -> None:
    assert number(0.08, 2) == "0.080"
    assert percent(0.1234) == "12.3 %"
    assert whole(134515008) == "134,515,008"
    assert bounds(Interval(value=1, low=0.5, high=2000)) == "[0.500, 2,000]"
    assert ends(2.4e-05, 0.097, 2) == "[0, 0.097]"
    assert ends(2.4e-05, 6.1e-05, 2) == "[2.4e-05, 6.1e-05]"
    assert ends(-0.0003, 0.9, 2) == "[-0.00030, 0.90]"
    assert ends(0.00016, 0.099, 2) == "[0.00016, 0.099]"
    assert ends(0.00016, 0.099, 2, signed=False) == "[0, 0.099]"
    assert ends(0.00025, 0.099, 2, signed=False) == "[0.00025, 0.099]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "[U+001B][31mred"),
        ("a\u202eb", "a[U+202E]b"),
        ("\u2066x\u2069", "[U+2066]x[U+2069]"),
        ("\x00\x7f\x85\u2028", "[U+0000][U+007F][U+0085][U+2028]"),
        ("\U000e0041", "[U+E0041]"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(st.characters()))
def test_nothing_that_steers_is_left(text: str) -> None:
    left = {unicodedata.category(character) for character in in_line(text)} - {"Cf"}
    assert not left & {"Cc", "Cs", "Zl", "Zp"}
    assert {c for c in in_line(text) if unicodedata.category(c) == "Cf"} <= {"\u200c", "\u200d"}
    assert visible(visible(text)) == visible(text)


def test_in_line() -> None:
    assert in_line("a\tb\r\nc") == "a⇥b␍↵c"


def domain(*reasons: list[str]) -> Domain:
    value: dict[str, Any] = dict(sample()["domains"]["law"])
    value["why"] = [
        {"feature": 1, "share": 0.1, "contexts": [context(token) for token in reason]} for reason in reasons
    ]
    return Domain.model_validate(value)


def context(token: str) -> dict[str, Any]:
    return {"before": "", "token": token, "after": "", "activation": 1.0}


def test_few_words_take_each_reason_first() -> None:
    assert few_words(domain([" court", " judge"], [" court", " dose"], ["\n"])) == ["court", "↵", "judge"]
    assert few_words(domain()) == []
    assert few_words(domain([], [" "], ["x" * 17, "y" * 16])) == ["x" * 15 + "…", "y" * 16]


def test_stability_of_an_order_that_there_is_not() -> None:
    assert stability_sentence(Ranking(stability=None, of="mean"), "STS_ICL") == (
        "Stability of the ranking by STS_ICL is not defined: there are fewer than three domains, or all alike."
    )
    assert stability_sentence(Ranking(stability=0.97, of="mean of resamples"), "STS_ICL") == (
        "Stability of the ranking by STS_ICL 0.97: mean of resamples."
    )


def around(before: str, token: str, after: str) -> Context:
    return Context(before=before, token=token, after=after, activation=1.0)


def test_the_best_context_is_the_leading_ones_whose_token_is_a_word() -> None:
    assert best_context(domain([","], [" of", " judge"])).token == " judge"
    assert best_context(domain([","], [" of"])).token == ","
    assert best_context(domain([], [" of"])).token == " of"
    assert best_context(domain()) is None


@given(st.text(max_size=80), st.text(min_size=1, max_size=12), st.text(max_size=80), st.integers(20, 90))
def test_a_passage_keeps_its_token_and_its_length(before: str, token: str, after: str, length: int) -> None:
    before, token, after = (in_line(text) for text in (before, token, after))
    shown = passage(around(before, token, after), length)
    assert shown[1] == token or len(token) > length
    assert len("".join(shown)) <= max(length, len(token))
    assert before.lstrip().endswith(shown[0].lstrip("…")) or before.lstrip() == shown[0]
    assert after.rstrip().startswith(shown[2].rstrip("…")) or after.rstrip() == shown[2]


def test_a_passage_on_one_line() -> None:
    assert passage_line(around("A patient with", " fever", "\nand cough"), 60) == "A patient with [fever]↵and cough"
    long = passage_line(around("a" * 50, " fever", "b" * 50), 30)
    assert len(long) == 30
    assert long.startswith("…aaa")
    assert long.endswith("bbb…")
    assert " [fever]" in long


def test_an_expected_change_that_cannot_be_below_0_begins_at_0_where_next_to_nothing():
    for low, sign, said in (
        (1e-4, None, "[0, 0.17]"),
        (-1e-4, None, "[-0.00010, 0.17]"),
        (1e-4, "up", "[0.00010, 0.17]"),
    ):
        expected = Expected(measure="choice", quantity="correct", change=0.03, low=low, high=0.17, sign=sign)
        assert expected_ends(expected) == said
