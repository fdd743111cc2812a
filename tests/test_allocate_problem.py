"""What does not make a problem: every message in full."""

import numpy as np
import pytest

from mixplan.allocate.problem import DomainDemand, budgets, build, prior_shares, size_shares
from mixplan.errors import AllocationError
from mixplan.recipe import AllocateSpec, BudgetSpec, GroupSpec


def demand(name="law", **given):
    return DomainDemand(
        **{
            "name": name,
            "score": 2.0,
            "low": 1.0,
            "high": 3.0,
            "pool_rows": 40,
            "pool_amount": 40.0,
            "mean_row_amount": 1.0,
            **given,
        }
    )


def refused(demands, **spec):
    with pytest.raises(AllocationError) as caught:
        build(demands, AllocateSpec(**spec), "rows", 10, 1)
    return str(caught.value)


def test_a_budget_is_in_rows_or_in_tokens():
    assert budgets(BudgetSpec(rows=7)) == ("rows", (7,))
    assert budgets(BudgetSpec(tokens=[9, 5])) == ("tokens", (9, 5))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "budget: expected exactly one of rows and tokens, found neither."),
        ({"rows": 1, "tokens": 1}, "budget: expected exactly one of rows and tokens, found both."),
        ({"rows": []}, "budget.rows: the list is empty. Give at least one amount."),
    ],
)
def test_a_budget_that_is_none(given, message):
    with pytest.raises(AllocationError) as caught:
        budgets(BudgetSpec(**given))
    assert str(caught.value) == message


def test_bounds_come_from_floors_caps_pools_and_shares():
    demands = [demand("a"), demand("b"), demand("c")]
    spec = AllocateSpec(floors={"a": 3}, caps={"a": 50, "b": 90}, shares={"c": 0.25}, cautious=True)
    problem = build(demands, spec, "rows", 100, 2)
    assert problem.low.tolist() == [3, 0, 25]
    assert problem.high.tolist() == [50, 80, 25]
    assert problem.score.tolist() == [3, 3, 3]


def test_priors():
    demands = [demand("a"), demand("b", pool_amount=120.0)]
    problem = build(demands, AllocateSpec(), "rows", 100, 1)
    assert prior_shares(problem, AllocateSpec(prior="uniform")).tolist() == [0.5, 0.5]
    assert prior_shares(problem, AllocateSpec(prior="size")).tolist() == [0.25, 0.75]
    assert prior_shares(problem, AllocateSpec(prior={"b": 3.0})).tolist() == [0, 1]


def test_empty_pools_are_of_equal_size():
    problem = build([demand("a", pool_amount=0.0), demand("b", pool_amount=0.0)], AllocateSpec(), "rows", 0, 1)
    assert size_shares(problem).tolist() == [0.5, 0.5]


def test_no_domain():
    assert refused([]) == "There is no domain to allocate to. Add one under `domains`."


def test_a_domain_twice():
    assert refused([demand(), demand()]) == "domain 'law' is given twice. Give each domain once."


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"score": np.nan}, "score nan with interval [1, 3]"),
        ({"high": np.inf}, "score 2 with interval [1, inf]"),
        ({"low": -1.0}, "score 2 with interval [-1, 3]"),
        ({"score": 4.0}, "score 4 with interval [1, 3]"),
    ],
)
def test_a_score_that_is_none(given, found):
    assert refused([demand(**given)]) == f"domain 'law' has {found}, expected finite numbers, 0 or more, in order."


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"pool_rows": -1}, "-1 rows and 40 in the budget's unit at 1 a row"),
        ({"pool_amount": np.nan}, "40 rows and nan in the budget's unit at 1 a row"),
        ({"mean_row_amount": 0.0}, "40 rows and 40 in the budget's unit at 0 a row"),
    ],
)
def test_a_pool_that_is_none(given, found):
    assert refused([demand(**given)]) == (
        f"domain 'law' has a pool of {found}, expected finite numbers, 0 or more, and more than 0 a row."
    )


def test_unknown_domains_all_at_once():
    message = refused(
        [demand("law"), demand("math")],
        floors={"lwa": 1},
        caps={"maths": 1},
        shares={"zebra": 0.1},
        prior={"Law": 1.0},
        groups={"g": GroupSpec(domains=["law", "mat"])},
    )
    assert message == (
        "allocate.floors: there is no domain 'lwa'. Did you mean 'law'?\n"
        "allocate.caps: there is no domain 'maths'. Did you mean 'math'?\n"
        "allocate.shares: there is no domain 'zebra'. Known: 'law', 'math'.\n"
        "allocate.prior: there is no domain 'Law'. Did you mean 'law'?\n"
        "allocate.groups.g.domains: there is no domain 'mat'. Did you mean 'math'?"
    )


def test_a_pull_towards_nothing():
    problem = build([demand()], AllocateSpec(), "rows", 10, 1)
    with pytest.raises(AllocationError) as caught:
        prior_shares(problem, AllocateSpec(prior_strength=0.5))
    assert str(caught.value) == (
        "allocate.prior_strength is 0.5, but there is no prior to be pulled towards. "
        "Add `allocate.prior`, or set `allocate.prior_strength` to 0."
    )
    with pytest.raises(AllocationError) as caught:
        prior_shares(problem, AllocateSpec(prior={"law": 0.0}))
    assert str(caught.value) == "allocate.prior: every share is 0. Give at least one domain a share above 0."
