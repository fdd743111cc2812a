"""A budget that was spread before is not solved again, and one of other inputs is."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from allocated import FOUR, demands

from mixplan.forecast import Halving
from mixplan.plan import budget
from mixplan.plan.budget import Spent, spread
from mixplan.recipe import AllocateSpec, BudgetSpec, MixtureSpec
from mixplan.saved.plan import MixturePart


class Recipe:
    """The two sections of a recipe that an allocation is of."""

    def __init__(self, rows, **limits):
        self.budget, self.allocate = BudgetSpec(rows=rows), AllocateSpec(**limits)


def test_tokens_that_rows_hold_beyond_what_the_budget_counted_are_told():
    """Sixty rows of 20 tokens and forty of 50 are 3,200 tokens as the data has them."""
    one, two = replace(demands(FOUR)[0], mean_row_amount=20.0), replace(demands(FOUR)[1], mean_row_amount=50.0)
    spent = Spent(SimpleNamespace(rows={one.name: 60, two.name: 40}), (), (), (one, two))

    def told(held, answers="self", tokens=3300, **other):
        recipe = Recipe(100)
        recipe.budget, recipe.mixture = BudgetSpec(tokens=tokens), MixtureSpec(answers=answers)
        parts = [part(one.name, held - 1000), part(two.name, 1000), part("target", 99_999)]
        return list(spent.other_tokens(recipe, parts))

    def part(name, tokens):
        return MixturePart.model_construct(name=name, rows=1, tokens=tokens)

    (line,) = told(6400)
    assert line.startswith("The domains' rows hold 6,400 tokens, where the budget counted 3,200 by the mean length")
    assert "as the data has them: they carry the model's own answers. `budget.tokens: 1650` would hold" in line
    assert "they carry" not in told(2000, answers="gold", tokens=[100, 3300])[0]
    assert [told(3519), told(2881), told(3521) != [], told(2879) != []] == [[], [], True, True]
    (none,) = replace(spent, allocation=SimpleNamespace(rows={one.name: 0, two.name: 0})).other_tokens(
        SimpleNamespace(budget=BudgetSpec(tokens=19), mixture=MixtureSpec()), [part(one.name, 0), part(two.name, 0)]
    )
    assert none.startswith("No row is planned: a budget of 19 tokens does not reach for one row")
    assert "hold 20 tokens or more" in none
    unknown = [part(one.name, None), part(two.name, 10)]
    recipe = Recipe(100)
    recipe.budget, recipe.mixture = BudgetSpec(tokens=9), MixtureSpec()
    assert list(spent.other_tokens(recipe, unknown)) == []
    recipe.budget = BudgetSpec(rows=9)
    assert list(spent.other_tokens(recipe, [part(one.name, 9), part(two.name, 9)])) == []


CROSSING = {
    "one": {"domains": ["a", "b"], "floor": 60},
    "two": {"domains": ["b", "c"], "cap": 90},
}


@pytest.mark.parametrize(
    "limits", [{}, {"objective": "min_max"}, {"groups": CROSSING}], ids=["none", "worst", "groups"]
)
@pytest.mark.parametrize("halving", [None, Halving(30.0), Halving(30.0, 200.0, 0.25)], ids=["recipe", "own", "shared"])
def test_what_was_solved_is_the_same_and_solved_once(limits, halving, monkeypatch):
    recipe = Recipe([0, 50, 200], **limits)
    first = spread(demands(FOUR), recipe, halving, 0.5)
    monkeypatch.setattr(budget, "allocate", lambda *given, **named: pytest.fail("solved again"))
    assert spread(demands(FOUR), recipe, halving, 0.5) == first
    assert sum(first[0].rows.values()) == 200


@pytest.mark.parametrize(
    "other",
    [
        {"halving": Halving(31.0)},
        {"halving": Halving(math.inf, 100.0)},
        {"recipe": Recipe([0, 50, 201])},
        {"recipe": Recipe([0, 50, 200], floors={"a": 20})},
        {"demands": [replace(demands(FOUR)[0], high=1.5), *demands(FOUR)[1:]]},
        {"demands": demands(FOUR)[::-1]},
        {"weight": 0.25},
    ],
    ids=["half", "shared", "budget", "limit", "interval", "order", "weight"],
)
def test_other_inputs_are_solved_anew(other, monkeypatch):
    given = {"demands": demands(FOUR), "recipe": Recipe([0, 50, 200]), "halving": Halving(30.0), "weight": 0.5}
    spread(**given)
    changed = given | other
    sections = {"spec": changed["recipe"].allocate, "budget": changed["recipe"].budget}
    expected = budget.allocate(changed["demands"], **sections, halving=changed["halving"], weight=changed["weight"])
    assert spread(**changed)[0] == expected
