"""`mixplan compare` on a tiny random model: arms with equal steps and equal target rows, resumed and kept."""

import json

import pytest
from small_plan import Silent

from mixplan.errors import RunError
from mixplan.outcome.arms import arm_rows
from mixplan.outcome.compare import CompareRequest, losses_of, make_comparison, seeds_of
from mixplan.outcome.make import OutcomeRequest, evaluate_run
from mixplan.saved import read_plan
from mixplan.saved.evaluation import read_evaluation


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
    assert {job["consumption"]["target"]["planned_rows"] for job in jobs.values()} == {8}
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
        "--arms: found 'uniforn', expected one of none, uniform, proportional_to_size, proportional_to_sts, random, "
        "oracle, plan. Did you mean 'uniform'?"
    )
    assert not (tmp_path / "run").exists()


def test_the_oracle_needs_the_arm_none(tmp_path):
    request = CompareRequest(OutcomeRequest(tmp_path / "no.yaml", run=tmp_path / "run"), ("uniform", "oracle"))
    with pytest.raises(RunError) as refused:
        make_comparison(request, watcher=Silent())
    assert str(refused.value) == "--arms: oracle spreads the rows by what the arm none has lost. Add none."
    assert not (tmp_path / "run").exists()


def test_training_seeds_are_counted_or_given(tmp_path):
    outcome = OutcomeRequest(tmp_path / "no.yaml", run=tmp_path / "run")
    assert seeds_of(CompareRequest(outcome, ("plan",), seeds=3), 5) == [5, 6, 7]
    assert seeds_of(CompareRequest(outcome, ("plan",), seeds=(3, 7)), 3) == [3, 7]
    with pytest.raises(RunError) as refused:
        seeds_of(CompareRequest(outcome, ("plan",), seeds=(3, 7)), 7)
    assert str(refused.value) == ("seeds: the first is 3, but the plan's own training has 7. Begin with it.")


def test_the_oracle_follows_what_the_arm_none_lost(trained):
    run, _ = trained
    make_comparison(CompareRequest(OutcomeRequest(run), ("none", "oracle")), watcher=Silent())
    found = json.loads((run / "outcome.json").read_bytes())["arms"]
    before = read_evaluation(run / "evaluation" / "before.json")
    after = read_evaluation(run / "arms" / "none-0" / "evaluation" / "after.json")
    losses = losses_of([after], before)
    for name, loss in losses.items():
        measure = before.headlines[name]
        (quantity, late), *_ = after.domains[name][measure].values.items()
        early = before.domains[name][measure].values[quantity]
        worse = (sum(early) - sum(late)) / len(late) * (-1 if quantity == "bits_per_byte" else 1)
        assert loss == pytest.approx(max(0.0, worse))
    assert found["arms"]["oracle"]["rows"] == arm_rows("oracle", read_plan(run), seed=0, losses=losses)
