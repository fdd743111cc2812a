"""Texts are the same without case, spacing, quotes and markup, and no other text is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixplan.grading.texts import committed_text, same, same_text

WORDS = st.lists(st.from_regex(r"[a-z]{3,9}", fullmatch=True), min_size=2, max_size=5)


@settings(max_examples=150, deadline=None)
@given(words=WORDS)
def test_dress_does_not_matter(words):
    reference = " ".join(words)
    dressed = [
        reference.upper(), f"  {reference}  ", f'"{reference}"', f"**{reference}**", f"The answer is: {reference}",
        rf"\boxed{{{reference}}}", f"Answer: **{reference.title()}**.",
    ]  # fmt: skip
    assert [given for given in dressed if same_text(given, reference) is not True] == []


@settings(max_examples=150, deadline=None)
@given(words=WORDS, other=WORDS)
def test_other_words_are_another_text(words, other):
    if words != other:
        assert same_text(" ".join(other), " ".join(words)) is False


def test_an_empty_answer_says_nothing():
    assert same_text("  \n", "law") is None


@pytest.mark.parametrize(("given", "wanted", "equal"), [("1,000", "1000", True), ("0.50", "0.5", True),
                                                        ("1/2", "0.5", False), ("10", "100", False)])  # fmt: skip
def test_one_number_written_twice_is_the_same_text(given, wanted, equal):
    assert same(given, wanted) is equal


def test_what_is_announced_or_boxed_is_what_an_answer_commits_to():
    assert committed_text("We think. The answer is: Paris") == "Paris"
    assert committed_text("**Rome**") == "Rome"
    assert committed_text("just Oslo") == "just Oslo"
