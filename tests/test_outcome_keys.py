"""Every recipe key that a stage after the plan reads is changed in turn, and found in what that stage makes."""

import json
import shutil
from pathlib import Path

import pytest
from recipe_leaves import LATER_STAGES
from small_plan import Silent
from small_trainers import Charged, plain_trainer, watch

from mixplan.errors import MixplanError
from mixplan.evaluate import harness
from mixplan.grading.rewards import reward_functions
from mixplan.outcome.make import evaluate_run
from mixplan.plan import PlanRequest, make_plan
from mixplan.recipe import TrainSpec

EVALUATED = {
    "evaluate.measures": "{fox: likelihood}",
    "evaluate.also": "[likelihood]",
    "evaluate.rows": "3",
    "evaluate.answer_tokens": "3",
    "evaluate.behaviour_tokens": "3",
    "evaluate.resamples": "101",
}
"""Keys that show in what was measured, with another value."""
REWARDED = {
    "train.rewards": {"rewards": {"format": 2.0}},
    "train.answer_format": {"answer_format": "yes"},
    "train.grader_seconds": {"grader_seconds": 0.2},
}
"""Keys that show in a reward of the batch below, with other values."""
DURING = {
    "every": lambda found: [point.step for point in found.points] == [0, 2, 3],
    "rows": lambda found: [len(part.rows) for part in found.begin.parts.values()] == [3, 2, 2, 2],
    "target_rows": lambda found: len(found.begin.parts["target"].rows) == 3,
    "tokens": lambda found: [part.tokens for part in found.begin.parts.values()] == [6, 4, 4, 4],
    "drift": lambda found: any(point.parts["fox"].drift is not None for point in found.points),
    "keep": lambda found: found.end.kept is not None,
    "cost": lambda found: not found.points and found.end.left_out == 3,
    "stop.worst_kl": lambda found: found.end.step == 1 and found.end.stopped,
}
"""Keys of `evaluate.during`, with what another value shows in a training of three steps."""
TOGETHER = {"every": 2, "rows": 2, "target_rows": 3, "tokens": 2, "drift": True, "keep": "best"}
ELSEWHERE = {
    "evaluate.tasks": "test_a_task_is_looked_for_by_its_name",
    "forecast.runs": "test_a_plan_learns_from_the_runs_that_are_named",
    "tolerances": "test_tolerances_show_in_the_plan_and_in_the_verdicts",
    **{f"evaluate.during.{key}": "test_a_key_of_during_shows_in_what_is_measured" for key in DURING},
}
"""Keys with a test of their own."""
BATCH = {
    "prompts": [[{"role": "user", "content": "what ?"}]] * 2,
    "completions": [[{"role": "assistant", "content": text}] for text in ("yes", "<answer>no</answer>")],
    "reference": ["yes", "yes"],
    "grader": ["exact", "exact"],
    "entry": [None, None],
    "domain": ["fox", "fox"],
}
SLOW = """
import time

def half_a_second(prompts, completions, **columns):
    time.sleep(0.5)
    return [1.0] * len(completions)
"""


def test_every_later_key_is_here():
    assert sorted([*EVALUATED, *REWARDED, *ELSEWHERE]) == sorted(LATER_STAGES)
    assert set(ELSEWHERE.values()) <= set(globals())


@pytest.mark.parametrize("key", EVALUATED)
def test_a_key_of_evaluate_shows_in_what_was_measured(key, trained):
    run, before = trained
    evaluate_run(run, (f"{key}={EVALUATED[key]}",), watcher=Silent())
    after = json.loads((run / "outcome.json").read_bytes())
    assert after["domains"] != before["domains"]
    assert after["training"] == before["training"]


def test_a_key_of_during_shows_in_what_is_measured(trained, tmp_path, monkeypatch):
    from mixplan.monitor import DomainMonitor

    clock = Charged(monkeypatch, 1.0, reading=1e-4)

    usual = {"cost": 1e6, "drift": False}
    for number, settings in enumerate((TOGETHER, {"cost": 1e-6}, {"stop": {"worst_kl": 1e-4}})):
        trainer = plain_trainer(trained[0], tmp_path / f"out{number}")
        monitor = DomainMonitor(trained[0], trainer, **usual | settings)
        watch(monitor, trainer, clock)
        trainer.train()
        for key, shows in DURING.items():
            assert bool(shows(monitor.trajectory)) is (key.partition(".")[0] in settings), key


