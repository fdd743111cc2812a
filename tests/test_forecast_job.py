"""How far two jobs are apart, by their formula worked by hand and by simulated factors."""

import math

import numpy as np
import pytest

from mixplan.forecast.job import (
    ADAPTER_SPREAD,
    EXPONENT_SPREAD,
    Distance,
    Job,
    common_distance,
    distance,
    widened,
)

STUDY = Job(target_rows=200, steps=25.0, learning_rate=2e-4, adapter="LoRA r 16")


def test_rows_steps_and_rate_scale_a_change_and_widen_it():
    far = distance(Job(target_rows=80, steps=10.0, learning_rate=2e-4, adapter="LoRA r 16"), STUDY)
    assert far.factor == pytest.approx(10 / 25)
    assert far.spread == pytest.approx(EXPONENT_SPREAD * math.log(2.5))
    assert distance(
        Job(target_rows=200, steps=25.0, learning_rate=4e-4, adapter="LoRA r 16"), STUDY
    ).factor == pytest.approx(2.0)
    assert distance(STUDY, STUDY) == distance(None, STUDY) == distance(STUDY, None) == Distance()
    assert Distance().spread == 0
    full = distance(Job(target_rows=200, steps=25.0, learning_rate=2e-4, adapter="full"), STUDY)
    assert (full.factor, full.spread) == (1.0, ADAPTER_SPREAD)


def test_two_changes_that_were_scaled_alike_are_wrong_alike():
    near, far = Distance(math.log(2)), Distance(math.log(8))
    assert near.beyond(near) == near.beyond(far) == 0
    assert far.beyond(near) == pytest.approx(EXPONENT_SPREAD * math.log(4))
    assert far.beyond(Distance(-math.log(2))) == pytest.approx(EXPONENT_SPREAD * math.log(8))  # scaled the other way
    assert Distance(0.0, True).beyond(Distance(0.0, True)) == 0
    assert Distance(0.0, True).beyond(Distance()) == ADAPTER_SPREAD


def test_several_jobs_together():
    assert common_distance([]) == Distance()
    together = common_distance([Distance(-3.0), Distance(-4.0, True)])
    assert together == Distance(-math.sqrt(12.5), True)


@pytest.mark.parametrize("change", [0.5, -0.5])
def test_a_factor_that_is_not_known_widens_as_its_quantiles_do(change):
    rng = np.random.default_rng(0)
    draws = change * np.exp(0.4 * rng.standard_normal(200_000))
    ends = np.quantile(draws, [0.025, 0.975])
    assert widened(change, change, change, 0.4) == pytest.approx(ends, rel=0.02)
    assert widened(change, change - 0.1, change + 0.2, 0.0) == pytest.approx((change - 0.1, change + 0.2))
    both = np.quantile(draws + 0.05 * rng.standard_normal(200_000), [0.025, 0.975])
    assert widened(change, change - 0.098, change + 0.098, 0.4) == pytest.approx(both, rel=0.06)


def test_a_job_is_read_back_and_a_damaged_one_refused():
    assert Job.model_validate(STUDY.values()) == STUDY
    assert STUDY.text() == "200 rows, 25 steps at 0.0002, LoRA r 16"
    for change in ({"steps": 0}, {"learning_rate": -1.0}, {"steps": math.inf}, {"learning_rate": math.nan}):
        with pytest.raises(ValueError, match=r"greater than 0|finite number"):
            Job.model_validate(STUDY.values() | change)
