"""`mixplan compare` hands on what it was asked and ends with the run's tables."""

from pathlib import Path

import saved_run
from typer.testing import CliRunner

from mixplan.cli import app
from mixplan.outcome import compare
from mixplan.outcome.compare_request import CompareRequest
from mixplan.outcome.make import OutcomeRequest
from mixplan.train.launch import Launch


def test_it_asks_for_what_is_said(tmp_path, monkeypatch):
    found = []

    def remember(request, *, watcher):
        found.append(request)
        return saved_run.save(tmp_path / "run")

    monkeypatch.setattr(compare, "make_comparison", remember)
    words = ["compare", "mine.yaml", "--arms", "none,plan", "--seeds", "3", "--jobs", "2", "--set", "seed=1"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    asked = OutcomeRequest(Path("mine.yaml"), ("seed=1",), None, None, Launch(None, None, ()))
    assert found == [CompareRequest(asked, ("none", "plan"), 3, 2)]
    assert "Arms" in result.output


def test_without_arms_the_usual_ones_are_left_to_the_plan(tmp_path, monkeypatch):
    found = []

    def remember(request, *, watcher):
        found.append(request.arms)
        return saved_run.save(tmp_path / "run")

    monkeypatch.setattr(compare, "make_comparison", remember)
    assert CliRunner().invoke(app, ["compare", "mine.yaml"]).exit_code == 0
    assert found == [()]


def test_wrong_usage_is_2():
    assert CliRunner().invoke(app, ["compare", "mine.yaml", "--seeds", "0"]).exit_code == 2
