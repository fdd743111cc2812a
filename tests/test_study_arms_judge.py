"""Arms held against each other on made-up evaluations: by hand, by paired t tests, and what is not defined."""

import json
from dataclasses import replace

import numpy as np
import pytest
from as_saved import plain
from made_arms import bits, compared
from scipy import stats

from mixplan.errors import RunError
from mixplan.study.arms.figures import one_target
from mixplan.study.arms.judge import (
    BOTH,
    domains_of,
    gain,
    judge_arms,
    kept,
    losses,
    mean_loss,
    quantities_of,
    worst_loss,
)
from mixplan.study.judged.pass_marks import Mark

TARGETS = ("sums", "poems", "law")


def study_of(one, targets=TARGETS, budgets=(3,)):
    """The same comparison for every target and budget, each target under its own name."""
    return {target: {budget: replace(one, target=target) for budget in budgets} for target in targets}


def ends(found):
    return found["low"], found["high"]


def judged_arms(study, **asked):
    """The judgement as JSON values."""
    return plain(judge_arms(study, **asked))


def test_losses_and_gains_are_told_with_the_sign_of_worse_and_better():
    before = {
        "target": {"score": [0, 1, 0]},
        "prose": {"bits_per_byte": [2, 2], "kl": [0, 0]},
        "choice": {"gold_probability": [0.5, 0.7], "correct": [1, 1]},
        "exact": {"score": [1, 1]},
    }
    after = {
        "target": {"score": [1, 1, 0]},
        "prose": {"bits_per_byte": [2.5, 2.1], "kl": [0.1, 0.3]},
        "choice": {"gold_probability": [0.6, 0.8], "correct": [1, 0]},
        "exact": {"score": [1, 1]},
    }
    one = compared("sums", before, {"none": [after]})
    expected = {
        "bits_per_byte": {"prose": 0.3},
        "kl": {"prose": 0.2},
        "gold_probability": {"choice": -0.1},
        "correct": {"choice": 0.5},
        "score": {"exact": 0.0},
    }
    for quantity, values in expected.items():
        assert {n: f.value for n, f in losses(one, "none", quantity).items()} == pytest.approx(values)
    assert gain(one, "none").value == pytest.approx(1 / 3)
    fewer = compared("sums", bits([3, 3]), {"none": [bits([2, 2.5])]})
    assert gain(fewer, "none").value == pytest.approx(0.75)


def test_what_arms_share_of_an_item_s_noise_cancels():
    rng = np.random.default_rng(0)
    noise = {target: rng.standard_normal((2, 30)) for target in TARGETS}
    study = {
        target: {
            3: compared(
                target,
                bits([5] * 4, prose=[1] * 30, fox=[1] * 30),
                {
                    "none": [bits([1] * 4, prose=1.5 + one[0], fox=1.5 + one[1])],
                    "plan": [bits([1] * 4, prose=1.2 + one[0], fox=1.4 + one[1])],
                },
            )
        }
        for target, one in noise.items()
    }
    judged = judged_arms(study)
    avoided = judged["avoided"]["none"]["plan"]["bits_per_byte"]["mean"]["3"]
    assert (avoided["value"], *ends(avoided)) == pytest.approx((0.2, 0.2, 0.2))
    assert (avoided["verdict"], avoided["win"]) == ("win", 3)
    for target in TARGETS:
        low, high = ends(judged["by_target"][target]["3"]["plan"]["loss"]["bits_per_byte"]["mean"])
        assert high - low > 0.3


def test_what_is_avoided_on_one_target_is_a_paired_t_interval():
    rng = np.random.default_rng(1)
    shared, apart = rng.standard_normal(20), rng.standard_normal(20)
    after = {"none": [bits([1], prose=shared)], "plan": [bits([1], prose=shared - 0.2 * apart - 0.1)]}
    one = compared("sums", bits([5], prose=rng.standard_normal(20)), after)
    found = plain(one_target(mean_loss(one, "none", "bits_per_byte").less(mean_loss(one, "plan", "bits_per_byte"))))
    expected = stats.ttest_rel(shared, shared - 0.2 * apart - 0.1).confidence_interval()
    assert ends(found) == pytest.approx((expected.low, expected.high))


