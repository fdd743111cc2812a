"""Overlaps against scipy's t interval and sets drawn blindly."""

from dataclasses import replace

import numpy as np
import pytest
from as_saved import plain
from random_table import small_table
from scipy.stats import ttest_1samp

from mixplan.study.files.figure import TargetMean
from mixplan.study.judged.overlap import judge_overlaps, mean_over_targets

SHARED = np.array([[40.0, 44.0], [50.0, np.nan]])


def judged(**overlaps):
    features, live = dict.fromkeys(overlaps, 100), dict.fromkeys(overlaps, 2000)
    return plain(judge_overlaps(replace(small_table(), overlaps=overlaps, live=live, drift_features=features)))


def test_seeds_are_averaged_and_targets_carry_the_interval():
    found = judged(icl=SHARED)["variants"]["icl"]
    interval = ttest_1samp([42, 50], 0).confidence_interval(0.95)
    overall = found["all"]
    assert (overall["value"], overall["low"], overall["high"]) == pytest.approx((46, *interval))
    assert overall["targets"] == 2
    assert found["by_target"] == {"math": 42.0, "code": 50.0}
    assert (found["features"], found["live"]) == (100, 2000)


def test_chance_is_that_of_sets_drawn_blindly():
    found = judged(icl=SHARED)["variants"]["icl"]
    rng = np.random.default_rng(0)
    blind = [len(np.intersect1d(rng.permutation(2000)[:100], np.arange(100))) for _ in range(4000)]
    assert found["chance"] == pytest.approx(np.mean(blind), abs=0.15)
    assert found["chance_high"] == pytest.approx(np.quantile(blind, 0.975), abs=1)


def test_variants_of_one_size_are_paired_by_target():
    found = judged(icl=SHARED, rollouts=SHARED + 7)["differences"]
    assert found["icl - rollouts"] == {"value": -7.0, "low": -7.0, "high": -7.0, "targets": 2}


def test_the_choice_is_made_on_development_targets_in_the_sae_s_dimensions():
    found = judged(icl=SHARED, late=SHARED[::-1], icl_raw=SHARED + 90)["chosen"]
    assert (found["variant"], found["chosen_on"], found["candidates"]) == ("late", "development", 2)
    assert (found["development"]["value"], found["held_out"]["value"]) == (50.0, 42.0)  # development is math alone


def test_without_an_overlap_nothing_is_chosen():
    assert plain(judge_overlaps(replace(small_table(), overlaps={}, live={}, drift_features={}))) == {
        "variants": {},
        "differences": {},
    }


def test_one_target_has_no_interval_and_none_no_mean():
    assert mean_over_targets(np.array([3.0, np.nan])).values() == {
        "value": 3.0,
        "low": None,
        "high": None,
        "targets": 1,
    }
    assert mean_over_targets(np.array([np.nan])) == TargetMean(value=None, low=None, high=None, targets=0)
