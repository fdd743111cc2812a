"""Rewards: each grader on right, wrong and absent answers."""

import json

import pytest
import reasoning_gym

from mixplan.train.rewards import graded

CASES = [
    ("exact", "Paris", "paris.", 1),
    ("exact", "Paris", "Let me think.\nParis", 1),
    ("exact", "Paris", "Paris is in France", 0),
    ("exact", "Paris", "<answer> Paris </answer> I hope", 1),
    ("exact", "Paris", "", 0),
    ("choice", "B", "B", 1),
    ("choice", "B", "(B) the second", 1),
    ("choice", "B. text", "I weighed A. The answer is (B).", 1),
    ("choice", "B", "The answer is A. No: the answer is B", 1),
    ("choice", "B", "The answer is C", 0),
    ("choice", "A", "A dog barked", 0),
    ("choice", "A", "I do not know", 0),
    ("number", "1,234", "It makes 1234.", 1),
    ("number", "0.5", "so 1/2", 1),
    ("number", "-3", "x = -3.0", 1),
    ("number", "7", "first 7, then 8", 0),
    ("number", "7", "1/0", 0),
    ("number", "none", "7", 0),
    ("math", r"\frac{1}{2}", r"Hence \boxed{\frac{1}{2}}.", 1),
    ("math", r"so \boxed{x + 1}", r"\boxed{1}, no: \boxed{x+1}", 1),
    ("math", "42", r"\boxed{42.0}", 1),
    ("math", "42", "it is 42", 1),
    ("math", "42", r"42, so \boxed{41}", 0),
]


@pytest.mark.parametrize(("grader", "reference", "text", "expected"), CASES)
def test_graders(grader: str, reference: str, text: str, expected: int) -> None:
    completions = [[{"role": "assistant", "content": text}]]
    assert graded(completions, [reference], [grader], [None], domain=["law"], trainer_state=None) == [expected]


def test_generator_rows_are_graded_by_their_own_scorer() -> None:
    entry = reasoning_gym.create_dataset("products", size=1, seed=3)[0]
    completions = [[{"role": "assistant", "content": text}] for text in (entry["answer"], "0", "")]
    saved = json.dumps(entry)
    own = reasoning_gym.get_score_answer_fn("products")
    expected = [own(entry["answer"], entry), own("0", entry), own("", entry)]
    assert expected[0] == 1.0
    assert graded(completions, ["-"] * 3, ["generator"] * 3, [saved] * 3) == expected