def test_seeds_are_averaged_and_paired():
    before = bits([5] * 3, prose=[1, 1])
    # By seed: none loses 0.4, 0.8 and 0.3, plan 0.3, 0.6 and 0.4; what is avoided is 0.1, 0.2 and -0.1.
    none = [bits([1] * 3, prose=[1 + loss] * 2) for loss in (0.4, 0.8, 0.3)]
    plan = [bits([1] * 3, prose=[1 + loss] * 2) for loss in (0.3, 0.6, 0.4)]
    judged = judged_arms(study_of(compared("sums", before, {"none": none, "plan": plan})))
    assert judged["seeds"] == [0, 1, 2]
    found = judged["avoided"]["none"]["plan"]["bits_per_byte"]["worst"]["3"]
    expected = stats.ttest_1samp([0.1, 0.2, -0.1], 0).confidence_interval()
    assert (found["value"], *ends(found)) == pytest.approx((0.2 / 3, expected.low, expected.high))
    own = judged["by_target"]["sums"]["3"]["none"]["loss"]["bits_per_byte"]["mean"]
    expected = stats.ttest_1samp([0.4, 0.8, 0.3], 0).confidence_interval()
    assert (own["value"], *ends(own)) == pytest.approx((0.5, expected.low, expected.high))


def test_the_worst_domain_is_each_arm_s_own_on_the_mean_over_seeds():
    before = bits([5, 5], law=[1, 1], prose=[1, 1], fox=[1, 1])
    none = [bits([1, 1], law=[law] * 2, prose=[prose] * 2, fox=[1, 1]) for law, prose in ((1.2, 1.9), (2.6, 1.7))]
    plan = [bits([1, 1], law=[1.1] * 2, prose=[1.6] * 2, fox=[1, 1])] * 2
    # On the mean over seeds none loses 0.9 in law and 0.8 in prose, plan 0.1 and 0.6.
    study = study_of(compared("sums", before, {"none": none, "plan": plan}))
    judged = judged_arms(study)
    own = {arm: one["loss"]["bits_per_byte"] for arm, one in judged["by_target"]["sums"]["3"].items()}
    assert {arm: one["worst_domain"] for arm, one in own.items()} == {"none": "law", "plan": "prose"}
    assert own["none"]["domains"] == pytest.approx({"law": 0.9, "prose": 0.8, "fox": 0})
    avoided = judged["avoided"]["none"]["plan"]["bits_per_byte"]
    assert avoided["worst"]["3"]["value"] == pytest.approx(0.9 - 0.6)
    assert avoided["mean"]["3"]["value"] == pytest.approx((1.7 - 0.7) / 3)


def test_the_first_by_name_is_the_worst_of_equals():
    one = compared("sums", bits([5], prose=[1], law=[1]), {"none": [bits([1], prose=[2], law=[2])]})
    ((name, *_),) = worst_loss(one, "none", "bits_per_byte").parts
    assert name == "law"


def test_what_is_kept_is_a_share_of_what_none_gains():
    before = bits([3, 3.2, 2.8], prose=[1, 1])
    arms = {"none": [bits([1, 1, 1], prose=[1, 1])], "plan": [bits([1.5, 1.5, 1.5], prose=[1, 1])]}
    judged = judged_arms(study_of(compared("sums", before, arms)))
    shares = {arm: found["3"]["value"] for arm, found in judged["kept"].items()}
    assert shares == pytest.approx({"none": 1, "plan": 0.75})
    assert ends(judged["kept"]["none"]["3"]) == (1, 1)
    own = judged["by_target"]["law"]["3"]["plan"]
    assert own["gain"]["value"] == pytest.approx(1.5)
    assert own["kept"]["value"] == pytest.approx(0.75)


def test_one_target_without_a_sure_gain_leaves_what_is_kept_undefined_and_nothing_else():
    before = bits([3, 3, 3], prose=[1, 1])
    gains = {"sums": [1, 1.1, 0.9], "poems": [1, 1.2, 1.1], "law": [2, -1.5, 1]}  # law: 0.5, but for one item
    study = {
        target: {
            3: compared(
                target,
                before,
                {arm: [bits(3 - np.array(each), prose=[1.1, 1.2])] for arm in ("none", "plan")},
            )
        }
        for target, each in gains.items()
    }
    judged = judged_arms(study)
    assert judged["kept"]["plan"]["3"] == {
        "value": None, "low": None, "high": None, "verdict": None, "targets": 2, "win": 2, "tie": 0, "loss": 0,
    }  # fmt: skip
    assert judged["kept"]["none"][BOTH]["value"] is None
    assert judged["by_target"]["law"]["3"]["plan"]["kept"] is None
    assert judged["by_target"]["law"]["3"]["plan"]["gain"]["value"] == pytest.approx(0.5)
    assert judged["avoided"]["none"]["plan"]["bits_per_byte"]["mean"]["3"]["value"] == pytest.approx(0)


