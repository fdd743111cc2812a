"""A pipeline acts on exit codes: 0 where tolerances held, 3 where one was broken, with the files beside."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import tolerated
from typer.testing import CliRunner
from wrong_recipes import BASE

from mixplan.cli import app
from mixplan.outcome import compare, make
from mixplan.report import page
from mixplan.saved import read_outcome

RECIPE = BASE + "tolerances: {all: 2 pp}\n"


@pytest.fixture(autouse=True)
def no_page(monkeypatch) -> None:
    """The page is not what is looked at here, and takes most of the time."""
    monkeypatch.setattr(page, "render", lambda *_: "")


def run_of(folder: Path, *verdicts: str, **more) -> Path:
    """A measured run whose recipe has tolerances."""
    run = tolerated.save(folder / "run", *verdicts, **more)
    (run / "recipe.yaml").write_text(RECIPE)
    return run


def asked(monkeypatch, command: str, run: Path, *options: str):
    """A command whose work is done already, so that what it ends with is what the run holds."""
    monkeypatch.setattr(make, "evaluate_run", lambda folder, *_, **__: folder)
    monkeypatch.setattr(make, "make_outcome", lambda *_, **__: run)
    monkeypatch.setattr(compare, "make_comparison", lambda *_, **__: run)
    return CliRunner().invoke(app, [command, str(run), *options])


COMMANDS = ("eval", "train", "compare")
CODES = {
    ("pass", "pass"): (0, 0),
    ("undecided", "pass"): (0, 3),
    ("undecided", "fail"): (3, 3),
    ("fail", "pass"): (3, 3),
}
"""The exit code by verdicts: with `--gate`, and with `--gate --strict`."""


CASES = [("report", verdicts) for verdicts in CODES] + [(command, ("undecided", "pass")) for command in COMMANDS]


@pytest.mark.parametrize(("command", "verdicts"), CASES)
def test_the_exit_code_says_what_became_of_the_tolerances(command, verdicts, tmp_path, monkeypatch):
    run = run_of(tmp_path, *verdicts)
    code, strict = CODES[verdicts]
    found = asked(monkeypatch, command, run, "--gate")
    assert found.exit_code == code, found.output
    assert "Tolerances: " in found.stderr
    assert ("with --strict it does" in found.stderr) == (code != strict)
    assert asked(monkeypatch, command, run, "--gate", "--strict").exit_code == strict


def test_a_comparison_is_judged_by_the_plan_over_all_seeds(tmp_path, monkeypatch):
    run = run_of(tmp_path, "pass", arms={"none": ("fail",), "plan": ("undecided",)})
    files = ("--summary", str(tmp_path / "summary.md"))
    found = asked(monkeypatch, "compare", run, "--gate", "--strict", *files)
    assert found.exit_code == 3
    assert "quickstart, the planned mixture over 3 seeds: Tolerances: undecided. " in found.stderr
    assert asked(monkeypatch, "report", run, "--gate", "--strict").exit_code == 0
    assert "| none | fail | 0 | 1 | 0 |" in (tmp_path / "summary.md").read_text()


def test_files_are_written_with_and_without_a_gate(tmp_path, monkeypatch):
    run = run_of(tmp_path, "fail", "undecided")
    junit, summary = tmp_path / "out" / "junit.xml", tmp_path / "out" / "summary.md"
    files = ("--junit", str(junit), "--summary", str(summary))
    for options, code, failures in (((), 0, "1"), (("--gate",), 3, "1"), (("--gate", "--strict"), 3, "2")):
        assert asked(monkeypatch, "report", run, *files, *options).exit_code == code
        assert ET.parse(junit).getroot().get("failures") == failures
        assert summary.read_text().startswith("### mixplan, quickstart: fail\n")


def test_a_step_s_summary_is_added_to(tmp_path, monkeypatch):
    summary = tmp_path / "step"
    summary.write_text("Before.\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    asked(monkeypatch, "report", run_of(tmp_path, "pass"), "--summary", str(summary))
    assert summary.read_text().startswith("Before.\n### mixplan, quickstart: pass\n")


def test_outside_of_a_step_there_is_no_summary_to_write(tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    found = asked(monkeypatch, "report", run_of(tmp_path, "fail"), "--gate", "--summary", "")
    assert found.exit_code == 3
    assert "--summary names no file, so none is written; is $GITHUB_STEP_SUMMARY set?" in found.stderr


def test_several_runs_pass_together(tmp_path):
    runs = [str(run_of(tmp_path / name, verdict)) for name, verdict in (("one", "pass"), ("two", "fail"))]
    junit = tmp_path / "junit.xml"
    found = CliRunner().invoke(app, ["report", *runs, "--gate", "--junit", str(junit)])
    assert found.exit_code == 3
    assert [suite.get("name") for suite in ET.parse(junit).getroot()] == [f"mixplan tolerances: {run}" for run in runs]
    assert CliRunner().invoke(app, ["report", runs[0], "--gate"]).exit_code == 0


@pytest.mark.parametrize("command", ["eval", "train", "compare"])
@pytest.mark.parametrize("option", ["--gate", "--junit=x.xml", "--summary=x.md"])
def test_without_tolerances_nothing_passes_and_nothing_is_begun(command, option, tmp_path, monkeypatch):
    run = run_of(tmp_path)
    (run / "recipe.yaml").write_text(BASE)
    begun = []
    monkeypatch.setattr(make, "evaluate_run", lambda *_, **__: begun.append(1))
    monkeypatch.setattr(make, "make_outcome", lambda *_, **__: begun.append(1))
    monkeypatch.setattr(compare, "make_comparison", lambda *_, **__: begun.append(1))
    for place in (run, run / "recipe.yaml") if command != "eval" else (run,):
        found = CliRunner().invoke(app, [command, str(place), option])
        assert found.exit_code == 1
        name = option.partition("=")[0]
        assert str(found.exception).startswith(
            f"{run / 'recipe.yaml'}: {name} asks for verdicts, but no domain has a tolerance. Write some in the recipe"
        )
    assert begun == []


def test_tolerances_may_be_given_where_a_run_is_measured(tmp_path, monkeypatch):
    run = run_of(tmp_path, "pass")
    (run / "recipe.yaml").write_text(BASE)
    assert asked(monkeypatch, "eval", run, "--gate", "--set", "tolerances={all: 2 pp}").exit_code == 0


def test_a_run_without_verdicts_does_not_pass(tmp_path):
    plain = run_of(tmp_path / "plain")
    said = CliRunner().invoke(app, ["report", str(plain), "--gate"])
    assert said.exit_code == 1
    assert "its outcome.json holds no verdicts on tolerances. Write some in the recipe" in str(said.exception)
    untrained = run_of(tmp_path / "untrained", "pass")
    (untrained / "outcome.json").unlink()
    said = CliRunner().invoke(app, ["report", str(untrained), "--gate"])
    assert (said.exit_code, str(said.exception)) == (
        1,
        f"{untrained}: --gate asks for verdicts, but nothing is trained yet. Train first: `mixplan train {untrained}`.",
    )


def test_verdicts_of_another_plan_do_not_pass(tmp_path):
    run = run_of(tmp_path, "pass")
    other = run_of(tmp_path / "other", "pass", "pass")
    (run / "plan.json").write_bytes((other / "plan.json").read_bytes())
    said = CliRunner().invoke(app, ["report", str(run), "--gate"])
    assert said.exit_code == 1
    assert "was measured for another plan" in str(said.exception)
    assert read_outcome(run).tolerances.verdict == "pass"


def test_wrong_usage_is_2(tmp_path):
    run = run_of(tmp_path, "pass")
    assert CliRunner().invoke(app, ["report", str(run), "--strict"]).exit_code == 2
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    assert CliRunner().invoke(app, ["train", str(recipe), "--gate", "--emit", "slurm"]).exit_code == 2


def test_a_file_that_cannot_be_written_names_its_option(tmp_path):
    run = run_of(tmp_path, "pass")
    found = CliRunner().invoke(app, ["report", str(run), "--gate", "--junit", str(tmp_path)])
    assert (found.exit_code, str(found.exception)) == (
        1,
        f"--junit {tmp_path}: cannot be written (Is a directory). Name another file.",
    )
