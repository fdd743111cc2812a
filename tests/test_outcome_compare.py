"""`mixplan compare` on a tiny random model: arms with equal steps and equal target rows, resumed and kept."""

import json

import pytest
from made_arms import evaluation
from small_plan import Silent

from mixplan.outcome.arms import arm_rows
from mixplan.outcome.compare import UNWATCHED, losses_of, make_comparison, relative
from mixplan.outcome.compare_request import CompareRequest
from mixplan.outcome.make import OutcomeRequest, evaluate_run
from mixplan.recipe.tolerances import SHARES
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


def test_seeds_begin_with_the_one_that_the_job_itself_trains_with(trained):
    """With another, the plan's own training would be counted as two seeds, and held against arms of another seed."""
    run, _ = trained
    request = CompareRequest(OutcomeRequest(run / "recipe.yaml", ("train.args.seed=5",), run=run), ("none", "plan"), 2)
    make_comparison(request, watcher=Silent())
    assert json.loads((run / "outcome.json").read_bytes())["arms"]["seeds"] == [5, 6]
    jobs = {path.parent.parent.name: json.loads(path.read_bytes()) for path in run.glob("arms/*/training/job.json")}
    seeds = {name: job["train"]["args"]["seed"] for name, job in jobs.items()}
    own = json.loads((run / "training" / "job.json").read_bytes())["train"]["args"]["seed"]
    assert seeds | {"plan-5": own} == {"none-5": 5, "none-6": 6, "plan-5": 5, "plan-6": 6}


def test_a_plan_whose_monitor_chose_its_model_is_compared_without_that(trained):
    """Else the last step's model of every other arm would be held against the plan's best one."""
    run, _ = trained
    chosen = ("evaluate.during.keep=best", "evaluate.during.cost=1000000", "evaluate.during.drift=false")
    watcher = Silent()
    request = CompareRequest(OutcomeRequest(run / "recipe.yaml", chosen, run=run), ("uniform", "plan"))
    make_comparison(request, watcher=watcher)
    assert watcher.said.count(UNWATCHED) == 1
    found = json.loads((run / "outcome.json").read_bytes())
    assert found["training"]["kept_step"] in (1, 2, 3)
    own, arm = (json.loads((place / "training" / "job.json").read_bytes()) for place in (run, run / "arms" / "plan-0"))
    assert own["during"]["keep"] == "best"
    assert "during" not in arm
    assert own["hashes"] == arm["hashes"]
    before, after = (
        read_evaluation(place / "evaluation" / f"{when}.json")
        for place, when in ((run, "before"), (run / "arms" / "plan-0", "after"))
    )
    for name, loss in found["arms"]["behaviour"]["arms"]["plan"]["losses"].items():
        late, early = (one.domains[name]["behaviour"].values["kl"] for one in (after, before))
        assert loss == pytest.approx(sum(late) / len(late) - sum(early) / len(early))


def test_arms_are_compared_on_batches_of_one_size(trained):
    """As many steps of four processes read four times the rows of one."""
    run, _ = trained

    def by_four(place) -> None:
        done = json.loads((place / "training" / "done.json").read_bytes())
        (place / "training" / "done.json").write_text(json.dumps(done | {"processes": 4}))

    def compared() -> Silent:
        watcher = Silent()
        make_comparison(CompareRequest(OutcomeRequest(run), ("uniform", "plan")), watcher=watcher)
        return watcher

    by_four(run)
    first = compared()
    four = f"{run / 'model'} was trained by 4 processes, where 1 is started now"
    assert f"{four}: for the comparison the arm plan is trained once more, on batches like the others'" in first.said
    arms = [run / "arms" / name for name in ("uniform-0", "plan-0")]
    assert [json.loads((arm / "training" / "done.json").read_bytes())["processes"] for arm in arms] == [1, 1]
    assert [stage for stage in compared().stages if stage[0] == "training"] == []
    by_four(arms[0])
    again = compared()
    assert [stage for stage in again.stages if stage[0] == "training"] == [("training", 3, "steps")]
    assert json.loads((arms[0] / "training" / "done.json").read_bytes())["processes"] == 1
    # The run's own model stays as it was trained.
    assert json.loads((run / "training" / "done.json").read_bytes())["processes"] == 4


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
        worse = (sum(early) - sum(late)) / len(late) * (1 if quantity in SHARES else -1)
        assert loss == pytest.approx(max(0.0, worse))
    spread_by = relative(losses, before, read_plan(run).domains)
    assert found["arms"]["oracle"]["rows"] == arm_rows("oracle", read_plan(run), seed=0, losses=spread_by)


def test_the_oracle_sets_losses_of_different_units_over_their_units_mean():
    """Bits per byte are larger numbers than shares of right answers: summed, they would take nearly all rows."""
    before = evaluation({
        "target": {"correct": [1, 0]}, "a": {"correct": [1] * 10}, "b": {"score": [1] * 10},
        "c": {"bits_per_byte": [1, 1]}, "d": {"bits_per_byte": [2, 2]}, "e": {"bits_per_byte": [2, 2]},
    })  # fmt: skip
    after = evaluation({
        "target": {"correct": [1, 1]}, "a": {"correct": [1] * 9 + [0]}, "b": {"score": [1] * 7 + [0] * 3},
        "c": {"bits_per_byte": [1.5, 1.5]}, "d": {"bits_per_byte": [4, 3]}, "e": {"bits_per_byte": [1, 1]},
    })  # fmt: skip
    losses = losses_of([after], before)
    assert losses == pytest.approx({"target": 0, "a": 0.1, "b": 0.3, "c": 0.5, "d": 1.5, "e": 0})
    assert relative(losses, before, "abcde") == pytest.approx({"a": 0.5, "b": 1.5, "c": 0.75, "d": 2.25, "e": 0})
    assert relative(losses, before, "cde") is losses
    assert relative({"a": 0.1, "b": 0.3, "e": 0.0}, before, "abe") == pytest.approx({"a": 0.5, "b": 1.5, "e": 0})
