"""What a study's file says of arms: what is accepted, and each refusal in full with its line."""

import json
from functools import partial
from pathlib import Path

import pytest
from study_text import lay as lay_text

from mixplan.errors import RecipeError
from mixplan.forecast import evidence
from mixplan.study.asked.spec import load_study

SHIPPED = Path(__file__).resolve().parent.parent / "recipes" / "studies" / "smollm2-135m-arms" / "study.yaml"

STUDY = """\
title: Arms
questions: [Does it help]
recipe:
  model: {name: model, sae: {path: sae}}
  domains:
    poems:
      data: {file: poems.jsonl}
      format: question_answer
      columns: {question: q, answer: a}
  allocate: {objective: diminishing, half_rows: 2.0}
  train:
    args:
      max_steps: 5
  evaluate: {measures: {poems: likelihood}}
targets:
  math:
    data: {file: sums.jsonl}
    format: question_answer
    columns: {question: q, answer: a}
  words:
    data: {file: words.jsonl}
    format: question_answer
    columns: {question: q, answer: a}
seeds: [4]
arms:
  names:
    - none
    - uniform
    - plan
  budgets: [3, 6]
"""
STEPS = (
    "recipe.train.args.max_steps: arms are trained for equally many optimiser steps at every budget. "
    "Say how many with `recipe.train.args.max_steps`."
)


lay = partial(lay_text, STUDY)


def refused(path: Path) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load_study(path)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


def line_of(path: Path, text: str) -> int:
    """Where a text stands in a file, so that a line's number need not be counted."""
    (number,) = (number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)
    return number


def test_a_study_of_arms_may_spend_and_needs_no_sets(tmp_path):
    study = load_study(lay(tmp_path))
    assert (study.spec.arms.names, study.spec.arms.budgets) == (["none", "uniform", "plan"], [3, 6])
    assert (study.spec.development, study.spec.kinds) == ([], {})
    assert study.recipes["math"].recipe.allocate.half_rows == 2.0
    assert load_study(lay(tmp_path, ("[3, 6]", "[3, 7]"))).hash != study.hash


@pytest.mark.parametrize(("given", "half"), [("", 100.0), ("  allocate: {half_rows: 2.0}\n", 2.0)])
def test_plans_of_a_study_follow_the_scores_where_it_names_no_objective(tmp_path, given, half):
    study = load_study(lay(tmp_path, ("  allocate: {objective: diminishing, half_rows: 2.0}\n", given)))
    allocate = study.recipes["math"].recipe.allocate
    assert (allocate.objective, allocate.half_rows) == ("alpha_fair", half)


def test_a_study_of_forecasts_is_none_of_arms(tmp_path):
    both = "development: [math]\nkinds: {text: [poems]}\n"
    path = lay(tmp_path, ("seeds: [4]", f"{both}seeds: [4]"))
    assert refused(path) == [
        f"{line_of(path, 'development:')}: development: a study of arms judges no forecast. Leave the key out.",
        f"{line_of(path, 'kinds:')}: kinds: a study of arms judges no forecast. Leave the key out.",
    ]


@pytest.mark.parametrize("section", ["", "arms: null\n"])
def test_without_arms_it_is_a_study_of_forecasts(tmp_path, section):
    path = lay(tmp_path, (STUDY[STUDY.index("arms:\n") :], section))
    assert refused(path) == [
        "1: development: missing. Expected a list of targets with at least one entry.",
        "1: kinds: missing. Expected a mapping of lists of domains with at least one entry.",
        f"{line_of(path, 'allocate:')}: recipe.allocate: a study settles this itself. Leave the key out.",
    ]


def test_arms_and_budgets_that_are_not_there_or_there_twice(tmp_path):
    path = lay(
        tmp_path, ("    - plan\n", "    - uniforn\n    - plan\n    - plan\n    - best\n"), ("[3, 6]", "[3, 6, 3]")
    )
    names = "none, uniform, proportional_to_size, proportional_to_sts, random, oracle, plan, plan_learned"
    known = f"expected one of {names}."
    first = line_of(path, "- none")
    assert refused(path) == [
        f"{first + 2}: arms.names: found 'uniforn', {known} Did you mean 'uniform'?",
        f"{first + 4}: arms.names: 'plan' is named twice. Take it out once.",
        f"{first + 5}: arms.names: found 'best', {known} Known: 'none', 'oracle', 'plan', 'plan_learned', "
        "'proportional_to_size', 'proportional_to_sts', 'random', 'uniform'.",
        f"{line_of(path, 'budgets:')}: arms.budgets: 3 is given twice. Take it out once.",
    ]


def test_an_arm_that_learns_from_too_few_targets(tmp_path):
    path = lay(tmp_path, ("    - plan\n", "    - plan\n    - plan_learned\n"))
    assert refused(path) == [
        f"{line_of(path, '- plan_learned')}: arms.names: 'plan_learned': it learns from the arms of at least 2 other "
        "targets, and here is 1. Add a target, or take it out."
    ]
    third = "  thirds:\n    data: {file: thirds.jsonl}\n    format: question_answer\n"
    third += "    columns: {question: q, answer: a}\nseeds: [4]"
    names = ("    - plan\n", "    - plan\n    - plan_learned\n")
    assert load_study(lay(tmp_path, names, ("seeds: [4]", third))).spec.arms.names[-1] == "plan_learned"


