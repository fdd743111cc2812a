"""Paired changes against closed forms: Gaussian intervals, exact sign flips, and what no data can show."""

import itertools
import math

import numpy as np
import pytest

from mixplan.errors import RunError
from mixplan.evaluate import Evaluation, Measured, change, changes
from mixplan.saved.evaluation import EvaluatedModel

NORMAL_975 = 1.959963985


def gaussian(count, mean, spread, seed=0):
    """Paired values whose differences have exactly this mean and standard deviation (by n)."""
    draw = np.random.default_rng(seed)
    differences = draw.standard_normal(count)
    differences = (differences - differences.mean()) / differences.std() * spread + mean
    before = draw.uniform(size=count)
    return before, before + differences


def test_the_interval_is_the_normal_one_on_gaussian_differences():
    before, after = gaussian(400, 0.3, 2.0)
    found = change(before, after, quality=1, resamples=20_000, seed=3)
    half = NORMAL_975 * 2.0 / math.sqrt(400)
    assert found.items == 400
    assert found.change == pytest.approx(0.3)
    assert found.change == pytest.approx(found.after - found.before)
    assert found.low == pytest.approx(0.3 - half, abs=0.03 * half)
    assert found.high == pytest.approx(0.3 + half, abs=0.03 * half)


def test_the_noise_floor_is_the_sign_flips_quantile():
    before, after = gaussian(400, 0.0, 2.0)
    found = change(before, after, quality=1, resamples=20_000, seed=3)
    assert found.noise == pytest.approx(NORMAL_975 * 2.0 / math.sqrt(400), rel=0.03)  # 95 % quantile of |N(0, 1)|
    differences = np.array([0.5, -0.2, 0.9, 0.1, -0.4, 0.3, 0.8])
    flipped = [abs(np.mean(np.array(signs) * differences)) for signs in itertools.product((-1, 1), repeat=7)]
    few = change(np.zeros(7), differences, quality=1, resamples=100_000, seed=0)
    assert few.noise == pytest.approx(np.quantile(flipped, 0.95, method="inverted_cdf"))


def test_pairing_removes_what_items_have_in_common():
    hard = np.repeat([0.0, 1.0], 100)
    found = change(hard, hard + 0.1, quality=1, resamples=200, seed=0)
    assert (found.low, found.high) == (pytest.approx(0.1), pytest.approx(0.1))


@pytest.mark.parametrize(
    ("shift", "quality", "direction"),
    [(1.0, 1, "gain"), (-1.0, 1, "loss"), (1.0, -1, "loss"), (-1.0, -1, "gain"), (1.0, 0, "moved"), (0.0, 1, "none")],
)
def test_directions(shift, quality, direction):
    before, after = gaussian(50, shift, 0.5)
    found = change(before, after, quality=quality, resamples=500, seed=1)
    assert found.direction == direction
    assert found.changed == (direction != "none")
    assert not found.changed or ((found.low > 0 or found.high < 0) and abs(found.change) > found.noise)


def test_the_same_values_have_not_changed():
    found = change([0.0, 1.0] * 20, [0.0, 1.0] * 20, quality=1, resamples=100, seed=0)
    assert (found.change, found.noise, found.changed, found.by_chance) == (0, 0, False, 0)
    # Forty right or wrong answers without a flip leave a share of a few per cent open.
    assert -0.1 < found.low < 0 < found.high < 0.1
    same = change([0.1, 0.7] * 20, [0.1, 0.7] * 20, quality=1, resamples=100, seed=0)
    assert (same.change, same.low, same.high, same.noise, same.changed) == (0, 0, 0, 0, False)


@pytest.mark.parametrize(("items", "changed"), [(1, False), (5, False), (6, True)])
def test_fewer_than_six_items_show_nothing(items, changed):
    found = change([0.0] * items, [1.0] * items, quality=1, resamples=100, seed=0)
    assert (found.change, found.changed) == (1, changed)
    assert change([0.0] * items, [2.0] * items, quality=1, resamples=100, seed=0).changed == changed


def test_a_change_within_the_noise_floor_does_not_count():
    """Five of ten items lost: the interval of 0/1 answers leaves 0, but a coin per item does that one time in 16."""
    found = change([1.0] * 5 + [0.0] * 5, [0.0] * 10, quality=1, resamples=100, seed=0)
    assert abs(found.change) <= found.noise
    assert not found.changed
    assert change([1.0] * 8 + [0.0] * 2, [0.0] * 10, quality=1, resamples=100, seed=0).changed


