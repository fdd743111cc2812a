"""A reward of one's own that no training would find is said from files alone, and nothing is imported."""

import contextlib

import pytest

from mixplan.errors import RecipeError
from mixplan.grading.own_rewards import missing, refuse_unfindable_rewards, unfindable_rewards
from mixplan.recipe import load_recipe

FILE = """
raise SystemExit("it was imported")
from functools import reduce as folded
def short(completions, **columns):
    inner = 1
class Judge: ...
long = lambda completions, **columns: []
"""


@pytest.fixture
def here(tmp_path):
    (tmp_path / "my_rewards.py").write_text(FILE)
    (tmp_path / "everything.py").write_text("from os.path import *\n")
    (tmp_path / "dynamic.py").write_text("globals()['made'] = print\n")
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "pack").mkdir()
    with contextlib.chdir(tmp_path):
        yield tmp_path


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("my_rewards", "short"), ("my_rewards", "Judge"), ("my_rewards", "long"), ("my_rewards", "folded"),
        ("everything", "join"), ("broken", "any"), ("dynamic", "made"), ("pack.inside", "any"),
        ("json", "loads"), ("math", "sqrt"), ("statistics", "mean"),
    ],
)  # fmt: skip
def test_what_is_there_or_may_be_is_left_to_the_training(here, module, function):
    assert missing(module, function) is None


@pytest.mark.parametrize(
    ("module", "function", "said"),
    [
        (
            "my_reward", "short",
            "no module 'my_reward' is in this folder or installed. Did you mean 'my_rewards'? Start mixplan in the "
            "folder that holds my_reward.py, or install its package.",
        ),
        ("my_rewards.py", "short", "a module is named without its suffix. Write `my_rewards:short`."),
        ("my_rewards.deep", "short", "'my_rewards' is a file, not a package. Write `my_rewards:short`."),
        (
            "my_rewards", "shor",
            "my_rewards.py has no function 'shor'. Did you mean 'short'? Name one that it has.",
        ),
        (
            "my_rewards", "inner",
            "my_rewards.py has no function 'inner'. Known: 'Judge', 'folded', 'long', 'short'. Name one that it has.",
        ),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_with_what_to_write(here, module, function, said):
    assert missing(module, function) == said


@pytest.mark.parametrize("module", ["numpy", "trl.rewards", "itertools", "zlib", "yaml", "os.path"])
def test_no_installed_module_is_taken_for_missing(module):
    assert missing(module, "anything") is None


def test_only_a_grpo_recipe_s_own_functions_are_looked_for(here):
    section = "{data: {file: a.jsonl}, format: question_answer, columns: {question: q, answer: a}}"
    recipe = here / "recipe.yaml"
    recipe.write_text(
        f"model: {{name: embedded, sae: {{embedded: true}}}}\ntarget: {section}\ndomains: {{other: {section}}}\n"
        "budget: {rows: 4}\ntrain:\n  method: grpo\n  rewards:\n    graded: 1.0\n    nowhere:score: 0.5\n"
    )
    (said,) = unfindable_rewards(load_recipe(recipe))
    where, _, what = said.partition(": train.rewards.nowhere:score: ")
    assert where.endswith("recipe.yaml:9")
    assert what.startswith("no module 'nowhere' is in this folder or installed. Known: 'broken', 'dynamic', 'everyth")
    with pytest.raises(RecipeError) as refused:
        refuse_unfindable_rewards(load_recipe(recipe))
    assert str(refused.value) == said
    sft = load_recipe(recipe, ("train.method=sft",))
    assert list(unfindable_rewards(sft)) == []
    refuse_unfindable_rewards(sft)
