"""What is measured is the beginning of what TRL trains, for every chat template that TRL ships."""

import types

import pytest
from trl_templates import TEMPLATES, as_trl_trains, row_of, tokenizer_with

from mixplan.domains import Row
from mixplan.evaluate.prompts import tree_of
from mixplan.features.turns import answer_tokens
from mixplan.model import hold_template
from mixplan.train.rows_read import IGNORED

CASES = [
    ((("user", "What is 6 times 7?"),), "42", "24"),
    ((("user", "end"), ("assistant", "user"), ("user", "assistant")), "end", "im"),
    ((("user", "Why?"),), "<think>\nSo it is.\n</think>\n\nYes.", "<think>\nOr not.\n</think>\n\nNo."),
]
"""A conversation, the answer that is trained, and another one."""


def reader(tokenizer):
    """As much of a model as rendering and tokenising ask for."""
    return types.SimpleNamespace(tokenizer=tokenizer, name="tiny", window=100_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tokenizer")


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_scored_answer_is_the_beginning_of_the_trained_row(name, folder):
    tokenizer = tokenizer_with(TEMPLATES[name], folder)
    hold_template(tokenizer, "tiny", settings={}, date=None)
    trained = as_trl_trains(tokenizer, [row_of(turns, answer) for turns, answer, _ in CASES])
    ends = set()
    for (turns, answer, other), row in zip(CASES, trained, strict=True):
        tree = tree_of(reader(tokenizer), Row("r", "r", turns, answer), [answer, other])
        measured = [*tree.trunk, *tree.branches[0]]
        assert row["input_ids"][: len(measured)] == measured
        assert IGNORED not in row["labels"][len(tree.trunk) : len(measured)]
        assert answer[-3:] in tokenizer.decode(tree.branches[0])
        assert tree.branches[0] != tree.branches[1]
        ends.add(tokenizer.decode(row["input_ids"][len(measured) :]).strip())
    # What follows an answer is its turn's end, whatever it says.
    assert len(ends) == 1


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_answers_that_are_read_are_those_that_are_scored(name, folder):
    tokenizer = tokenizer_with(TEMPLATES[name], folder)
    hold_template(tokenizer, "tiny", settings={}, date=None)
    for turns, answer, _ in CASES:
        ids, count = answer_tokens(reader(tokenizer), turns, answer)
        tree = tree_of(reader(tokenizer), Row("r", "r", turns, answer), [answer])
        assert (*tree.trunk, *tree.branches[0]) == ids
        assert len(tree.branches[0]) == count


@pytest.mark.parametrize("thinking", [True, False])
def test_settings_in_the_rows_and_settings_held_train_the_same(thinking, folder):
    held, plain = (tokenizer_with(TEMPLATES["qwen3_5_think"], folder) for _ in range(2))
    hold_template(held, "tiny", settings={"enable_thinking": thinking}, date=None)
    turns, answer, _ = CASES[0]
    by_row = as_trl_trains(plain, [row_of(turns, answer, chat_template_kwargs={"enable_thinking": thinking})])
    by_template = as_trl_trains(held, [row_of(turns, answer)])
    assert by_row[0]["input_ids"] == by_template[0]["input_ids"]
    assert by_row[0]["labels"] == by_template[0]["labels"]
