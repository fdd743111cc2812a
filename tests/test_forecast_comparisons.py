"""Comparisons with an even spread: found in studies and runs of the plan's model, or passed over, with their count."""

import json
import math

import numpy as np
import pytest
import saved_outcome

from mixplan.forecast import Kind
from mixplan.forecast.comparisons import comparisons_earlier, with_seeds
from mixplan.forecast.evidence import SHIPPED
from mixplan.forecast.placement import placement_of, standardised
from mixplan.saved.arms import Arm
from mixplan.saved.base_types import Interval
from mixplan.saved.evidence import Evidence
from mixplan.saved.outcome import Settings

SETTINGS = {"method": "sft", "features": 100, "drift_demonstrations": 2, "sts_demonstrations": 2}
KIND = Kind("m" * 64, "s" * 64, Settings(**SETTINGS))
HASHES = {"model": KIND.model, "sae": KIND.sae}
NAMES = ("a", "b", "c")


def lay_study(folder, worst, *, study=None, hashes=HASHES, method="sft"):
    value = {"version": 1, "title": "arms", "hashes": hashes, "seeds": [0], "told": {}, "targets": {}}
    against = {"score": "sts_icl", "objective": "min_max", "unit": "kl", "targets": 3, "worst": worst}
    value |= {"settings": SETTINGS | {"method": method}, "against_uniform": against}
    value |= {} if study is None else {"study": study}
    folder.mkdir(parents=True)
    (folder / "evidence.json").write_text(json.dumps(Evidence.model_validate(value).values()))


def lay_run(folder, against, *, rows=(9, 2, 1), behaviour=True, arm="plan", quantity="correct", target=None, more=()):
    """A run whose arms were compared; `against` is what `arm` has less than the even spread, as it is saved."""
    value = saved_outcome.sample(0)
    if target is not None:
        value["content"] = {"target": {"source": None, "rows": 1, "keys": f"{target:012x}"}, "domains": {}}
    table = value["arms"] | {"baseline": "uniform", "quantity": quantity}
    own = {"against": against, "rows": dict(zip(NAMES, rows, strict=True))} | dict(more)
    even = {"rows": dict.fromkeys(NAMES, 4)} | dict(more)
    for over in (table, table["behaviour"]):
        like = over["arms"]["plan"]
        over["arms"] = {"uniform": over["arms"]["uniform"] | even, arm: like | own}
    table["behaviour"] = table["behaviour"] | {"quantity": "kl"} if behaviour else None
    hashes, settings = value["hashes"] | HASHES, value["settings"] | SETTINGS
    saved_outcome.save(folder, value | {"hashes": hashes, "settings": settings, "arms": table})


def found(folder, patterns=None, kind=KIND):
    return comparisons_earlier(patterns, folder=folder, run=folder / "runs" / "own", kind=kind)


def between(value, low, high):
    return {"value": value, "low": low, "high": high}


def test_a_study_s_plans_are_found_with_their_interval(tmp_path):
    lay_study(tmp_path / "runs" / "study", between(0.05, -0.1, 0.2))
    (one,) = found(tmp_path).found
    assert (one.name, one.arm, one.of, one.unit, one.targets) == ("arms", "plan", "worst", "kl", 3)
    assert one.avoided.values() == between(0.05, -0.1, 0.2)


@pytest.mark.parametrize(
    ("behaviour", "quantity", "avoided"),
    [
        (True, "correct", (0.02, 0.01, 0.03)),  # less movement is less loss
        (False, "correct", (-0.02, -0.03, -0.01)),  # more right answers are less loss
        (False, "bits_per_byte", (0.02, 0.01, 0.03)),
    ],
)
def test_a_run_s_arms_count_towards_less_loss(tmp_path, behaviour, quantity, avoided):
    lay_run(tmp_path / "runs" / "first", between(-0.02, -0.03, -0.01), behaviour=behaviour, quantity=quantity)
    (one,) = found(tmp_path).found
    assert (one.name, one.of, one.targets) == ("first", "mean", 1)
    assert tuple(one.avoided.values().values()) == pytest.approx(avoided)


def test_trainings_differ_also_where_each_arm_was_trained_once(tmp_path):
    once = {"seeds": 1, "mean": between(0.2, 0.19, 0.21)}
    lay_run(tmp_path / "runs" / "first", between(-0.02, -0.03, -0.01), more=once)
    (one,) = found(tmp_path).found
    half = math.hypot(0.01, 1.959964 * 0.08 * 0.2 * math.sqrt(2))
    assert tuple(one.avoided.values().values()) == pytest.approx((0.02, 0.02 - half, 0.02 + half))
    assert placement_of(None, [one]).weight == 0


