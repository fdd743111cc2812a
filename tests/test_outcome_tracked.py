"""A run's plan is reported before anything is measured, what is measured as soon as it is, and each figure once."""

import pytest
from small_plan import Silent

from mixplan.errors import TrainError
from mixplan.outcome import tracked
from mixplan.recipe import load_recipe
from mixplan.saved import read_outcome, read_plan
from mixplan.saved.evaluation import read_evaluation
from mixplan.train import trackers
from mixplan.train.job import Job


@pytest.fixture
def given(monkeypatch) -> list[tuple[str, dict[str, float], int]]:
    """What trackers were given; none is asked."""
    calls: list[tuple[str, dict[str, float], int]] = []

    def taken(tracker, run, figures, step):
        calls.append((tracker, dict(figures), step))
        return "CommError: no route" if (tracker, step) in refusing else None

    refusing: set[tuple[str, int]] = set()
    monkeypatch.setattr(trackers, "given_to", taken)
    monkeypatch.setattr(trackers, "refusing", refusing, raising=False)
    return calls


@pytest.fixture
def reported(trained, monkeypatch):
    """A run whose model was trained, and its recipe, which now reports to TensorBoard."""
    run, _ = trained
    loaded = load_recipe(run / "recipe.yaml", ["train.args.report_to=[tensorboard]"])
    monkeypatch.setattr(tracked, "prepare", lambda run, loaded, planned: job_of(loaded))
    return run, loaded


def job_of(loaded) -> Job:
    return Job(model={}, train=loaded.recipe.train.model_dump(), mixture="mixture", planned_rows={}, hashes={})


def test_a_tracker_that_takes_nothing_is_told_before_the_baseline(reported, given):
    run, loaded = reported
    trackers.refusing.add(("tensorboard", 0))
    with pytest.raises(TrainError, match=r"tensorboard does not take the run's figures: CommError: no route"):
        tracked.begin_tracking(run, loaded, read_plan(run), Silent())


def test_the_plan_then_before_then_after(reported, given):
    run, loaded = reported
    watcher, outcome = Silent(), read_outcome(run)
    tracking = tracked.begin_tracking(run, loaded, read_plan(run), watcher)
    assert watcher.said[-1].startswith("reporting to tensorboard as run run-")
    for _ in range(2):
        tracking.before(read_evaluation(run / "evaluation" / "before.json"))
        tracking.after(outcome, outcome.training.steps)
    assert [step for _, _, step in given] == [0, 0, 3]
    planned, before, after = (figures for _, figures, _ in given)
    assert planned["mixplan/fox/rows"] == read_plan(run).allocation.rows["fox"]
    for name in ("target", "fox", "doctor", "patient"):
        change = (outcome.target if name == "target" else outcome.domains[name]).change
        assert before[f"mixplan/{name}/before"] == pytest.approx(change.before)
        assert after[f"mixplan/{name}/after"] == change.after


def test_a_tracker_that_fails_in_the_end_is_told_and_the_run_stands(reported, given):
    run, loaded = reported
    watcher, outcome = Silent(), read_outcome(run)
    tracking = tracked.begin_tracking(run, loaded, read_plan(run), watcher)
    trackers.refusing.add(("tensorboard", 3))
    tracking.after(outcome, 3)
    assert "`mixplan eval` reports them again" in watcher.said[-1]


def test_a_job_without_a_tracker_reports_nothing(trained, given):
    run, _ = trained
    watcher = Silent()
    tracking = tracked.begin_tracking(run, load_recipe(run / "recipe.yaml"), read_plan(run), watcher)
    assert (tracking.job, watcher.said, given) == (None, [], [])
    assert not (run / "training" / "trackers.json").exists()
