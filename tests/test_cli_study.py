"""`mixplan study` hands on what it was asked, writes RESULTS.md with its pictures, and says where they are."""

import json
from pathlib import Path

import pytest
from saved_further import further
from study_pages import complete, judged_values, results
from test_study_judged_judge import made_up
from test_study_results_page import MARKS, STUDY
from typer.testing import CliRunner, Result

from mixplan.cli import app, main
from mixplan.runs import write_json
from mixplan.study import make
from mixplan.study.asked.request import StudyRequest
from mixplan.study.files.read import write_file
from mixplan.study.judged.table import write_table
from mixplan.train.launch import Launch


def call(*words: object) -> Result:
    return CliRunner().invoke(app, ["study", *map(str, words)])


@pytest.fixture
def asked(tmp_path, monkeypatch) -> list[StudyRequest]:
    """Requests that reach the study; each ends with results."""
    found = []
    table = made_up()

    def remember(request, *, watcher):
        found.append(request)
        write_file(tmp_path / "results.json", results(judged_values(table, marks=MARKS, resamples=20, seed=1)))
        write_json(tmp_path / "registered.json", {name: STUDY[name] for name in STUDY if name != "command"})
        write_table(table, tmp_path / "table.json")
        return tmp_path

    monkeypatch.setattr(make, "make_study", remember)
    return found


def test_it_asks_for_what_is_said(asked, tmp_path):
    result = call(
        "mine/study.yaml", "--run", tmp_path / "there", "--jobs", "3", "--launch", "fsdp2", "--processes", "2"
    )
    assert result.exit_code == 0, result.output
    assert asked == [StudyRequest(Path("mine/study.yaml"), tmp_path / "there", 3, Launch(Path("fsdp2"), 2), False)]
    assert result.output.replace("\n", "") == f"Results: {tmp_path / 'RESULTS.md'}"
    assert "mixplan study mine/study.yaml" in (tmp_path / "RESULTS.md").read_text()
    assert {path.name for path in tmp_path.glob("*.svg")} == {"pooled.svg", "cells.svg"}


def test_what_is_judged_so_far_may_be_looked_into_further(asked, tmp_path):
    result = call("mine/study.yaml", "--so-far", "--ablations", "--measured", tmp_path / "trainings.jsonl")
    assert result.exit_code == 0, result.output
    (request,) = asked
    assert (request.so_far, request.ablations, request.measured) == (True, True, tmp_path / "trainings.jsonl")


def test_seeds_so_far_are_judged_in_a_folder_of_their_own(asked, tmp_path, monkeypatch):
    make_all = make.make_study

    def so_far(request, *, watcher):
        assert request.so_far
        folder = make_all(request, watcher=watcher) / "so-far"
        folder.mkdir()
        for name in ("results.json", "table.json"):
            (tmp_path / name).rename(folder / name)
        return folder

    monkeypatch.setattr(make, "make_study", so_far)
    result = call("mine/study.yaml", "--so-far")
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "so-far").glob("*.md")} == {"RESULTS.md"}
    assert not (tmp_path / "RESULTS.md").exists()


def test_what_was_looked_into_further_is_shown_with_its_pictures(asked, tmp_path):
    for name, values in further().items():
        write_json(tmp_path / f"{name}.json", complete(values))
    assert call("mine/study.yaml").exit_code == 0
    text = (tmp_path / "RESULTS.md").read_text()
    for title in ("on the SAE?", "In how few features", "need the features that drifted?", "own features among"):
        assert title in text
    pictures = {path.name for path in tmp_path.glob("*.svg")}
    assert pictures == {"pooled.svg", "cells.svg", "features.svg", "concentration.svg"}
    assert all(f"]({name})" in text for name in pictures)


def test_by_default_one_process_works_in_the_study_s_own_folder(asked):
    assert call("mine/study.yaml").exit_code == 0
    assert asked == [StudyRequest(Path("mine/study.yaml"), None, 1, Launch(None, 1), False)]


def test_a_process_beside_another_has_no_results(asked):
    result = call("mine/study.yaml", "--cells-only")
    assert result.exit_code == 0, result.output
    assert [request.cells_only for request in asked] == [True]
    assert result.output == ""


def test_json_is_alone_on_stdout(asked):
    assert json.loads(call("mine/study.yaml", "--json").stdout)["seed"] == 1


def test_damaged_results_are_one_message(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["mixplan", "study", "mine/study.yaml"])
    plain = make.make_study

    def damaged(request, *, watcher):
        folder = plain(request, watcher=watcher)
        (folder / "results.json").write_text("{")
        return folder

    monkeypatch.setattr(make, "make_study", damaged)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        f"{tmp_path / 'results.json'}: not a results.json that mixplan wrote, or changed or damaged since:\n"
        "  not JSON: EOF while parsing an object at line 1 column 1\n"
        f"Judge again from what is kept: `mixplan study mine/study.yaml --run {tmp_path}`.\n"
    )


def test_wrong_usage_is_2():
    assert call("mine/study.yaml", "--jobs", "0").exit_code == 2
    assert call().exit_code == 2


def test_a_study_that_is_not_there_is_1_with_one_message(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["mixplan", "study", "none.yaml"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "none.yaml: there is no such study. Studies are in recipes/studies/.\n"
