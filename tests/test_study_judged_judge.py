"""The judgement of a made-up study against plain loops, and that choices and differences use what they may."""

import json
from dataclasses import replace

import numpy as np
import pytest
from as_saved import plain
from random_table import T, random_table
from scipy.stats import pearsonr, spearmanr

from mixplan.study.judged.judge import judge, logarithms
from mixplan.study.judged.pass_marks import Mark


@pytest.fixture(scope="module")
def table():
    return random_table()


@pytest.fixture(scope="module")
def judged(table):
    return plain(judge(table, marks=[Mark("good", "chosen/kl/pearson/held_out", 0.9)], resamples=60, seed=1))


def pairs(table, name, quantity="kl"):
    """Each target's known predictor values and sizes of change."""
    size = np.abs(table.measures[quantity].mean(2))
    for t in range(T):
        known = ~np.isnan(size[t])
        yield table.predictors[name][t][known], size[t][known]


def test_pooled_scores_are_means_over_targets(table, judged):
    for quantity in ("kl", "bits_per_byte"):
        pooled = judged["pooled"]["all"][quantity]
        for name in table.predictors:
            each = list(pairs(table, name, quantity))
            assert pooled["pearson"][name]["value"] == pytest.approx(np.mean([pearsonr(*one)[0] for one in each]))
            assert pooled["spearman"][name]["value"] == pytest.approx(np.mean([spearmanr(*one)[0] for one in each]))
            assert pooled["r2"][name]["value"] == pytest.approx(np.mean([pearsonr(*one)[0] ** 2 for one in each]))
            hits = [len(set(np.argsort(-x)[:3]) & set(np.argsort(-y)[:3])) / 3 for x, y in each if len(set(x)) > 5]
            assert pooled["top3"][name]["value"] == pytest.approx(np.mean(hits))


def test_logarithms_are_taken_where_there_are_any(table, judged):
    logs = judged["pooled"]["all"]["kl"]["log_pearson"]
    good = [pearsonr(np.log(x), np.log(y))[0] for x, y in pairs(table, "good")]
    signed = [pearsonr(x, np.log(y))[0] for x, y in pairs(table, "signed")]
    assert logs["good"]["value"] == pytest.approx(np.mean(good))
    assert logs["signed"]["value"] == pytest.approx(np.mean(signed))


def test_zero_counts_as_the_least_value_above():
    np.testing.assert_allclose(logarithms(np.array([[0.0, 2.0, np.nan, 8.0]])), np.log([[2.0, 2.0, np.nan, 8.0]]))
    np.testing.assert_array_equal(logarithms(np.zeros((1, 2))), np.zeros((1, 2)))


def test_domains_left_out_are_counted(judged):
    assert judged["pooled"]["all"]["kl"]["pearson"]["good"]["domains"] == [9, 9]
    assert judged["pooled"]["all"]["bits_per_byte"]["pearson"]["good"]["domains"] == [8, 8]
    assert judged["by_target"]["bits_per_byte"]["t0"]["good"]["domains"] == 8


def test_a_domain_alone_says_nothing_once_means_are_out(judged):
    assert judged["pooled"]["all"]["kl"]["centred"]["size"]["value"] is None
    assert judged["pooled"]["all"]["kl"]["centred"]["good"]["value"] > 0.5


def test_kinds_of_four_domains_or_more_are_judged_apart(table, judged):
    kinds = judged["kinds"]["all"]["kl"]
    assert set(kinds) == {"short"}
    short = [pearsonr(x[:5], y[:5])[0] for x, y in pairs(table, "good")]  # the target's own domain is out
    assert np.mean(short[:6]) == pytest.approx(kinds["short"]["pearson"]["good"]["value"])


def test_the_choice_is_made_on_development_targets_and_judged_on_the_others(judged):
    choice = judged["chosen"]["kl"]["pearson"]
    assert (choice["forecast"], choice["chosen_on"], choice["candidates"]) == ("lucky", "development", 2)
    assert choice["development"]["value"] == pytest.approx(1.0)
    assert choice["held_out"] == judged["pooled"]["held_out"]["kl"]["pearson"]["lucky"]
    assert choice["held_out"]["value"] < 0.7
    (mark,) = judged["marks"]
    assert (mark["reached"], mark["value"]) == (False, choice["held_out"]["value"])


def test_without_development_targets_the_choice_says_so(table):
    found = plain(judge(replace(table, development=()), marks=[], resamples=0, seed=0))
    assert found["chosen"]["kl"]["pearson"]["chosen_on"] == "all"
    assert set(found["sets"]) == {"all", "held_out"}


def test_differences_are_paired_and_the_least_is_named(judged):
    for name in ("all", "held_out"):
        told = judged["differences"][name]["kl"]["pearson"]
        pooled = judged["pooled"][name]["kl"]["pearson"]
        for other in ("size", "signed", "actual"):
            assert told[other]["value"] == pytest.approx(pooled["lucky"]["value"] - pooled[other]["value"])
        nearest = min(("size", "signed"), key=lambda other: told[other]["value"])
        assert told["least"]["competitor"] == nearest
        assert told["least"]["low"] == min(told["size"]["low"], told["signed"]["low"])


def test_a_direction_that_always_says_loss_is_no_better_than_that(judged):
    found = judged["sign"]["chosen"]["bits_per_byte"]["held_out"]
    assert found["right"] == found["always_loss"]
    assert found["ahead"]["value"] == 0
    assert found["balanced"]["value"] == pytest.approx(0.5)
    assert set(judged["sign"]["all"]) == {"bits_per_byte"}


def test_seeds_never_make_an_interval_narrower_by_their_number(table, judged):
    again = plain(
        judge(
            replace(
                table,
                seeds=(0, 1, 2, 3),
                measures={name: np.concatenate([values] * 2, axis=2) for name, values in table.measures.items()},
                noise={name: np.concatenate([values] * 2, axis=2) for name, values in table.noise.items()},
                overlaps={"icl": np.full((T, 4), 50.0)},
            ),
            marks=[],
            resamples=60,
            seed=1,
        )
    )
    one, other = (part["pooled"]["all"]["kl"]["pearson"]["good"] for part in (judged, again))
    assert [one[end] for end in ("value", "low", "high")] == pytest.approx(
        [other[end] for end in ("value", "low", "high")]
    )


def test_the_judgement_is_json_and_the_same_twice(table, judged):
    again = judge(table, marks=[Mark("good", "chosen/kl/pearson/held_out", 0.9)], resamples=60, seed=1)
    assert json.dumps(judged, allow_nan=False) == json.dumps(again.values(), allow_nan=False)
