"""outcome.json is read whole or refused in words that say what to do; its parts answer from what is saved."""

import json
from pathlib import Path

import pytest
from saved_outcome import sample, save

from mixplan.errors import RunError
from mixplan.saved import read_outcome
from mixplan.saved.outcome import Outcome, Training


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save(tmp_path / "run", sample())


def refusal(run: Path) -> str:
    with pytest.raises(RunError) as caught:
        read_outcome(run)
    return str(caught.value)


@pytest.mark.parametrize("forecast", ["learned", "relative", "none"])
@pytest.mark.parametrize("arms", [True, False])
def test_a_saved_outcome_is_read_back_whole(tmp_path: Path, forecast: str, arms: bool) -> None:
    saved = sample(3, forecast=forecast, arms=arms)
    read = read_outcome(save(tmp_path, saved))
    assert read is not None
    found = read.model_dump(mode="json", exclude_unset=True)
    for key in ("name", "hashes", "target", "domains", "forecast", "summary", "warnings"):
        assert found[key] == saved[key], key
    assert found["training"]["consumption"] == saved["training"]["consumption"]
    assert [line["loss"] for line in found["training"]["log"]] == [line["loss"] for line in saved["training"]["log"]]
    assert (read.arms is None) is not arms


def test_nothing_measured_yet(tmp_path: Path) -> None:
    assert read_outcome(tmp_path) is None


def test_every_problem_at_once(run: Path) -> None:
    outcome = sample()
    del outcome["judgement"]
    outcome["target"]["measures"]["exact"]["score"]["direction"] = "better"
    outcome["domains"]["law"]["measures"]["behaviour"] = {}
    outcome["training"]["steps"] = "many"
    save(run, outcome)
    assert refusal(run) == (
        f"{run}/outcome.json: not an outcome that mixplan wrote, or changed or damaged since:\n"
        '  `training.steps`: expected a valid integer, found "many"\n'
        "  `target.measures.exact.score.direction`: expected 'gain', 'loss', 'moved' or 'none', found \"better\"\n"
        "  `domains.law.measures.behaviour`: dictionary should have at least 1 item after validation, not 0, found {}\n"
        "  `judgement` is missing\n"
        f"Measure again: `mixplan eval {run}`."
    )


def test_another_version(run: Path) -> None:
    save(run, {"version": 7, "mixplan": "9.1.0"})
    assert refusal(run) == (
        f"{run}/outcome.json: found outcome version 7, written by mixplan '9.1.0'; expected version 1. "
        f"Use that mixplan. Measure again: `mixplan eval {run}`."
    )


def test_not_json(run: Path) -> None:
    (run / "outcome.json").write_text("{")
    assert refusal(run) == (
        f"{run}/outcome.json: not an outcome that mixplan wrote, or changed or damaged since:\n"
        "  not JSON: EOF while parsing an object at line 1 column 1\n"
        f"Measure again: `mixplan eval {run}`."
    )


def test_headline_change_and_quantity() -> None:
    value = sample()
    outcome = Outcome.model_validate_json(json.dumps(value))
    assert outcome.domains["arithmetic"].quantity == "correct"
    assert outcome.target.quantity == "score"
    assert outcome.target.change is not None
    assert outcome.target.change.values() == value["target"]["measures"]["exact"]["score"]
    value["target"]["measures"].pop("exact")
    unmeasured = Outcome.model_validate_json(json.dumps(value)).target
    assert (unmeasured.change, unmeasured.quantity) == (None, None)


def test_a_curve_has_the_steps_that_logged_it_in_order() -> None:
    log = [{"step": 2, "reward": 0.5}, {"step": 1, "loss": 3, "reward": -1.0}, {"step": 3, "entropy": 1.0}]
    value = {"method": "grpo", "steps": 3, "seconds": 1.0, "log": log, "consumption": {}}
    job = Training.model_validate_json(json.dumps(value))
    assert job.curve("reward") == [(1, -1), (2, 0.5)]
    assert job.curve("loss") == [(1, 3)]
    assert job.curve("learning_rate") == []


def test_domains_outside_their_forecast() -> None:
    value = sample()
    for name, domain in value["domains"].items():
        domain["outside_forecast"] = {"law": True, "coding": True, "history": None}.get(name, False)
    assert Outcome.model_validate_json(json.dumps(value)).outside() == ["law", "coding"]
