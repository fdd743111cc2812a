"""Figures go to the run of a tracker that the trainer itself logs to, once each; one that fails ends nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_jobs import ARGS, GRPO_ARGS, ended, lay_run, training_process

from mixplan.train import trackers
from mixplan.train.job import Job
from mixplan.train.make import prepare
from mixplan.train.settings import tracked_name
from mixplan.train.trackers import begin_tracked, join_tracked, log_figures, tracked_run, trackers_of

FIGURES = {"mixplan/law/before": 0.25}
READ_TRACKIO = """
import json
from trackio.sqlite_storage import SQLiteStorage
runs = SQLiteStorage.get_runs("huggingface")
print(json.dumps({name: SQLiteStorage.get_logs("huggingface", name) for name in runs}))
"""


def job(**args: object) -> Job:
    return Job(model={}, train={"method": "sft", "args": args}, mixture="mixture", planned_rows={}, hashes={})


@pytest.fixture
def run(tmp_path) -> Path:
    return planned(tmp_path / "walk")


def planned(folder: Path) -> Path:
    (folder / "training").mkdir(parents=True)
    (folder / "plan.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def trackio_folder(tmp_path_factory) -> Path:
    """Where Trackio keeps its runs; processes that are forked from one have one such folder."""
    return tmp_path_factory.mktemp("trackio")


@pytest.fixture
def given(monkeypatch) -> list[tuple[str, str, int]]:
    """What trackers were given, none of them being there; one called in `refuses` takes nothing."""
    calls: list[tuple[str, str, int]] = []

    def taken(tracker, run, figures, step):
        calls.append((tracker, next(iter(figures)), step))
        return

    monkeypatch.setattr(trackers, "given_to", taken)
    return calls


@pytest.mark.parametrize(
    ("reported", "found"),
    [
        (None, []),
        ("none", []),
        ("wandb", ["wandb"]),
        (["tensorboard", "mlflow", "wandb"], ["wandb", "tensorboard"]),
        ("all", ["wandb"]),
        (["all"], ["wandb"]),
    ],
)
def test_which_trackers(monkeypatch, reported, found):
    monkeypatch.setattr(trackers, "is_installed", lambda name: name == "wandb")
    assert trackers_of(job(report_to=reported)) == found


def test_a_job_keeps_its_run_and_another_folder_has_one_of_its_own(run, tmp_path):
    first = begin_tracked(run, job(report_to="wandb"))
    assert begin_tracked(run, job(report_to="wandb")) == first == tracked_run(run)
    assert first.name == f"walk-{first.id}"
    assert tracked_name(run) == {"run_name": first.name}
    assert begin_tracked(planned(tmp_path / "other"), job(report_to="wandb")).id != first.id
    assert begin_tracked(planned(tmp_path / "named"), job(report_to="wandb", run_name="mine")).name == "mine"


@pytest.mark.parametrize(("given", "begins"), [(None, "walk-pilot-"), ("mine", "mine-pilot-")])
def test_a_pilot_is_named_by_its_run(run, given, begins):
    pilot = run / "pilot"
    assert begin_tracked(pilot, job(report_to="wandb", run_name=given)).name.startswith(begins)


@pytest.mark.parametrize(("given", "begins"), [(None, "walk-uniform-0-"), ("mine", "mine-uniform-0-")])
def test_an_arm_is_a_run_of_its_own_on_trackers_that_know_runs_by_name(run, given, begins):
    arm = run / "arms" / "uniform-0"
    (arm / "training").mkdir(parents=True)
    tracked = begin_tracked(arm, job(report_to="trackio", run_name=given))
    assert tracked.name == begins + tracked.id


def test_without_a_tracker_nothing_is_kept(run, given):
    assert begin_tracked(run, job()) is None
    assert log_figures(run, job(), "before", FIGURES, 0) == []
    assert list((run / "training").iterdir()) == []
    assert (tracked_name(run), given) == ({}, [])


def test_the_trainer_goes_on_with_the_same_run_on_wandb(run, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for name in ("WANDB_RUN_ID", "WANDB_RESUME"):
        os.environ.pop(name, None)
    join_tracked(run)
    assert "WANDB_RUN_ID" not in os.environ
    tracked = begin_tracked(run, job(report_to="wandb"))
    join_tracked(run)
    assert (os.environ["WANDB_RUN_ID"], os.environ["WANDB_RESUME"]) == (tracked.id, "allow")
    os.environ["WANDB_RUN_ID"] = "a-person's own"
    join_tracked(run)
    assert os.environ["WANDB_RUN_ID"] == "a-person's own"


def test_each_figure_goes_to_each_tracker_once(run, given):
    both = job(report_to=["wandb", "tensorboard"])
    for _ in range(2):
        assert log_figures(run, both, "before", FIGURES, 0) == []
    assert given == [("wandb", "mixplan/law/before", 0), ("tensorboard", "mixplan/law/before", 0)]
    log_figures(run, both, "after", {"mixplan/law/after": 0.5}, 9)
    log_figures(run, both, "after", {"mixplan/law/after": 0.6}, 9)  # measured anew
    assert [call[1:] for call in given[2:]] == [("mixplan/law/after", 9)] * 4


def test_a_tracker_that_fails_is_told_and_the_others_have_theirs(run, monkeypatch):
    taken = []

    def given_to(tracker, run, figures, step):
        taken.append(tracker)
        return "CommError: no route to host" if tracker == "wandb" else None

    monkeypatch.setattr(trackers, "given_to", given_to)
    both = job(report_to=["wandb", "trackio"])
    (failure,) = log_figures(run, both, "before", FIGURES, 0)
    assert failure.startswith(
        "train.args.report_to: wandb does not take the run's figures: CommError: no route to host."
    )
    assert "set WANDB_MODE=offline" in failure
    log_figures(run, both, "before", FIGURES, 0)
    assert taken == ["wandb", "trackio", "wandb"]


def test_what_a_tracker_fails_with_is_its_last_line(run):
    begin_tracked(run, job(report_to="trackio"))
    assert trackers.given_to("none such", run, FIGURES, 0) == "KeyError: 'none such'"
    assert "Traceback" in (run / "training" / "trackers.log").read_text()


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        (
            "Traceback (most recent call last):\n  File x\n    y\nCommError: no route\nmore\nwandb: logs at x\n",
            "CommError: no route",
        ),
        (
            "Traceback (most recent call last):\n  File x\nKeyError: 1\n\nDuring this\n\n"
            "Traceback (most recent call last):\n  File y\nUsageError: no key.\n",
            "UsageError: no key",
        ),
        ("wait\nno answer within 300 s\n", "no answer within 300 s"),
        ("", "it ended without a word"),
    ],
)
def test_what_was_raised_is_found_among_what_was_printed(printed, found):
    assert trackers.raised(printed) == found


def test_a_tracker_without_an_answer_is_left(run, monkeypatch):
    def slow(*_, **named):
        raise subprocess.TimeoutExpired("x", named["timeout"], output="waiting")

    monkeypatch.setattr(subprocess, "run", slow)
    assert trackers.given_to("wandb", run, FIGURES, 0) == "no answer within 300 s"


@pytest.mark.tracker("wandb")
def test_wandb_offline_has_the_figures_under_the_jobs_own_run(run, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert log_figures(run, job(report_to="wandb"), "before", FIGURES, 0) == []
    (kept,) = (run / "training" / "wandb").glob("offline-*/*.wandb")
    assert kept.name == f"run-{tracked_run(run).id}.wandb"
    data = kept.read_bytes()
    assert all(name in data for name in (b"mixplan/law/before", b"train/global_step"))


@pytest.mark.tracker("tensorboard", "trackio")
@pytest.mark.parametrize("method", ["sft", "grpo"])
def test_trackio_and_tensorboard_have_one_run_with_the_trainers_curve_between(
    trackio_folder, tmp_path, tiny_model, monkeypatch, method
):
    given = {"TRACKIO_DIR": str(trackio_folder)}
    monkeypatch.setenv("TRACKIO_DIR", given["TRACKIO_DIR"])
    args = {**(ARGS if method == "sft" else GRPO_ARGS), "report_to": ["tensorboard", "trackio"]}
    rewards = {"rewards": {"graded": 1.0, "format": 0.5}, "answer_format": "[a-m ]"} if method == "grpo" else {}
    run, loaded, plan = lay_run(tmp_path, tiny_model, method=method, args=args, **rewards)
    found = prepare(run, loaded, plan)
    given["TENSORBOARD_LOGGING_DIR"] = str(run / "training" / "tensorboard")
    assert log_figures(run, found, "before", FIGURES, 0) == []
    stopped = training_process(run, given)
    log, until = run / "training" / "log.jsonl", time.monotonic() + 120
    while stopped.is_alive() and time.monotonic() < until:
        if log.exists() and '"event": "step", "step": 1' in log.read_text():
            os.kill(stopped.pid, signal.SIGINT)
            break
        time.sleep(0.002)
    stopped.join()
    assert not (run / "training" / "done.json").exists()
    assert log_figures(run, found, "before", FIGURES, 0) == []  # the command again
    steps = ended(training_process(run, given), run)["steps"]
    assert log_figures(run, found, "after", {"mixplan/law/after": 0.5}, steps) == []

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(given["TENSORBOARD_LOGGING_DIR"])
    events.Reload()
    drawn = {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert drawn["mixplan/law/before"] == [(0, 0.25)]
    assert drawn["mixplan/law/after"] == [(6, 0.5)]
    assert [step for step, _ in drawn["train/loss"]] == [1, 2, 3, 4, 5, 6]
    done = subprocess.run([sys.executable, "-c", READ_TRACKIO], capture_output=True, text=True, check=True)
    logs = json.loads(done.stdout.splitlines()[-1])
    assert [name for name in logs if tracked_run(run).id in name] == [tracked_run(run).name]
    lines = logs[tracked_run(run).name]
    before, after = ([one for one in lines if f"mixplan/law/{stage}" in one] for stage in ("before", "after"))
    assert [one["train/global_step"] for one in before + after] == [0, 6]
    assert [one["train/global_step"] for one in lines if "train/loss" in one] == [1, 2, 3, 4, 5, 6]
