"""The words with which answers commit themselves: each finds its place, and hedges do not count."""

import pytest

from mixplan.grading.grade import grade
from mixplan.grading.phrases import CHOOSES, CONCLUDES, DIRECT, STATES, SURE, UNSURE
from mixplan.grading.texts import committed_text


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


@pytest.mark.parametrize(("grader", "reference", "answer", "right"), [
    # `to` joins an answer to its noun in Polish and Czech alone.
    ("choice", "B. cortisol", "The answer is B.\n\nCortisol is a hormone released in response to stress.", True),
    ("choice", "B. cortisol", "Answer: A\n\nIt rises in response to cortisol.", False),
    ("choice", "B. An alternative to marriage", "Answer: B) An alternative to marriage", True),
    ("choice", "B. to dry a table", "The answer is to dry a table.", True),
    ("number", "56", "The answer to 7 x 8 is 56.", True),
    ("number", "56", "The answer to 7 x 8 is 56. It follows from 7 and 8.", True),
    ("number", "3", "The solution to 2x + 4 = 10 is x = 3.", True),
    ("number", "12", "Answer to question 5: 12", True),
    ("choice", "B. blue", "The answer to question 5 is B.", True),
    ("exact", "cortisol", "The answer is cortisol. It is released in response to stress.", True),
    ("exact", "stress", "Cortisol is a response to stress", False),
    ("exact", "Paris", "The answer is Paris.\n\nIt is an alternative to London.", True),
    ("choice", "B. blue", "Prawidłowa odpowiedź to B.", True),
    ("choice", "B. blue", "Odpowiedź to: B", True),
    ("choice", "B. blue", "Odpověď to A", False),
    # `option`, `solution` and their like state an answer where they are qualified, or where nothing else does.
    ("choice", "B. cortisol", "Answer: B\n\nThe solution is acidic.", True),
    ("choice", "B. cortisol", "The answer is B. The first option is too broad.", True),
    ("choice", "B. cortisol", "The answer is B. The other alternative is worse.", True),
    ("choice", "B. cortisol", "The answer is B. The immune response is slow.", True),
    ("choice", "B. cortisol", "Answer: B\n\nThe response to the drug is slow.", True),
    ("choice", "B. cortisol", "B\n\nThe conclusion is supported by evidence.", True),
    ("choice", "B. cortisol", "Answer: A\n\nThe correct option is B.", True),
    ("choice", "B. cortisol", "Answer: B\n\nMy choice is A.", False),
    ("choice", "B. cortisol", "The option that is correct is B.", True),
    ("choice", "B. cortisol", "The solution is B.", True),
    *(("choice", "B. blue", f"Some reasons.\n{said}", True) for said in (
        "The closest option is B.", "The better option is B.", "The logical choice is B.", "Hence, option is B.",
        "The only possible choice is B.", "So the letter is B.", "The selection is B.", "Therefore, solution: B",
    )),
    ("choice", "B. blue", "At first the answer is A. But red is warm. Therefore, the choice is B. It fits.", True),
    ("choice", "A. red", "At first the answer is A. But red is warm. Therefore, the choice is B. It fits.", False),
    ("choice", "B. cortisol", "The solution is A.", False),
    ("number", "12", "\\boxed{12}\n\nThe first solution is 20% salt.", True),
    ("number", "12", "The answer is 12.\n\nThe solution was heated for 5 minutes.", True),
    ("number", "5", "The solution is 5, because 2 * 5 = 10.", True),
    ("number", "5", "So the best solution is 5, because 2 * 5 = 10.", True),
    ("exact", "acid", "The answer is acid.\n\nThe solution is red.", True),
    ("exact", "red", "The answer is acid.\n\nThe solution is red.", False),
    ("exact", "red", "Solution: red", True),
    ("exact", "red", "Response: red", True),
    # A sign is no dash.
    ("exact", "-x", "The answer is -x.", True),
    ("exact", "x", "The answer is -x.", False),
    ("exact", "--fast", "The answer is --fast", True),
    ("exact", "Paris", "Answer-Paris", True),
    ("choice", "B. blue", "Answer-B", True),
    ("choice", "B. blue", "Answer --B", True),
    ("number", "5", "Answer: --5", True),
    ("exact", "x", "Answer - x", True),
    ("exact", "x", "Answer: - x", True),
    ("exact", "x", "The answer -- x", True),
    ("choice", "B. blue", "Answer – B", True),
    ("choice", "B. blue", "The answer—B", True),
])  # fmt: skip
def test_what_states_an_answer(grader, reference, answer, right):
    assert (grade(answer, reference, grader, None).outcome == "right") == right


def test_a_minus_is_part_of_what_is_announced():
    assert committed_text("Answer: -x**2") == "-x**2"
    assert committed_text("The answer is -(a + b)") == "-(a + b)"
