"""Texts are the same without case, spacing, quotes and markup, and no other text is."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixplan.grading.texts import committed_text, fenced, same, same_text

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


@pytest.mark.parametrize(("answer", "text"), [
    ("```\na b\nc\n```", "a b\nc"), ("```json\n{}\n```", "{}"), ("~~~\n  x\n~~~\n", "  x"), ("`Rome`", "Rome"),
    ("```Rome```", "Rome"), ("```\na\n```\n\nand\n\n```\nb\n```", None),
])  # fmt: skip
def test_a_fence_around_the_whole_answer_is_taken_off(answer, text):
    assert (committed_text(answer) == text) == (text is not None)


GRID = "```\n1 2\n2 1\n```"


@pytest.mark.parametrize(("answer", "text"), [
    (GRID, "1 2\n2 1"), (f"Here is the grid:\n\n{GRID}", "1 2\n2 1"), (f"Answer:\n{GRID}\n", "1 2\n2 1"),
    (f"The answer to the puzzle is:\n\n{GRID}", "1 2\n2 1"), ("A try:\n```\n0\n```\nBetter:\n" + GRID, "1 2\n2 1"),
    ("```text\nanswer: 4\n```", "answer: 4"),
    # The answer commits itself elsewhere.
    (f"{GRID}\n\nSo the answer is 7.", None), (f"The answer is 7.\n\n{GRID}", None),
    (f"**Answer**: 7\n\n{GRID}", None), (rf"{GRID} so \boxed{{7}}", None),
    (f"{GRID}\n\nWait, that is wrong.", None), (f"{GRID}\n\nBut it breaks a rule, so: 7", None),
    (GRID + "\nBetter:\n```\n7\n```", "7"), ("```\n1 2\n2 1", None),
    ("no fence", None),
])  # fmt: skip
def test_the_last_fence_counts_where_nothing_else_does(answer, text):
    assert fenced(answer) == text


@pytest.mark.parametrize("text", ["```a\n" * 20_000, "```\nx\n```\n" * 1_000, "answer: 7\n```\nx\n```\n" * 1_000])
def test_many_fences_are_read_soon(text):
    start = time.monotonic()
    fenced(text)
    assert time.monotonic() - start < 2
