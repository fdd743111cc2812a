"""Which pilot stands for a plan's job, and that no plan is made by another one."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from pilot_world import JOB, PILOT

from mixplan.errors import RunError
from mixplan.forecast import History, Planned
from mixplan.plan.pilot import pilot_of, require_pilot, with_pilot
from mixplan.saved.pilot import Pilot, PilotDomain, write_pilot


def recipe(way="pilot"):
    forecast = SimpleNamespace(from_=way, runs=[])
    return SimpleNamespace(
        recipe=SimpleNamespace(forecast=forecast), path=Path("my recipe.yaml"), folder=lambda _: None
    )


@pytest.fixture
def run(tmp_path):
    """A run folder with a pilot of model `m`."""
    changes = {"law": PilotDomain(change=0.02, error=0.001, rows=8)}
    made = Pilot(
        key="k", training="t", chosen="auto", job=PILOT, model="m", dtype="float32", seconds={}, domains=changes
    )
    write_pilot(made, tmp_path / "pilot")
    return tmp_path


def test_a_pilot_of_this_very_job_stands(run):
    assert pilot_of(recipe(), run, JOB, "m").domains["law"].change == 0.02
    assert require_pilot(recipe(), run, Planned(job=JOB), "m") == Planned(job=JOB)
    planned, warnings = with_pilot(recipe(), run, Planned(job=JOB), History(), "m")
    assert planned.pilot.changes == {"law": (0.02, 0.001)}
    assert planned.pilot.job == PILOT
    assert warnings == ()


@pytest.mark.parametrize(
    ("job", "model"),
    [
        (JOB, "other"),
        (JOB.model_copy(update={"learning_rate": 1e-3}), "m"),
        (JOB.model_copy(update={"adapter": "full"}), "m"),
        (JOB.model_copy(update={"target_rows": 3}), "m"),
        (None, "m"),
    ],
)
def test_a_pilot_of_another_job_or_model_does_not(run, job, model):
    assert pilot_of(recipe(), run, job, model) is None
    assert with_pilot(recipe(), run, Planned(job=job), History(), model)[0].pilot is None
    with pytest.raises(RunError, match=r"there is no pilot of this job.*mixplan plan 'my recipe.yaml' --run"):
        require_pilot(recipe(), run, Planned(job=job), model)


def test_a_recipe_without_one_asks_for_none(run):
    assert pilot_of(recipe("runs"), run, JOB, "m") is None
    assert require_pilot(recipe("runs"), run, Planned(), "m") == Planned()


def test_a_damaged_pilot_is_refused_with_a_remedy(run):
    (run / "pilot" / "pilot.json").write_text("{}")
    with pytest.raises(RunError, match=r"pilot.json cannot be read.*Remove it; the next `mixplan plan` measures"):
        pilot_of(recipe(), run, JOB, "m")
