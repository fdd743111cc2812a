"""Each grader tells right, wrong and unparsable answers apart."""

import json
import time

import pytest
import reasoning_gym
from answer_forms import FORMS

from mixplan.grading.grade import GRADERS, Grade, grade
from mixplan.grading.markup import stated
from mixplan.grading.numbers import number

RIGHT, WRONG, UNPARSABLE = Grade(1.0, "right"), Grade(0.0, "wrong"), Grade(0.0, "unparsable")

CASES = [
    ("exact", "Paris", "paris.", RIGHT),
    ("exact", "Paris", "Let me think.\nParis", RIGHT),
    ("exact", "Paris", "Paris is in France", WRONG),
    ("exact", "Paris", "<answer> Paris </answer> I hope", RIGHT),
    ("exact", "Paris", "<answer>Rome</answer> no, <ANSWER>Paris</ANSWER>", RIGHT),
    ("exact", "Paris", "Paris <answer></answer>", UNPARSABLE),
    ("exact", "Paris", "  \n", UNPARSABLE),
    ("choice", "B", "B", RIGHT),
    ("choice", "B", "(B) the second", RIGHT),
    ("choice", "B. text", "I weighed A. The answer is (B).", RIGHT),
    ("choice", "B", "The answer is A. No: the answer is B", RIGHT),
    ("choice", "B", "The answer is C", WRONG),
    ("choice", "A", "A dog barked", UNPARSABLE),
    ("choice", "A", "I do not know", UNPARSABLE),
    ("number", "1,234", "It makes 1234.", RIGHT),
    ("number", "0.5", "so 1/2", RIGHT),
    ("number", "-3", "x = -3.0", RIGHT),
    ("number", "7", "first 7, then 8", WRONG),
    ("number", "7", "1/0", UNPARSABLE),
    ("number", "7", "9" * 5000, UNPARSABLE),
    ("number", "7", "seven", UNPARSABLE),
    ("number", "none", "7", WRONG),
    ("math", r"\frac{1}{2}", r"Hence \boxed{\frac{1}{2}}.", RIGHT),
    ("math", r"\frac{1}{2}", r"Hence \boxed{0.5}.", RIGHT),
    ("math", r"so \boxed{x + 1}", r"\boxed{1}, no: \boxed{1+x}", RIGHT),
    ("math", r"\frac{\sqrt{2}}{2}", r"\boxed{\frac{1}{\sqrt{2}}}", RIGHT),
    ("math", "(x+1)^2", "<answer>x^2 + 2x + 1</answer>", RIGHT),
    ("math", "(x+1)^2", r"\boxed{x^2 + 2x + 2}", WRONG),
    ("math", "42", r"\boxed{42.0}", RIGHT),
    ("math", "42", "it is 42", RIGHT),
    ("math", "42", r"42, so \boxed{41}", WRONG),
    ("math", "42", r"so \boxed{42} and, cut off, \boxed{4", RIGHT),
    ("math", "1,234", "$1234$", RIGHT),
    ("math", "(1, 2)", r"\boxed{(1,2)}", RIGHT),
    ("math", "(1, 2)", r"\boxed{(2, 1)}", WRONG),
    ("math", r"\{1, 2\}", r"\boxed{\{2, 1\}}", RIGHT),
    ("math", "Evelyn", r"\boxed{\text{Evelyn}}", RIGHT),
    ("math", "Evelyn", r"\boxed{\text{Carla}}", WRONG),
    ("math", "Evelyn", "Carla", UNPARSABLE),
    ("math", "42", "I do not know", UNPARSABLE),
    ("math", "42", r"\boxed{}", UNPARSABLE),
    ("math", "", r"\boxed{}", UNPARSABLE),
    ("math", "42", "", UNPARSABLE),
]


@pytest.mark.parametrize(("grader", "reference", "text", "expected"), CASES)
def test_graders(grader: str, reference: str, text: str, expected: Grade) -> None:
    assert grade(text, reference, grader, None) == expected


@pytest.mark.parametrize(
    ("grader", "text", "accepted", "expected"),
    [
        ("exact", "NYC", ["NYC", "Big Apple"], RIGHT),
        ("exact", "Boston", ["NYC", "Big Apple"], WRONG),
        ("number", "2.5", ["5/2"], RIGHT),
        ("math", r"\boxed{\frac{5}{2}}", ["2.5"], RIGHT),
        ("math", "no idea", ["2.5"], UNPARSABLE),
    ],
)
def test_other_accepted_answers_are_right(grader: str, text: str, accepted: list[str], expected: Grade) -> None:
    assert grade(text, "New York", grader, None, accepted) == expected


