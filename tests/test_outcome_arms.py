"""Each arm's rows: as many as the plan's, spread as the arm says, within every pool."""

import numpy as np
import pytest
from as_saved import typed
from hypothesis import given
from hypothesis import strategies as st
from saved_plan import sample

from mixplan.errors import RunError
from mixplan.outcome.arms import ARMS, arm_rows, filled
from mixplan.saved import Plan
from mixplan.saved.base_types import Interval
from mixplan.saved.plan import Recipe

PLAN = typed(Plan, sample(domains=4))
LAW = PLAN.domains["law"]
SPLITS = LAW.rows


def plan_of(pools, rows, *, repeats=1, each=None):
    names = [f"d{number:02d}" for number in range(len(pools))]
    each = each or [1.0] * len(pools)
    domains = {}
    for number, (name, pool, tokens) in enumerate(zip(names, pools, each, strict=True)):
        score = Interval(value=number + 1.0, low=0.0, high=9.0)
        splits = SPLITS.model_copy(update={"pool": pool})
        domains[name] = LAW.model_copy(update={"rows": splits, "row_tokens_mean": tokens, "sts_icl": score})
    unit = "tokens" if set(each) != {1.0} else "rows"
    spread = {"unit": unit, "max_repeats": repeats, "rows": dict(zip(names, rows, strict=True))}
    return PLAN.model_copy(update={"domains": domains, "allocation": PLAN.allocation.model_copy(update=spread)})


def limited(plan, **limits):
    return plan.model_copy(update={"recipe": Recipe.model_validate({"allocate": limits})})


def test_the_arms_of_a_small_plan():
    plan = plan_of([10, 100, 1000], [10, 40, 10])
    assert arm_rows("plan", plan, seed=0) == {"d00": 10, "d01": 40, "d02": 10}
    assert arm_rows("none", plan, seed=0) == {"d00": 0, "d01": 0, "d02": 0}
    assert arm_rows("uniform", plan, seed=0) == {"d00": 10, "d01": 25, "d02": 25}
    assert arm_rows("proportional_to_size", plan, seed=0) == {"d00": 1, "d01": 5, "d02": 54}
    assert arm_rows("uniform", plan_of([10, 100, 1000], [10, 40, 10], repeats=2), seed=0) == {
        "d00": 20, "d01": 20, "d02": 20,
    }  # fmt: skip


@pytest.mark.parametrize("arm", ["uniform", "proportional_to_size", "proportional_to_sts", "random", "oracle"])
def test_no_arm_has_more_of_a_domain_than_the_recipe_lets_in(arm):
    plan = plan_of([100, 100, 100, 100], [20, 5, 20, 0])
    losses = {"d01": 0.5, "d03": 0.9}
    found = arm_rows(arm, limited(plan, caps={"d01": 5, "d03": 0}), seed=0, losses=losses)
    assert (sum(found.values()), found["d03"]) == (45, 0)
    assert found["d01"] == (5 if arm == "oracle" else min(found["d01"], 5))
    found = arm_rows(arm, limited(plan, shares={"d02": 0.0, "d01": 0.5}), seed=0)
    assert (sum(found.values()), found["d02"]) == (45, 0)


def test_a_cap_in_tokens_is_one_of_whole_rows():
    plan = plan_of([100, 100], [10, 10], each=[10.0, 20.0])
    assert arm_rows("uniform", limited(plan, caps={"d01": 110}), seed=0) == {"d00": 20, "d01": 5}


def test_by_score_and_by_loss():
    plan = plan_of([100, 100, 100], [20, 20, 20])
    assert arm_rows("proportional_to_sts", plan, seed=0) == {"d00": 10, "d01": 20, "d02": 30}
    losses = {"d00": 0.3, "d01": 0.0, "d02": 0.1, "target": 9.0}
    assert arm_rows("oracle", plan, seed=0, losses=losses) == {"d00": 45, "d01": 0, "d02": 15}
    assert arm_rows("oracle", plan, seed=0, losses={}) == {"d00": 20, "d01": 20, "d02": 20}


