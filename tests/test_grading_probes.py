"""Graders that do not fit their rows are refused, those that accept what is wrong are reported."""

import json

import pytest
import reasoning_gym

from mixplan.domains import Row
from mixplan.grading.probes import FIXED, bounded, findings, probe, refusal
from mixplan.grading.process import GradingProcess


@pytest.fixture(scope="module")
def process():
    made = GradingProcess(seconds=10)
    yield made
    made.close()


def rows_of(answers, **more):
    prompt = (("user", "?"),)
    return [Row(f"r:{i}", f"{i:032}", prompt, answer, **more) for i, answer in enumerate(answers)]


def generated(name, count=20, column=None):
    made = reasoning_gym.create_dataset(name, size=count, seed=0)
    return [
        Row(f"r:{i}", f"{i:032}", (("user", "?"),), entry["metadata"][column] if column else entry["answer"],
            entry=json.dumps(entry, default=str))
        for i, entry in enumerate(made)
    ]  # fmt: skip


def test_a_grader_that_fits_is_silent(process):
    found = probe(rows_of(["7", "8", "9", "12"] * 10), bounded("number", process))
    assert (found.rows, found.unfit, found.others, found.empty, found.fixed) == (40, 0, 0, 0, 0)
    assert list(findings("sums", "number", found)) == []
    assert not found.refused


def test_a_grader_that_reads_no_answer_is_refused(process):
    found = probe(rows_of(["seven", "eight", "9"]), bounded("number", process))
    assert (found.unfit, found.refused) == (2, True)
    assert refusal("sums", "number", found) == (
        "sums: its grader `number` does not accept the rows' own answers: 2 of 3 are not graded right, such as r:0: "
        "'seven'. Set the domain's `grader` to one that fits them, `none` to measure it otherwise, or map "
        "`columns.answer` to what it reads."
    )


def test_a_few_unfit_rows_are_told(process):
    found = probe(rows_of([*map(str, range(20)), "none of them"]), bounded("number", process))
    assert not found.refused
    assert list(findings("sums", "number", found)) == [
        "sums: 1 of 21 rows' own answers are not graded right by `number` and count as wrong whatever a model says, "
        "such as r:20: 'none of them'."
    ]


def test_worked_solutions_fit_their_generator(process):
    found = probe(generated("gsm_symbolic", column="answer_cot"), bounded("generator", process))
    assert (found.unfit, found.others, found.empty) == (0, 0, 0)


def test_a_scorer_that_accepts_anything_is_told(process):
    """Where its reference is False, this one takes any text for right."""
    found = probe(generated("game_of_life_halting"), bounded("generator", process))
    assert found.unfit == 0
    assert found.fixed > 0.2
    (sentence,) = findings("life", "generator", found)
    assert sentence.startswith("life: its grader `generator` accepts wrong answers: ")
    assert f"{FIXED!r} in {found.fixed:.0%} of rows" in sentence


def test_another_options_letter_is_a_wrong_answer_and_its_text_elsewhere_is_not(process):
    one = Row("r:0", "0" * 32, (("user", "?"),), "A. red", options=("red", "blue"), gold=0)
    same_text = Row("r:1", "1" * 32, (("user", "?"),), "B. red", options=("blue", "red"), gold=1)
    other = Row("r:2", "2" * 32, (("user", "?"),), "B. blue", options=("red", "blue"), gold=1)
    found = probe([one, same_text, other], bounded("choice", process))
    assert (found.unfit, found.others, found.empty, found.fixed) == (0, 0, 0, 0)


def test_rows_alike_have_no_other_answer(process):
    assert probe(rows_of(["7"] * 5), bounded("number", process)).others == 0
