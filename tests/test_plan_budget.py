"""A budget that was spread before is not solved again, and one of other inputs is."""

import math
from dataclasses import replace

import pytest
from allocated import FOUR, demands

from mixplan.forecast import Halving
from mixplan.plan import budget
from mixplan.plan.budget import spread
from mixplan.recipe import AllocateSpec, BudgetSpec


class Recipe:
    """The two sections of a recipe that an allocation is of."""

    def __init__(self, rows, **limits):
        self.budget, self.allocate = BudgetSpec(rows=rows), AllocateSpec(**limits)


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