def test_what_would_seem_to_change_is_counted_over_flips_of_the_very_differences():
    differences = np.array([1.0, 1, 1, 1, 1, 1, 1, 1, -1, 0, 0, 0])
    found = change(
        np.where(differences < 0, 1.0, 0.0), np.where(differences > 0, 1.0, 0.0), quality=1, resamples=100, seed=0
    )
    alarms = []
    for signs in itertools.product((-1, 1), repeat=9):
        flipped = differences[:9] * signs
        other = change(
            np.where(flipped < 0, 1.0, 0.0).tolist() + [0.0] * 3,
            np.where(flipped > 0, 1.0, 0.0).tolist() + [0.0] * 3,
            quality=1,
            resamples=100,
            seed=0,
        )
        alarms.append(other.changed)
    assert found.by_chance == pytest.approx(np.mean(alarms))


def test_false_alarms_are_as_rare_as_the_interval_says():
    alarms = 0
    for seed in range(300):
        draw = np.random.default_rng(seed)
        alarms += change(draw.uniform(size=60), draw.uniform(size=60), quality=1, resamples=200, seed=seed).changed
    assert 0.02 <= alarms / 300 <= 0.10


def test_the_same_seed_gives_the_same_numbers_whatever_the_memory(monkeypatch):
    before, after = gaussian(90, 0.1, 1.0)
    first = change(before, after, quality=1, resamples=1000, seed=5)
    assert first == change(before, after, quality=1, resamples=1000, seed=5)
    assert first != change(before, after, quality=1, resamples=1000, seed=6)
    monkeypatch.setattr("mixplan.evaluate.intervals.DRAWN_VALUES", 1000)
    again = change(before, after, quality=1, resamples=1000, seed=5)
    assert (again.low, again.high) == (pytest.approx(first.low), pytest.approx(first.high))


def test_items_must_pair():
    with pytest.raises(ValueError, match="2 items before and 3 after; the same items are expected"):
        change([1, 2], [1, 2, 3], quality=1, resamples=100, seed=0)
    with pytest.raises(ValueError, match="0 items before and 0 after; the same items are expected"):
        change([], [], quality=1, resamples=100, seed=0)


def evaluation(values, rows, *, measure="choice", quantity="correct", **model):
    measured = Measured(measure, tuple(rows), {quantity: tuple(values)}, {})
    described = {"name": "m", "hash": "h", "dtype": "float32", "device": "cpu", **model}
    return Evaluation(EvaluatedModel(**described), {"law": {measure: measured}}, {"law": measure})


def test_evaluations_are_paired_by_row():
    before = evaluation([0, 0, 0, 1], ["a", "b", "c", "gone"])
    after = evaluation([1, 0, 1], ["c", "b", "a"])
    found = changes(before, after, resamples=100, seed=0)["law"]["choice"]["correct"]
    assert (found.items, found.before, found.after) == (3, 0, pytest.approx(2 / 3))
    assert changes(before, evaluation([1], ["a"], measure="exact", quantity="score"), resamples=100, seed=0) == {
        "law": {}
    }


def test_evaluations_without_a_common_row_are_refused():
    with pytest.raises(RunError) as caught:
        changes(evaluation([1], ["a"]), evaluation([1], ["b"]), resamples=100, seed=0)
    assert str(caught.value) == (
        "law: the evaluations before and after share no row in the measure `choice`; the data has changed between "
        "them. Evaluate both again with `mixplan eval`."
    )


def test_evaluations_in_different_types_are_refused():
    with pytest.raises(RunError) as caught:
        changes(evaluation([1], ["a"]), evaluation([1], ["a"], dtype="bfloat16"), resamples=100, seed=0)
    assert str(caught.value) == (
        "the evaluation before was computed with dtype float32, the one after with bfloat16, so rounding would show as "
        "change. Set `model.dtype` in the recipe and evaluate both again."
    )


def test_a_measure_that_was_made_otherwise_before_than_after_is_left_out():
    measures = {name: Measured(name, ("a",), {"score": (1.0,)}, {}) for name in ("exact", "lm_eval")}
    model = EvaluatedModel(name="tiny", hash="a", dtype="float32", device="cpu")

    def evaluation(**asked):
        return Evaluation(model, {"law": measures}, {"law": "exact"}, asked={"law": asked} if asked else {})

    def compared(before, after):
        return set(changes(before, after, resamples=100, seed=0)["law"])

    one, other = evaluation(exact="256 tokens", lm_eval="x"), evaluation(exact="64 tokens", lm_eval="x")
    assert compared(one, one) == {"exact", "lm_eval"}
    assert compared(one, other) == {"lm_eval"}
    # An evaluation of an earlier mixplan does not say.
    assert compared(one, evaluation()) == compared(evaluation(), other) == {"exact", "lm_eval"}
