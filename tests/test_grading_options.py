"""The option that an answer commits to, for each letter and in each dress, and none where it names two."""

import pytest

from mixplan.grading.options import labelled, same_option

OPTIONS = {"A": "red", "B": "blue", "C": "green", "D": "grey"}
DRESSES = [
    "{letter}", "({letter})", "{letter}.", "**{letter}**", r"\boxed{{{letter}}}", "{letter}. {text}", "{text}",
    "The answer is {letter}", "The answer is ({letter}) {text}.", "I think about it.\n\nAnswer: {letter}",
    "I would choose {letter}, as it fits.", "{letter} is correct because it fits.", "Answer: {text}",
]  # fmt: skip


@pytest.mark.parametrize("dress", DRESSES)
def test_each_dress_names_its_own_option_and_no_other(dress):
    for given in OPTIONS:
        answer = dress.format(letter=given, text=OPTIONS[given])
        for wanted, text in OPTIONS.items():
            verdict = same_option(answer, f"{wanted}. {text}")
            assert verdict is True if wanted == given else verdict is not True, (answer, wanted)


def test_the_last_commitment_counts():
    said = "The answer is A. Wait, that is wrong. The answer is C."
    assert [same_option(said, f"{letter}. {text}") for letter, text in OPTIONS.items()] == [False, False, True, False]


@pytest.mark.parametrize("said", ["The answer is A or B", "Answer: A and B"])
def test_two_options_are_none(said):
    assert not any(same_option(said, f"{letter}. {text}") for letter, text in OPTIONS.items())


def test_weighing_options_commits_to_nothing():
    assert same_option("Some say one thing and some another.", "B. blue") is None


def test_a_reference_is_a_letter_with_or_without_its_text_or_the_text():
    assert labelled("B") == ("B", "")
    assert labelled("(b) Blue") == ("B", "blue")
    assert labelled("Blue") == ("*", "blue")


@pytest.mark.parametrize(("reference", "answer", "right"), [
    ("B. -5", "The answer is 5.", False),
    ("B. -5", "The answer is -5.", True),
    ("B. -5", "The answer is - 5.", True),
    ("B. 5", r"\boxed{-5}", False),
    ("B. 5", r"\boxed{- 5}", False),
    ("B. 5", "The answer is:\n- 5", True),
    ("B. blue", "The answer is:\n\n- blue", True),
    ("B. .5", "The answer is 5", False),
    ("B. 5", "The answer is .5", False),
    ("A. 10", "The answer is 10.5", False),
    ("A. 10", "10.5", False),
    ("A. 10", "The answer is 10. It fits.", True),
    ("A. 10", "The answer is 10, because it fits.", True),
    ("A. 10", "The answer is 10:30", False),
    ("A. 10", "The answer is 10–20", False),
    ("A. 10", "The answer is 10 × 2", False),
    ("A. 10", "The answer is 10 (ten).", True),
    ("A. 10", "The answer is 10 - that is all.", True),
    ("A. 10", "The answer is (10).", True),
    ("A. 1", "The answer is 1,000", False),
    ("A. 1,2,3", "The answer is 1,2,3,4.", False),
    ("D. -1/2", "The answer is 1/2.", False),
    ("D. -1/2", "The answer is -1/2.", True),
    ("B. Theory", "The answer is ory.", False),
    ("B. Theory", "The answer is theory.", True),
    ("B. The sea", "The answer is sea.", True),
    ("B. sea", "The answer is the sea.", True),
    ("D. E is a boy.", "The answer is D is a boy.", False),
    ("C. x + 1", "The answer is x + 1 - y", False),
    ("C. x + 1", "The answer is (x + 1) - y", False),
    ("C. x + 1", "The answer is x + 1.", True),
    ("C. (x+1)", "The answer is (x+1)(x-2).", False),
    ("C. (x+1)", "The answer is (x+1).", True),
    ("C. blue", "The answer is blue - the sky scatters light.", True),
    ("C. blue", "The answer is blue (B).", True),
])  # fmt: skip
def test_an_option_is_its_whole_text_with_its_sign(reference, answer, right):
    assert (same_option(answer, reference) is True) == right


@pytest.mark.parametrize(("option", "answer"), [
    ("Apollo 11", "**Apollo 11** – a NASA mission."), ("CO2", "**CO2** - a greenhouse gas"),
    ("1945", "**1945** - a key year"), ("Vitamin C", "**Vitamin C** – a water-soluble vitamin"),
    ("H2O", "H2O — a polar molecule"), ("3", "3 - I counted them"),
])  # fmt: skip
def test_an_article_behind_a_dash_is_no_term(option, answer):
    assert same_option(f"The correct answer is {answer}", f"D. {option}") is True
