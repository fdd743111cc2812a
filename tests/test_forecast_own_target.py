"""Holds the posterior of a measurement and a prediction, against numerical integration and simulated runs."""

import math

import numpy as np
import pytest

from mixplan.domains.content_sketch import Content
from mixplan.forecast import Planned, forecast
from mixplan.forecast.earlier_runs import History
from mixplan.forecast.job import REACH, Distance, Job
from mixplan.forecast.measured_run import Found, Noise, Run
from mixplan.forecast.own_target import UNKNOWN_NOISE, combined, measured, measurements, pooled
from mixplan.forecast.target_only import comparable
from mixplan.sts import Score

FREE = (-math.inf, math.inf)


def test_the_posterior_is_the_normalised_product_of_both():
    found = measured(0.10, Noise(0.02, 0.0, 1), None, Distance())
    made = combined(found, (0.25, 0.25 - 0.05 * REACH, 0.25 + 0.05 * REACH), Distance(), FREE)
    grid = np.linspace(-1, 1, 200_001)
    density = np.exp(-0.5 * ((grid - 0.10) / 0.02) ** 2 - 0.5 * ((grid - 0.25) / 0.05) ** 2)
    density /= density.sum()
    mean = float(density @ grid)
    spread = math.sqrt(float(density @ (grid - mean) ** 2))
    assert made.change == pytest.approx(mean)
    assert (made.mean_high - made.mean_low) / (2 * REACH) == pytest.approx(spread)
    assert made.weight == pytest.approx((0.25 - mean) / 0.15)
    # Another run adds the noise of its own items.
    assert (made.high - made.low) / (2 * REACH) == pytest.approx(math.hypot(spread, 0.02))


def test_a_sure_measurement_outweighs_and_an_unsure_one_yields():
    other = (1.0, 1.0 - 0.1 * REACH, 1.0 + 0.1 * REACH)
    sure = combined(measured(0.2, Noise(1e-5, 0.0), None, Distance()), other, Distance(), FREE)
    unsure = combined(measured(0.2, Noise(10.0, 0.0), None, Distance()), other, Distance(), FREE)
    assert (sure.change, unsure.change) == (pytest.approx(0.2, abs=1e-4), pytest.approx(1.0, abs=1e-3))
    alone = combined(measured(0.2, Noise(0.01, 0.0), None, Distance()), None, Distance(), FREE)
    assert (alone.change, alone.weight) == (0.2, 1.0)


def test_seeds_are_averaged_and_the_next_run_is_one_seed():
    found = measured(0.3, Noise(0.03, 0.06, 4), None, Distance())
    assert found.error == pytest.approx(math.hypot(0.03, 0.06 / 2))
    assert found.again == pytest.approx(math.hypot(0.03, 0.06))
    unknown = measured(0.5, Noise(), None, Distance())
    assert unknown.error == pytest.approx(UNKNOWN_NOISE * 0.5 * math.sqrt(2))
    # Where no item moved, the noise is not 0 but that of the run's other domains.
    assert measured(0.0, Noise(0.0, 0.0), 0.02, Distance()).error == pytest.approx(0.02)


def test_a_common_error_of_scaling_widens_and_does_not_weigh():
    other = (0.25, 0.25 - 0.05 * REACH, 0.25 + 0.05 * REACH)
    weights = {}
    for name, far in (("near", Distance()), ("far", Distance(-1.0))):
        found = measured(0.1, Noise(0.02, 0.0), None, Distance())
        found = type(found)(found.change, found.error, found.again, far)
        made = combined(found, other, far, FREE)
        weights[name] = made.weight
        width = made.high - made.low
    assert weights["near"] == weights["far"]
    assert width > made.mean_high - made.mean_low
    # A measurement after a job further away than the others' counts less.
    alone = type(found)(found.change, found.error, found.again, Distance(-1.0))
    assert combined(alone, other, Distance(), FREE).weight < weights["near"]


def test_two_runs_of_the_target_are_pooled_by_their_precision():
    sure, unsure = (measured(value, Noise(1e-9, error), None, Distance()) for value, error in ((1.0, 0.1), (2.0, 0.2)))
    both = pooled([sure, unsure])
    assert both.change == pytest.approx((1.0 / 0.01 + 2.0 / 0.04) / (1 / 0.01 + 1 / 0.04))
    assert both.error == pytest.approx(1 / math.sqrt(1 / 0.01 + 1 / 0.04))


@pytest.mark.parametrize("runs", [2, 5, 40])
def test_runs_on_the_same_rows_share_the_rows_error(runs):
    """Of many simulated targets, each trained so often: the mean's true error is that which is stated."""
    draw = np.random.default_rng(runs)
    rows, seeds = draw.normal(scale=0.05, size=(20_000, 1)), draw.normal(scale=0.08, size=(20_000, runs))
    both = pooled([measured(1.0, Noise(0.05, 0.08), None, Distance())] * runs)
    assert both.error == pytest.approx(float((rows + seeds).mean(axis=1).std()), rel=0.02)
    assert both.again == pytest.approx(math.hypot(0.05, 0.08))


def content(start):
    return Content(None, 40, tuple(f"{number:012x}" for number in range(start, start + 40)))


NAMES = [f"d{number}" for number in range(12)]


