"""A plan says what its rows rest on: nothing measured, a comparison, arms, or a recommended total."""

import json
import re

import numpy as np
import pytest
from scipy.optimize import linprog
from small_plan import plan, recipe

from mixplan.plan.grounds import fewest_and_most, moved_to, settled, sharing
from mixplan.recipe import load_recipe
from mixplan.saved import read_plan
from mixplan.saved.evidence import Evidence
from mixplan.saved.total import RecommendedTotal, TotalPoint

__all__ = ["recipe"]

SETTINGS = {"method": "sft", "features": 10, "drift_demonstrations": 2, "drift_from": "icl", "sts_demonstrations": 2}


def lay_study(folder, made, *, worst=None, compared=None):
    """A study of a plan's own model."""
    value = {"version": 1, "title": "arms", "settings": SETTINGS, "seeds": [0], "told": {}, "targets": {}}
    value["hashes"] = {"model": made["hashes"]["model"], "sae": made["hashes"]["sae"]}
    if worst:
        low, middle, high = worst
        worst = {"value": middle, "low": low, "high": high}
        value["against_uniform"] = {"score": "sts_icl", "objective": "min_max", "unit": "kl", "targets": 3}
        value["against_uniform"] |= {"worst": worst}
    value |= {"compared": compared} if compared else {}
    folder.mkdir(parents=True)
    (folder / "evidence.json").write_text(json.dumps(Evidence.model_validate(value).values()))


def arms(seed, shared, stays, totals):
    """One target's losses behind rows of any domains."""
    generator = np.random.default_rng(seed)
    rows = [(total, bare) for total in totals for bare in generator.uniform(0.2, 0.9, 6)]
    left = [bare * (stays + (1 - stays) / (1 + total / shared)) + generator.normal(scale=0.01) for total, bare in rows]
    columns = {"without": [bare for _, bare in rows], "after": left, "rows": [total / 6 for total, _ in rows]}
    return {"unit": "kl", **columns, "total": [float(total) for total, _ in rows]}


def test_nothing_measured_spreads_evenly_and_says_so(recipe, tmp_path):
    made, _ = plan(recipe, tmp_path / "runs" / "a")
    found = made["allocation"]
    assert found["objective"] == "evidence"
    assert sorted(found["rows"].values()) == [6, 7, 7]
    most = max(made["domains"], key=lambda name: made["domains"][name]["sts_icl"]["value"])
    assert found["rows"][most] == 7
    assert found["placement"]["weight"] == 0
    assert found["placement"]["ranking"] is None
    assert found["placement"]["text"].startswith("Nothing measured with this model says whether it matters where")
    assert found["spreads"]["planned"] == found["spreads"]["even"]
    assert found["spreads"]["proportional"]["rows"] == plan(
        recipe, tmp_path / "runs" / "rule", "allocate.objective=alpha_fair")[0]["allocation"]["rows"]  # fmt: skip
    assert "total" not in found
    saved = read_plan(tmp_path / "runs" / "a")
    assert saved.allocation.placement.text == found["placement"]["text"]
    assert not [notice for notice in saved.notices() if "even" in notice]


def test_a_named_objective_is_told_what_was_measured_otherwise(recipe, tmp_path):
    first, _ = plan(recipe, tmp_path / "runs" / "a", "allocate.objective=alpha_fair")
    assert not [said for said in first["warnings"] if "allocate." in said]
    compared = {f"t{seed}": arms(seed, 4.0, 0.4, (10, 30, 60)) for seed in range(4)}
    lay_study(tmp_path / "runs" / "study", first, worst=(-0.1, 0.05, 0.2), compared=compared)
    found, _ = plan(recipe, tmp_path / "runs" / "b", "allocate.objective=alpha_fair")
    assert found["allocation"]["rows"] == first["allocation"]["rows"]
    scores, rows = (said for said in found["warnings"] if "allocate." in said)
    assert scores.startswith(
        "`allocate.objective: alpha_fair` moves rows by the scores, and there is no evidence that this helps: on 3 "
    )
    assert rows.startswith("`allocate.half_rows: 100` is taken, where arms that were compared earlier predict losses")
    assert rows.endswith("`half_rows: null` takes these.")
    remedies = ("allocate.objective=evidence", "allocate.half_rows=null")
    followed = plan(recipe, tmp_path / "runs" / "c", *remedies)[0]
    assert not [said for said in followed["warnings"] if "allocate." in said]
    evenly = plan(recipe, tmp_path / "runs" / "d", "allocate.objective=alpha_fair", "allocate.half_rows=null",
                  "allocate.prior=uniform", "allocate.prior_strength=1.0")[0]  # fmt: skip
    assert not [said for said in evenly["warnings"] if "allocate." in said]


