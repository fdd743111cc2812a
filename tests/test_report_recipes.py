"""Recipes of several runs are set side by side where they differ, and only there."""

from page_html import HOSTILE, read_page
from saved_run import checked, values

from mixplan.report.recipes import differing, recipes


def run(label, recipe):
    plan, outcome = values()
    return (label, *checked(plan | {"recipe": recipe}, outcome))


FIRST = {"seed": 0, "budget": {"rows": 60}, "train": {"args": {"learning_rate": 0.1}, "lora": None}}
OTHER = {"seed": 0, "budget": {"rows": 90}, "train": {"args": {"learning_rate": 0.1, "max_steps": 3}, "lora": None}}


def test_keys_that_differ_stand_with_each_runs_value():
    apart, alike = differing([run("a", FIRST), run("b", OTHER), run("c", FIRST)])
    assert apart == {"budget.rows": ["60", "90", "60"], "train.args.max_steps": ["", "3", ""]}
    assert alike == 3  # seed, train.args.learning_rate, train.lora
    text = read_page(recipes([run("a", FIRST), run("b", OTHER)])).text
    said = "RecipesWhat differs; 3 other keys are the same."
    assert text == f"{said}Recipe keys that differKeyabbudget.rows6090train.args.max_steps3"


def test_recipes_that_do_not_differ_say_so():
    assert read_page(recipes([run("a", FIRST)] * 2)).text == "RecipesThe recipes do not differ: 4 keys are the same."
    plan, outcome = values()
    assert recipes([("a", *checked(plan, outcome))] * 2) is None or plan.get("recipe")


def test_hostile_values_are_shown_as_text():
    for text in HOSTILE:
        html = recipes([run("a", {"name": text}), run("b", {"name": "x"})])
        assert read_page(html).shape == read_page(recipes([run("a", {"name": "y"}), run("b", {"name": "x"})])).shape
