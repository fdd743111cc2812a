"""What a plan saves beyond an even spread: the formula, its interval against simulation, and what is reported of it."""

import dataclasses

import numpy as np
import pytest

from mixplan.allocate import DomainDemand, allocate
from mixplan.allocate.even_spread import against_even, even_amounts, part
from mixplan.allocate.problem import build
from mixplan.allocate.result import AgainstEven, Saved
from mixplan.recipe import AllocateSpec, BudgetSpec


def demands(scores, *, apart=0.0, pool=1000):
    return [DomainDemand(n, s, s * (1 - apart), s * (1 + apart), pool, float(pool), 1.0) for n, s in scores.items()]


def allocation(scores, budget=60, *, apart=0.0, pool=1000, **spec):
    given = AllocateSpec(**{"objective": "min_max", "half_rows": 20.0, **spec})
    return allocate(demands(scores, apart=apart, pool=pool), spec=given, budget=BudgetSpec(rows=budget))


def test_what_is_saved_is_the_formula_s():
    made = allocation({"a": 1.0, "b": 3.0}, half_rows=20.0)
    # Equal losses: 1 / (1 + x/20) = 3 / (1 + (60 - x)/20), so x = 5; an even spread gives 30 rows each.
    assert made.rows == {"a": 5, "b": 55}
    assert made.against_uniform.worst.value == pytest.approx(1 - (3 / (1 + 55 / 20)) / (3 / (1 + 30 / 20)))
    together = 1 - (1 / (1 + 5 / 20) + 3 / (1 + 55 / 20)) / (4 / (1 + 30 / 20))
    assert made.against_uniform.together.value == pytest.approx(together)
    # Scores without any uncertainty leave none in what is saved.
    worst = made.against_uniform.worst
    assert (worst.low, worst.high) == (pytest.approx(worst.value), pytest.approx(worst.value))


def test_the_interval_is_that_of_scores_drawn_within_theirs():
    spec = AllocateSpec(objective="min_max", half_rows=20.0)
    given = [DomainDemand("a", 1.0, 0.8, 1.6, 1000, 1000.0, 1.0), DomainDemand("b", 3.0, 1.0, 4.0, 1000, 1000.0, 1.0)]
    amount = np.array([5.0, 55.0])
    found = against_even(build(given, spec, "rows", 60, 1), spec, amount)
    rng = np.random.default_rng(7)
    z = rng.standard_normal((200_000, 2)) / 1.959964
    scores = np.maximum(np.array([1.0, 3.0]) + np.where(z > 0, z * [0.6, 1.0], z * [0.2, 2.0]), 0)
    left, even = scores / (1 + amount / 20), scores / (1 + 30 / 20)
    low, high = np.quantile(1 - left.max(1) / even.max(1), (0.025, 0.975))
    assert (found.worst.low, found.worst.high) == pytest.approx((low, high), abs=0.03)
    low, high = np.quantile(1 - left.sum(1) / even.sum(1), (0.025, 0.975))
    assert (found.together.low, found.together.high) == pytest.approx((low, high), abs=0.03)


def test_scores_that_are_apart_but_unsure_do_not_found_a_plan():
    # The ends of the chain are told apart, but what would be saved is not.
    scores = {"a": 1.0, "b": 1.3, "c": 1.6}
    sure, unsure = allocation(scores, apart=0.02), allocation(scores, apart=0.22)
    assert sure.no_better_than_uniform is None
    assert unsure.notes[0] == "The 95 % intervals tell 1 of 3 pairs of domains apart."
    against = unsure.against_uniform
    assert not against.surely
    worst, together = part(against.worst), part(against.together)
    assert unsure.no_better_than_uniform == (
        "With the scores anywhere in their 95 % intervals, spreading the budget evenly may do as well: the plan's "
        f"worst expected loss is {worst} an even spread's, all domains' together {together}."
    )


def test_an_even_spread_keeps_to_floors_caps_shares_and_pools():
    given = demands({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}, pool=40)
    spec = AllocateSpec(floors={"a": 37}, caps={"b": 3}, shares={"c": 0.1})
    assert even_amounts(build(given, spec, "rows", 80, 1), spec) == pytest.approx([37, 3, 8, 32])


@pytest.mark.parametrize(("scores", "budget"), [({"a": 1.0}, 60), ({"a": 1.0, "b": 2.0}, 0), ({"a": 0.0, "b": 0.0}, 9)])
def test_without_anything_to_compare_nothing_is_told(scores, budget):
    made = allocation(scores, budget)
    assert made.against_uniform is None
    assert not any("even spread's" in note for note in made.notes)


def test_a_plan_says_what_it_saves():
    made = allocation({"a": 1.0, "b": 3.0})
    assert made.notes[1] == (
        "If 20 rows halve a domain's loss and scores lie in their intervals, the plan's worst expected loss is "
        "33% [33%, 33%] below an even spread's, all domains' together 0% [0%, 0%] below."
    )
    assert part(Saved(-0.1, -0.3, 0.2)) == "10% [-20%, 30%] above"


@pytest.mark.parametrize(
    ("worst", "together", "surely"), [(0.1, -0.1, True), (-0.1, 0.1, True), (0.0, -0.1, False), (-0.2, -0.1, False)]
)
def test_it_is_surely_better_when_one_of_both_is(worst, together, surely):
    assert AgainstEven(Saved(0.5, worst, 1.0), Saved(0.5, together, 1.0)).surely is surely


def test_ten_thousand_domains():
    rng = np.random.default_rng(0)
    scores = {f"d{n}": score for n, score in enumerate(rng.uniform(0.5, 2, 10_000))}
    made = allocation(scores, 50_000, apart=0.1)
    assert made.against_uniform.worst.low > 0
    assert dataclasses.asdict(made)["against_uniform"]["together"]["value"] == made.against_uniform.together.value


@pytest.mark.parametrize("seed", range(8))
def test_an_even_spread_keeps_to_groups_so_that_the_best_plan_loses_no_more(seed):
    """A spread that the recipe forbids is none to be held against: the least loss within limits was told as more."""
    draw = np.random.default_rng(seed)
    scores = dict(zip("abcd", draw.lognormal(sigma=1, size=4), strict=True))
    groups = {"g": {"domains": ["a", "b"], "floor": 0, "cap": int(draw.integers(0, 12))}}
    made = allocation(scores, objective="diminishing", groups=groups)
    assert made.against_uniform.together.value >= -1e-9
    even = {name: made.spreads.even.rows[name] for name in scores}
    left = sum(score / (1 + even[name] / 20) for name, score in scores.items())
    mine = sum(score / (1 + made.amounts[name] / 20) for name, score in scores.items())
    assert made.against_uniform.together.value == pytest.approx(1 - mine / left, abs=0.02)
