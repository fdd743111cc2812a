"""Says that a plan by other settings stands in a run folder before it is replaced, and keeps it whole until then."""

import pytest
from small_plan import plan, recipe

from mixplan.errors import RecipeError
from mixplan.plan.replaced import replaced_line
from mixplan.recipe import load_recipe

__all__ = ["recipe"]


def contents(run):
    return {
        path.relative_to(run): path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"
    }


def test_what_a_plan_replaces_is_said_with_what_stays_of_it(recipe, tmp_path):
    run = tmp_path / "run"
    assert replaced_line(run, load_recipe(recipe)) is None
    plan(recipe, run)
    assert replaced_line(run, load_recipe(recipe)) is None
    other = load_recipe(recipe, ("budget.rows=10", "seed=7"))
    line = (
        f"{run} holds a plan by another recipe or other settings: budget.rows, seed changed. "
        "It is replaced once this plan is made."
    )
    assert replaced_line(run, other) == line
    for name in ("training", "export", "evaluation"):
        (run / name).mkdir()
    assert (
        replaced_line(run, other)
        == f"{line} What is in training/ and export/ stays that plan's until it is made again."
    )
    _, watcher = plan(recipe, run, "budget.rows=10", "seed=7")
    assert len([one for one in watcher.said if one.startswith(line)]) == 1
    assert replaced_line(run, other) is None


def test_a_plan_stays_whole_until_another_one_is_made_in_its_folder(recipe, tmp_path, monkeypatch):
    run = tmp_path / "run"
    plan(recipe, run)
    whole = contents(run)

    def interrupted(*given, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mixplan.plan.make.scores_of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            plan(recipe, run, "drift.query_tokens=50")
    assert contents(run) == whole
    plan(recipe, run, "drift.query_tokens=50")
    assert load_recipe(run / "recipe.yaml").recipe.drift.query_tokens == 50


@pytest.mark.parametrize("given", ["ten", "-5", "1.5", "", "10,", "auto,10"])
def test_a_budget_that_is_none_is_refused_in_the_words_of_its_option(recipe, given):
    with pytest.raises(RecipeError) as caught:
        plan(recipe, recipe.parent / "run", budget=given)
    assert str(caught.value) == (
        f"--budget: found '{given}', expected auto, a whole number of rows or tokens, or several as in "
        "`--budget 0,30,60`."
    )
