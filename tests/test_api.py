"""The public Python names: lazy, quiet, typed, and equal to what the commands write."""

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import nbclient
import nbformat
import numpy as np
import pytest
import tolerated
from small_loop import lay

import mixplan
from mixplan.errors import AllocationError, MixplanError, RecipeError, RunError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bin"))

from docs_blocks import blocks  # noqa: E402 - bin is no package


def test_importing_it_loads_nothing():
    code = "import sys, mixplan; print(sorted({'torch', 'pydantic', 'datasets', 'yaml', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_every_public_name_is_there_and_no_other():
    assert all(getattr(mixplan, name) is not None for name in mixplan.__all__)
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = mixplan.no_such_name


def test_a_trained_run_is_read(trained, capsys):
    run, made = trained
    plan, outcome = mixplan.read_plan(run), mixplan.read_outcome(run)
    saved = json.loads((run / "plan.json").read_bytes())
    assert (plan.rows, plan.ratios) == (saved["allocation"]["rows"], saved["allocation"]["ratios"])
    rows = {row["domain"]: row for row in plan.scores()}
    assert {name: row["score"] for name, row in rows.items()} == {
        name: entry["sts_icl"]["value"] for name, entry in saved["domains"].items()
    }
    assert plan.mixture().num_rows == saved["mixture"]["rows"]
    changes = {row["domain"]: row for row in outcome.changes()}
    assert set(changes) == {"target", *saved["domains"]}
    assert outcome.target == changes["target"]
    for name, domain in made["domains"].items():
        measured = next(iter(domain["measures"][domain["headline"]].values()))
        assert {key: changes[name][key] for key in ("before", "after", "change")} == {
            key: measured[key] for key in ("before", "after", "change")
        }
    assert outcome.summary == made["summary"]
    assert capsys.readouterr() == ("", "")
    page = mixplan.write_report(run, out=run / "other.html")
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_notebook_shows_text_as_text(trained):
    run, _ = trained
    plan = mixplan.read_plan(run)
    named = plan.saved.model_copy(update={"name": "<script>alert(1)</script>"})
    shown = mixplan.Plan(plan.folder, named)._repr_html_()
    assert "<script>" not in shown
    assert shown.count("<tr>") == 1 + len(plan.rows)
    assert mixplan.read_outcome(run)._repr_html_().count("<tr>") == 2 + len(plan.rows)


def example(name: str) -> ModuleType:
    place = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


def test_the_readme_s_lines_plan_train_and_judge(trained, tmp_path, tiny_model, tiny_sae, monkeypatch):
    """The run that they make is there already, so that each line finds it."""
    run, _ = trained
    lay(tmp_path, tiny_model, tiny_sae).rename(tmp_path / "mine.yaml")
    (tmp_path / "runs").mkdir()
    run.rename(tmp_path / "runs" / "mine")
    (tmp_path / "my").mkdir()
    shutil.copytree(tmp_path / "runs" / "mine" / "model", tmp_path / "my" / "model")
    monkeypatch.chdir(tmp_path)
    (block,) = [one for one in blocks(ROOT / "README.md") if one.language == "python"]
    said = {}
    exec(block.text, said)
    assert said["plan"].rows == mixplan.read_plan("runs/mine").rows
    assert said["data"].num_rows == 16
    assert said["outcome"].changes() == said["other"].changes() != []
    assert said["other"].folder == Path("runs/mine/judged/model")


def test_the_example_judges_a_model(trained, capsys):
    run, made = trained
    example("judge_my_own_training").main(str(run), str(run / "model"), "own")
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == f"Page: {run / 'judged' / 'own' / 'report.html'}"
    assert [line.split()[0] for line in printed[-5:-1]] == ["target", *made["domains"]]


def test_the_example_plans_and_plans_again(tmp_path, tiny_model, tiny_sae, capsys):
    recipe = lay(tmp_path, tiny_model, tiny_sae)
    example("plan_in_python").main(str(recipe), str(tmp_path / "run"))
    printed = capsys.readouterr().out
    assert "reading the target 120/120" in printed
    assert printed.rstrip().splitlines()[-1].startswith("half the budget: {'patient': ")
    assert sum(mixplan.read_plan(tmp_path / "run").rows.values()) == 4
    assert (tmp_path / "run" / "report.html").is_file()
    assert mixplan.read_outcome(tmp_path / "run") is None