def test_generator_rows_are_graded_by_their_own_scorer() -> None:
    entry = reasoning_gym.create_dataset("products", size=1, seed=3)[0]
    own, saved = reasoning_gym.get_score_answer_fn("products"), json.dumps(entry)
    longer = f"{entry['answer']}7"
    assert 0 < own(longer, entry) < 1
    assert grade(entry["answer"], "-", "generator", saved) == RIGHT
    assert grade(longer, "-", "generator", saved) == Grade(own(longer, entry), "wrong")
    assert grade(f"It is {longer}", "-", "generator", saved) == Grade(own(longer, entry), "wrong")
    assert grade(f"It is 7: <answer>{entry['answer']}</answer>", "-", "generator", saved) == RIGHT
    assert grade("x", "-", "generator", saved) == WRONG
    assert grade("", "-", "generator", saved) == UNPARSABLE


@pytest.mark.parametrize(
    "written",
    ["{}", "The answer is {}.", "**{}**", r"First 3 + 4. So \boxed{{{}}}.", "3 + 4 = 7\n#### {}", "Answer: {}"],
)
def test_scorers_see_what_an_answer_commits_to(written: str) -> None:
    """gsm_symbolic reads the first number of a text, word_sorting the whole of it."""
    for name, form in (("gsm_symbolic", written), ("word_sorting", written.replace("3 + 4", "well"))):
        if name == "word_sorting" and "####" in form:
            continue
        entry = reasoning_gym.create_dataset(name, size=1, seed=0)[0]
        text = form.format(entry["answer"])
        assert grade(text, "-", "generator", json.dumps(entry)) == RIGHT, text
        assert grade(form.format("12345"), "-", "generator", json.dumps(entry)).outcome == "wrong"


@pytest.mark.parametrize("name", ["mini_sudoku", "word_sorting", "rotate_matrix", "n_queens"])
@pytest.mark.parametrize("written", ["```\n{}\n```", "Here it is:\n\n```\n{}\n```", "Answer:\n```text\n{}\n```\n"])
def test_a_fence_holds_an_answer_and_makes_no_wrong_one_right(name: str, written: str) -> None:
    first, other = (reasoning_gym.create_dataset(name, size=2, seed=1)[place] for place in (0, 1))
    saved = json.dumps(first, default=str)
    assert grade(written.format(first["answer"]), "-", "generator", saved) == RIGHT
    for wrong in (
        written.format(other["answer"]),
        f"{written.format(first['answer'])}\n\nNo: the answer is {other['answer']}",
        f"{written.format(first['answer'])}\n\n```\n{other['answer']}\n```",
    ):
        assert grade(wrong, "-", "generator", saved).score < 1, wrong


@pytest.mark.parametrize("written", ["The answer is {}.", "We divide.\n\nAnswer: {}", r"So \boxed{{{}}}"])
def test_a_scorer_that_raises_on_prose_still_sees_the_answer(written: str) -> None:
    for entry in reasoning_gym.create_dataset("prime_factorization", size=20, seed=1):
        saved = json.dumps(entry, default=str)
        assert grade(written.format(entry["answer"]), "-", "generator", saved) == RIGHT
        if "×" not in entry["answer"]:
            continue  # a prime is a number, read as numbers are
        assert grade(written.format(entry["answer"] + " × 7"), "-", "generator", saved).outcome == "wrong"


def test_a_scorer_that_raises_on_everything_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(text: str, _: dict[str, object]) -> float:
        raise ValueError(text)

    monkeypatch.setattr("mixplan.grading.grade.scorer", lambda *_: raises)
    entry = json.dumps({"answer": "a", "metadata": {"source_dataset": "none"}})
    with pytest.raises(ValueError, match="The answer is b"):
        grade("The answer is b", "-", "generator", entry)


def test_worked_solutions_are_right_by_their_own_scorer() -> None:
    made = reasoning_gym.create_dataset("gsm_symbolic", size=30, seed=0)
    own = reasoning_gym.get_score_answer_fn("gsm_symbolic")
    worked = [(entry["metadata"]["answer_cot"], json.dumps(entry, default=str)) for entry in made]
    assert not any(own(text, json.loads(entry)) == 1 for text, entry in worked)
    assert all(grade(text, "-", "generator", entry) == RIGHT for text, entry in worked)


