"""The words with which answers commit themselves: each finds its place, and hedges do not count."""

import pytest

from mixplan.grading.phrases import CHOOSES, CONCLUDES, DIRECT, STATES, SURE, UNSURE


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (STATES, "The correct answer is B"), (STATES, "Answer: B"), (STATES, "La respuesta es B"),
        (STATES, "Die Antwort lautet B"), (STATES, "答案是B"), (STATES, "정답은 B"), (STATES, "Ответ: B"),
        (STATES, "The best option here would be B"), (CHOOSES, "I would choose B"), (CHOOSES, "So I'll go with B"),
        (CONCLUDES, "It must be B"), (CONCLUDES, "Therefore, B"), (DIRECT, "Option B"),
    ],
)  # fmt: skip
def test_an_answer_begins_right_behind_them(pattern, text):
    ends = [match.end() for match in pattern.finditer(text)]
    assert ends
    assert text[ends[-1] :].strip() == "B"


@pytest.mark.parametrize("text", ["We answered three questions", "There are options for all", "the responses vary"])
def test_nouns_alone_state_nothing(text):
    assert STATES.search(text) is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B is correct", "B"),
        ("(c) green is the best choice", "c"),
        ("D seems right", "D"),
        ("A is a letter", None),
        ("(a) was out and (c) is correct", "c"),
        ("(A) seems odd and B is correct", "B"),
        ("C. grey is right", "C"),
        ("C (grey) is right", "C"),
        ("(c): grey is right", "c"),
        ("(a) blue and B is correct", "B"),
    ],
)
def test_praise_names_a_letter(text, letter):
    match = SURE.search(text)
    assert (None if match is None else match[1] or match[2]) == letter


@pytest.mark.parametrize(("before", "unsure"), [("if ", True), ("Suppose that ", True), ("We know that ", False),
                                                ("If so. Then ", False)])  # fmt: skip
def test_hedges_reach_to_the_end_of_their_sentence(before, unsure):
    assert (UNSURE.search(before) is not None) == unsure
