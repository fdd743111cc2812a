"""Numbers are read as exactly what Python's fractions make of them, in each way to write one."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixplan.grading.numbers import number, same_number, written_number

WHOLE = st.integers(0, 10**9)


def value(text: str) -> Fraction:
    found = number(text)
    assert found is not None, text
    return found.value * found.factor


@settings(max_examples=200, deadline=None)
@given(whole=WHOLE, negative=st.booleans(), grouped=st.sampled_from(["{:d}", "{:,d}", "{:_d}"]))
def test_whole_numbers_in_groups_of_three(whole, negative, grouped):
    written = grouped.format(whole)
    for text in (written, written.replace("_", " "), written.replace("_", "'")):
        signed = f"\N{MINUS SIGN}{text}" if negative else text
        assert value(f"The answer is {signed}.") == (-whole if negative else whole)


@settings(max_examples=200, deadline=None)
@given(cents=st.integers(0, 10**8), sign=st.sampled_from(["", "-"]))
def test_decimals_by_point_and_by_comma(cents, sign):
    english = f"{cents // 100:,}.{cents % 100:02d}"
    german = english.translate(str.maketrans(",.", ".,"))
    expected = Fraction(cents, 100) * (-1 if sign else 1)
    assert value(sign + english) == expected
    assert value(sign + german) == expected


@settings(max_examples=200, deadline=None)
@given(over=st.integers(0, 99), under=st.integers(1, 99), whole=st.integers(1, 99))
def test_fractions_and_mixed_numbers(over, under, whole):
    assert value(f"{over}/{under}") == Fraction(over, under)
    assert value(rf"\boxed{{\frac{{{over}}}{{{under}}}}}") == Fraction(over, under)
    assert value(f"{whole} {over}/{under}") == whole + Fraction(over, under)


FRAMES = [
    "{}", "The answer is {}.", "Answer: {}", "answer = {}", "Answer → {}", "The final answer: **{}**", r"\boxed{{{}}}",
    "#### {}", "So x = {}", "3 + 4 were added.\n\n{}", "答案是{}", "La respuesta es {}", "The answer is ({})",
    "<b>{}</b>", "The answer is `{}`", "Therefore, the answer is ${}$.",
]  # fmt: skip
SIGNS = {"": 1, "-": -1, "\N{MINUS SIGN}": -1, "\N{EN DASH}": -1, "+": 1, "minus ": -1}


@settings(max_examples=400, deadline=None)
@given(
    frame=st.sampled_from(FRAMES), sign=st.sampled_from(list(SIGNS)),
    written=st.sampled_from(["7", "0.5", ".5", "1,234.5", "1 234", "12/7", "2 1/2", "3e2", "40%", "2 million"]),
)  # fmt: skip
def test_a_sign_counts_in_every_frame(frame, sign, written):
    plain = value(written)
    assert plain > 0
    assert value(frame.format(sign + written)) == SIGNS[sign] * plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Answer - 5", 5), ("Answer – 5", 5), ("Answer — 5", 5), ("Answer: - 5", -5), ("Answer:\n- 5", 5),
     ("x = - 5", -5), ("between 10–20, so 20", 20), ("3 – 5 = –2", -2), ("The answer is 5-7", 5)],
)  # fmt: skip
def test_a_dash_that_joins_is_no_sign(text, expected):
    assert value(text) == expected


@settings(max_examples=100, deadline=None)
@given(mantissa=st.integers(1, 999), ten=st.integers(-9, 9))
def test_powers_of_ten(mantissa, ten):
    expected = Fraction(mantissa, 10) * Fraction(10) ** ten
    point = f"{mantissa // 10}.{mantissa % 10}"
    for text in (f"{point}e{ten}", f"{point} × 10^{ten}", rf"{point} \times 10^{{{ten}}}", f"{point}*10**{ten}"):
        assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Step 3: so it is 12", 12), ("12 cm^2", 12), ("H2O, of which there are 7", 7), ("3 - 5 = -2", -2),
        ("**4** of 9", 4), ("#### 18", 18), ("5 million", 5 * 10**6), ("It costs $1,250.50 in all", Fraction(2501, 2)),
        ("½", Fraction(1, 2)), ("2⁵", 32), ("2 125/250", Fraction(5, 2)), ("1 100/1", 1100),
        ("10⁻³", Fraction(1, 1000)), ("2**3", 8), ("2 ** 3", 8), ("**12**5 things", 12),
        ("The answer is 3. We had 40 before.", 3),
    ],
)  # fmt: skip
def test_what_is_no_number_of_the_answer_is_passed_over(text, expected):
    assert value(text) == expected


def test_a_per_cent_sign_counts_in_either_reading_where_one_side_has_it():
    assert same_number("50%", "50") is same_number("50%", "0.5") is True
    assert same_number("50%", "0.5%") is False
    assert same_number("no number", "3") is None
    assert same_number("3", "no number") is False


def test_a_number_is_written_back_as_plain_digits():
    assert written_number("It is 1,234.50") == "1234.50"
    assert written_number("minus 7") == "-7"
    assert written_number("1/2") is written_number("5 million") is written_number("none") is None


@pytest.mark.parametrize(
    "written",
    [r"\boxed{- 7}", r"\boxed{ - 7 }", r"So $\boxed{− 7}$.", "$- 7$", "$$- 7$$", r"\(- 7\)", r"\[ - 7 \]", "So **- 7**",
     "The answer is - 7.", "The answer is $- 7$", "The answer is **- 7**", "The answer would be - 7", "x = - 7",
     r"\boxed{x = - 7}", "The answer was - 7"],
)  # fmt: skip
def test_a_minus_apart_from_its_number_is_its_sign_where_the_answer_begins(written):
    assert (same_number(written, "-7"), same_number(written, "7")) == (True, False)


@pytest.mark.parametrize(
    "written",
    ["- 7", "The answer is:\n- 7", "Answer - 7", "$9$- 7", "$x$ - 7", r"\boxed{9 - 2 = 7}", "14 - 7", "**x**- 7"],
)
def test_a_bullet_a_dash_and_a_difference_are_no_signs(written):
    assert (same_number(written, "7"), same_number(written, "-7")) == (True, False)
