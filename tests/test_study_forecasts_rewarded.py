"""Drift dimensions from rollouts and a pilot run, and scores on them, against a plain transcription of each formula."""

from collections import Counter
from math import sqrt

import numpy as np
import pytest
from random_readings import COUNT, WIDE, domain_reading, largest, random_sums

from mixplan.drift.rollouts import Sampled
from mixplan.features.weighted import Weighted
from mixplan.study.forecasts.formulas import DomainReading, TargetReading, drift_variants, forecasts_of
from mixplan.study.forecasts.rewarded import SCORED, RewardedReading, rewarded_shifts

SAMPLED = Sampled(9, 5, 4, 0.5, 0.5, 0, 1.0, 8)


@pytest.fixture
def domain() -> DomainReading:
    return domain_reading()


@pytest.fixture
def rewarded() -> RewardedReading:
    rng = np.random.default_rng(20)
    answers = Weighted(33, rng.normal(0, 1, WIDE), rng.exponential(1, WIDE))
    return RewardedReading(
        random_sums(11, 81), random_sums(12, 82), random_sums(13, 83), answers, random_sums(14, 84), SAMPLED
    )


@pytest.fixture
def target(rewarded) -> TargetReading:
    return TargetReading(random_sums(1, 90), random_sums(2, 80), random_sums(3, 60), Counter({1: 4}), rewarded)


def by_hand(target: TargetReading) -> dict[str, list[float]]:
    read = target.rewarded
    icl = [x / 90 for x in target.own.shift]
    against, accepted, rejected, pilot = (
        [x / one.tokens for x in one.shift] for one in (read.against, read.accepted, read.rejected, read.pilot)
    )
    signed, size = read.answers.signed, read.answers.size
    every = range(WIDE)
    return {
        "rollouts": against,
        "rollouts_accepted": accepted,
        "rollouts_rejected": rejected,
        "rollouts_signed": [(x / 81) ** 2 for x in read.against.delta],
        "rollouts_and_icl": [accepted[i] / sum(accepted) + icl[i] / sum(icl) for i in every],
        "rollouts_answers": [abs(signed[i]) for i in every],
        "rollouts_answers_size": list(size),
        "rollouts_taught": [sqrt(accepted[i] * size[i]) for i in every],
        "rollouts_answers_shift": [sqrt(accepted[i] * abs(signed[i])) for i in every],
        "checkpoint": pilot,
    }


def test_each_estimator_is_its_formula(target):
    found = rewarded_shifts(target.rewarded, target.own.shift / 90)
    expected = by_hand(target)
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12)


def test_dimensions_are_each_estimator_s_largest_features_beside_those_of_worked_examples(target):
    found = drift_variants(target, count=COUNT)
    expected = {name: largest(values) for name, values in by_hand(target).items()}
    assert {name: list(found[name]) for name in expected} == expected
    alone = TargetReading(target.own, target.neutral, target.answers, target.words)
    beside = drift_variants(alone, count=COUNT)
    assert list(found) == [*expected, *beside]
    assert not set(expected) & set(beside)


def test_domains_are_scored_on_the_dimensions(target, domain):
    found = forecasts_of("t", target, domain, count=COUNT, seed=7)
    expected = {}
    for name in SCORED:
        chosen = largest(by_hand(target)[name])
        expected[f"sts_icl_{name}"] = sum(domain.own.shift[i] for i in chosen) / 70
        expected[f"sts_act_{name}"] = sum(domain.own.act[i] for i in chosen) / 70
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    alone = TargetReading(target.own, target.neutral, target.answers, target.words)
    assert set(found) - set(forecasts_of("t", alone, domain, count=COUNT, seed=7)) == set(expected)
