"""A worked solution ends with the answer once, whatever its last line mentions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixplan.domains.worked_solution import with_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1 + 1 = 2\n#### 2", "2"),
        ("so we get \\boxed{2}.", "2"),
        ("think, a long\nanswer", "a long\nanswer"),
        ("So it is 5.", "5"),
        ("The answer is **5**.", "5"),
        ("The answer is $5$.", "5"),
        ("It costs $5", "5"),
        ("**Answer: 5**", "5"),
        ("Answer: 5 apples", "5"),
        ("The answer is 5 apples in all.", "5"),
        ("10 / 2 = 5 apples left.", "5"),
        ("10/2=5", "5"),
        ("So x = -5.", "-5"),
        ("The answer is (B).", "B"),
        ("Therefore B. two.", "B. two"),
        ("the answer is \\boxed{5} apples", "5"),
        ("\\[ x = 5 \\]", "5"),
        ("so \\(x = 5\\).", "5"),
        ("The capital is Paris.", "Paris"),
        ('The capital is "Paris".', "Paris"),
        ("It is _Paris_.", "Paris"),
        ("The answer is Paris, not London.", "Paris"),
        ("5", "5"),
        ("He said no.", "He said no."),
        ("we get $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
        ("we find (3, 5).", "(3, 5)"),
        ("It is f(x).", "f(x)"),
        ("It is 5%.", "5%"),
        ("- 5", "5"),
        ("The answer is: 5", "5"),
        ("so 2 + 3 equals 5", "5"),
        ("That is \u00a35.", "5"),
        ("The answer is 1,000.", "1,000"),
        ("It is yes", "yes"),
        ("<b>5", "5"),
        ("So \\boxed{\\text{yes}}", "yes"),
        ("it is __5__", "5"),
    ],
)
def test_what_ends_with_the_answer_or_states_it_stays(text, answer):
    assert with_answer(text, answer) == text


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("He had 5 apples and ate some of them.", "5"),
        ("That makes 7.5 dollars in all, less a 2.5 fee.", "5"),
        ("It is 2.5", "5"),
        ("It is 1/5.", "5"),
        ("It is -5.", "5"),
        ("It is 10^5", "5"),
        ("It is \\frac{1}{5}.", "5"),
        ("It is x_{5}.", "5"),
        ("It is 10^{5}", "5"),
        ("the pair (3, 5)", "5"),
        ("It is f(5)", "5"),
        ("It is 5!", "5"),
        ("It is 15", "5"),
        ("It is 1,005", "5"),
        ("we add 2 + 5", "5"),
        ("we take 2*5", "5"),
        ("2**5", "5"),
        ("x = 5 and then he pays 7", "5"),
        ("1 + 1\nmakes 12", "2"),
        ("2 is first\nthen more", "2"),
        ("The answer is 5.5", "5"),
        ("The answer is not 5 but more", "5"),
        ("The answer is 5%.", "5"),
        ("ratio 3:5", "5"),
        ("Yes, there was no rain.", "no"),
        ("Paris is large.", "Paris"),
        ("The answer is 5 in the morning, 7 at night.", "5"),
        ("#### 52", "5"),
        ("no reason", "no"),
    ],
)
def test_a_mention_is_no_answer(text, answer):
    assert with_answer(text, answer) == f"{text}\n\n{answer}"


ANSWERS = st.text("ab5().-", min_size=1) | st.text().map(str.strip).filter(bool)


@given(st.text("ab5.,(*-= \n{}$") | st.text(), ANSWERS)
def test_an_answer_that_was_added_is_not_added_again(text, answer):
    found = with_answer(f"So: {text}", answer)
    assert answer in found
    assert with_answer(found, answer) == found


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_nothing_is_no_worked_solution(text):
    assert with_answer(text, "5") is None


@pytest.mark.parametrize("mark", ["(", "*", " ", "answer ", "_", "=", "$", "5 "])
def test_long_runs_of_marks_take_no_time(mark):
    with_answer(f"so {mark * 200_000}5 and more", "5")
    with_answer(f"answer{mark * 200_000} x 5", "5")
