"""What a finished command shows of a run, and what it leaves in its folder."""

import json

import saved_outcome
import saved_plan
import saved_run
from rich.console import Console

from mixplan.cli.show_run import shown


def test_a_measured_run_gets_its_page_and_its_card(tmp_path, capsys):
    run = saved_run.save(tmp_path / "run")
    shown(run, Console(highlight=False, width=120), as_json=False)
    assert (run / "report.html").read_text().startswith("<!DOCTYPE html>\n")
    assert (run / "model" / "README.md").read_text().startswith("---\n")
    printed = capsys.readouterr().out
    assert "Before and after" in printed
    assert printed.endswith(f"Report: {run}/report.html\n")


def test_a_planned_run_gets_its_page_alone(tmp_path, capsys):
    run = saved_plan.save(tmp_path / "run", saved_plan.sample())
    shown(run, Console(highlight=False, width=120), as_json=False)
    assert not (run / "model").exists()
    assert "Before and after" not in capsys.readouterr().out


def test_json_is_the_saved_file(tmp_path, capsys):
    run = saved_plan.save(tmp_path / "run", saved_plan.sample())
    shown(run, Console(stderr=True), as_json=True)
    assert capsys.readouterr().out == (run / "plan.json").read_text()
    saved_outcome.save(run, saved_run.values()[1])
    shown(run, Console(stderr=True), as_json=True)
    assert json.loads(capsys.readouterr().out) == json.loads((run / "outcome.json").read_text())
