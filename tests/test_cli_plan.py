"""`mixplan plan` as it is typed: the closing table, what comes next, and `--json` with nothing beside it."""

import json
import shlex

from small_plan import recipe  # noqa: F401 - a fixture is used by its name
from typer.testing import CliRunner

from mixplan.cli import app


def test_a_plan_ends_with_its_page_and_the_commands_that_train_on_it(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("mixplan.report.terminal.installed", str)
    run = tmp_path / "my run"
    result = CliRunner().invoke(app, ["plan", str(recipe), "--run", str(run)])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-3:] == [
        f"Report: {run}/report.html",
        f"Next: mixplan train '{run}'",
        f"By TRL alone: cd '{run}' && trl sft --config mixture/sft.yaml --use_cpu --bf16 false",
    ]
    train, alone = (shlex.split(line) for line in result.output.splitlines()[-2:])
    assert (run / alone[alone.index("--config") + 1]).is_file()
    assert train[-1] == str(run)


def test_json_is_the_plan_alone(recipe, tmp_path):
    result = CliRunner().invoke(app, ["plan", str(recipe), "--run", str(tmp_path / "run"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((tmp_path / "run" / "plan.json").read_text())
    assert "Next:" not in result.output