def test_what_the_spreads_leave_has_an_interval_where_it_was_learned(recipe, tmp_path):
    first, _ = plan(recipe, tmp_path / "runs" / "a")
    assert {"low", "high"}.isdisjoint(first["allocation"]["spreads"]["planned"])
    assert "measured" not in first["allocation"]["spreads"]
    compared = {f"t{seed}": arms(seed, 4.0, 0.4, (10, 30, 60)) for seed in range(4)}
    lay_study(tmp_path / "runs" / "study", first, compared=compared)
    for rows, measured in ((20, True), (8, False)):
        found = plan(recipe, tmp_path / "runs" / f"b{rows}", f"budget.rows={rows}")[0]["allocation"]["spreads"]
        assert found["measured"] is measured
        for one in (found["even"], found["planned"], found["proportional"]):
            assert one["low"] < one["left"] < one["high"]
            assert one["left"] == pytest.approx(0.4 + 0.6 / (1 + rows / 4), abs=0.03)


def test_comparisons_that_rows_went_well_move_rows_towards_the_rule(recipe, tmp_path):
    first, _ = plan(recipe, tmp_path / "runs" / "a")
    lay_study(tmp_path / "runs" / "study", first, worst=(0.1, 0.2, 0.3))
    found = plan(recipe, tmp_path / "runs" / "b")[0]["allocation"]
    weight = found["placement"]["weight"]
    assert weight == pytest.approx(0.75, abs=1e-5)
    score = np.array([first["domains"][name]["sts_icl"]["value"] for name in found["amounts"]])
    expected = 20 * ((1 - weight) / 3 + weight * score / score.sum())
    assert list(found["amounts"].values()) == pytest.approx(expected)
    lefts = [found["spreads"][key]["left"] for key in ("even", "planned", "proportional")]
    assert found["spreads"]["planned"]["rows"] == found["rows"]
    assert lefts[1] == pytest.approx(found["expected_loss"] / score.sum())


