"""A plan that no scores could save is refused before a model is loaded, in the words of the room that refuses it."""

from dataclasses import replace

import pytest
from sample_mixtures import make_domain

from mixplan.errors import AllocationError, DataError, RecipeError
from mixplan.mixture.feasibility import impossible, left_out_budgets
from mixplan.recipe import Recipe

DATA = {"data": {"file": "rows.jsonl"}, "format": "question_answer", "columns": {"question": "q", "answer": "a"}}
OPENED = make_domain("target", 12), {"law": make_domain("law", 10), "code": make_domain("code", 4)}


def recipe_of(**sections) -> Recipe:
    values = {"model": {"name": "embedded", "sae": {"embedded": True}}, "target": DATA, "budget": {"rows": 5}}
    return Recipe.model_validate({**values, "domains": {"law": DATA, "code": DATA}, **sections})


def found(opened=OPENED, **sections) -> list[Exception]:
    return list(impossible(recipe_of(**sections), *opened))


def test_rows_that_pools_hold_are_possible_and_one_more_is_not():
    assert found(budget={"rows": 14}) == []
    (problem,) = found(budget={"rows": 15})
    assert isinstance(problem, AllocationError)
    assert str(problem).startswith("budget.rows: the budget of 15 rows cannot be spent: all pools together hold 14.")
    assert found(budget={"rows": 15, "max_repeats": 2}) == []


@pytest.mark.parametrize(
    "limits",
    [
        {"floors": {"code": 5}},
        {"caps": {"law": 3, "code": 1}},
        {"shares": {"code": 0.9}},
        {"groups": {"both": {"domains": ["law", "code"], "cap": 5}}},
        {"floors": {"no_such": 1}},
    ],
)
def test_limits_that_clash_are_told(limits):
    problems = found(budget={"rows": 6}, allocate=limits)
    assert [type(problem) for problem in problems] == [AllocationError]


def test_tokens_are_held_against_limits_and_empty_pools_alone():
    capped = {"caps": {"law": 300, "code": 300}}
    assert found(budget={"tokens": 600}, allocate=capped) == []
    assert len(found(budget={"tokens": 601}, allocate=capped)) == 1
    target, domains = OPENED
    empty = (target, {**domains, "code": replace(domains["code"], pool=())})
    assert len(found(empty, budget={"tokens": 301}, allocate=capped)) == 1


def test_all_that_is_impossible_is_told_at_once():
    problems = found(mixture={"target_rows": 13}, budget={"rows": 15})
    assert [type(problem) for problem in problems] == [DataError, AllocationError]


def test_earlier_budgets_of_a_list_that_limits_forbid_are_told():
    said = left_out_budgets(recipe_of(budget={"rows": [2, 4, 6]}, allocate={"floors": {"code": 3}}), OPENED[1])
    assert said == [
        "The curve leaves out 2 rows: No plan of 2 rows meets all limits. These clash: `allocate.floors.code` (3)."
    ]
    assert left_out_budgets(recipe_of(budget={"rows": 2}, allocate={"floors": {"code": 3}}), OPENED[1]) == []


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({}, ["domains.law.grader"]),
        ({"budget": {"rows": 0}}, []),
        ({"budget": {"rows": 4}, "allocate": {"caps": {"law": 0}}}, []),
        ({"budget": {"rows": 4}, "allocate": {"shares": {"law": 0.0}}}, []),
        ({"budget": {"tokens": 50}}, ["domains.law.grader"]),
        ({"mixture": {"answers": "self"}}, ["mixture.answers", "domains.law.grader"]),
        ({"train": {"method": "sft"}}, []),
    ],
)
def test_a_domain_that_grpo_could_not_grade_is_told_unless_it_gets_no_rows(sections, said):
    target, domains = OPENED
    ungraded = (target, {**domains, "law": make_domain("law", 10, grader="none")})
    problems = found(ungraded, **{"train": {"method": "grpo"}, **sections})
    assert [str(problem).partition(":")[0] for problem in problems] == said
    assert all(isinstance(problem, RecipeError) for problem in problems)