def test_the_notebook_runs_and_shows_what_it_ran_to(trained, tmp_path, tiny_model, tiny_sae):
    """Over a run that is there already, so that each cell finds it; the cells are as they stand but for two names."""
    run, made = trained
    recipe = lay(tmp_path, tiny_model, tiny_sae)
    notebook = nbformat.read(ROOT / "examples" / "plan_in_a_notebook.ipynb", as_version=4)
    shown = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell and all(one.output_type == "execute_result" for one in cell) for cell in shown)
    for cell in notebook.cells:
        cell.source = cell.source.replace("own_jsonl.yaml", recipe.name).replace('"runs/notebook"', '"run"')
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3")
    client.execute(cwd=str(tmp_path))
    results = [cell.outputs[-1].data for cell in notebook.cells if cell.cell_type == "code"]
    assert results[0]["text/plain"].startswith("([],")  # no problem
    assert "<caption>Plan of tiny" in results[1]["text/html"]
    assert results[1]["text/plain"] == repr(mixplan.read_plan(run)).replace(str(run), "run")
    assert "<caption>Outcome of tiny" in results[6]["text/html"]
    assert ast.literal_eval(results[8]["text/plain"]) == made["summary"]
    budgets = [mixplan.read_plan(tmp_path / f"runs/notebook-{rows}").rows for rows in (2, 4, 8)]
    assert [sum(rows.values()) for rows in budgets] == [2, 4, 8]


def test_a_plan_and_an_outcome_name_themselves_in_one_line(trained):
    run, made = trained
    plan, outcome = mixplan.read_plan(run), mixplan.read_outcome(run)
    assert repr(plan) == f"Plan('tiny', rows={plan.rows}, folder='{run}')"
    changes = {row["domain"]: float(f"{row['change']:.3g}") for row in outcome.changes()}
    assert list(changes) == ["target", *made["domains"]]
    assert repr(outcome) == f"Outcome('tiny', changes={changes}, folder='{run}')"


def test_a_recipe_s_problems_are_listed_not_raised(tmp_path):
    (tmp_path / "recipe.yaml").write_text("model: embedded\n")
    assert mixplan.check_recipe(tmp_path / "recipe.yaml").problems
    with pytest.raises(mixplan.MixplanError):
        mixplan.load_recipe(tmp_path / "recipe.yaml")


def test_a_job_that_cannot_be_trained_is_refused_before_anything_is_read(tmp_path, tiny_model, tiny_sae, monkeypatch):
    lay(tmp_path, tiny_model, tiny_sae).rename(tmp_path / "mine.yaml")
    monkeypatch.setattr("mixplan.plan.make.make_plan", lambda *_, **__: pytest.fail("it began"))
    nothing = ["train.args.max_steps=-1", "train.args.num_train_epochs=0"]
    for function in (mixplan.make_plan, mixplan.train_run):
        with pytest.raises(MixplanError, match="0 epochs train nothing"):
            function(tmp_path / "mine.yaml", run=tmp_path / "run", overrides=nothing)
    assert not (tmp_path / "run").exists()


def test_a_further_evaluation_writes_the_page_anew(trained):
    run, _ = trained
    (run / "report.html").write_text("of before")
    mixplan.evaluate_run(run)
    assert (run / "report.html").read_text() != "of before"


