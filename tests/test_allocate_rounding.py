"""Whole rows lie next to the plan, meet every limit and sum to the total, as a textbook's largest remainder does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixplan.allocate import DomainDemand, allocate
from mixplan.allocate.problem import build
from mixplan.allocate.rounding import whole_rows
from mixplan.errors import AllocationError
from mixplan.recipe import AllocateSpec, BudgetSpec, GroupSpec


def rows_of(amounts, unit="rows", mean=1.0, pool=10_000, **spec):
    means = [mean] * len(amounts) if isinstance(mean, float) else mean
    demands = [
        DomainDemand(f"d{i}", 1.0, 1.0, 1.0, pool, pool * means[i], float(means[i])) for i in range(len(amounts))
    ]
    problem = build(demands, AllocateSpec(**spec), unit, round(sum(amounts)), 1)
    return whole_rows(problem, np.array(amounts, dtype=float)).tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.01, 50), min_size=1, max_size=20), st.integers(1, 5000))
def test_rows_are_the_largest_remainders(shares, total):
    amounts = np.array(shares) / sum(shares) * total
    got = rows_of(amounts.tolist())
    down = np.floor(np.round(amounts, 6)).astype(int)
    left = sorted(range(len(shares)), key=lambda i: (-round(amounts[i] - down[i], 6), i))[: total - down.sum()]
    assert got == [int(down[i]) + (i in left) for i in range(len(shares))]


def test_equal_remainders_go_to_the_earlier_domain():
    assert rows_of([7 / 3, 7 / 3, 7 / 3]) == [3, 2, 2]


def test_a_whole_amount_is_whole_whatever_its_last_digit():
    assert rows_of([20 - 1e-9, 40 + 1e-9, 40]) == [20, 40, 40]


def test_groups_keep_their_bounds():
    cap = {"g": GroupSpec(domains=["d0", "d1"], cap=5)}
    assert rows_of([2.5, 2.5, 1.4, 1.6], groups=cap) == [3, 2, 1, 2]
    floor = {"g": GroupSpec(domains=["d0", "d1"], floor=3)}
    assert rows_of([1.5, 1.5, 1.6, 1.6, 1.8], groups=floor) == [2, 1, 2, 1, 2]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.5, 20), min_size=4, max_size=8), st.integers(20, 90), st.integers(3, 15))
def test_rows_under_groups_are_next_to_the_plan(scores, total, cap):
    demands = [DomainDemand(f"d{i}", s, s, s, 1000, 1000.0, 1.0) for i, s in enumerate(scores)]
    groups = {
        "g": GroupSpec(domains=["d0", "d1"], cap=cap),
        "h": GroupSpec(domains=["d0", "d1", "d2"], floor=2),
    }
    made = allocate(demands, spec=AllocateSpec(groups=groups), budget=BudgetSpec(rows=total))
    assert sum(made.rows.values()) == total
    assert made.rows["d0"] + made.rows["d1"] <= cap
    assert made.rows["d0"] + made.rows["d1"] + made.rows["d2"] >= 2
    assert all(abs(made.rows[name] - made.amounts[name]) < 1 + 1e-4 for name in made.rows)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.5, 20), st.floats(5, 400)), min_size=2, max_size=8),
    st.integers(2000, 60_000),
    st.integers(0, 300),
)
def test_tokens_stay_within_the_budget(domains, total, floor):
    demands = [DomainDemand(f"d{i}", s, s, s, 100_000, 100_000 * m, m) for i, (s, m) in enumerate(domains)]
    spec = AllocateSpec(floors={"d0": floor}, objective="diminishing", half_rows=5000.0)
    made = allocate(demands, spec=spec, budget=BudgetSpec(tokens=total))
    means = {f"d{i}": m for i, (_, m) in enumerate(domains)}
    spent = sum(rows * means[name] for name, rows in made.rows.items())
    assert spent <= total * (1 + 1e-9)
    assert total - spent < max(means.values())
    assert made.rows["d0"] * means["d0"] >= floor - 1e-6


def test_tokens_become_rows_by_mean_length():
    assert rows_of([1000, 500], unit="tokens", mean=[100.0, 50.0]) == [10, 10]
    assert rows_of([260, 140], unit="tokens", mean=[100.0, 100.0]) == [3, 1]
    assert rows_of([260, 190], unit="tokens", mean=[100.0, 100.0]) == [2, 2]


def test_a_cap_in_tokens_is_not_overrun():
    assert rows_of([290, 310], unit="tokens", mean=[100.0, 100.0], caps={"d0": 290}) == [2, 4]


def test_a_group_cap_in_tokens_is_not_overrun():
    groups = {"g": GroupSpec(domains=["d0", "d1"], cap=350)}
    assert rows_of([180, 170, 250], unit="tokens", mean=100.0, groups=groups) == [2, 1, 3]


def test_a_floor_in_tokens_is_rounded_up_at_the_cost_of_others():
    assert rows_of([250, 200], unit="tokens", mean=[100.0, 40.0], floors={"d0": 250}) == [3, 3]


def test_floors_in_tokens_that_take_the_whole_budget_are_met_to_within_a_row():
    assert rows_of([250, 250], unit="tokens", mean=100.0, floors={"d0": 250, "d1": 250}) == [3, 2]


def test_a_floor_that_a_group_cap_leaves_no_whole_row_for_is_met_to_within_one():
    groups = {"g": GroupSpec(domains=["d0", "d1"], cap=10)}
    assert rows_of([10, 0, 30], unit="tokens", mean=[13.0, 9.0, 10.0], floors={"d0": 10}, groups=groups) == [0, 0, 3]


def test_a_whole_amount_that_rounding_put_above_a_group_cap_is_taken_back():
    groups = {"g": GroupSpec(domains=["d0", "d1"], cap=1_000_000)}
    means = [1_000_000 / 3 + 0.03, 10.0, 10.0]
    assert rows_of([1_000_000, 0, 100], unit="tokens", mean=means, groups=groups)[0] == 2


def test_groups_that_leave_no_whole_rows():
    demands = [DomainDemand(name, 1.0, 1.0, 1.0, 9, 9.0, 1.0) for name in "abcdef"]
    groups = {pair: GroupSpec(domains=list(pair), cap=1) for pair in ("ab", "bc", "ac", "de", "ef", "df")}
    with pytest.raises(AllocationError) as caught:
        allocate(demands, spec=AllocateSpec(groups=groups), budget=BudgetSpec(rows=3))
    assert str(caught.value) == (
        "allocate.groups: no plan of 3 whole rows meets the bounds of groups that cross "
        "('ab', 'bc', 'ac', 'de', 'ef', 'df'). Loosen one of their bounds by 1."
    )
