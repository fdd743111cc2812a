"""`mixplan compare` on a tiny random model: arms with equal steps and equal target rows, resumed and kept."""

import json

import pytest
from test_plan import Silent

from mixplan.errors import RunError
from mixplan.outcome.compare import CompareRequest, make_comparison
from mixplan.outcome.make import OutcomeRequest, evaluate_run


def test_arms_share_steps_and_target_rows(trained):
    run, _ = trained
    watcher = Silent()
    request = CompareRequest(OutcomeRequest(run), ("none", "uniform", "plan"), seeds=2)
    make_comparison(request, watcher=watcher)
    found = json.loads((run / "outcome.json").read_bytes())
    arms = found["arms"]
    assert arms["seeds"] == [0, 1]
    assert arms["steps"] == 3
    assert set(arms["arms"]) == {"none", "uniform", "plan"}
    assert sum(arms["arms"]["none"]["rows"].values()) == 0
    assert sorted(arms["arms"]["uniform"]["rows"].values()) == [2, 3, 3]
    jobs = {path.parent.parent.name: json.loads(path.read_bytes()) for path in run.glob("arms/*/training/done.json")}
    assert set(jobs) == {"none-0", "none-1", "uniform-0", "uniform-1", "plan-1"}
    assert {job["steps"] for job in jobs.values()} == {3}
    assert {job["consumption"]["target"]["rows"] for job in jobs.values()} == {8}
    assert arms["behaviour"]["arms"]["uniform"]["against"] is None
    assert arms["behaviour"]["arms"]["plan"]["verdict"] in ("win", "tie", "loss")
    make_comparison(request, watcher=Silent())
    assert json.loads((run / "outcome.json").read_bytes()) == found
    # A later evaluation of the same run keeps the table of arms.
    evaluate_run(run, (), watcher=Silent())
    assert json.loads((run / "outcome.json").read_bytes())["arms"] == arms


def test_an_unknown_arm_is_told_before_anything_is_trained(tmp_path):
    request = CompareRequest(OutcomeRequest(tmp_path / "no.yaml", run=tmp_path / "run"), ("uniforn",))
    with pytest.raises(RunError) as refused:
        make_comparison(request, watcher=Silent())
    assert str(refused.value) == (
        "--arms: found 'uniforn', expected one of none, uniform, proportional_to_size, random, plan. "
        "Did you mean 'uniform'?"
    )
    assert not (tmp_path / "run").exists()
