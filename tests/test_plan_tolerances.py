"""Which tolerances a plan expects to break, and the smallest budget that keeps them, against every budget tried."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from tolerated import load_with
from wrong_recipes import BASE

from mixplan.allocate import DomainDemand, allocate
from mixplan.forecast import Amount, Forecast, Halving
from mixplan.forecast.expected_change import Learned
from mixplan.plan.budget import Spent
from mixplan.plan.tolerances import planned_tolerances
from mixplan.recipe import BudgetSpec, Recipe, load_recipe
from mixplan.saved.base_types import Expected

SCORES = {"law": 3.0, "sums": 1.0}
POOLS = {"law": 12, "sums": 18}
LOSSES = {"law": (-0.06, -0.10, -0.03), "sums": (-0.02, -0.05, 0.02)}
"""Expected change of accuracy, with its interval."""


def forecast(changes=LOSSES, **more: Expected) -> Forecast:
    """A forecast of the headlines, and of whatever else is given by domain."""
    measures = {"law": ("choice", "correct"), "sums": ("exact", "score")}
    expected = {}
    for name, (change, low, high) in changes.items():
        measure, quantity = measures[name]
        one = Expected(measure=measure, quantity=quantity, change=change, low=low, high=high)
        expected[name] = {"headline": one} | ({"behaviour": more[name]} if name in more else {})
    return Forecast("learned", "", {}, learned=Learned({}, expected, None, {}))


def spent(asked: Recipe, budget: int = 8, each: float = 1.0) -> Spent:
    unit = "rows" if each == 1.0 else "tokens"
    demands = tuple(
        DomainDemand(name, score, score, score, POOLS[name], each * POOLS[name], each) for name, score in SCORES.items()
    )
    amount = BudgetSpec.model_validate({unit: budget, "max_repeats": asked.budget.max_repeats})
    return Spent(allocate(demands, spec=asked.allocate, budget=amount), (), (), demands)


ROWS: dict[int, dict[str, int]] = {}
"""The rows of each budget that was tried, where the recipe sets no limits."""


def rows_at(asked: Recipe, budget: int) -> dict[str, int]:
    if budget not in ROWS:
        ROWS[budget] = dict(spent(asked, budget).allocation.rows)
    return ROWS[budget]


def chance(name: str, rows: dict[str, int], amount: float, half: float) -> float:
    """The probability of losing more than so many points, by quantiles of the two halves of the interval."""
    left = 100 / (1 + rows[name] / half)
    change, low, high = LOSSES[name]
    value, least, most = -left * change, -left * high, -left * low
    width = (most - value if amount > value else value - least) / norm.ppf(0.975)
    return float(norm.sf(amount, value, width))


@pytest.mark.parametrize("half", [2.0, 8.0, 20.0])
@pytest.mark.parametrize("amounts", [(4.0, 1.5), (6.5, 3.0), (2.0, 5.0)])
def test_probabilities_and_budgets_are_those_of_every_budget_tried(tmp_path, monkeypatch, half, amounts):
    law, sums = amounts
    asked = load_with(tmp_path, monkeypatch, f"{{law: {law} pp, sums: {sums} pp}}")
    found = planned_tolerances(asked, spent(asked), forecast(), lambda: Amount(Halving(half), "so many.", "accuracy"))
    rows, none = rows_at(asked, 8), dict.fromkeys(SCORES, 0)
    held = dict(zip(SCORES, amounts, strict=True))
    for one in found.expected:
        assert one.breaks == pytest.approx(chance(one.domain, rows, held[one.domain], half), abs=1e-5)
        assert one.breaks_without == pytest.approx(chance(one.domain, none, held[one.domain], half), abs=1e-5)
        assert one.loss.value == pytest.approx(-100 * LOSSES[one.domain][0] / (1 + rows[one.domain] / half))
    assert (found.most, found.rows_save, found.assumed) == (30, {"pp": "so many."}, [])
    for kept in found.kept:
        enough = [
            budget
            for budget in range(31)
            if all(
                chance(name, rows_at(asked, budget), amount, half) <= 1 - kept.probability + 1e-9
                for name, amount in held.items()
            )
        ]
        assert kept.budget == min(enough, default=None)
        assert (kept.short == []) == bool(enough)


def test_what_no_budget_keeps_is_named_the_worst_first(tmp_path, monkeypatch):
    asked = load_with(tmp_path, monkeypatch, "{law: 0 pp, sums: 0 pp}")
    found = planned_tolerances(asked, spent(asked), forecast(), lambda: Amount(Halving(100.0), "", "accuracy"))
    assert [(kept.probability, kept.budget, kept.short) for kept in found.kept] == [
        (0.5, None, ["law", "sums"]),
        (0.9, None, ["law", "sums"]),
    ]


def test_rows_that_save_nothing_keep_nothing_and_no_rows_may_be_enough(tmp_path, monkeypatch):
    asked = load_with(tmp_path, monkeypatch, "{law: 4 pp}")
    (expected, likely) = planned_tolerances(
        asked, spent(asked), forecast(), lambda: Amount(Halving(math.inf), "", "accuracy")
    ).kept
    assert (expected.budget, likely.budget) == (None, None)
    asked = load_with(tmp_path, monkeypatch, "{law: 30 pp}")
    assert [kept.budget for kept in planned_tolerances(
        asked, spent(asked), forecast(), lambda: Amount(Halving(100.0), "", "accuracy")).kept] == [0, 0]  # fmt: skip


def test_limits_bound_the_budgets_that_are_tried(tmp_path, monkeypatch):
    """A floor of 4 makes 4 the least; a cap of 6 and a pool of 18 make 24 the most."""
    asked = load_with(tmp_path, monkeypatch, "{sums: 50 pp}", "allocate: {floors: {law: 4}, caps: {law: 6}}\n")
    found = planned_tolerances(asked, spent(asked), forecast(), lambda: Amount(Halving(100.0), "", "accuracy"))
    assert (found.kept[0].budget, found.most) == (4, 24)


def test_tokens_are_rows_of_mean_length(tmp_path, monkeypatch):
    text = BASE.replace("{rows: 100}", "{tokens: 100}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(f"{text}tolerances: {{law: 4 pp}}\n")
    asked = load_recipe(tmp_path / "recipe.yaml").recipe
    made = spent(asked, 40, each=5.0)
    found = planned_tolerances(asked, made, forecast(), lambda: Amount(Halving(8.0), "", "accuracy"))
    (one,) = found.expected
    assert one.loss.value == pytest.approx(6 / (1 + made.rows["law"] / 8))
    # 6 points are 4 behind 4 rows of law; with those of sums that is what the allocation spends beside them.
    enough = next(budget for budget in range(150) if spent(asked, budget, each=5.0).rows["law"] >= 4)
    assert found.kept[0].budget == enough


@pytest.mark.parametrize(("given", "half"), [("null", 100 * 5.0), ("50", 50.0)])
def test_what_is_assumed_of_tokens_is_of_so_many_rows_where_the_recipe_names_no_amount(
    tmp_path, monkeypatch, given, half
):
    text = BASE.replace("{rows: 100}", "{tokens: 100}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(f"{text}tolerances: {{law: 4 pp}}\nallocate: {{half_rows: {given}}}\n")
    asked = load_recipe(tmp_path / "recipe.yaml").recipe
    made = spent(asked, 40, each=5.0)
    found = planned_tolerances(asked, made, forecast(), lambda: Amount(Halving(100.0), ""))
    assert found.expected[0].loss.value == pytest.approx(6 / (1 + 5 * made.rows["law"] / half))
    assert found.rows_save["pp"].startswith(f"{half:g} tokens of its own are taken to halve")


def test_without_a_forecast_no_probability_is_made_up(tmp_path, monkeypatch):
    asked = load_with(tmp_path, monkeypatch, "{all: 2 pp, law: [2 pp, 0.1 nats]}")

    def nobody() -> Amount:
        raise AssertionError("what rows save was asked of nothing")

    found = planned_tolerances(asked, spent(asked), Forecast("relative", "", {}), nobody)
    assert [(one.domain, one.text, one.loss, one.breaks) for one in found.expected] == [
        ("law", "2 pp", None, None),
        ("law", "0.1 nats", None, None),
        ("sums", "2 pp", None, None),
    ]
    assert (found.kept, found.rows_save, found.assumed) == ([], {}, [])
    # A forecast of accuracy says nothing of behaviour; one of a task's metric that is no share says nothing of points.
    found = planned_tolerances(asked, spent(asked), forecast(), lambda: Amount(Halving(100.0), "", "accuracy"))
    assert [one.breaks is None for one in found.expected] == [False, True, False]


def test_behaviour_is_lost_by_as_much_as_it_moves(tmp_path, monkeypatch):
    asked = load_with(tmp_path, monkeypatch, "{law: 0.1 nats}")
    moved = Expected(measure="behaviour", quantity="kl", change=0.3, low=0.1, high=0.9)
    found = planned_tolerances(asked, spent(asked), forecast(law=moved), lambda: Amount(Halving(1e9), "", "kl"))
    (one,) = found.expected
    assert one.loss.value == pytest.approx(0.3)
    assert one.breaks == pytest.approx(norm.sf(0.1, 0.3, 0.2 / 1.96), abs=1e-4)


def test_a_recipe_without_tolerances_has_no_forecast_of_them(tmp_path, monkeypatch):
    asked = load_with(tmp_path, monkeypatch, "{}")
    assert planned_tolerances(asked, spent(asked), forecast(), lambda: Amount(Halving(100.0), "", "accuracy")) is None


def test_more_rows_make_no_tolerance_likelier_to_break(tmp_path, monkeypatch):
    asked = load_with(tmp_path, monkeypatch, "{all: 3 pp}")
    made = [
        [one.breaks for one in planned_tolerances(
            asked, spent(asked, budget), forecast(), lambda: Amount(Halving(6.0), "", "accuracy")).expected]
        for budget in (0, 4, 8, 16, 30)
    ]  # fmt: skip
    assert (np.diff(np.array(made), axis=0) <= 1e-12).all()


def test_what_rows_save_in_one_unit_says_nothing_of_another(tmp_path, monkeypatch):
    asked = load_with(tmp_path, monkeypatch, "{law: [3 pp, 0.1 nats]}", "allocate: {half_rows: 4}\n")
    moved = Expected(measure="behaviour", quantity="kl", change=0.3, low=0.1, high=0.9)
    made = spent(asked)
    found = planned_tolerances(asked, made, forecast(law=moved), lambda: Amount(Halving(2.0), "learned.", "kl"))
    points, nats = found.expected
    assert nats.loss.value == pytest.approx(0.3 / (1 + made.rows["law"] / 2))
    assert points.loss.value == pytest.approx(6 / (1 + made.rows["law"] / 4))
    assert found.assumed == ["pp"]
    assert found.rows_save["nats"] == "learned."
    assert found.rows_save["pp"].startswith("4 rows of its own are taken to halve a domain's loss in pp, as ")
