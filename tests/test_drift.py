"""Drift dimensions are those that sorting by hand gives, resampling is as defined, and messages are held in full."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixplan.drift import (
    NOTHING_MOVED,
    concentration,
    drift_dimensions,
    leave_one_draw_out,
    low_shift_dimensions,
    overlap,
    predict_drift,
    resampled_shifts,
)
from mixplan.errors import DriftError
from mixplan.features.statistics import Statistics


def unit(shift, *, replicas=None, fired=None, raw=None, tokens=4):
    shift = np.asarray(shift, dtype=np.float64)
    return Statistics(
        tokens=np.array([tokens]),
        shift=shift,
        act=np.zeros_like(shift),
        fired=np.ones(len(shift), dtype=np.int64) if fired is None else np.asarray(fired),
        raw_shift=np.ones(6) if raw is None else np.asarray(raw, dtype=np.float64),
        replicas=np.tile(shift, (20, 1)) if replicas is None else np.asarray(replicas, dtype=np.float64),
    )


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 30))
def test_largest_first_and_equal_shifts_by_lower_index(values, count):
    shift = np.array(values, dtype=np.float64)
    if count > len(shift) or not shift.any():
        with pytest.raises(DriftError):
            drift_dimensions(shift, count=count)
        return
    expected = [index for _, index in sorted((-value, index) for index, value in enumerate(values))][:count]
    assert drift_dimensions(shift, count=count).tolist() == expected


def test_messages():
    with pytest.raises(DriftError) as caught:
        drift_dimensions(np.ones(4), count=5)
    assert str(caught.value) == "drift.features is 5, but the SAE has 4 features. Set it to 1…4."
    with pytest.raises(DriftError) as caught:
        drift_dimensions(np.zeros(4), count=2)
    assert str(caught.value) == (
        "no feature moved when demonstrations were put in front of the target's questions. "
        "The SAE is silent on these tokens (see its health), or the demonstrations are empty."
    )
    for way, said in (
        (
            "rollouts",
            "no feature moved between rejected and accepted answers in front of the target's questions. "
            "The SAE is silent on these tokens (see its health); if it is not, set `drift.from: icl`.",
        ),
        (
            "reward_step",
            "no feature moved between the untrained model and the same one step along the reward's gradient on the "
            "target's questions. The adapter changes nothing below the SAE's hook point: set "
            "`train.lora.target_modules: all-linear`, or `drift.from: icl`.",
        ),
        (
            "checkpoint",
            "no feature moved between the untrained model and drift.checkpoint on the target's questions. It changed "
            "nothing below the SAE's hook point: train it longer or with lower layers, or set `drift.from: icl`.",
        ),
    ):
        with pytest.raises(DriftError) as caught:
            predict_drift([unit([0, 0, 0])], count=2, seed=0, told_by=way)
        assert str(caught.value) == said == NOTHING_MOVED[way]


def test_shift_is_a_mean_over_the_tokens_of_all_draws():
    drift = predict_drift([unit([8, 0, 2], tokens=4), unit([0, 6, 2], tokens=6)], count=2, seed=0)
    assert drift.features.tolist() == [0, 1]
    np.testing.assert_allclose(drift.shift, [0.8, 0.6])
    assert drift.tokens == 10
    assert drift.share_of_shift == pytest.approx(14 / 18)
    assert drift.moved == 3


def test_raw_dimensions_are_at_most_the_streams_width():
    drift = predict_drift([unit(np.arange(1, 9), raw=[1, 5, 2, 4, 3, 1])], count=7, seed=0)
    assert drift.raw.tolist() == [1, 3, 4, 2, 0, 5]
    assert drift.raw_share_of_shift == pytest.approx(1.0)


def test_one_draw_says_nothing_of_leaving_one_out():
    assert leave_one_draw_out([unit([3, 2, 1])], np.array([0])) is None


def test_leaving_each_draw_out_without_reading_again():
    units = [unit([9, 0, 1, 0]), unit([0, 9, 1, 0]), unit([0, 9, 1, 8])]
    total = np.array([9, 18, 3, 8])
    features = drift_dimensions(total.astype(float), count=2)
    kept = [len({1, 0} & set(np.argsort(-(total - part.shift), kind="stable")[:2].tolist())) / 2 for part in units]
    assert leave_one_draw_out(units, features) == min(kept)


def test_a_feature_that_every_resample_selects_has_frequency_one():
    drift = predict_drift([unit([50, 9, 1, 0.5]), unit([60, 8, 1, 0.5])], count=2, seed=3)
    np.testing.assert_array_equal(drift.frequency, [1.0, 1.0])
    assert drift.stability == 1.0
    mixed = [[5, 0, 3]] * 10 + [[0, 5, 3]] * 10
    drift = predict_drift([unit([5, 4, 3], replicas=mixed)], count=1, seed=3)
    assert drift.frequency.tolist() == [0.5]


def test_resamples_of_draws_keep_the_number_of_draws():
    units = [unit(np.eye(3)[number]) for number in range(3)]
    found = resampled_shifts(units, seed=1)
    np.testing.assert_array_equal(found.sum(axis=1), 3)
    assert len({tuple(row) for row in found.tolist()}) > 1


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200).filter(lambda values: sum(values) > 0))
def test_concentration_rises_to_one(values):
    shift = np.array(values)
    steps = concentration(shift)
    shares = [share for _, share in steps]
    assert shares == sorted(shares)
    assert steps[-1] == (len(values), pytest.approx(1.0))
    assert steps[0][1] == pytest.approx(max(values) / sum(values))


def test_low_shift_dimensions_fire_and_move_least():
    shift = np.array([0.0, 5, 1, 0.5, 9, 0.7])
    fired = np.array([0, 3, 2, 1, 4, 1])
    assert low_shift_dimensions(shift, fired, np.array([4, 1])).tolist() == [3, 5]


def test_overlap_counts_shared_dimensions():
    assert overlap(np.array([1, 5, 9]), np.array([9, 2, 1])) == 2
