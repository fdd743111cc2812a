"""What was wrong is said first, plainly and once."""

import pytest
from saved_run import checked, sample, values

from mixplan.report.sentences import (
    drift_lines,
    duration,
    outside_line,
    said_first,
    summary,
    told_by,
    training_line,
    wrong,
)


def test_misses_then_the_outcomes_warnings_then_the_plans() -> None:
    plan, outcome = values()
    for name, domain in outcome["domains"].items():
        domain["outside_forecast"] = name in ("law", "coding", "history", "algebra")
    outcome["summary"][1] = "4 of 12 domains moved outside their forecast: algebra (…) and 3 more."
    assert wrong(*checked(plan, outcome)) == ["4 of 12 domains moved outside their forecast: algebra (…) and 3 more."]
    assert said_first(*checked(plan, outcome)) == [
        "4 of 12 domains moved outside their forecast: algebra (…) and 3 more.",
        *outcome["warnings"],
        *plan["warnings"],
        plan["allocation"]["no_better_than_uniform"],
    ]
    assert summary(checked(plan, outcome)[1]) == [outcome["summary"][0], outcome["summary"][2]]


def test_misses_that_the_summary_does_not_tell_are_told() -> None:
    plan, outcome = values()
    for name, domain in outcome["domains"].items():
        domain["outside_forecast"] = name in ("law", "coding")
    outcome["summary"] = []
    assert wrong(*checked(plan, outcome))[0] == "2 of 12 domains moved outside their forecast: law, coding."


def test_nothing_outside_or_nothing_forecast() -> None:
    assert outside_line(sample(forecast="none")[1]) is None
    plan, outcome = values()
    for domain in outcome["domains"].values():
        domain["outside_forecast"] = False
    outcome["summary"] = ["All 12 domains moved within their forecast."]
    assert outside_line(checked(plan, outcome)[1]) is None
    assert summary(checked(plan, outcome)[1]) == outcome["summary"]


def test_only_domains_with_a_forecast_are_counted() -> None:
    plan, outcome = values()
    for name, domain in outcome["domains"].items():
        domain["outside_forecast"] = {"law": True, "coding": False}.get(name)
    assert outside_line(checked(plan, outcome)[1]) == "1 of 2 domains moved outside their forecast: law."


def test_an_outcome_of_another_plan() -> None:
    plan, outcome = values()
    outcome["hashes"]["plan"] = "0" * 64
    assert wrong(*checked(plan, outcome))[0] == (
        "outcome.json was measured for another plan than the one in plan.json: train again to measure this one."
    )


def test_the_job() -> None:
    plan, outcome = values()
    log = [{"step": 1, "loss": 2.5, "reward": 0.1}, {"step": 40, "loss": 1.25, "reward": 0.45}]
    outcome["training"].update(method="grpo", steps=40, seconds=754.0, log=log)
    assert training_line(checked(plan, outcome)[1]) == (
        "GRPO, 40 optimiser steps in 13 min; loss from 2.50 to 1.25; reward from 0.100 to 0.450."
    )


def test_a_single_odd_step_does_not_tell_how_a_job_went() -> None:
    plan, outcome = values()
    losses = [3.0, 2.0, 2.2, 1.6, 1.5, 1.4, 0.5, 1.9]
    outcome["training"].update(steps=8, seconds=60.0, log=[{"step": n, "loss": v} for n, v in enumerate(losses, 1)])
    assert "loss from 2.50 to 1.20 (means of the first and the last quarter)." in training_line(
        checked(plan, outcome)[1]
    )


@pytest.mark.parametrize(("seconds", "text"), [(3.4, "3 s"), (119, "119 s"), (412.5, "7 min"), (9000, "2.5 h")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_drift() -> None:
    _, outcome = sample()
    assert outcome.drift is not None
    assert drift_lines(outcome.drift) == [
        "57 of the 100 predicted drift dimensions are among the 100 that training moved most; chance gives 2.6 [0, 6].",
        "Of raw activations, 38 of 100; chance gives 17.4 [11, 24].",
    ]
    bare = outcome.drift.model_copy(update={"raw_overlap": None})
    assert len(drift_lines(bare)) == 1


def test_what_told_the_drift_is_one_sentence() -> None:
    plan, outcome = values()
    assert told_by(checked(plan, outcome)[0].drift) == (
        "Drift is predicted from the target's worked examples in front of its questions."
    )
    rollouts = {"prompts": 40, "kept": 31, "samples": 8, "accepted": 0.183, "mean_reward": 0.214, "failures": 0,
                "temperature": 1.0, "answer_tokens": 128}  # fmt: skip
    plan["drift"] |= {"from": "rollouts", "rollouts": rollouts}
    read = checked(plan, outcome)[0].drift
    assert told_by(read) == (
        "Drift is predicted from the model's own answers, accepted against rejected ones: 31 of 40 target questions "
        "had both among 8 samples; 18.3 % of all answers accepted, mean reward 0.21."
    )
    assert read.model_dump(mode="json", exclude_unset=True) == plan["drift"]
    step = {"learning_rate": 2e-4, "learning_rates": 10, "adapter": "LoRA r 16 alpha 32 on all-linear", "answers": 96,
            "hash": "d" * 64}  # fmt: skip
    plan["drift"] |= {"from": "reward_step", "reward_step": step}
    read = checked(plan, outcome)[0].drift
    assert told_by(read) == (
        "Drift is predicted from one step of 10 learning rates along the reward's gradient at the untrained model, "
        "from its own answers: 31 of 40 target questions had answers rewarded differently among 8 samples; mean reward "
        "0.21."
    )
    assert read.model_dump(mode="json", exclude_unset=True) == plan["drift"]
    del plan["drift"]["rollouts"], plan["drift"]["reward_step"]
    plan["drift"] |= {"from": "checkpoint", "checkpoint": {"folder": "runs/\u202epilot/model", "hash": "c" * 64}}
    assert told_by(checked(plan, outcome)[0].drift) == (
        "Drift is predicted from a checkpoint: what runs/[U+202E]pilot/model moved on the target's questions."
    )


@pytest.mark.parametrize(
    ("processes", "read", "told"), [(1, 3, True), (1, 5, False), (None, 3, True), (2, 3, False), (2, 5, False)]
)
def test_rows_expected_to_stay_unread_are_told_until_they_are_known_to_be_read(processes, read, told):
    plan, outcome = values()
    short = "The job is too short for its mixture: 3 steps of 1 rows read 3 of 5 rows. Set …"
    plan["warnings"].append(short)
    outcome["training"]["processes"] = processes
    consumed = {"planned_rows": 5, "rows": read, "trainable_tokens": 9, "truncated_rows": 0, "dropped_rows": 0}
    outcome["training"]["consumption"] = {"target": {**consumed, "distinct_rows": read}}
    assert (short in said_first(*checked(plan, outcome))) == told
