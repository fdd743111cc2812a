"""A pilot of a tiny random model is trained, measured, kept and gone on with, from recipe to plan."""

import json

import pytest
from small_loop import lay, outcome
from small_plan import Silent

from mixplan.errors import MixplanError, RunError
from mixplan.pilot import bench, make_plan
from mixplan.pilot.bench import Bench
from mixplan.plan import PlanRequest
from mixplan.plan import make_plan as plan_alone
from mixplan.saved import read_plan
from mixplan.saved.pilot import read_pilot

ASKED = ("forecast.from=pilot", "train.args.max_steps=8", "forecast.pilot.steps=2")


@pytest.fixture
def recipe(tmp_path, tiny_model, tiny_sae):
    return lay(tmp_path, tiny_model, tiny_sae)


def planned(recipe, run, *overrides):
    watcher = Silent()
    folder = make_plan(PlanRequest(recipe, (*ASKED, *overrides), None, run), watcher=watcher)
    return read_plan(folder), read_pilot(folder / "pilot"), watcher.said


def test_a_pilot_is_trained_measured_and_planned_by(recipe, tmp_path):
    plan, pilot, said = planned(recipe, tmp_path / "run")
    assert pilot.job.steps == 2
    assert list(pilot.domains) == ["patient", "fox", "doctor"]
    assert plan.forecast.planned_by == "behaviour"
    assert plan.forecast.pilot.measured == list(pilot.domains)
    assert plan.forecast.pilot.targets == 0
    for name, found in pilot.domains.items():
        expected = plan.expected_of(name)
        assert expected.low < 4 * found.change < expected.high  # eight steps after two, an exponent of 1
        assert expected.change == pytest.approx(4 * found.change)
    assert any("evenly over the recipe's order" in line for line in said)

    # The same training by another way: a job of two steps without extra rows, measured as any run is.
    made, _ = outcome(recipe, "train.args.max_steps=2", "budget.rows=0", run=tmp_path / "short")
    for name, found in pilot.domains.items():
        assert made["domains"][name]["measures"]["behaviour"]["kl"]["change"] == pytest.approx(found.change, rel=1e-3)

    # Another plan of the same job takes the pilot as it stands.
    trained = (tmp_path / "run" / "pilot" / "training" / "done.json").stat().st_mtime_ns
    again, _, said = planned(recipe, tmp_path / "run", "budget.rows=4")
    assert any("the pilot is reused" in line for line in said)
    assert (tmp_path / "run" / "pilot" / "training" / "done.json").stat().st_mtime_ns == trained
    assert again.forecast.pilot == plan.forecast.pilot

    # Other domains are measured on the model that is there.
    other, pilot, said = planned(recipe, tmp_path / "run", "forecast.pilot={domains: [fox], rows: 3, steps: 2}")
    assert any("training is reused" in line for line in said)
    assert {name: found.rows for name, found in pilot.domains.items()} == {"fox": 3}
    assert set(other.forecast.pilot.completed) == {"patient", "doctor"}


def test_a_pilot_that_was_stopped_goes_on(recipe, tmp_path, monkeypatch):
    measure = Bench.measure

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Bench, "measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        planned(recipe, tmp_path / "run")
    assert read_pilot(tmp_path / "run" / "pilot") is None
    monkeypatch.setattr(Bench, "measure", measure)
    (tmp_path / "run" / "pilot" / "pilot.json").write_text("{", encoding="utf-8")  # half written by another
    plan, _, said = planned(recipe, tmp_path / "run")
    assert any("training is reused" in line for line in said)
    assert any("damaged" in line for line in said)
    assert plan.forecast.pilot is not None


def test_a_plan_does_not_stand_in_for_a_pilot_that_is_not_there(recipe, tmp_path):
    with pytest.raises(RunError, match=r"there is no pilot of this job.*mixplan plan .*trains and measures it first"):
        plan_alone(PlanRequest(recipe, ASKED, None, tmp_path / "run"), watcher=Silent())


def test_processes_that_were_started_together_train_no_pilot(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(RunError, match="Plan without `accelerate launch`"):
        planned(recipe, tmp_path / "run")


def test_a_pilot_is_trained_by_one_process_as_its_strength_is_counted(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "train", lambda *_, launch, **__: pytest.fail(f"{launch.processes} process"))
    with pytest.raises(pytest.fail.Exception, match="1 process"):
        planned(recipe, tmp_path / "run")


def test_without_a_pilot_nothing_is_trained(recipe, tmp_path):
    folder = make_plan(PlanRequest(recipe, (), None, tmp_path / "run"), watcher=Silent())
    assert not (folder / "pilot").exists()
    assert "pilot" not in json.loads((folder / "plan.json").read_bytes())["forecast"]


def test_a_job_that_is_as_short_as_its_pilot_is_refused_before_anything_is_read(recipe, tmp_path):
    with pytest.raises(MixplanError, match="no shorter than the job, which takes 3 on its target's rows"):
        planned(recipe, tmp_path / "run", "train.args.max_steps=3", "forecast.pilot.steps=null")
    assert not (tmp_path / "run" / "pilot").exists()