def test_equal_mixtures_trained_once_seem_to_differ_seldom():
    """Arms of one KL, whose trainings differ as they do in the study and whose items are many: 60 % seemed to."""
    draw, surely = np.random.default_rng(0), 0
    for _ in range(400):
        led, even = 0.2 * (1 + 0.065 * draw.normal(size=2))
        items = 0.004
        difference = led - even + items * draw.normal()
        interval = Interval(value=difference, low=difference - 1.96 * items, high=difference + 1.96 * items)
        wide = with_seeds(interval, trained_once(led), trained_once(even))
        surely += not wide.low <= 0 <= wide.high
    assert surely / 400 < 0.05


def trained_once(mean):
    ends = Interval(value=mean, low=mean, high=mean)
    return Arm(seeds=1, target=None, target_quantity=None, mean=ends, worst=None, worst_domain=None, against=None,
               verdict=None)  # fmt: skip


def test_the_proportional_rule_counts_before_the_plan(tmp_path):
    lay_run(tmp_path / "runs" / "first", between(-0.02, -0.03, -0.01), arm="proportional_to_sts")
    assert [one.arm for one in found(tmp_path).found] == ["proportional_to_sts"]


def test_a_mixture_that_is_an_even_spread_itself_says_nothing(tmp_path):
    lay_run(tmp_path / "runs" / "even", between(0.0, -0.01, 0.01), rows=(4, 4, 4))
    lay_study(tmp_path / "runs" / "few", {"value": 0.05, "low": None, "high": None})
    assert (found(tmp_path).found, found(tmp_path).passed_over) == ((), 2)


def test_an_even_spread_over_the_domains_that_may_have_rows_is_led_by_no_score(tmp_path):
    lay_run(tmp_path / "runs" / "capped", between(-0.03, -0.04, -0.02), rows=(6, 6, 0))
    assert (found(tmp_path).found, found(tmp_path).passed_over) == ((), 1)
    lay_run(tmp_path / "runs" / "led", between(-0.03, -0.04, -0.02), rows=(7, 5, 0))
    assert len(found(tmp_path).found) == 1


def test_only_the_plan_s_model_and_training_method_count(tmp_path):
    lay_study(tmp_path / "runs" / "other", between(0.05, 0.01, 0.2), hashes=HASHES | {"model": "n" * 64})
    lay_study(tmp_path / "runs" / "grpo", between(0.05, 0.01, 0.2), method="grpo")
    assert found(tmp_path).found == ()
    assert found(tmp_path).passed_over == 0


def test_what_is_named_counts_and_a_study_counts_once(tmp_path):
    for name in ("first", "again"):
        lay_study(tmp_path / "elsewhere" / name, between(0.05, 0.01, 0.2), study="r" * 64)
    assert found(tmp_path).found == ()
    assert len(found(tmp_path, ["elsewhere/*"]).found) == 1
    assert found(tmp_path, []).found == ()


def test_comparisons_of_one_target_count_as_one(tmp_path):
    """The same comparison made again, by itself no evidence, must not become evidence by being repeated."""
    unsure = between(-0.03, -0.065, 0.005)
    for number in range(4):
        lay_run(tmp_path / "runs" / f"again{number}", between(-0.03, -0.065, 0.005 + 1e-9 * number), target=1)
    again = found(tmp_path).found
    assert [one.same for one in again] == [4] * 4
    assert placement_of(None, again).weight == 0
    assert standardised(again) == pytest.approx(1.959964 * 0.03 / 0.035)
    lay_run(tmp_path / "runs" / "other", unsure, target=2)
    assert sorted(one.same for one in found(tmp_path).found) == [1, 4, 4, 4, 4]
    assert standardised(found(tmp_path).found) == pytest.approx(2 * 1.959964 * 0.03 / 0.035 / math.sqrt(2))
    assert "(those of one target count as one)" in placement_of(None, found(tmp_path).found).text


def test_runs_whose_target_is_not_known_count_each(tmp_path):
    for number in range(4):
        lay_run(tmp_path / "runs" / f"old{number}", between(-0.03, -0.065, 0.005 + 1e-9 * number))
    assert [one.same for one in found(tmp_path).found] == [1] * 4
    assert "same" not in found(tmp_path).found[0].values()


def test_a_damaged_file_is_passed_over(tmp_path):
    for name, file in (("one", "evidence.json"), ("two", "outcome.json")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / file).write_text('{"version": 1')
    assert found(tmp_path).found == ()


def test_the_embedded_model_s_comparison_comes_with_mixplan(tmp_path):
    shipped = json.loads((SHIPPED / "smollm2-135m-arms.json").read_text())
    kind = Kind(shipped["hashes"]["model"], "other", Settings.model_validate(shipped["settings"]))
    (one,) = found(tmp_path, kind=kind).found
    assert one.avoided.values() == shipped["against_uniform"]["worst"]