def test_one_budget_without_a_figure_leaves_the_mean_over_budgets_without_one():
    sure, unsure = (
        compared("sums", bits([3, 3], prose=[1]), {"none": [bits(target, prose=[1])]}) for target in ([1, 1.1], [1, 4])
    )
    judged = judged_arms({name: {3: replace(sure, target=name), 6: replace(unsure, target=name)} for name in TARGETS})
    found = judged["kept"]["none"]
    assert (found["3"]["value"], found["6"]["value"], found[BOTH]["value"]) == (1, None, None)


def test_a_target_that_was_not_measured_gains_nothing_known():
    before = {"prose": {"bits_per_byte": [1.0]}}
    one = compared("sums", before, {"none": [before]})
    assert gain(one, "none") is kept(one, "none") is None
    own = judged_arms({"sums": {3: one}})["by_target"]["sums"]["3"]["none"]
    assert own["gain"] is own["kept"] is None


def test_the_mean_over_budgets_counts_an_item_that_both_share_once():
    rng = np.random.default_rng(2)
    before, none, three, six = rng.standard_normal((4, 25))
    budgets = {
        budget: compared(
            "sums", bits([5], prose=before), {"none": [bits([1], prose=none)], "plan": [bits([1], prose=plan)]}
        )
        for budget, plan in ((3, three), (6, six))
    }
    judged = judged_arms(dict.fromkeys(TARGETS, budgets))
    found = judged["avoided"]["none"]["plan"]["bits_per_byte"]["mean"]
    # The targets' rows are the same ones here, so that all that varies is one row from another.
    expected = stats.ttest_rel(none, (three + six) / 2).confidence_interval()
    assert ends(found[BOTH]) == pytest.approx((expected.low, expected.high))
    assert found[BOTH]["value"] == pytest.approx((found["3"]["value"] + found["6"]["value"]) / 2)


def test_rows_of_two_targets_are_different_rows_though_they_are_called_alike():
    one = compared("sums", bits([5, 5], prose=[1, 1]), {"none": [bits([1, 2], prose=[1, 1])]})
    assert set(gain(one, "none").parts).isdisjoint(gain(replace(one, target="poems"), "none").parts)
    assert losses(one, "none", "bits_per_byte")["prose"].parts.keys() == {("prose", "r:0", "r:1")}


def test_fewer_than_three_targets_have_no_interval():
    arms = {"none": [bits([1, 1], prose=[2, 2.5])], "plan": [bits([1, 1], prose=[1, 1.1])]}
    one = compared("sums", bits([3, 3.2], prose=[1, 1]), arms)
    few, enough = (judged_arms(study_of(one, TARGETS[:count])) for count in (2, 3))
    for figure in (
        lambda judged: judged["kept"]["plan"]["3"],
        lambda judged: judged["avoided"]["none"]["plan"]["bits_per_byte"]["worst"]["3"],
    ):
        assert figure(few)["value"] == pytest.approx(figure(enough)["value"])
        assert (*ends(figure(few)), figure(few)["verdict"]) == (None, None, None)
        assert figure(enough)["low"] <= figure(enough)["value"] <= figure(enough)["high"]


def test_a_quantity_is_judged_where_every_evaluation_has_it():
    whole = {
        "target": {"score": [1.0]},
        "law": {"correct": [1.0], "kl": [0.0]},
        "prose": {"bits_per_byte": [1.0], "kl": [0.0]},
    }
    lacking = {**whole, "law": {"correct": [1.0]}}
    one = compared("sums", whole, {"none": [whole], "plan": [whole, lacking]})
    assert domains_of(one, "kl") == ["prose"]
    assert domains_of(one, "correct") == ["law"]
    assert judged_arms({"sums": {3: one}})["quantities"] == ["bits_per_byte", "kl", "correct"]
    without = {name: values for name, values in whole.items() if name != "prose"}
    other = compared("poems", without, {"none": [without], "plan": [without]})
    assert judged_arms({"sums": {3: one}, "poems": {3: other}})["quantities"] == ["kl", "correct"]


def test_the_headline_of_all_domains_stands_for_the_study():
    def of(*order):
        moved = {"kl": [0.0], "bits_per_byte": [1.0]}
        values = {"target": {"bits_per_byte": [1.0]}, "law": {name: moved[name] for name in order}, "prose": moved}
        return {"sums": {3: compared("sums", values, {"none": [values]})}}

    assert quantities_of(of("kl", "bits_per_byte")) == ["kl", "bits_per_byte"]
    # Where headlines differ, none stands before the others.
    assert quantities_of(of("bits_per_byte", "kl")) == ["bits_per_byte", "kl"]


