"""`mixplan report` prints tables, writes pages, and loads no torch."""

import errno
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import saved_outcome
import saved_run
import typer
from saved_plan import learned, sample, save
from typer.testing import CliRunner, Result

from mixplan.cli.report import report
from mixplan.errors import RunError

ALONE = "import typer; from mixplan.cli.report import report; typer.run(report)"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save(tmp_path / "run", sample())


def call(*words: object) -> Result:
    app = typer.Typer()
    app.command()(report)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_prints_the_table_and_writes_the_page(run: Path) -> None:
    result = call(run)
    assert result.exit_code == 0
    assert result.output.startswith("quickstart: 220 extra rows over 16 domains beside 820 target rows. ")
    assert "\nWarning: 9 rows longer" in result.output
    assert result.output.endswith(f"Report: {run}/report.html\n")
    assert (run / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>\n")


def test_the_page_is_written_anew_with_the_same_bytes(run: Path) -> None:
    call(run)
    first = (run / "report.html").read_bytes()
    (run / "report.html").write_text("old")
    call(run)
    assert (run / "report.html").read_bytes() == first


def test_json(run: Path, tmp_path: Path) -> None:
    other = save(tmp_path / "other", {**sample(1), "name": "other"})
    result = call(run, other, "--json")
    first, second = json.loads(result.output)
    saved = sample()
    assert (first["name"], second["name"]) == ("quickstart", "other")
    assert first["run"] == str(run)
    assert first["report"] == f"{run}/report.html"
    assert first["warnings"] == [*saved["warnings"], saved["allocation"]["no_better_than_uniform"]]
    assert (first["score"], first["distance_from_uniform"], first["distance_from_size"]) == ("STS_ICL", 0.08, 0.21)
    assert {line["domain"] for line in first["domains"]} == set(saved["domains"])
    for line in first["domains"]:
        name = line["domain"]
        assert {key: line[key] for key in ("value", "low", "high")} == saved["domains"][name]["sts_icl"]
        assert line["rows"] == saved["allocation"]["rows"][name]
        assert line["ratio"] == saved["allocation"]["ratios"][name]
        assert len(line["why"]) <= 3


def test_json_says_what_planned_the_rows(tmp_path: Path) -> None:
    (by_score,) = json.loads(call(save(tmp_path / "score", sample()), "--json").output)
    assert by_score["planned_by"] == "score"
    assert {line["expected"] for line in by_score["domains"]} == {None}
    value = learned(sample())
    (by_change,) = json.loads(call(save(tmp_path / "change", value), "--json").output)
    assert by_change["planned_by"] == "behaviour"
    for line in by_change["domains"]:
        found = value["domains"][line["domain"]]["forecast"]["expected"]["behaviour"]
        assert line["expected"] == {key: found[key] for key in ("change", "low", "high")}


def test_one_bad_run_does_not_hide_the_good_ones(run: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    result = call(tmp_path / "nowhere", run, empty)
    assert (run / "report.html").exists()
    assert f"Report: {run}/report.html\n" in result.output
    assert isinstance(result.exception, RunError)
    assert str(result.exception) == (
        f"{tmp_path}/nowhere: no such run folder. `mixplan ls` lists the runs there are.\n"
        f"{empty}: no plan.json here yet. Plan first: `mixplan plan RECIPE --run {empty}`."
    )


def test_a_page_that_cannot_be_written(run: Path) -> None:
    (run / "report.html").mkdir()
    result = call(run)
    assert isinstance(result.exception, RunError)
    assert str(result.exception) == (
        f"{run}/report.html: found a folder, expected a file. "
        f"Move it away: `mv {run}/report.html {run}/report.html.aside`."
    )


@pytest.fixture
def measured(tmp_path: Path) -> list[Path]:
    return [saved_run.save(tmp_path / f"run{seed}", seed) for seed in range(2)]


def test_a_measured_run_shows_its_outcome(measured: list[Path]) -> None:
    result = call(measured[0])
    assert result.exit_code == 0
    assert result.output.startswith("quickstart: The target's score rose from 31.0 % to 40.2 %: ")
    assert "\nWarning: 3 of 12 domains moved outside their forecast: " in result.output
    assert result.output.endswith(f"Report: {measured[0]}/report.html\n")
    assert "<title>quickstart: outcome</title>" in (measured[0] / "report.html").read_text(encoding="utf-8")


def test_measured_runs_stand_side_by_side(measured: list[Path], tmp_path: Path) -> None:
    result = call(*measured, "--out", tmp_path / "new" / "all.html")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[:2] == [f"Report: {run}/report.html" for run in measured]
    assert lines[-1] == f"Report: {tmp_path}/new/all.html"
    assert lines.count("Runs") == 1
    page = (tmp_path / "new" / "all.html").read_text(encoding="utf-8")
    assert "<title>2 runs side by side</title>" in page
    assert all(str(run) in page for run in measured)


def test_a_planned_run_among_measured_ones_shows_its_plan(run: Path, measured: list[Path]) -> None:
    result = call(run, *measured)
    assert f"Report: {run}/report.html\nReport: {measured[0]}/report.html\n" in result.output
    assert "220 extra rows over 16 domains" in result.output


def test_out_of_several_without_a_measured_run(run: Path, tmp_path: Path) -> None:
    result = call(run, save(tmp_path / "other", sample(1)), "--out", tmp_path / "all.html")
    assert isinstance(result.exception, RunError)
    assert str(result.exception) == (
        f"{tmp_path}/all.html: nothing to write, no run is measured yet. Train first: `mixplan train RUN`."
    )
    assert f"Report: {run}/report.html\n" in result.output


@pytest.mark.parametrize("trained", [False, True])
def test_out_of_one_run_is_its_page_elsewhere(tmp_path: Path, trained: bool) -> None:
    run = saved_run.save(tmp_path / "run") if trained else save(tmp_path / "run", sample())
    before = sorted(run.iterdir())
    result = call(run, "--out", tmp_path / "elsewhere.html")
    assert result.exit_code == 0, result.output
    assert result.output.endswith(f"Report: {tmp_path}/elsewhere.html\n")
    assert sorted(run.iterdir()) == before
    call(run)
    assert (tmp_path / "elsewhere.html").read_bytes() == (run / "report.html").read_bytes()


def protect(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing written below a folder, as on a medium that is read-only."""
    real = tempfile.mkstemp

    def refuse(*arguments: Any, dir: Path, **options: Any) -> Any:
        if Path(dir).is_relative_to(folder):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(*arguments, dir=dir, **options)

    monkeypatch.setattr(tempfile, "mkstemp", refuse)


def test_a_run_where_nothing_may_be_written_is_shown(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protect(run, monkeypatch)
    result = call(run)
    assert "220 extra rows over 16 domains" in result.output
    assert isinstance(result.exception, RunError)
    remedy = f"mixplan report {run} --out FILE"
    assert str(result.exception) == (
        f"{run}/report.html: no permission to write here. Write the page elsewhere: `{remedy}`."
    )
    words = remedy.replace("FILE", str(tmp_path / "page.html")).split()[2:]
    assert call(*words).exit_code == 0
    assert (tmp_path / "page.html").is_file()


def test_a_page_that_is_there_already_needs_no_writing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(run)
    protect(run, monkeypatch)
    assert call(run).exit_code == 0


def test_several_runs_where_nothing_may_be_written(
    measured: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protect(measured[0].parent / "run0", monkeypatch)
    result = call(*measured, "--out", tmp_path / "all.html")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "all.html").is_file()


def test_out_that_cannot_be_written(measured: list[Path], tmp_path: Path) -> None:
    result = call(*measured, "--out", tmp_path)
    assert isinstance(result.exception, RunError)
    assert str(result.exception) == (
        f"{tmp_path}: found a folder, expected a file. Move it away: `mv {tmp_path} {tmp_path}.aside`."
    )


def test_json_of_a_measured_run(measured: list[Path], run: Path) -> None:
    first, second = json.loads(call(measured[0], run, "--json").output)
    saved = saved_run.values()[1]
    assert second["outcome"] is None
    for key in ("summary", "warnings", "target", "domains"):
        assert first["outcome"][key] == saved[key]


def test_a_damaged_outcome(run: Path) -> None:
    saved_outcome.save(run, {"version": 2})
    result = call(run)
    assert isinstance(result.exception, RunError)
    assert str(result.exception) == (
        f"{run}/outcome.json: found outcome version 2, written by mixplan 'unknown'; expected version 1. "
        f"Use that mixplan. Measure again: `mixplan eval {run}`."
    )


def test_no_run_named_is_wrong_usage() -> None:
    assert call().exit_code == 2


def alone(program: str, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        env={**os.environ, **environment},
        check=True,
        timeout=60,
    )


def test_loads_no_torch() -> None:
    heavy = ["torch", "transformers", "sae_lens", "datasets", "cvxpy", "trl"]
    program = f"import sys, mixplan.cli.report; print([name for name in {heavy} if name in sys.modules])"
    assert alone(program).stdout == b"[]\n"


@pytest.mark.parametrize(
    "environment",
    [
        {"LANG": "C", "LC_ALL": "C"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_any_locale(run: Path, environment: dict[str, str]) -> None:
    done = alone(ALONE, str(run), **environment)
    assert done.stderr == b""
    assert done.stdout.endswith(f"Report: {run}/report.html\n".encode())
    assert b"\x1b" not in done.stdout
