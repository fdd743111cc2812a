"""`mixplan study` hands on what it was asked, writes RESULTS.md with its pictures, and says where they are."""

import json
from pathlib import Path

import pytest
from random_table import random_table
from saved_further import further
from study_pages import MARKS, STUDY, complete, judged_values, results
from typer.testing import CliRunner, Result

from mixplan.cli import app, main
from mixplan.cli.study import in_verbs
from mixplan.runs import write_json
from mixplan.study import judge, work
from mixplan.study.asked import emit
from mixplan.study.asked.request import StudyRequest
from mixplan.study.files.read import write_file
from mixplan.study.judged.table import write_table
from mixplan.train.launch import Launch


def call(*words: object) -> Result:
    return CliRunner().invoke(app, ["study", *map(str, words)])


@pytest.fixture
def asked(tmp_path, monkeypatch) -> list[tuple[str, StudyRequest]]:
    """Verbs and requests that reach the study; running and judging end with results."""
    found = []
    table = random_table()

    def remember(verb):
        def worked(request, *, watcher):
            found.append((verb, request))
            write_file(tmp_path / "results.json", results(judged_values(table, marks=MARKS, resamples=20, seed=1)))
            write_json(tmp_path / "registered.json", {name: STUDY[name] for name in STUDY if name != "command"})
            write_table(table, tmp_path / "table.json")
            return tmp_path

        return worked

    monkeypatch.setattr(work, "run_study", remember("run"))
    monkeypatch.setattr(work, "work_on_study", remember("work"))
    monkeypatch.setattr(judge, "judge_study", remember("judge"))
    monkeypatch.setattr(emit, "emit_study", lambda request: found.append(("emit", request)) or Path("run/slurm.sh"))
    return found


STUDY_FILE = Path("mine/study.yaml")


def test_it_asks_for_what_is_said(asked, tmp_path):
    options = ("--run", tmp_path / "there", "--jobs", "3", "--launch", "fsdp2", "--processes", "2")
    result = call("run", STUDY_FILE, *options, "--measured", "other.jsonl")
    assert result.exit_code == 0, result.output
    request = StudyRequest(STUDY_FILE, tmp_path / "there", 3, Launch(Path("fsdp2"), 2), measured=Path("other.jsonl"))
    assert asked == [("run", request)]
    assert result.output.replace("\n", "") == f"Results: {tmp_path / 'RESULTS.md'}"
    assert "mixplan study run mine/study.yaml" in (tmp_path / "RESULTS.md").read_text()
    assert {path.name for path in tmp_path.glob("*.svg")} == {"pooled.svg", "cells.svg"}


def test_what_is_judged_so_far_may_be_looked_into_further(asked):
    result = call("judge", STUDY_FILE, "--ablations")
    assert result.exit_code == 0, result.output
    assert asked == [("judge", StudyRequest(STUDY_FILE, ablations=True))]


def test_seeds_so_far_are_judged_in_a_folder_of_their_own(asked, tmp_path, monkeypatch):
    judge_all = judge.judge_study

    def so_far(request, *, watcher):
        folder = judge_all(request, watcher=watcher) / "so-far"
        folder.mkdir()
        for name in ("results.json", "table.json"):
            (tmp_path / name).rename(folder / name)
        return folder

    monkeypatch.setattr(judge, "judge_study", so_far)
    result = call("judge", STUDY_FILE)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "so-far").glob("*.md")} == {"RESULTS.md"}
    assert not (tmp_path / "RESULTS.md").exists()


def test_what_was_looked_into_further_is_shown_with_its_pictures(asked, tmp_path):
    for name, values in further().items():
        write_json(tmp_path / f"{name}.json", complete(values))
    assert call("run", STUDY_FILE).exit_code == 0
    text = (tmp_path / "RESULTS.md").read_text()
    for title in ("on the SAE?", "In how few features", "need the features that drifted?", "own features among"):
        assert title in text
    pictures = {path.name for path in tmp_path.glob("*.svg")}
    assert pictures == {"pooled.svg", "cells.svg", "features.svg", "concentration.svg"}
    assert all(f"]({name})" in text for name in pictures)


def test_by_default_one_process_works_in_the_study_s_own_folder(asked):
    assert call("run", STUDY_FILE).exit_code == 0
    assert asked == [("run", StudyRequest(STUDY_FILE, None, 1, Launch(None, 1)))]


def test_a_process_beside_another_has_no_results(asked):
    result = call("work", STUDY_FILE, "--processes", "2", "--ablations")
    assert result.exit_code == 0, result.output
    assert asked == [("work", StudyRequest(STUDY_FILE, None, 1, Launch(None, 2), ablations=True))]
    assert result.output == ""


def test_a_slurm_array_is_written_and_its_path_printed(asked):
    result = call("emit", STUDY_FILE, "--jobs", "8", "--measured", "other.jsonl")
    assert result.output == "run/slurm.sh\n"
    assert asked == [("emit", StudyRequest(STUDY_FILE, None, 8, Launch(None, 1), measured=Path("other.jsonl")))]