def world(rng, targets=6):
    """Runs in which a domain moves by score, its own factor, the target's strength, and an interaction of theirs."""
    own = np.exp(0.4 * rng.standard_normal(len(NAMES)))
    runs, truth = [], []
    for target in range(targets):
        scores = np.exp(0.3 * rng.standard_normal(len(NAMES)))
        change = scores * own * np.exp(0.5 * rng.standard_normal()) * np.exp(0.6 * rng.standard_normal(len(NAMES)))
        domains = {
            name: Found({"sts_icl": score}, None, float(value * (1 + 0.05 * rng.standard_normal())),
                        behaviour_noise=Noise(0.05 * value, 0.05 * value, 3))
            for name, score, value in zip(NAMES, scores, change, strict=True)
        }  # fmt: skip
        runs.append(Run(f"t{target}", f"{target}" * 64, domains, target=content(1000 * target)))
        truth.append((scores, change))
    return runs, truth


def test_a_target_that_was_measured_is_forecast_from_that_and_better_than_by_the_others():
    errors = {"own": [], "others": []}
    inside = []
    for seed in range(8):
        runs, truth = world(np.random.default_rng(seed))
        scores = {name: Score(float(s), float(s), float(s)) for name, s in zip(NAMES, truth[0][0], strict=True)}
        for name, history in (("own", runs), ("others", runs[1:])):
            found = forecast(scores, History(tuple(history)), planned=Planned(target=content(3)))
            expected = [found.learned.expected[domain]["behaviour"] for domain in NAMES]
            errors[name].append(np.mean([(e.change - t) ** 2 for e, t in zip(expected, truth[0][1], strict=True)]))
            assert bool(found.learned.weights) == (name == "own")
            assert ("This plan's target was measured before, in t0" in found.text) == (name == "own")
            if name == "own":
                inside += [e.low <= t <= e.high for e, t in zip(expected, truth[0][1], strict=True)]
    assert np.sqrt(np.mean(errors["own"])) < 0.2 * np.sqrt(np.mean(errors["others"]))
    assert np.mean(inside) > 0.9


def test_a_domain_that_was_not_measured_takes_the_strength_that_the_target_had():
    runs, truth = world(np.random.default_rng(1))
    for domain, found in runs[0].domains.items():  # a target that moves everything by little
        runs[0].domains[domain] = Found(found.scores, None, 0.1 * found.behaviour, behaviour_noise=Noise(0.001, 0.0, 3))
    missing = runs[0].domains.pop("d0")
    scores = {name: Score(float(s), float(s), float(s)) for name, s in zip(NAMES, truth[0][0], strict=True)}
    with_own = forecast(scores, History(tuple(runs)), planned=Planned(target=content(0)))
    without = forecast(scores, History(tuple(runs[1:])), planned=Planned(target=content(0)))
    ours, theirs = (found.learned.expected["d0"]["behaviour"].change for found in (with_own, without))
    assert abs(ours - missing.behaviour) < 0.5 * abs(theirs - missing.behaviour)


def test_one_target_alone_is_enough_where_it_is_this_plans_own():
    runs, truth = world(np.random.default_rng(2), targets=1)
    scores = {name: Score(float(s), float(s), float(s)) for name, s in zip(NAMES, truth[0][0], strict=True)}
    again = Run("again", "f" * 64, runs[0].domains, target=content(2))
    own = forecast(scores, History((runs[0], again)), planned=Planned(target=content(0)))
    assert (own.kind, own.learned.ways) == ("learned", {})
    assert own.planning["d3"].value == pytest.approx(runs[0].domains["d3"].behaviour)
    # Two runs of one other target are still one target: nothing could be checked on another.
    other = forecast(scores, History((runs[0], again)), planned=Planned(target=content(5000)))
    assert other.kind == "relative"
    assert other.text.startswith("2 earlier runs were found, all of one target, and two different targets are needed")


def test_the_jobs_difference_is_in_the_forecast_and_in_its_words():
    runs, truth = world(np.random.default_rng(3))
    old, new = (
        Job(target_rows=200, steps=25.0, learning_rate=2e-4, adapter="LoRA r 16"),
        Job(target_rows=80, steps=10.0, learning_rate=2e-4, adapter="LoRA r 16"),
    )
    runs = [Run(one.name, one.hash, one.domains, target=one.target, job=old) for one in runs]
    scores = {name: Score(float(s), float(s), float(s)) for name, s in zip(NAMES, truth[0][0], strict=True)}
    same = forecast(scores, History(tuple(runs)), planned=Planned(content(0), job=old))
    less = forecast(scores, History(tuple(runs)), planned=Planned(content(0), job=new))
    for name in NAMES:
        full, scaled = (found.learned.expected[name]["behaviour"] for found in (same, less))
        assert scaled.change == pytest.approx(0.4 * full.change, rel=0.1)
        assert (scaled.high - scaled.change) / scaled.change > (full.high - full.change) / full.change
    assert "(200 rows, 25 steps at 0.0002, LoRA r 16)" in less.text
    assert ", times 0.4 [0.066, 2.4] for this plan's job, with a weight of" in less.text
    assert "times" not in same.text


def test_headlines_are_taken_only_in_the_measure_that_is_planned():
    found = {"law": Found({}, ("choice", "correct", 0.1), None), "code": Found({}, ("exact", "score", 0.2), None)}
    known = comparable([Run("a", "a" * 64, found, target=content(0))], Planned(content(0)), lambda: None)
    places = {"law": ("choice", "correct"), "code": ("choice", "correct")}
    assert set(measurements(known, "accuracy", places)) == {"law"}
    assert measurements(known, "kl") == {}
