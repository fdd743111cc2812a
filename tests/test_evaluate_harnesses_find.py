"""Which harness wrote results is told by the files; nothing of the kind, and two harnesses at once, are refused."""

import json

import pytest
from harness_files import DATES, graded, task, write

from mixplan.errors import EvaluateError
from mixplan.evaluate.harnesses.find import EXPECTED, read_harness


def test_a_results_file_and_its_folder_say_the_same(tmp_path):
    file = write(tmp_path / "deep" / "base", {"law": task(graded("1101"))})
    for place in (file, file.parent, tmp_path):
        found = read_harness(place)
        assert (found.place, found.model, list(found.tasks)) == (place, "base", ["law"])
        assert [item.values for item in found.tasks["law"].items.values()] == [
            {found.measure: {"acc": float(mark)}} for mark in "1101"
        ]


@pytest.mark.parametrize("content", ["{}", "[]", "nothing", json.dumps({"model": "base"})])
def test_files_of_another_kind_are_refused_with_what_is_expected(tmp_path, content):
    (tmp_path / "notes.json").write_text(content)
    with pytest.raises(EvaluateError) as caught:
        read_harness(tmp_path)
    assert str(caught.value) == f"{tmp_path}: holds no results that mixplan reads; {EXPECTED}."


def test_a_place_that_is_not_there_and_a_samples_file(tmp_path):
    write(tmp_path, {"law": task(graded("10"))})
    with pytest.raises(EvaluateError, match=r"/none: there is no such file or folder; expected results_DATE\.json"):
        read_harness(tmp_path / "none")
    with pytest.raises(EvaluateError, match=r"It is a samples file: name the results file beside it\.$"):
        read_harness(tmp_path / f"samples_law_{DATES[0]}.jsonl")


def test_results_of_two_harnesses_are_refused(tmp_path):
    file = write(tmp_path, {"law": task(graded("10"))})
    (tmp_path / "log.json").write_text('{"version": 2, "status": "success", "eval": {}}')
    with pytest.raises(EvaluateError) as caught:
        read_harness(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: holds results of lm-evaluation-harness ({file.name}) and logs of inspect_ai (log.json). Name "
        "those of one harness."
    )