def test_a_budget_is_spread_by_any_scores():
    pools = {"law": 100, "code": 3}
    assert mixplan.allocate_budget({"law": 1.0, "code": 3.0}, {"law": 100, "code": 100}, 8) == {"law": 2, "code": 6}
    assert mixplan.allocate_budget({"law": 1.0, "code": 3.0}, pools, 8) == {"law": 5, "code": 3}
    assert mixplan.allocate_budget({"law": 1.0, "code": 3.0}, pools, 8, caps={"code": 1}) == {"law": 7, "code": 1}
    with pytest.raises(AllocationError, match=r"cannot be spent: all pools together hold 103"):
        mixplan.allocate_budget({"law": 1.0, "code": 3.0}, pools, 104)
    with pytest.raises(AllocationError, match="different domains: Code, code"):
        mixplan.allocate_budget({"law": 1.0, "code": 3.0}, {"law": 100, "Code": 100}, 8)
    with pytest.raises(RecipeError, match="objektive"):
        mixplan.allocate_budget({"law": 1.0, "code": 1.0}, pools, 1, objektive="min_max")
    assert mixplan.allocate_budget({"law": 1.0}, {"law": 5}, np.int64(3)) == {"law": 3}
    with pytest.raises(AllocationError, match="rows: found '3', expected a whole number"):
        mixplan.allocate_budget({"law": 1.0}, {"law": 5}, "3")
    with pytest.raises(AllocationError, match=r"the pool of 'law': found 50\.5, expected a whole number of rows"):
        mixplan.allocate_budget({"law": 1.0}, {"law": 50.5}, 1)
    with pytest.raises(RecipeError, match=r"objective: found the text 'x', expected one of 'evidence', 'alpha_fair'"):
        mixplan.allocate_budget({"law": 1.0}, {"law": 5}, 1, objective="x")
    with pytest.raises(
        RecipeError, match=r"^floors\.law: found the number -1, expected a whole number of at least 0\.$"
    ):
        mixplan.allocate_budget({"law": 1.0}, {"law": 5}, 1, floors={"law": -1})
    with pytest.raises(RecipeError, match=r"^max_repeats: found true, expected a whole number from 1 to 1000\.$"):
        mixplan.allocate_budget({"law": 1.0}, {"law": 5}, 1, max_repeats=True)
    with pytest.raises(RecipeError, match=r"^rows: found the number -1, expected a whole number of at least 0"):
        mixplan.allocate_budget({"law": 1.0}, {"law": 5}, -1)
    with pytest.raises(AllocationError, match="rows: found True, expected a whole number"):
        mixplan.allocate_budget({"law": 1.0}, {"law": 5}, True)
    assert mixplan.allocate_budget({"law": 1.0}, {"law": 5}, 2, floors={"law": np.int64(2)}, alpha=np.float32(1)) == {
        "law": 2
    }
    with pytest.raises(AllocationError, match="the score of 'law': found '1000"):
        mixplan.allocate_budget({"law": 10**400}, {"law": 50}, 1)


@pytest.mark.parametrize("limits", [{}, {"objective": "min_max"}, {"alpha": 2.0}, {"alpha": 0.5}])
@pytest.mark.parametrize("ratio", [1e30, 1e160, 1e300])
def test_scores_of_any_scale_give_the_larger_one_all_it_can_take(limits, ratio):
    scores, pools = {"low": 1 / ratio, "high": ratio}, {"low": 50, "high": 50}
    assert mixplan.allocate_budget(scores, pools, 40, **limits) == {"low": 0, "high": 40}
    assert mixplan.allocate_budget(scores, pools, 70, **limits) == {"low": 20, "high": 50}


def test_a_folder_without_a_plan_or_a_mixture(trained, tmp_path):
    with pytest.raises(RunError, match=r"plan\.json"):
        mixplan.read_plan(tmp_path)
    with pytest.raises(RunError, match=r"plan\.json"):
        mixplan.read_outcome(tmp_path)
    with pytest.raises(RecipeError, match="expected a whole number"):
        mixplan.replan(trained[0], budget="12")
    for call in (mixplan.evaluate_run, mixplan.train_run):
        with pytest.raises(RunError, match="there is no such run folder"):
            call(tmp_path / "none")


def test_a_plan_that_was_read_before_another_has_no_mixture(trained, tmp_path):
    run = tmp_path / "copied"
    run.mkdir()
    shutil.copy(trained[0] / "plan.json", run)
    plan = mixplan.read_plan(run)
    with pytest.raises(RunError, match="there is no mixture"):
        plan.mixture()
    older = plan.saved.model_copy(update={"hashes": {**plan.saved.hashes, "plan": "0" * 64}})
    with pytest.raises(RunError, match="was planned again since this plan was read"):
        mixplan.Plan(run, older).mixture()


def test_the_verdict_on_tolerances_is_at_hand(tmp_path):
    assert mixplan.read_outcome(tolerated.save(tmp_path / "one", "pass", "undecided")).verdict == "undecided"
    assert mixplan.read_outcome(tolerated.save(tmp_path / "two")).verdict is None
