"""`mixplan train` from end to end on a tiny random model: SFT and GRPO, measured before and after."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from test_plan import HOOK, Silent, write_rows

from mixplan.errors import MixplanError, RunError
from mixplan.evaluate.result import read_evaluation
from mixplan.outcome.compare import CompareRequest, make_comparison
from mixplan.outcome.make import OutcomeRequest, evaluate_run, make_outcome

ARGS = {"per_device_train_batch_size": 4, "learning_rate": 0.01, "max_steps": 3, "logging_steps": 1}


def lay(folder: Path, model: Path, tiny_sae: Callable[..., Path]) -> Path:
    """A recipe over a tiny model with three domains of sixty rows and a job of three steps."""
    tiny_sae("jumprelu", 32, 96, HOOK, folder / "sae")
    spec = {"format": "question_answer", "columns": {"question": "q", "answer": "a"},
            "split": {"evaluation": 6, "query": 16, "demonstration": 6}}  # fmt: skip
    value = {
        "model": {"name": str(model), "dtype": "float32", "device": "cpu", "sae": {"path": "sae"}},
        "target": {"data": {"file": "sum.jsonl"}, **spec},
        "domains": {},
        "drift": {"features": 10, "demonstrations": 2, "draws": 2, "query_tokens": 120},
        "sts": {"demonstrations": 2, "draws": 2, "query_tokens": 90, "resamples": 100},
        "budget": {"rows": 8},
        "mixture": {"target_rows": 8},
        "train": {"args": ARGS},
        "evaluate": {"answer_tokens": 6, "behaviour_tokens": 6, "resamples": 100},
    }
    for topic in ("sum", "patient", "fox", "doctor"):
        write_rows(folder / f"{topic}.jsonl", 60, topic)
        if topic != "sum":
            value["domains"][topic] = {"data": {"file": f"{topic}.jsonl"}, **spec}
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


@pytest.fixture
def recipe(tmp_path, tiny_model, tiny_sae):
    return lay(tmp_path, tiny_model, tiny_sae)


def outcome(place: Path, *overrides: str, run: Path | None = None) -> tuple[dict, Silent]:
    watcher = Silent()
    folder = make_outcome(OutcomeRequest(place, overrides, None, run), watcher=watcher)
    return json.loads((folder / "outcome.json").read_bytes()), watcher


@pytest.fixture(scope="module")
def loop(tmp_path_factory, tiny_model, tiny_sae) -> tuple[Path, Path, list[str]]:
    """The whole loop, run once: its folder, its cache, and what was told."""
    folder = tmp_path_factory.mktemp("loop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXPLAN_CACHE", str(folder / "cache"))
        _, watcher = outcome(lay(folder, tiny_model, tiny_sae), run=folder / "run")
    return folder, folder / "cache", watcher.said


@pytest.fixture
def trained(loop, tmp_path, own_cache, monkeypatch) -> tuple[Path, dict]:
    """A copy of that run, with a copy of its cache, and its outcome."""
    folder, cache, _ = loop
    shutil.copytree(cache, tmp_path / "cache")
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cache"))
    run = Path(shutil.copytree(folder / "run", tmp_path / "run"))
    return run, json.loads((run / "outcome.json").read_bytes())


def test_the_loop_runs_from_recipe_to_outcome_and_is_not_run_twice(trained):
    run, made = trained
    assert made["training"]["steps"] == 3
    assert set(made["domains"]) == {"patient", "fox", "doctor"}
    consumed = made["training"]["consumption"]
    plan = json.loads((run / "plan.json").read_bytes())
    assert {name: part["rows"] for name, part in consumed.items()} == {"target": 8, **plan["allocation"]["rows"]}
    for name, domain in made["domains"].items():
        change = domain["measures"]["behaviour"]["kl"]
        assert change["before"] == 0 < change["after"], name
        assert change["changed"], name
    bytes_before = {path: path.read_bytes() for path in run.rglob("*.json")}
    again, watcher = outcome(run)
    assert again == made
    assert {path: path.read_bytes() for path in run.rglob("*.json")} == bytes_before
    assert any(text.startswith("training stands from an earlier run") for text in watcher.said)
    assert "8 of 8 measures stand from an earlier evaluation" in watcher.said


def test_the_trained_model_is_what_was_saved(trained):
    run, made = trained
    before, after = (read_evaluation(run / "evaluation" / f"{name}.json") for name in ("before", "after"))
    assert before.model["hash"] == made["hashes"]["model"] != after.model["hash"]
    assert before.domains["fox"]["exact"].rows == after.domains["fox"]["exact"].rows


def test_other_measures_are_added_without_training_again(trained):
    run, made = trained
    watcher = Silent()
    evaluate_run(run, ("evaluate.also=[behaviour, likelihood]",), watcher=watcher)
    added = json.loads((run / "outcome.json").read_bytes())
    assert added["domains"]["fox"]["measures"]["likelihood"]["bits_per_byte"]["changed"]
    assert added["training"] == made["training"]
    assert not any("starting training" in text for text in watcher.said)
    with pytest.raises(RunError) as refused:
        evaluate_run(run, ("budget.rows=3",), watcher=watcher)
    assert str(refused.value) == (
        "--set budget.rows=3: mixplan eval changes keys under evaluate alone. Plan again to change others."
    )


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


def test_grpo_goes_the_same_way(recipe, tmp_path):
    args = {"num_generations": 2, "max_completion_length": 6, "per_device_train_batch_size": 4, "max_steps": 2,
            "learning_rate": 0.01, "logging_steps": 1}  # fmt: skip
    overrides = ("train.method=grpo", f"train.args={json.dumps(args)}", "train.rewards={format: 1.0}")
    made, _ = outcome(recipe, *overrides, "train.answer_format='[a-m ]'", run=tmp_path / "run")
    assert made["training"]["method"] == "grpo"
    assert [point["step"] for point in made["training"]["log"]] == [1, 2]
    assert all("reward" in point for point in made["training"]["log"])


@pytest.mark.parametrize(
    ("overrides", "changed", "message"),
    [
        ((), "plan.json", "{run} has no plan.json: it is not a planned run. Plan one with `mixplan plan RECIPE`."),
        ((), "recipe.yaml", "{run} has no recipe.yaml: it is not a planned run. Plan one with `mixplan plan RECIPE`."),
        (
            ("seed=3",),
            None,
            "{run} is planned already, so --set, --budget and --run have nothing to change. Give the recipe instead.",
        ),
    ],
)
def test_a_folder_that_cannot_be_trained_is_refused(tmp_path, overrides, changed, message):
    run = tmp_path / "run"
    run.mkdir()
    for name in {"plan.json", "recipe.yaml"} - {changed}:
        (run / name).write_text("{}")
    with pytest.raises(RunError) as refused:
        outcome(run, *overrides)
    assert str(refused.value) == message.format(run=run)


def test_it_is_not_started_by_accelerate(recipe, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(RunError) as refused:
        outcome(recipe)
    assert str(refused.value) == (
        "mixplan train starts its processes itself. Run it without `accelerate launch`, and say how many with "
        "`--processes N`."
    )


def test_rows_that_changed_since_the_plan_are_refused(trained, loop):
    run, _ = trained
    rows = loop[0] / "fox.jsonl"
    kept = rows.read_bytes()
    write_rows(rows, 61, "fox")
    try:
        with pytest.raises(MixplanError) as refused:
            outcome(run)
    finally:
        rows.write_bytes(kept)
    assert str(refused.value) == (
        f"{run}: the rows of its target or domains are not those it was planned on. "
        f"Plan again with `mixplan plan {run / 'recipe.yaml'} --run {run}`."
    )


def test_an_unknown_arm_is_told_before_anything_is_trained(recipe, tmp_path):
    request = CompareRequest(OutcomeRequest(recipe, run=tmp_path / "run"), ("uniforn",))
    with pytest.raises(RunError) as refused:
        make_comparison(request, watcher=Silent())
    assert str(refused.value) == (
        "--arms: found 'uniforn', expected one of none, uniform, proportional_to_size, random, plan. "
        "Did you mean 'uniform'?"
    )
    assert not (tmp_path / "run").exists()