def test_evidence_is_written_again_in_its_place(monkeypatch):
    found = []
    monkeypatch.setattr("mixplan.study.restate_evidence.restate", lambda *places, watcher: found.append(places))
    assert call("restate", STUDY_FILE, "evidence.json").output == "Evidence: evidence.json\n"
    assert found == [(STUDY_FILE, Path("evidence.json"))]


@pytest.mark.parametrize("verb", ["run", "judge"])
def test_json_is_alone_on_stdout(asked, verb):
    assert json.loads(call(verb, STUDY_FILE, "--json").stdout)["seed"] == 1


@pytest.mark.parametrize(
    ("said", "verb", "request_of", "now"),
    [
        (("s.yaml",), "run", {}, "run s.yaml"),
        (("s.yaml", "--jobs=2", "--run", "r"), "run", {"jobs": 2, "run": Path("r")}, "run s.yaml --jobs 2 --run r"),
        (("--run", "r", "s.yaml", "--so-far"), "judge", {"run": Path("r"), "launch": Launch()}, "judge --run r s.yaml"),
        (
            ("s.yaml", "--so-far", "--ablations", "--jobs", "3"),
            "judge",
            {"ablations": True, "launch": Launch()},
            "judge s.yaml --ablations",
        ),
        (("s.yaml", "--cells-only", "--json"), "work", {}, "work s.yaml"),
        (("s.yaml", "--emit", "slurm", "--jobs", "4"), "emit", {"jobs": 4}, "emit s.yaml --jobs 4"),
        (("--emit=slurm", "s.yaml"), "emit", {}, "emit s.yaml"),
    ],
)
def test_the_form_of_earlier_versions_is_understood_and_the_new_one_named(asked, said, verb, request_of, now):
    result = call(*said)
    assert result.exit_code == 0, result.output
    assert asked == [(verb, StudyRequest(Path("s.yaml"), **{"launch": Launch(None, 1), **request_of}))]
    assert result.stderr == (
        f"Without a verb, `mixplan study` is understood in this version only. Now: mixplan study {now}\n"
    )


def test_an_evidence_file_behind_its_old_flag_is_the_second_argument():
    assert in_verbs(["s.yaml", "--restate", "e.json"]) == ("restate", ["s.yaml", "e.json"])
    assert in_verbs(["--restate=e.json", "s.yaml"]) == ("restate", ["s.yaml", "e.json"])


def test_a_verb_that_there_is_not_is_wrong_usage(asked):
    result = call("jugde", "s.yaml")
    assert result.exit_code == 2
    assert "No such command 'jugde'" in result.stderr
    assert asked == []


def test_damaged_results_are_one_message(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["mixplan", "study", "run", "mine/study.yaml"])
    plain = work.run_study

    def damaged(request, *, watcher):
        folder = plain(request, watcher=watcher)
        (folder / "results.json").write_text("{")
        return folder

    monkeypatch.setattr(work, "run_study", damaged)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        f"{tmp_path / 'results.json'}: not a results.json that mixplan wrote, or changed or damaged since:\n"
        "  not JSON: EOF while parsing an object at line 1 column 1\n"
        f"Judge again from what is kept: `mixplan study run mine/study.yaml --run {tmp_path}`.\n"
    )


@pytest.mark.parametrize("name", ["results.json", "registered.json", "table.json", "zeroing.json"])
def test_files_of_a_foreign_kind_are_named_with_their_fields(asked, tmp_path, monkeypatch, name):
    plain = work.run_study

    def foreign(request, *, watcher):
        folder = plain(request, watcher=watcher)
        (folder / name).write_text('{"version": 1, "kind": "foreign"}')
        return folder

    monkeypatch.setattr(work, "run_study", foreign)
    result = call("run", STUDY_FILE)
    assert result.exit_code == 1
    said = str(result.exception)
    assert said.startswith(f"{tmp_path / name}: not a {name} that mixplan wrote, or changed or damaged since:\n  `")
    assert "` is missing" in said
    assert "mixplan study run" in said


def test_files_of_another_version_are_refused_and_those_without_one_are_read(asked, tmp_path, monkeypatch):
    plain = work.run_study

    def changed(change):
        def run(request, *, watcher):
            folder = plain(request, watcher=watcher)
            for name in ("results.json", "registered.json"):
                values = json.loads((folder / name).read_bytes())
                values.pop("version", None)
                write_json(folder / name, change | values)
            return folder

        monkeypatch.setattr(work, "run_study", run)
        return call("run", STUDY_FILE)

    assert changed({}).exit_code == 0
    place = tmp_path / "registered.json"
    assert str(changed({"version": 2}).exception).startswith(
        f"{place}: found registered.json version 2, written by mixplan '0.1'; expected version 1."
    )


def test_wrong_usage_is_2():
    assert call("run", STUDY_FILE, "--jobs", "0").exit_code == 2
    assert call("run", STUDY_FILE, "--ablations").exit_code == 2
    assert call().exit_code == 2


def test_a_study_that_is_not_there_is_1_with_one_message(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["mixplan", "study", "run", "none.yaml"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "none.yaml: there is no such study. Studies are in recipes/studies/.\n"
