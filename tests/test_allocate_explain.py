"""What is said of optimal amounts: whether scores justify them, what limits cost, and when rows stop paying."""

import pytest
from allocated import FOUR, demands, plan

from mixplan.allocate import budget_curve
from mixplan.recipe import AllocateSpec, BudgetSpec, GroupSpec


def test_overlapping_intervals_found_no_plan():
    made = plan({"a": 1.0, "b": 1.1, "c": 1.2}, apart=0.2)
    assert made.no_better_than_uniform == (
        "All 3 domains could be equally at risk (0.96 lies in every 95 % interval), so this plan is no better founded "
        "than spreading the budget evenly. Reading more (`split.query` and `sts.query_tokens`, or "
        "`sts.preview.rows` without an SAE) narrows the intervals of scores, and measured runs those of expected "
        "changes."
    )
    assert made.notes[0] == "The 95 % intervals tell 0 of 3 pairs of domains apart."


def test_two_overlapping_intervals():
    assert plan({"a": 1.0, "b": 1.1}, apart=0.2).no_better_than_uniform == (
        "Both domains could be equally at risk (0.88 lies in every 95 % interval), so this plan is no better founded "
        "than spreading the budget evenly. Reading more (`split.query` and `sts.query_tokens`, or "
        "`sts.preview.rows` without an SAE) narrows the intervals of scores, and measured runs those of expected "
        "changes."
    )


def test_intervals_in_a_chain_tell_its_ends_apart():
    made = plan({"a": 1.0, "b": 1.3, "c": 1.6}, apart=0.2)
    assert made.no_better_than_uniform is None
    assert made.notes[0] == "The 95 % intervals tell 1 of 3 pairs of domains apart."


def test_a_plan_near_uniform_says_so():
    assert plan({"a": 1.0, "b": 1.1}, apart=0.001, budget=1000).no_better_than_uniform == (
        "The plan is 2.4% away from an even spread, so it hardly differs from one: "
        "expect no more of it than of spreading the budget evenly."
    )


def test_one_domain_has_no_other_to_be_told_from():
    made = plan({"a": 1.0}, 7)
    assert (made.rows, made.no_better_than_uniform, made.distance_from_uniform) == ({"a": 7}, None, 0)


def test_limits_and_what_looser_ones_bring_are_said():
    made = plan(FOUR, floors={"a": 30}, caps={"d": 50}, pool=90, shares={"b": 0.2})
    assert made.rows == {"a": 30, "b": 40, "c": 80, "d": 50}
    assert made.binding == ("allocate.floors.a", "allocate.shares.b", "allocate.caps.d")
    value = 30**0.1 * 40**0.2 * 80**0.3 * 50**0.4
    worth = {"a": 0.1 * value / 30, "b": 0.2 * value / 40, "c": 0.3 * value / 80, "d": 0.4 * value / 50}
    assert {dual.limit: dual.brings for dual in made.duals} == pytest.approx(
        {
            "budget.rows": worth["c"],
            "allocate.caps.d": worth["d"] - worth["c"],
            "allocate.floors.a": worth["c"] - worth["a"],
            "allocate.shares.b": worth["b"] - worth["c"],
        }
    )
    assert [dual.text for dual in made.duals] == [
        f"1 row more in budget.rows would bring {worth['c']:.3g} effective rows.",
        f"1 row more in allocate.caps.d would bring {worth['d'] - worth['c']:.3g} effective rows.",
        f"1 row more by allocate.shares.b would bring {worth['b'] - worth['c']:.3g} effective rows.",
        f"1 row less in allocate.floors.a would bring {worth['c'] - worth['a']:.3g} effective rows.",
    ]


def test_losses_are_lowered_by_looser_limits():
    groups = {"g": GroupSpec(domains=["a", "b"], floor=120)}
    made = plan(FOUR, objective="diminishing", groups=groups, caps={"d": 45})
    assert made.binding == ("allocate.caps.d", "allocate.groups.g.floor")
    saved = {name: score / 100 / (1 + made.amounts[name] / 100) ** 2 for name, score in FOUR.items()}
    texts = {dual.limit: dual.text for dual in made.duals}
    assert texts == {
        "budget.rows": f"1 row more in budget.rows would lower the expected loss by {saved['c']:.3g}.",
        "allocate.caps.d": (
            f"1 row more in allocate.caps.d would lower the expected loss by {saved['d'] - saved['c']:.3g}."
        ),
        "allocate.groups.g.floor": (
            f"1 row less in allocate.groups.g.floor would lower the expected loss by {saved['c'] - saved['a']:.3g}."
        ),
    }


def test_a_share_above_its_worth_raises_the_loss():
    made = plan({"a": 1.0, "b": 1.0}, 100, shares={"a": 0.9}, objective="diminishing")
    raised = 0.01 / 1.1**2 - 0.01 / 1.9**2
    assert made.duals[1].text == (f"1 row more by allocate.shares.a would raise the expected loss by {raised:.3g}.")


def test_the_row_that_stops_paying():
    scores, spec = {"a": 1.0, "b": 4.0}, {"objective": "diminishing", "half_rows": 50.0}
    end = plan(scores, **spec).pays_until
    assert end == pytest.approx(50 * (2.5**0.5 - 1) + 50 * (10**0.5 - 1))
    given = AllocateSpec(**spec)
    around = BudgetSpec(rows=[round(end) - 2, round(end) + 2])
    assert [point.pays for point in budget_curve(demands(scores), spec=given, budget=around)] == [True, False]
    assert plan(scores, **spec).notes[-1] == (
        f"Past {end:.0f} rows even the best placed row saves less than a tenth of what the best first row saves, "
        "if 50 rows halve a domain's loss."
    )


def test_a_full_pool_saves_nothing_more():
    (point,) = budget_curve(
        demands({"a": 1.0}, pool=9), spec=AllocateSpec(objective="alpha_fair"), budget=BudgetSpec(rows=9)
    )
    assert (point.next_saves, point.pays) == (0, False)
