"""The part of plan.json that holds the allocation: what is read back is what was written."""

import pytest
from allocated import FOUR, demands
from pydantic import ValidationError

from mixplan.plan.budget import NOTHING, Spent, spread
from mixplan.recipe import AllocateSpec, BudgetSpec
from mixplan.saved.allocation import Allocation


class Recipe:
    """The two sections of a recipe that an allocation is of."""

    budget, allocate = BudgetSpec(rows=[0, 30, 60]), AllocateSpec()


@pytest.fixture(scope="module")
def allocation() -> Allocation:
    made, curve, lacking = spread(demands(FOUR), Recipe(), None, 0.5)
    return Spent(made, curve, lacking, tuple(demands(FOUR)), None, NOTHING).describe(Recipe(), {"target": 40})


def test_it_is_read_as_it_was_written(allocation):
    assert Allocation.model_validate(allocation.values()) == allocation


def test_ratios_are_parts_of_the_whole_mixture(allocation):
    rows = allocation.rows
    assert sum(rows.values()) == 60
    expected = {name: count / 100 for name, count in {"target": 40, **rows}.items()}
    assert allocation.ratios == pytest.approx(expected)
    assert [point.budget for point in allocation.curve] == [0, 30, 60]


@pytest.mark.parametrize("change", [{"rows": {"a": "many"}}, {"objective": 3}, {"curve": [{"budget": 1}]}])
def test_other_types_and_missing_fields_are_refused(allocation, change):
    with pytest.raises(ValidationError):
        Allocation.model_validate(allocation.values() | change)
