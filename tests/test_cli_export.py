"""`mixplan export` prints what was written, what to know, and the command; as JSON the same."""

import json
import sys

import pytest

from mixplan.cli import main


def run(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["mixplan", "export", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_it_says_what_was_written_and_how_to_train(loop, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cache"))
    code, out, _ = run(monkeypatch, capsys, str(loop[0] / "run"), "--to", "axolotl", "--out", str(tmp_path / "out"))
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == f"Wrote {tmp_path / 'out'}: axolotl.yaml, rows.jsonl"
    assert lines[1].startswith("16 rows, ")
    assert lines[1].endswith(" tokens with loss, in the plan's order")
    assert lines[-1] == f"Train with axolotl: cd {tmp_path / 'out'} && axolotl train axolotl.yaml"


def test_as_json(loop, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cache"))
    arguments = [str(loop[0] / "run"), "--to", "messages", "--out", str(tmp_path / "out"), "--json"]
    code, out, _ = run(monkeypatch, capsys, *arguments)
    value = json.loads(out)
    assert code == 0
    assert (value["to"], value["files"], value["command"]) == ("messages", ["rows.jsonl"], "")
    assert sum(value["rows"].values()) == len((tmp_path / "out" / "rows.jsonl").read_text().splitlines())


def test_an_unknown_trainer_is_refused_with_those_that_are_known(loop, tmp_path, monkeypatch, capsys):
    code, _, err = run(monkeypatch, capsys, str(loop[0] / "run"), "--to", "keras", "--out", str(tmp_path / "out"))
    assert code == 1
    assert err == (
        "--to: found 'keras', expected one of trl, messages, llamafactory, ms-swift, axolotl, open-instruct, verl, "
        "nemo-rl.\n"
    )