def rewarded(tmp_path: Path, **given: object) -> list[float]:
    """The batch's rewards, factors counted, summed over rewards."""
    settings = {"method": "grpo", "rewards": {"format": 1.0, "slow_reward:half_a_second": 1.0}, **given}
    functions, factors = reward_functions(TrainSpec.model_validate(settings), tally=tmp_path / "tally.json")
    scored = [function(**BATCH) for function in functions]
    return [
        sum(factor * (column[row] or 0.0) for factor, column in zip(factors, scored, strict=True)) for row in range(2)
    ]


@pytest.mark.parametrize("key", REWARDED)
def test_a_key_of_rewards_shows_in_a_reward(key, tmp_path, monkeypatch):
    (tmp_path / "slow_reward.py").write_text(SLOW)
    monkeypatch.chdir(tmp_path)
    assert rewarded(tmp_path) == [1.0, 2.0]
    assert (
        rewarded(tmp_path, **REWARDED[key])
        == {
            "train.rewards": [0.0, 2.0],
            "train.answer_format": [2.0, 1.0],
            "train.grader_seconds": [0.0, 1.0],
        }[key]
    )


def test_a_task_is_looked_for_by_its_name(trained, monkeypatch):
    run, _ = trained
    few = harness.task_manager(defaults=False)  # an index of all the harness's tasks takes many seconds
    monkeypatch.setattr(harness, "task_manager", lambda defaults: few)
    asked = ("evaluate.measures={fox: lm_eval}", "evaluate.tasks={fox: no_such_task_of_mine}")
    with pytest.raises(MixplanError) as refused:
        evaluate_run(run, asked, watcher=Silent())
    assert "no_such_task_of_mine" in str(refused.value)


def test_a_plan_learns_from_the_runs_that_are_named(loop, trained, tmp_path):
    folder, _ = loop
    run, _ = trained
    for name in ("one", "two"):
        shutil.copytree(run, tmp_path / "earlier" / name)
    same = tmp_path / "earlier" / "two" / "outcome.json"
    same.write_text(same.read_text() + "\n")  # one outcome teaches once, however often it lies there
    recipe = folder / "tiny.yaml"
    found = {}
    for runs in ("[]", f"['{tmp_path}/earlier/*']"):
        place = make_plan(PlanRequest(recipe, (f"forecast.runs={runs}",), None, tmp_path / "new"), watcher=Silent())
        found[runs] = json.loads((place / "plan.json").read_bytes())["forecast"]["text"]
    # Two runs of one target are found, and what one teaches cannot be checked on the other.
    assert ["2 earlier runs were found, all of one target" in text for text in found.values()] == [False, True]


def test_tolerances_show_in_the_plan_and_in_the_verdicts(loop, trained, tmp_path):
    folder, _ = loop
    run, before = trained
    held = "tolerances={fox: [90 pp, 1000 nats], doctor: 0 nats}"
    place = make_plan(PlanRequest(folder / "tiny.yaml", (held,), None, tmp_path / "new"), watcher=Silent())
    plan = json.loads((place / "plan.json").read_bytes())
    texts = [(one["domain"], one["amount"], one["unit"], one["breaks"]) for one in plan["tolerances"]["expected"]]
    # No run of two targets teaches what this model loses.
    assert texts == [("fox", 90.0, "pp", None), ("fox", 1000.0, "nats", None), ("doctor", 0.0, "nats", None)]
    assert "tolerances" not in json.loads((run / "plan.json").read_bytes()) | before
    evaluate_run(run, (held,), watcher=Silent())
    after = json.loads((run / "outcome.json").read_bytes())
    # Of six rows an untrained random model has none right, so that accuracy has nothing to lose.
    found = [(one["domain"], one["unit"], one["verdict"]) for one in after["tolerances"]["held"]]
    assert found == [("fox", "pp", "undecided"), ("fox", "nats", "pass"), ("doctor", "nats", "fail")]
    assert (after["tolerances"]["given"], after["tolerances"]["first"]) == ("eval", {})
    assert after["domains"] == before["domains"]
    evaluate_run(run, (), watcher=Silent())
    assert "tolerances" not in json.loads((run / "outcome.json").read_bytes())
    with pytest.raises(MixplanError, match="mixplan eval changes keys under evaluate, and tolerances, alone"):
        evaluate_run(run, ("budget.rows=3",), watcher=Silent())
