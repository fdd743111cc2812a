"""`mixplan eval` hands on what it was asked and ends with the run's tables."""

import saved_run
from typer.testing import CliRunner

from mixplan.cli import app
from mixplan.outcome import make


def test_it_asks_for_what_is_said(tmp_path, monkeypatch):
    found = []

    def evaluate(run, overrides, *, watcher, model, label):
        found.append((run, overrides, model, label))
        return run

    monkeypatch.setattr(make, "evaluate_run", evaluate)
    run = saved_run.save(tmp_path / "run")
    result = CliRunner().invoke(app, ["eval", str(run), "--set", "evaluate.rows=5"])
    assert result.exit_code == 0, result.output
    assert found == [(run, ("evaluate.rows=5",), None, None)]
    assert "Before and after" in result.output
