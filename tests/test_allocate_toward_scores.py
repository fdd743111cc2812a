"""Rows moved from an even spread towards the proportional rule: within every limit, and best at both ends."""

import itertools

import numpy as np
import pytest
from posed import LIMITS, posed

from mixplan.allocate.objectives import ideal_curve
from mixplan.allocate.rounding import whole_rows
from mixplan.allocate.toward_scores import even_within, moved, proportional_within, ties
from mixplan.recipe import AllocateSpec, GroupSpec


def weighted(score, total, weight, pool=10**6, **spec):
    problem, spec = posed(score, total, pool, **spec)
    return problem.__class__(**{**vars(problem), "weight": weight}), spec


def met(problem, amount):
    joint = problem.member @ amount
    return (
        amount.sum() == pytest.approx(problem.total)
        and (amount >= problem.low - 1e-6).all()
        and (amount <= problem.high + 1e-6).all()
        and (joint >= problem.group_floor - 1e-6).all()
        and (joint <= problem.group_cap + 1e-6).all()
    )


def brute_force(problem, weights):
    """The best whole amounts by the sum of weighted logarithms, every one tried; a domain without rows is worst."""
    total, count = round(problem.total), len(weights)
    best, most = None, -np.inf
    for cuts in itertools.combinations(range(1, total), count - 1):
        amount = np.diff([0, *cuts, total]).astype(float)
        if met(problem, amount) and (value := float(weights @ np.log(amount))) > most + 1e-12:
            best, most = amount, value
    return best, most


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"caps": {"d": 4}},
        {"floors": {"a": 6}},
        {"groups": {"g": GroupSpec(domains=["c", "d"], cap=7)}},
        {"groups": {"g": GroupSpec(domains=["a", "b"], floor=12), "h": GroupSpec(domains=["c"], cap=3)}},
    ],
)
def test_both_ends_are_no_worse_than_every_plan_in_whole_rows(limits):
    score = np.array([1.0, 2.0, 3.0, 6.0])
    problem, spec = posed(score, 20, **limits)
    for found, weights in ((even_within, np.ones(4)), (proportional_within, score)):
        amount = found(problem, spec).amount
        _, most = brute_force(problem, weights)
        assert met(problem, amount)
        assert weights @ np.log(amount) >= most - 1e-6


def test_without_limits_the_scores_are_shrunk_towards_their_mean():
    score = np.array([1.0, 2.0, 3.0, 10.0])
    for weight in (0.0, 0.3, 0.75, 1.0):
        shrunk = (1 - weight) * score.mean() + weight * score
        found = moved(*weighted(score, 160, weight, objective="evidence")).amount
        assert found == pytest.approx(160 * shrunk / shrunk.sum(), rel=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_every_weight_keeps_every_limit_in_rows_too(seed):
    generator = np.random.default_rng(seed)
    score = generator.lognormal(size=6)
    pool = [int(one) for one in generator.integers(40, 90, 6)]
    for weight in generator.uniform(0, 1, 4):
        problem, spec = weighted(score, 150, float(weight), pool, objective="evidence", **LIMITS)
        amount = moved(problem, spec).amount
        assert met(problem, amount)
        rows = whole_rows(problem, amount, ties(problem, spec))
        assert rows.sum() == 150
        assert (rows >= np.floor(problem.low)).all()
        assert (rows <= np.ceil(problem.high)).all()
        assert rows[1] + rows[2] <= 70
        assert np.abs(rows - amount).max() <= 1 + 1e-6


def test_what_it_is_worth_is_the_expected_loss_of_all_domains():
    problem, spec = weighted([1.0, 3.0], 40, 0.5, objective="evidence", half_rows=10.0)
    found = moved(problem, spec)
    assert found.amount == pytest.approx([15, 25])
    assert found.value == pytest.approx(1 / 2.5 + 3 / 3.5)
    assert found.duals is None


def test_scores_of_0_leave_an_even_spread_at_any_weight():
    assert moved(*weighted([0.0, 0.0, 0.0], 30, 1.0, objective="evidence")).amount == pytest.approx([10] * 3)


def test_rows_that_do_not_divide_go_to_the_domains_at_most_risk():
    problem, spec = weighted([1.0, 4.0, 2.0], 11, 0.0, objective="evidence")
    assert whole_rows(problem, moved(problem, spec).amount, ties(problem, spec)).tolist() == [3, 4, 4]
    assert ties(*posed([1.0, 4.0, 2.0], 11)) is None


def test_no_single_curve_stands_for_it():
    with pytest.raises(ValueError, match="no curve of its own"):
        ideal_curve(np.ones(2), AllocateSpec(objective="evidence"))