def test_the_judgement_says_what_it_is_of_in_json():
    before, after = bits([5, 5], prose=[1, 1], law=[1, 1]), bits([1, 2], prose=[1, 2], law=[2, 2])
    arms = {arm: [after, after] for arm in ("none", "uniform", "plan")}
    judged = judged_arms(study_of(compared("sums", before, arms, steps=7), budgets=(3, 6)))
    assert json.loads(json.dumps(judged, allow_nan=False)) == judged
    about = {key: judged[key] for key in ("targets", "budgets", "arms", "seeds", "quantities", "steps", "marks")}
    assert about == {
        "targets": list(TARGETS),
        "budgets": ["3", "6"],
        "arms": ["none", "uniform", "plan"],
        "seeds": [0, 1],
        "quantities": ["bits_per_byte"],
        "steps": dict.fromkeys(TARGETS, 7),
        "marks": [],
    }
    # An arm that was not trained is no base, and no arm is held against itself.
    assert {base: list(arms) for base, arms in judged["avoided"].items()} == {
        "none": ["uniform", "plan"],
        "uniform": ["none", "plan"],
    }
    assert judged["by_target"]["sums"]["6"]["plan"]["rows"] == {"prose": 1, "law": 2}
    assert list(judged["kept"]["plan"]) == ["3", "6", BOTH]


def test_marks_are_held_against_the_figures():
    before = bits([5, 5.5], prose=[1, 1])
    arms = {
        "none": [bits([1, 1.5], prose=[2, 2.1])],
        "uniform": [bits([1, 2], prose=[1.6, 1.6])],
        "plan": [bits([1, 2], prose=[1.2, 1.2])],
    }
    study = study_of(compared("sums", before, arms))
    place = "avoided/uniform/plan/bits_per_byte/worst/both"
    reached, missed = judged_arms(study, marks=[Mark("Better.", place, 0, 0), Mark("Much.", place, 0.5)])["marks"]
    assert (reached["value"], reached["low"], reached["reached"]) == pytest.approx((0.4, 0.4, True))
    assert missed["reached"] is False
    with pytest.raises(RunError) as refused:
        judged_arms(study, marks=[Mark("x", "avoided/unifrom/plan/bits_per_byte/worst/both")])
    assert str(refused.value) == (
        "study mark 'avoided/unifrom/plan/bits_per_byte/worst/both': there is no 'unifrom' in the judgement. "
        "Did you mean 'uniform'?"
    )


def test_what_plans_said_of_an_even_spread_is_held_against_what_came():
    before = bits([5] * 4, prose=[1] * 30, law=[1] * 30)
    noise = np.random.default_rng(2).standard_normal((2, 30)) / 10

    def one(target, better, said):
        uniform = bits([1] * 4, prose=1.5 + noise[0], law=1.2 + noise[1])
        plan = bits([1] * 4, prose=1.5 - better + noise[0] + noise[1] / 10, law=1.2 + noise[1])
        arms = {"none": [uniform], "uniform": [uniform], "plan": [plan]}
        return compared(target, before, arms, even_as_good=said)

    study = {
        "sums": {3: one("sums", 0.2, False), 6: one("sums", 0.0, True)},
        "poems": {3: one("poems", -0.2, False), 6: one("poems", 0.2, True)},
        "code": {3: one("code", -0.2, True), 6: one("code", 0.2, False)},
    }
    found = judged_arms(study)["foresight"]
    assert found["quantity"] == "bits_per_byte"
    assert found["counts"] == {"said": {"better": 1, "as_well": 2}, "unsaid": {"better": 2, "as_well": 1}}
    first = found["comparisons"][0]
    assert (first["target"], first["budget"], first["said"], first["better"]) == ("sums", "3", False, True)
    assert (first["worst"]["value"], first["mean"]["value"]) == pytest.approx((0.2, 0.1), abs=0.01)
    assert first["worst"]["low"] > 0
    assert found["comparisons"][2]["worst"]["high"] < 0


def test_without_an_even_spread_there_is_nothing_to_foresee():
    one = compared("sums", bits([5], prose=[1]), {"none": [bits([1], prose=[2])], "plan": [bits([1], prose=[2])]})
    assert judged_arms({"sums": {3: one}})["foresight"] is None


def test_a_target_of_which_less_is_better_gains_where_it_falls():
    one = compared("sums", {"target": {"score": [4, 6]}}, {"none": [{"target": {"score": [1, 2]}}]})
    (measure,) = one.before.domains["target"]
    known = replace(one.before.domains["target"][measure], better={"score": -1})
    one = replace(one, before=replace(one.before, domains={"target": {measure: known}}))
    assert gain(one, "none").value == pytest.approx(3.5)