def test_a_scorer_goes_by_the_options_of_its_entries() -> None:
    options = {"max_num_decimal_places": 1, "min_num_decimal_places": 1}
    entry = reasoning_gym.create_dataset("decimal_arithmetic", size=1, seed=0, **options)[0]
    near = str(round(float(entry["answer"]) + 0.05, 3))
    assert grade(near, "-", "generator", json.dumps(entry | {"scorer_options": options})) == RIGHT
    assert grade(near, "-", "generator", json.dumps(entry)) == WRONG


def test_rows_without_an_entry_are_compared_as_text() -> None:
    assert [grade(text, "12", "generator", None) for text in ("12.", "13", "")] == [RIGHT, WRONG, UNPARSABLE]


@pytest.mark.parametrize("grader", GRADERS)
@pytest.mark.parametrize("text", ["\\boxed{" * 2000, "9" * 10_000, "<answer>" * 5000, "{" * 5000, "\x00\ud800\u0660"])
def test_strange_texts_get_a_grade_soon(grader: str, text: str) -> None:
    start = time.monotonic()
    assert grade(text, "42", grader, None).score == 0
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        (r"\boxed{a}", "a"),
        (r"\boxed{a} then \boxed{ \frac{\sqrt{b}}{c} }.", r"\frac{\sqrt{b}}{c}"),
        (r"\boxed{\boxed{a}}", "a"),
        (r"\boxed{$5$}", "5"),
        (r"\boxed{a", r"\boxed{a"),
        (r"\boxed{\}} \boxed{\{ }", r"\{"),
        ("a", "a"),
    ],
)
def test_the_last_closed_box_counts(text: str, contents: str) -> None:
    assert stated(text) == contents


def test_numbers_are_exact() -> None:
    assert number("0.1").value + number("0.2").value == number("3/10").value
    assert number("10000000000000001") != number("10000000000000000")


@pytest.mark.parametrize("grader", FORMS)
def test_answers_as_models_write_them(grader: str) -> None:
    """Each form's verdict was decided by a person reading it, not by what a grader said."""
    judged = [(text, wanted, grade(text, wanted, grader, None).score == 1) for text, wanted, _ in FORMS[grader]]
    assert judged == [(text, wanted, right) for text, wanted, right in FORMS[grader]]


def test_the_table_has_both_kinds_of_forms_for_each_grader() -> None:
    assert sum(map(len, FORMS.values())) >= 120
    assert all({right for _, _, right in forms} == {True, False} for forms in FORMS.values())


@pytest.mark.parametrize(
    "text",
    [
        "answer " * 20_000,
        "A is " * 20_000,
        "(" * 30_000,
        "A (" * 20_000,
        "so " * 30_000,
        "1 " * 30_000,
        "1,2" * 30_000,
        "**" * 30_000,
        "\\boxed{B} " * 5000,
        "if A. " * 20_000,
        "```a\n" * 20_000,
        "the answer to 7 " * 10_000,
        "the correct option here " * 5_000,
        "\n-" * 20_000,
    ],
)
@pytest.mark.parametrize("grader", ["choice", "number", "exact"])
def test_long_repetitions_are_graded_soon(grader: str, text: str) -> None:
    start = time.monotonic()
    grade(text, "B. blue" if grader == "choice" else "42", grader, None)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    ("text", "reference", "grader", "outcome"),
    [
        ("<think>\n\n</think>\n\nB. fox", "B. fox", "choice", "right"),
        ("<think>\nIs it A?\n</think>\n\nThe answer is B", "B. fox", "choice", "right"),
        ("<think>\nThe answer is B", "B. fox", "choice", "unparsable"),
        ("<think>\n41 or 42\n</think>\n\n42", "42", "number", "right"),
        ("<think>\nIt is 42", "42", "number", "unparsable"),
        ("<think>\n<answer>41</answer>\n</think>\n\n<answer>42</answer>", "42", "number", "right"),
        ("<think>\nSo.\n</think>\n\nParis", "<think>\nFrance.\n</think>\n\nParis", "exact", "right"),
        ("<|channel|>analysis<|message|>41<|end|><|start|>assistant<|channel|>final<|message|>42", "42", "exact",
         "right"),
    ],
)  # fmt: skip
def test_what_follows_the_reasoning_is_graded(text, reference, grader, outcome):
    assert grade(text, reference, grader, None).outcome == outcome
