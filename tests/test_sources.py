"""A target of several sources comes through from recipe to outcome and report, on a tiny random model."""

import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import built_once
from small_loop import outcome
from small_plan import Silent
from small_sources import AMOUNTS, lay_sources

from mixplan.forecast.measured_run import run_of
from mixplan.outcome.make import evaluate_run
from mixplan.report.page import render
from mixplan.report.text_tables import changes
from mixplan.saved.evaluation import read_evaluation
from mixplan.saved.outcome import Outcome
from mixplan.saved.plan import Plan


@pytest.fixture(scope="session")
def made(tmp_path_factory, tiny_model, tiny_sae) -> Path:
    """The folder with recipe, data, cache, and `run`, trained once."""

    def build(folder: Path) -> None:
        outcome(lay_sources(folder, tiny_model, tiny_sae), run=folder / "run")

    return built_once(tmp_path_factory, "sources", build)[0]


@pytest.fixture
def trained(made, tmp_path, monkeypatch) -> Path:
    """A copy of that run, with a copy of its cache."""
    shutil.copytree(made / "cache", tmp_path / "cache")
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(made / "run", tmp_path / "run"))


def read(run: Path, name: str) -> dict:
    return json.loads((run / name).read_bytes())


def test_what_was_read_is_counted_by_source(made):
    run = made / "run"
    consumed = read(run, "outcome.json")["training"]["consumption"]
    planned = {name: part["planned_rows"] for name, part in consumed.items()}
    taught = {f"target.{name}": amount for name, amount in AMOUNTS.items()}
    assert planned == {**taught, **read(run, "plan.json")["allocation"]["rows"]}
    rows = pq.read_table(run / "mixture" / "train-00000.parquet").to_pylist()
    assert sum(part["rows"] for part in consumed.values()) == 12
    assert all(part["distinct_rows"] <= sum(row["domain"] == name for row in rows) for name, part in consumed.items())
    job = read(run, "outcome.json")["job"]
    both = [consumed[name] for name in taught]
    assert job["target_rows"] == sum(part["distinct_rows"] for part in both)
    assert job["steps"] == pytest.approx(3 * sum(part["rows"] for part in both) / 12)


def test_sources_without_a_common_measure_are_told_apart_alone(made):
    found = read(made / "run", "outcome.json")
    assert found["target"]["measures"] == {}
    assert {name: part["headline"] for name, part in found["sources"].items()} == {
        "chat": "likelihood",
        "count": "exact",
    }
    assert set(found["domains"]) == {"patient", "fox", "doctor"}
    assert found["summary"][0] == (
        "The target's sources have no headline measure in common, so each is reported by itself."
    )
    assert found["summary"][1].startswith("By source: chat's bits per byte of the reference answers ")
    assert "; count's accuracy " in found["summary"][1] or "; count's share of right answers " in found["summary"][1]
    assert not [text for text in found["warnings"] if "nothing was measured" in text]


def test_sources_with_a_common_measure_are_told_as_a_whole_too(trained):
    evaluate_run(trained, ("evaluate.measures={target.count: likelihood}",), watcher=Silent())
    found = read(trained, "outcome.json")
    before, after = (read_evaluation(trained / "evaluation" / f"{when}.json") for when in ("before", "after"))

    def differences(name: str) -> np.ndarray:
        values = [one.domains[name]["likelihood"].values["bits_per_byte"] for one in (after, before)]
        return np.subtract(*values)

    parts = {name: differences(f"target.{name}") for name in AMOUNTS}
    for name, part in parts.items():
        change = found["sources"][name]["measures"]["likelihood"]["bits_per_byte"]
        assert (change["items"], change["change"]) == (6, pytest.approx(part.mean()))
    whole = found["target"]["measures"]["likelihood"]["bits_per_byte"]
    assert found["target"]["headline"] == "likelihood"
    assert (whole["items"], whole["change"]) == (12, pytest.approx(np.concatenate(list(parts.values())).mean()))
    assert "behaviour" in found["target"]["measures"]
    assert found["summary"][0].startswith("The target's bits per byte of the reference answers went from ")
    assert found["summary"][1].startswith("By source: ")


def test_the_report_shows_every_source(made):
    run = made / "run"
    plan = Plan.model_validate_json((run / "plan.json").read_bytes())
    found = Outcome.model_validate_json((run / "outcome.json").read_bytes())
    page = render(plan, found)
    lead = re.findall(r'<p class="lead">(.*?)</p>', page)
    assert [html.unescape(text) for text in lead] == found.summary[:3]  # the target, its sources, the domains
    for name in AMOUNTS:
        assert f"target.{name}" in page
    assert '<h2 id="by-source">By source</h2>' in page
    assert [line[0] for line in changes(plan, found).rows][: len(found.taught())] == list(found.taught())
    assert list(found.taught())[-2:] == ["target.chat", "target.count"]
    assert plan.taught() == {"target.chat": (3, 3 / 17), "target.count": (6, 6 / 17)}


def test_a_later_plan_learns_from_the_domains_and_not_from_the_sources(made):
    value = read(made / "run", "outcome.json")
    learned = run_of("run", "mark", Outcome.model_validate_json((made / "run" / "outcome.json").read_bytes()))
    assert set(learned.domains) == {"patient", "fox", "doctor"}
    consumed = value["training"]["consumption"]
    assert learned.extra_rows == sum(consumed[name]["distinct_rows"] for name in learned.domains)
