"""Every limit that cannot hold: the whole message, and that its remedies are true."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixplan.allocate import DomainDemand, allocate
from mixplan.errors import AllocationError
from mixplan.recipe import AllocateSpec, BudgetSpec, GroupSpec


def demands(pools, scores=None):
    scores = scores or [1.0] * len(pools)
    return [
        DomainDemand(name, score, score, score, pool, float(pool), 1.0)
        for (name, pool), score in zip(pools.items(), scores, strict=True)
    ]


def refused(pools, budget, **spec):
    if isinstance(budget, int):
        budget = BudgetSpec(rows=budget)
    with pytest.raises(AllocationError) as caught:
        allocate(demands(pools), spec=AllocateSpec(**spec), budget=budget)
    return str(caught.value)


POOLS = {"law": 100, "math": 100, "art": 100, "bio": 100}


def test_a_budget_beyond_all_pools():
    assert refused(POOLS, 500) == (
        "budget.rows: the budget of 500 rows cannot be spent: all pools together hold 400.\n"
        "Set `budget.rows` to 400 or less, or allow repeats with `budget.max_repeats: 2`."
    )


def test_a_budget_beyond_all_pools_and_their_repeats():
    assert refused(POOLS, BudgetSpec(rows=900, max_repeats=2)) == (
        "budget.rows: the budget of 900 rows cannot be spent: all pools together hold 800, used up to 2 times.\n"
        "Set `budget.rows` to 800 or less, or allow repeats with `budget.max_repeats: 3`."
    )


def test_a_budget_in_tokens_beyond_empty_pools():
    assert refused({"law": 0}, BudgetSpec(tokens=900)) == (
        "budget.tokens: the budget of 900 tokens cannot be spent: all pools together hold 0.\n"
        "Set `budget.tokens` to 0 or less."
    )


def test_floors_and_shares_beyond_their_pools_all_at_once():
    assert refused(POOLS, 220, floors={"law": 120}, shares={"math": 0.6}) == (
        "allocate.floors.law: domain 'law' has 100 pool rows, but its floor is 120.\n"
        "Lower `allocate.floors.law` to 100, or allow repeats with `budget.max_repeats: 2`.\n"
        "allocate.shares.math: domain 'math' has 100 pool rows, but its share 0.6 of the budget is 132.\n"
        "Lower `allocate.shares.math` to 0.4545, or allow repeats with `budget.max_repeats: 2`."
    )


def test_a_floor_on_an_empty_pool():
    assert refused({"law": 0, "math": 90}, 50, floors={"law": 10}) == (
        "allocate.floors.law: domain 'law' has 0 pool rows, but its floor is 10.\nLower `allocate.floors.law` to 0."
    )


def test_floors_beyond_the_budget():
    assert refused(POOLS, 220, floors={"law": 90, "math": 95, "art": 80}) == (
        "No plan of 220 rows meets all limits. These clash: `allocate.floors.law` (90), `allocate.floors.math` (95), "
        "`allocate.floors.art` (80).\n"
        "The smallest change that fits: lower `allocate.floors.law` to 45. Or set `budget.rows` to 265 or more."
    )


def test_caps_below_the_budget():
    assert refused(POOLS, 220, caps={"law": 20, "math": 20, "art": 20}) == (
        "No plan of 220 rows meets all limits. These clash: `allocate.caps.law` (20), `allocate.caps.math` (20), "
        "`allocate.caps.art` (20), the pool of 'bio' (100).\n"
        "The smallest change that fits: raise `allocate.caps.law` to 80. Or set `budget.rows` to 160 or less."
    )


def test_a_floor_above_its_cap():
    assert refused(POOLS, 220, floors={"law": 60}, caps={"law": 50}) == (
        "No plan of 220 rows meets all limits. These clash: `allocate.floors.law` (60), `allocate.caps.law` (50).\n"
        "The smallest change that fits: lower `allocate.floors.law` to 50."
    )


def test_shares_that_leave_budget_unspent():
    assert refused({"law": 500, "math": 500}, 200, shares={"law": 0.4, "math": 0.5}) == (
        "No plan of 200 rows meets all limits. "
        "These clash: `allocate.shares.law` (0.4), `allocate.shares.math` (0.5).\n"
        "The smallest change that fits: raise `allocate.shares.law` to 0.5."
    )


def test_a_share_below_its_floor():
    assert refused(POOLS, 100, shares={"law": 0.1}, floors={"law": 20}) == (
        "No plan of 100 rows meets all limits. These clash: `allocate.floors.law` (20), `allocate.shares.law` (0.1).\n"
        "The smallest change that fits: lower `allocate.floors.law` to 10. Or set `budget.rows` to 200 or more."
    )


def test_a_group_floor_that_its_domains_cannot_meet():
    groups = {"texts": GroupSpec(domains=["law", "math"], floor=150)}
    assert refused(POOLS, 220, groups=groups, caps={"law": 20}) == (
        "No plan of 220 rows meets all limits. These clash: `allocate.caps.law` (20), "
        "`allocate.groups.texts.floor` (150), the pool of 'math' (100).\n"
        "The smallest change that fits: raise `allocate.caps.law` to 50."
    )


def test_a_group_cap_below_its_floors():
    groups = {"texts": GroupSpec(domains=["law", "math"], cap=50)}
    assert refused(POOLS, 220, groups=groups, floors={"law": 30, "math": 40}) == (
        "No plan of 220 rows meets all limits. These clash: `allocate.floors.law` (30), `allocate.floors.math` (40), "
        "`allocate.groups.texts.cap` (50).\n"
        "The smallest change that fits: lower `allocate.floors.law` to 10."
    )


def test_more_clashing_limits_than_are_worth_naming():
    pools = {f"d{i}": 100 for i in range(9)}
    assert refused(pools, 80, floors=dict.fromkeys(pools, 10)) == (
        "No plan of 80 rows meets all limits. These clash: `allocate.floors.d0` (10), `allocate.floors.d1` (10), "
        "`allocate.floors.d2` (10), `allocate.floors.d3` (10), `allocate.floors.d4` (10), `allocate.floors.d5` (10), "
        "and 3 more.\n"
        "The smallest change that fits: lower `allocate.floors.d0` to 0. Or set `budget.rows` to 90 or more."
    )


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_remedies_fit(data):
    names = list(POOLS)
    floors = {name: data.draw(st.integers(0, 90)) for name in names}
    caps = {name: data.draw(st.integers(floors[name], 100)) for name in names[:2]}
    groups = {"g": {"domains": names[:2], "floor": 0, "cap": data.draw(st.integers(10, 150))}}
    budget = data.draw(st.integers(10, 390))

    def attempt(budget):
        spec = AllocateSpec(floors=floors, caps=caps, groups={"g": GroupSpec(**groups["g"])})
        return allocate(demands(POOLS), spec=spec, budget=BudgetSpec(rows=budget))

    try:
        attempt(budget)
    except AllocationError as error:
        message = str(error)
    else:
        return
    if other := re.search(r"set `budget.rows` to (\d+)", message):
        assert sum(attempt(int(other[1])).rows.values()) == int(other[1])
    for key, name, to in re.findall(r"(?:lower|raise) `allocate\.(\w+)\.([\w.]+)` to (\d+)", message):
        if key == "groups":
            groups["g"][name.partition(".")[2]] = int(to)
        else:
            {"floors": floors, "caps": caps}[key][name] = int(to)
    assert sum(attempt(budget).rows.values()) == budget
