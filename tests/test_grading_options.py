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