@st.composite
def plans(draw):
    pools = draw(st.lists(st.integers(0, 40), min_size=1, max_size=8))
    repeats = draw(st.integers(1, 3))
    rows = [draw(st.integers(0, pool * repeats)) for pool in pools]
    return plan_of(pools, rows, repeats=repeats), pools, rows, repeats


@given(made=plans(), arm=st.sampled_from(ARMS[1:]), seed=st.integers(0, 99))
def test_every_arm_adds_as_many_rows_as_the_plan_and_no_pool_gives_more_than_it_has(made, arm, seed):
    plan, pools, planned, repeats = made
    found = list(arm_rows(arm, plan, seed=seed).values())
    assert sum(found) == sum(planned)
    assert all(0 <= rows <= pool * repeats for rows, pool in zip(found, pools, strict=True))


@given(made=plans())
def test_uniform_is_equal_but_where_the_pool_ends(made):
    plan, pools, _, repeats = made
    found = list(arm_rows("uniform", plan, seed=0).values())
    highest = max(found)
    for rows, pool in zip(found, pools, strict=True):
        assert rows >= highest - 1 or rows == pool * repeats


@given(made=plans())
def test_by_size_is_within_a_row_of_the_exact_share(made):
    plan, pools, planned, _ = made
    for rows, pool in zip(arm_rows("proportional_to_size", plan, seed=0).values(), pools, strict=True):
        assert abs(rows - sum(planned) * pool / max(1, sum(pools))) < 1


def test_random_shares_are_of_their_seed_and_uniform_on_the_simplex():
    plan = plan_of([10_000] * 4, [2500] * 4)
    assert arm_rows("random", plan, seed=3) == arm_rows("random", plan, seed=3)
    drawn = np.array([list(arm_rows("random", plan, seed=seed).values()) for seed in range(400)]) / 10_000
    # Dirichlet(1, 1, 1, 1): mean 1/4, variance 3/80.
    assert drawn.mean(axis=0) == pytest.approx([0.25] * 4, abs=0.035)
    assert drawn.var(axis=0) == pytest.approx([3 / 80] * 4, rel=0.3)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.data())
def test_a_budget_in_tokens_is_met_to_less_than_a_row(tokens, data):
    pools = [data.draw(st.integers(1, 30)) for _ in tokens]
    rows = [data.draw(st.integers(0, pool)) for pool in pools]
    each = [float(count) + 0.5 for count in tokens]
    plan = plan_of(pools, rows, each=each)
    found = np.array(list(arm_rows("uniform", plan, seed=0).values()))
    spent, total = float(found @ each), float(np.array(rows) @ each)
    assert spent <= total * (1 + 1e-9)
    spare = [one for one, row, pool in zip(each, found, pools, strict=True) if row < pool]
    assert not spare or total - spent < max(spare) + 1e-6 * total


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50)), min_size=1, max_size=8),
    st.integers(0, 400),
)
def test_one_level_fills_all(pairs, total):
    proportions, caps = np.array(pairs, dtype=np.float64).T
    amounts = filled(proportions, float(total), caps)
    assert amounts.sum() == pytest.approx(min(total, caps.sum()), abs=1e-9)
    assert (amounts <= caps + 1e-9).all()
    below = (amounts < caps - 1e-9) & (proportions > 0)
    levels = amounts[below] / proportions[below]
    assert np.ptp(levels) < 1e-9 if len(levels) else True
    if len(levels):
        full = (proportions > 0) & ~below
        assert (caps[full] <= levels[0] * proportions[full] + 1e-9).all()
        assert amounts[proportions == 0].sum() < 1e-9


def test_an_unknown_arm():
    with pytest.raises(RunError) as caught:
        arm_rows("unifrom", plan_of([], []), seed=0)
    assert str(caught.value) == (
        "--arms: found 'unifrom', expected one of none, uniform, proportional_to_size, proportional_to_sts, random, "
        "oracle, plan. "
        "Did you mean 'uniform'?"
    )


@pytest.mark.parametrize("arm", ARMS)
def test_a_plan_without_domains_has_no_rows(arm):
    assert arm_rows(arm, plan_of([], []), seed=0) == {}