def test_auto_recommends_by_arms_of_the_model_and_plans_half_and_twice(recipe, tmp_path):
    first, _ = plan(recipe, tmp_path / "runs" / "a")
    compared = {name: arms(seed, 1.0, 0.4, (5, 8, 40)) for seed, name in enumerate(("x", "y", "z"))}
    lay_study(tmp_path / "runs" / "study", first, compared=compared)
    made, _ = plan(recipe, tmp_path / "runs" / "b", budget="auto")
    found = made["allocation"]
    total = found["total"]
    assert total["by"] == "response"
    assert total["rows"] == found["budget"] == sum(found["rows"].values()) == pytest.approx(9, abs=2)
    assert [point["budget"] for point in found["curve"]] == [0, total["rows"] // 2, total["rows"], 2 * total["rows"]]
    for point in total["points"]:
        (planned,) = [one for one in found["curve"] if one["budget"] == point["rows"]]
        assert planned["remaining_loss"] == pytest.approx(point["left"])
    assert made["mixture"]["rows"] == 12 + total["rows"]
    assert made["recipe"]["budget"]["rows"] == "auto"


def test_what_halves_a_loss_is_in_the_unit_of_a_budget_in_tokens(recipe, tmp_path):
    tokens = ("budget.rows=null", "budget.tokens=400", "allocate.half_rows=200")
    by_objective = {}
    for objective in ("evidence", "diminishing"):
        overrides = (*tokens, f"allocate.objective={objective}")
        by_objective[objective] = plan(recipe, tmp_path / objective, *overrides)[0]
    found = by_objective["evidence"]
    amounts, domains = found["allocation"]["amounts"], found["domains"]
    left = sum(domains[name]["sts_icl"]["value"] / (1 + amount / 200) for name, amount in amounts.items())
    assert found["allocation"]["expected_loss"] == pytest.approx(left)
    lasts = [made["allocation"]["notes"][-1] for made in by_objective.values()]
    assert lasts[0] == lasts[1]
    assert lasts[0].endswith("if 200 tokens halve a domain's loss.")


def test_a_budget_in_tokens_takes_a_hundred_mean_rows_to_halve_a_loss(recipe, tmp_path):
    tokens = ("budget.rows=null", "budget.tokens=400")
    for objective in ("evidence", "diminishing"):
        found = plan(recipe, tmp_path / objective, *tokens, f"allocate.objective={objective}")[0]
        each = [one["row_tokens_mean"] for one in found["domains"].values()]
        words = re.search(r"if ([0-9.e+]+) tokens halve a domain's loss\.$", found["allocation"]["notes"][-1])
        assert float(words[1]) == pytest.approx(100 * sum(each) / len(each), rel=1e-3)


def test_auto_without_arms_is_a_rule_of_thumb_and_says_so(recipe, tmp_path):
    found = plan(recipe, tmp_path / "runs" / "a", "budget.rows=auto")[0]["allocation"]
    assert (found["budget"], found["total"]["by"]) == (1, "rule")
    assert "a rule of thumb" in found["total"]["text"]


def test_auto_keeps_floors_and_pools(recipe, tmp_path):
    made = plan(recipe, tmp_path / "runs" / "a", "budget.rows=auto", "allocate.floors={fox: 4, doctor: 1}")[0]
    assert made["allocation"]["rows"] == {"patient": 0, "fox": 4, "doctor": 1}
    assert made["allocation"]["total"]["text"].endswith("The floors ask for 5 rows, and so many are planned.")


def test_auto_keeps_caps(recipe, tmp_path):
    limits = ["allocate.caps.fox=1", "allocate.groups.rest={domains: [patient, doctor], cap: 1}"]
    made, _ = plan(recipe, tmp_path / "run", "budget.rows=auto", "mixture.target_rows=46", *limits)
    assert sum(made["allocation"]["rows"].values()) == 2
    text = made["allocation"]["total"]["text"]
    assert text.endswith("The domains' pools and caps hold 2 rows, and so many are planned.")


@pytest.mark.parametrize("seed", range(40))
def test_the_fewest_and_most_rows_are_a_linear_programs(recipe, seed):
    draw = np.random.default_rng(seed)
    names = ["fox", "doctor", "patient"]
    pools = {name: int(draw.integers(5, 30)) for name in names}
    allocate = {
        "floors": {name: int(draw.integers(0, 5)) for name in names if draw.random() < 0.5},
        "caps": {name: int(draw.integers(5, 40)) for name in names if draw.random() < 0.5},
        "groups": {},
    }
    for number, inside in enumerate((names[:2], names)):
        if draw.random() < 0.7:
            floor = int(draw.integers(0, 9))
            allocate["groups"][f"g{number}"] = {
                "domains": inside,
                "floor": floor,
                "cap": floor + int(draw.integers(9, 60)),
            }
    loaded = load_recipe(recipe, ["budget.rows=auto", f"allocate={json.dumps(allocate)}"]).recipe
    upper = [min(pools[name] * loaded.budget.max_repeats, allocate["caps"].get(name, np.inf)) for name in names]
    bounds = list(zip([allocate["floors"].get(name, 0) for name in names], upper, strict=True))
    rows, limits = [], []
    for group in allocate["groups"].values():
        part = [float(name in group["domains"]) for name in names]
        rows += [part, [-one for one in part]]
        limits += [group["cap"], -group["floor"]]
    ends = [linprog([sign] * 3, A_ub=rows or None, b_ub=limits or None, bounds=bounds) for sign in (1, -1)]
    if all(end.status == 0 for end in ends):
        assert fewest_and_most(loaded, pools) == pytest.approx((ends[0].fun, -ends[1].fun))


def test_a_fixed_share_of_the_rows_asks_no_more_than_its_domain_holds(recipe):
    """Every number of rows tried: a quarter of them must be there of one domain, half at least of another."""
    asked = ["allocate.shares={fox: 0.25}", "allocate.floors={doctor: 3}", "budget.max_repeats=1"]
    loaded, pools = load_recipe(recipe, ["budget.rows=auto", *asked]).recipe, {"fox": 5, "doctor": 9, "patient": 30}
    fits = [
        total for total in range(60)
        if total / 4 <= 5 and total * 3 / 4 >= 3 and total * 3 / 4 <= 39
    ]  # fmt: skip
    assert fewest_and_most(loaded, pools) == (fits[0], fits[-1]) == (4, 20)
    assert fewest_and_most(loaded, {"fox": 5, "doctor": 2, "patient": 30}) == (0, 37)


def test_domains_that_are_watched_alone_share_no_rows(recipe):
    loaded = load_recipe(recipe, ["allocate.caps.fox=0", "allocate.caps.doctor=3"]).recipe
    assert sharing(loaded, {"fox": 9, "doctor": 9, "patient": 9}) == 2
    assert sharing(loaded, {"fox": 9, "doctor": 9, "patient": 0}) == 1
    assert sharing(loaded, {"fox": 9, "doctor": 0, "patient": 0}) == 1
    assert sharing(load_recipe(recipe, ["allocate.shares.fox=0"]).recipe, dict.fromkeys(("fox", "doctor"), 9)) == 1


def test_no_rows_are_an_answer(recipe, tmp_path):
    made = plan(recipe, tmp_path / "runs" / "a", "budget.rows=0")[0]
    assert set(made["allocation"]["rows"].values()) == {0}
    assert "spreads" not in made["allocation"]
    assert made["mixture"]["rows"] == 12


def test_a_settled_recipe_plans_the_recommendation_last(recipe):
    loaded = load_recipe(recipe, ["budget.rows=auto"]).recipe
    points = tuple(TotalPoint(rows=rows) for rows in (12, 24, 48))
    total = RecommendedTotal(rows=24, by="response", points=points, text="24.")
    assert settled(loaded, total).budget.rows == [0, 12, 48, 24]
    assert settled(loaded, RecommendedTotal(rows=0, by="nothing_saved", text="0.")).budget.rows == [0]
    assert settled(loaded, None) is loaded
    assert moved_to(total, 30, "So.").text == "24. So."
