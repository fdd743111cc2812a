"""`mixplan train` hands on what it was asked and ends with the run's tables."""

import json
from pathlib import Path

import pytest
import saved_run
from saved_plan import sample
from typer.testing import CliRunner, Result

from mixplan.cli import app
from mixplan.outcome import make
from mixplan.outcome.make import OutcomeRequest
from mixplan.saved import Plan
from mixplan.train import emit
from mixplan.train.launch import Launch
from mixplan.train.verify import AsPlanned


def call(*words: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, words)])


@pytest.fixture
def asked(tmp_path, monkeypatch) -> list[OutcomeRequest]:
    """Requests that reach the loop; each ends with a measured run."""
    found = []

    def remember(request, *, watcher):
        found.append(request)
        return saved_run.save(tmp_path / "run")

    monkeypatch.setattr(make, "make_outcome", remember)
    return found


def test_it_asks_for_what_is_said(asked, tmp_path):
    result = call(
        "mine.yaml", "--set", "seed=3", "--budget", "50", "--run", tmp_path / "there", "--launch", "fsdp2",
        "--processes", "4", "--", "--mixed_precision", "bf16",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    launch = Launch(Path("fsdp2"), 4, ("--mixed_precision", "bf16"))
    assert asked == [OutcomeRequest(Path("mine.yaml"), ("seed=3",), "50", tmp_path / "there", launch)]
    assert "Before and after" in result.output


def test_json_is_alone_on_stdout(asked, tmp_path):
    result = call("mine.yaml", "--json")
    assert result.stdout == (tmp_path / "run" / "outcome.json").read_text()


def test_emit_writes_a_job_file_and_trains_nothing(asked, tmp_path, monkeypatch):
    made = Plan.model_validate_json(json.dumps(sample()))
    ready = make.PlannedRun(tmp_path, None, made, None, {})
    told = {}
    monkeypatch.setattr(make, "planned", lambda request, watcher: ready)
    monkeypatch.setattr(emit, "emit", lambda *given, **named: told.update(named, given=given) or tmp_path / "slurm.sh")
    result = call("mine.yaml", "--emit", "slurm", "--nodes", "2")
    assert result.output == f"{tmp_path / 'slurm.sh'}\n"
    assert told["given"] == ("slurm", tmp_path, None, AsPlanned.of(made))
    assert told["nodes"] == 2
    assert asked == []


def test_wrong_usage_is_2():
    assert call("mine.yaml", "--processes", "0").exit_code == 2
    assert call("mine.yaml", "--emit", "kubernetes").exit_code == 2
    assert call().exit_code == 2
