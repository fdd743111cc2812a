"""Evaluations written and read back, and files that are none."""

import json

import pytest

from mixplan.errors import RunError
from mixplan.saved.evaluation import (
    EvaluatedModel,
    Evaluation,
    Measured,
    quality,
    read_evaluation,
    write_evaluation,
)

MODEL = EvaluatedModel(name="m", hash="h", dtype="float32", device="cpu")


def test_an_evaluation_reads_back_as_it_was(tmp_path):
    measured = {
        "exact": Measured("exact", ("a", "b"), {"score": (1.0, 0.25)}, {"outcome": ("right", "wrong")}),
        "behaviour": Measured("behaviour", ("a",), {"kl": (0.0,)}, {}),
    }
    whole = Evaluation(MODEL, {"law": measured}, {"law": "exact"}, asked={"law": {"exact": "0123"}})
    write_evaluation(whole, tmp_path / "evaluation" / "before.json")
    assert read_evaluation(tmp_path / "evaluation" / "before.json") == whole
    saved = json.loads((tmp_path / "evaluation" / "before.json").read_text())
    assert saved["version"] == 1
    assert saved["domains"]["law"]["headline"] == "exact"
    assert saved["domains"]["law"]["measures"]["exact"]["values"] == {"score": [1.0, 0.25]}


def test_quantities_have_a_better_side():
    assert [quality(name) for name in ("correct", "bits_per_byte", "kl", "exact_match")] == [1, -1, 0, 1]


@pytest.mark.parametrize(
    ("quantity", "stated", "side"),
    [("acc", None, 1), ("acc", 0, 1), ("acc", -1, -1), ("perplexity", 0, -1), ("kl", 0, 0), ("cost", 0, 0),
     ("cost", None, 1)],
)  # fmt: skip
def test_a_harness_that_says_nothing_leaves_a_known_quantity_its_side(quantity, stated, side):
    better = {} if stated is None else {quantity: stated}
    assert Measured("lm_eval", ("a",), {quantity: (1.0,)}, {}, better).quality(quantity) == side


HEAD = '{"version": 1, "model": {"hash": "h", "dtype": "float32"}, "domains": {"law": '


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON: EOF while parsing a value at line 1 column 0"),
        ("[]", "the file: expected an object, found []"),
        ("{}", "`version` is missing"),
        (HEAD + '{"headline": "exact"}}}', "`domains.law.measures` is missing"),
        (
            HEAD + '{"headline": "exact", "measures": {"exact": '
            '{"rows": ["a"], "values": {"score": [1, 2]}, "texts": {}}}}}}',
            '`domains.law.measures.exact`: value error, one entry a row is expected, found {"rows": ["a"], "values": '
            '{"score": [1, ...',
        ),
    ],
)
def test_a_damaged_file_is_one_message(tmp_path, text, problem):
    path = tmp_path / "before.json"
    path.write_text(text)
    with pytest.raises(RunError) as caught:
        read_evaluation(path)
    assert str(caught.value) == (
        f"{path}: not an evaluation that mixplan wrote, or changed or damaged since:\n  {problem}\n"
        "Evaluate again with `mixplan eval`."
    )


def test_another_version_and_a_missing_file(tmp_path):
    path = tmp_path / "before.json"
    path.write_text('{"version": 7}')
    with pytest.raises(RunError) as caught:
        read_evaluation(path)
    assert str(caught.value) == (
        f"{path}: found evaluation version 7, written by mixplan 'unknown'; expected version 1. Use that mixplan. "
        "Evaluate again with `mixplan eval`."
    )
    with pytest.raises(RunError) as caught:
        read_evaluation(tmp_path / "after.json")
    assert str(caught.value) == f"{tmp_path / 'after.json'}: there is no such file. Evaluate again with `mixplan eval`."
