"""Evaluations written and read back, and files that are none."""

import json

import pytest

from mixplan.errors import RunError
from mixplan.evaluate import Evaluation, Measured, quality, read_evaluation, write_evaluation

MODEL = {"name": "m", "hash": "h", "dtype": "float32", "device": "cpu"}


def test_an_evaluation_reads_back_as_it_was(tmp_path):
    measured = {
        "exact": Measured("exact", ("a", "b"), {"score": (1.0, 0.25)}, {"outcome": ("right", "wrong")}),
        "behaviour": Measured("behaviour", ("a",), {"kl": (0.0,)}, {}),
    }
    whole = Evaluation(MODEL, {"law": measured}, {"law": "exact"})
    write_evaluation(whole, tmp_path / "evaluation" / "before.json")
    assert read_evaluation(tmp_path / "evaluation" / "before.json") == whole
    saved = json.loads((tmp_path / "evaluation" / "before.json").read_text())
    assert saved["version"] == 1
    assert saved["domains"]["law"]["headline"] == "exact"
    assert saved["domains"]["law"]["measures"]["exact"]["values"] == {"score": [1.0, 0.25]}


def test_quantities_have_a_better_side():
    assert [quality(name) for name in ("correct", "bits_per_byte", "kl", "exact_match")] == [1, -1, 0, 1]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 1, "model": {}, "domains": {"law": {}}}',
     '{"version": 1, "model": {}, "domains": {"law": {"headline": "exact", "measures": {"exact": '
     '{"rows": ["a"], "values": {"score": [1, 2]}, "texts": {}}}}}}'],
)  # fmt: skip
def test_a_damaged_file_is_one_message(tmp_path, text):
    path = tmp_path / "before.json"
    path.write_text(text)
    with pytest.raises(RunError) as caught:
        read_evaluation(path)
    assert str(caught.value) == f"{path}: this is not a whole evaluation. Evaluate again with `mixplan eval`."


def test_another_version_and_a_missing_file(tmp_path):
    path = tmp_path / "before.json"
    path.write_text('{"version": 7}')
    with pytest.raises(RunError) as caught:
        read_evaluation(path)
    assert str(caught.value) == (
        f"{path}: an evaluation of version 7; this mixplan reads version 1. Evaluate again with `mixplan eval`."
    )
    with pytest.raises(RunError) as caught:
        read_evaluation(tmp_path / "after.json")
    assert str(caught.value) == f"{tmp_path / 'after.json'}: there is no such file. Run the same command again."