@pytest.mark.parametrize(
    ("arm", "why"),
    [
        ("none", "what training costs each domain is measured by it"),
        ("uniform", "every other arm is held against it"),
        ("plan", "it is the mixture that the study is about"),
    ],
)
def test_an_arm_without_which_nothing_can_be_said(tmp_path, arm, why):
    path = lay(tmp_path, (f"    - {arm}\n", "    - random\n"))
    assert refused(path) == [f"{line_of(path, 'names:')}: arms.names: '{arm}' is missing, but {why}. Add it."]


def test_evidence_that_is_none(tmp_path):
    told = "{told}"
    path = lay(tmp_path, ("[3, 6]", f"[3, 6]\n  evidence: {told}"))
    line = line_of(path, "evidence:")
    text = path.read_text()

    def refusal(name):
        path.write_text(text.replace(told, name))
        return refused(path)

    assert refusal("none.json") == [
        f"{line}: arms.evidence: there is no file {tmp_path / 'none.json'}. `mixplan study run` leaves an "
        "evidence.json in its run folder."
    ]
    place = tmp_path / "some.json"
    whole = json.loads((evidence.SHIPPED / "smollm2-135m.json").read_bytes())
    for wrong, said in (
        ("{", "not JSON: EOF while parsing an object at line 1 column 1"),
        ("[]", "the file: expected an object, found []"),
        (json.dumps(whole | {"version": 99}), "`version`: expected 1, found 99"),
        (json.dumps(whole | {"seeds": "many"}), '`seeds`: expected a valid array, found "many"'),
    ):
        place.write_text(wrong)
        assert refusal("some.json") == [
            f"{line}: arms.evidence: {place} is no evidence of a study, or of another mixplan: {said}. "
            "Name another file."
        ]
    place.write_bytes((evidence.SHIPPED / "smollm2-135m-arms.json").read_bytes())
    assert refusal("some.json") == [
        f"{line}: arms.evidence: {place} is of a study of arms, which judged no scores. Name a study of forecasts'."
    ]
    place.write_text(json.dumps(whole))
    path.write_text(text.replace(told, "some.json").replace("  allocate:", "  forecast: {runs: []}\n  allocate:"))
    assert refused(path) == [
        f"{line + 1}: arms.evidence: recipe.forecast says what plans learn from already. Leave one of the two out."
    ]


def test_arms_need_names_and_budgets(tmp_path):
    path = lay(tmp_path, ("[3, 6]", "[0]"), ("  names:\n    - none\n    - uniform\n    - plan\n", "  names: []\n"))
    assert refused(path) == [
        f"{line_of(path, 'names:')}: arms.names: found a list, expected a list of at least 1, each item text.",
        f"{line_of(path, 'budgets:')}: arms.budgets.0: found the number 0, expected a whole number of at least 1.",
    ]


@pytest.mark.parametrize("steps", ["0", "-1"])
def test_steps_have_to_be_given_because_arms_train_equally_long(tmp_path, steps):
    path = lay(tmp_path, ("max_steps: 5", f"max_steps: {steps}"))
    assert refused(path) == [f"{line_of(path, 'max_steps')}: {STEPS}"]


def test_steps_that_are_missing_are_looked_for_in_the_arguments(tmp_path):
    path = lay(tmp_path, ("max_steps: 5", "num_train_epochs: 1"))
    assert refused(path) == [f"{line_of(path, 'args:')}: {STEPS}"]
    path = lay(tmp_path, ("  train:\n    args:\n      max_steps: 5\n", ""))
    assert refused(path) == [f"{line_of(path, 'recipe:')}: {STEPS}"]


@pytest.mark.parametrize(
    ("steps", "found"), [("many", "the text 'many'"), ("null", "nothing"), ("2.5", "the number 2.5")]
)
def test_steps_that_are_no_number_are_refused_like_any_wrong_argument(tmp_path, steps, found):
    path = lay(tmp_path, ("max_steps: 5", f"max_steps: {steps}"))
    line = line_of(path, "max_steps")
    assert refused(path) == [
        f"{line}: recipe.train.args.max_steps: found {found}, expected int (SFTConfig).",
        f"{line}: {STEPS}",
    ]


def test_training_or_arguments_that_are_no_mapping(tmp_path):
    path = lay(tmp_path, ("    args:\n      max_steps: 5\n", "    args: fast\n"))
    assert refused(path)[-1] == f"{line_of(path, 'args:')}: {STEPS}"
    path = lay(tmp_path, ("  train:\n    args:\n      max_steps: 5\n", "  train: fast\n"))
    assert refused(path)[-1] == f"{line_of(path, 'train:')}: {STEPS}"


def test_the_shipped_study_of_arms_is_valid():
    study = load_study(SHIPPED)
    assert len(study.spec.arms.budgets) == 2
    # Each budget's rows and the target's are read at most once.
    recipe = study.whole.recipe
    batch, steps = (recipe.train.args[name] for name in ("per_device_train_batch_size", "max_steps"))
    assert batch * steps <= recipe.mixture.target_rows + max(study.spec.arms.budgets)
    # A plan that is judged learns from no other run than the evidence that is part of what is registered.
    assert recipe.forecast.runs == []
    assert set(json.loads(study.evidence.read_bytes())["targets"]) >= set(study.recipes)
    assert {"none", "uniform", "plan", "oracle"} <= set(study.spec.arms.names)
    assert all(loaded.recipe.evaluate.measures.get("target") == "likelihood" for loaded in study.recipes.values())
