"""A pilot forecasts made worlds whose law and columns are known, and says of itself what targets left out show."""

import math
from dataclasses import replace

import numpy as np
import pytest
from pilot_world import JOB, NAMES, PILOT, SCORES, World

from mixplan.forecast import Planned, forecast
from mixplan.forecast.by_pilot import by_pilot, with_behaviour
from mixplan.forecast.earlier_runs import History
from mixplan.forecast.expected_change import BEHAVIOUR, Learned
from mixplan.forecast.factors import Changes
from mixplan.forecast.job import Distance
from mixplan.forecast.measured_run import Found, Run
from mixplan.forecast.pilot_law import MeasuredPilot
from mixplan.forecast.target_only import comparable
from mixplan.forecast.ways import Errors, Way
from mixplan.saved.base_types import Expected
from mixplan.sts import Score


def forecast_of(world, names, *, pairs=(), runs=None):
    known = comparable(world.runs() if runs is None else runs, Planned(job=JOB), lambda: None)
    return by_pilot(world.measured(names, pairs), JOB, known, SCORES, "sts_icl")


def test_with_earlier_pilots_the_job_is_found_within_a_few_parts_of_a_hundred():
    world = World(0)
    found = forecast_of(world, ("d0", "d4", "d8"), pairs=world.pairs())
    logs = np.log([found.estimates[name].change for name in NAMES])
    np.testing.assert_allclose(logs, world.logs[-1], atol=0.5)
    assert found.use.law_targets == 8
    assert found.use.times.value == pytest.approx(10**1.8, rel=0.25)
    assert found.use.by_pilots
    assert found.use.left_out == 8
    assert "with 8 of them left out in turn" in found.text
    assert found.use.rank >= 1
    assert "which 8 earlier targets teach that" in found.text


def test_intervals_of_a_forecast_from_a_pilot_hold_nineteen_of_twenty():
    inside = total = 0
    for seed in range(12):
        world = World(seed, noise=0.15, spread=0.1)
        found = forecast_of(world, ("d0", "d4", "d8"), pairs=world.pairs())
        for name, truth in zip(NAMES, np.exp(world.logs[-1]), strict=True):
            inside += found.estimates[name].low <= truth <= found.estimates[name].high
            total += 1
    assert 0.9 <= inside / total <= 1.0


def test_without_earlier_pilots_intervals_are_wide_and_the_plan_says_why():
    world = World(1)
    with_law = forecast_of(world, ("d0", "d4", "d8"), pairs=world.pairs())
    without = forecast_of(world, ("d0", "d4", "d8"))
    for name in NAMES:
        sure, unsure = with_law.estimates[name], without.estimates[name]
        assert math.log(unsure.high / unsure.low) > 1.5 * math.log(sure.high / sure.low)
        assert unsure.low < math.exp(world.logs[-1][NAMES.index(name)]) < unsure.high
    assert without.use.law_targets == 0
    assert not without.use.by_pilots
    assert "That is assumed: fewer than three earlier targets have both" in without.text
    assert "their finished jobs' changes, not a pilot's, were completed" in without.text


def test_a_pilot_says_which_domains_move_even_where_it_does_not_say_how_far():
    """Of two targets that differ in their column alone, the pilots' order of domains is the jobs'."""
    world = World(2, targets=10)
    found = forecast_of(world, ("d0", "d3", "d6", "d9"), runs=world.runs(range(10)))
    logs = np.log([found.estimates[name].change for name in NAMES])
    assert np.corrcoef(logs, world.logs[-1])[0, 1] > 0.9


def test_without_earlier_targets_the_rest_is_in_proportion_to_scores():
    world = World(3)
    scores = {name: Score(2.0 if name == "d11" else 1.0, 0.0, 2.0) for name in NAMES}
    known = comparable([], Planned(job=JOB), lambda: None)
    found = by_pilot(world.measured(("d0", "d1", "d2")), JOB, known, scores, "sts_icl")
    assert found.use.rank is None
    assert found.use.targets == 0
    assert found.estimates["d11"].change == pytest.approx(2 * found.estimates["d5"].change)
    direct = [found.estimates[name].change for name in ("d0", "d1", "d2")]
    pilots = np.exp(world.pilots[-1][:3])
    np.testing.assert_allclose(direct, 10 * pilots)  # an exponent of 1
    assert found.estimates["d5"].change == pytest.approx(float(np.exp(np.log(direct).mean())))
    assert "in proportion to their scores" in found.text


def test_a_domain_that_no_earlier_target_measured_is_expected_around_the_others():
    world = World(4)
    scores = {**SCORES, "new": Score(1.0, 1.0, 1.0)}
    known = comparable(world.runs(), Planned(job=JOB), lambda: None)
    found = by_pilot(world.measured(("d0", "d4"), world.pairs()), JOB, known, scores, "sts_icl")
    others = [found.estimates[name].change for name in NAMES]
    assert found.estimates["new"].change == pytest.approx(float(np.exp(np.log(others).mean())), rel=1e-6)
    widest = max(math.log(found.estimates[name].high / found.estimates[name].low) for name in NAMES)
    assert math.log(found.estimates["new"].high / found.estimates["new"].low) > 0.9 * widest
    assert "No earlier target says anything of new" in found.text


def test_scores_beside_the_pilot_are_used_where_they_err_less_and_the_plan_says_so():
    world = World(10)
    logs = world.follow_scores(1)
    runs = [
        replace(run, domains={name: replace(part, scores={"sts_icl": math.exp(score)})
                              for (name, part), score in zip(run.domains.items(), logs[place], strict=True)})
        for place, run in enumerate(world.runs())
    ]  # fmt: skip
    scores = {name: Score(*[math.exp(score)] * 3) for name, score in zip(NAMES, logs[-1], strict=True)}
    known = comparable(runs, Planned(job=JOB), lambda: None)
    pilot = world.measured(("d0", "d4", "d8"), world.pairs())
    found, plain = (by_pilot(pilot, JOB, known, each, "sts_icl") for each in (scores, SCORES))
    errors = [
        np.mean(
            [(math.log(one.estimates[name].change) - world.logs[-1, place]) ** 2 for place, name in enumerate(NAMES)]
        )
        for one in (found, plain)
    ]
    assert errors[0] < 0.25 * errors[1]
    assert found.use.score_share == 1
    assert found.use.error == min(found.use.errors.values()) < found.use.error_without_scores
    assert "and by what scores say beside them, learned from 8 earlier targets" in found.text
    assert f"were completed; without scores by {found.use.error_without_scores:.3g}." in found.text
    # Scores that are all alike say nothing of this target: its levels are those that domains have anyway.
    assert plain.use.score_share == found.use.score_share


def test_jobs_of_another_strength_say_less_of_how_far_this_one_moves():
    """Earlier jobs are ten times shorter than this one: how they are scaled to it is unsure."""
    world = World(9)
    near, far = (
        by_pilot(MeasuredPilot(PILOT, world.measured(("d0", "d4", "d8")).changes), JOB, known, SCORES, "sts_icl")
        for known in (
            comparable(world.runs(), Planned(job=job), lambda: None)
            for job in (JOB, JOB.model_copy(update={"steps": 300.0}))
        )
    )
    for name in NAMES:
        widths = [math.log(one.estimates[name].high / one.estimates[name].low) for one in (near, far)]
        assert widths[1] > 1.2 * widths[0]


def test_what_a_pilot_moved_within_noise_says_nothing():
    world = World(5)
    pilot = world.measured(("d0", "d4", "d8"), world.pairs())
    faint = {**pilot.changes, "d4": (1e-5, 1e-4)}
    known = comparable(world.runs(), Planned(job=JOB), lambda: None)
    found = by_pilot(MeasuredPilot(PILOT, faint, pilot.pairs), JOB, known, SCORES, "sts_icl")
    assert found.use.within_noise == ["d4"]
    assert "Of these d4 moved by no more than noise and says nothing." in found.text
    nothing = MeasuredPilot(PILOT, {"d4": (1e-5, 1e-4)}, pilot.pairs)
    assert by_pilot(nothing, JOB, known, SCORES, "sts_icl") is None


def test_the_plan_is_made_by_it_and_says_so():
    world = World(6)
    planned = Planned(job=JOB, pilot=world.measured(("d0", "d4", "d8"), world.pairs()))
    made = forecast(SCORES, History(tuple(world.runs())), planned=planned)
    assert made.kind == "learned"
    assert made.describe_all().planned_by == "behaviour"
    assert made.describe_all().pilot.measured == ["d0", "d4", "d8"]
    assert made.text.startswith("Behaviour is forecast from a pilot of 3 steps")
    assert "Without a pilot, behaviour is forecast with an error of" in made.text
    total = sum(made.planning[name].value for name in NAMES)
    assert made.risks["d3"].relative_risk == pytest.approx(made.planning["d3"].value / total)


def test_a_pilot_that_moved_nothing_leaves_the_forecast_as_it_was_and_is_reported():
    world = World(7)
    history = History(tuple(world.runs()))
    nothing = Planned(job=JOB, pilot=MeasuredPilot(PILOT, {"d4": (1e-6, 1e-3)}))
    made, plain = forecast(SCORES, history, planned=nothing), forecast(SCORES, history, planned=Planned(job=JOB))
    assert made.text == plain.text
    assert made.pilot is None
    assert "moved none of the domains" in made.warnings[0]


def test_other_measures_stay_as_earlier_runs_have_them():
    way = Way(
        "accuracy", "own", Errors(0.2, 0.1, 0.3), 3, Changes(np.ones(1), np.ones(1), ("d0",), np.zeros(1)), Distance()
    )
    accuracy = Expected(measure="choice", quantity="correct", change=-0.1, low=-0.2, high=0.0)
    moved = Expected(measure="behaviour", quantity="kl", change=9.0, low=8.0, high=10.0)
    expected = {"d0": {"headline": accuracy, "behaviour": moved}, "d1": {"headline": moved, "behaviour": moved}}
    world = World(8)
    found = with_behaviour(
        forecast_of(world, ("d0",)), Learned({"accuracy": way, "kl": way}, expected, None, {"d0": 1})
    )
    assert found.ways == {"accuracy": way}
    assert found.expected["d0"]["headline"] == accuracy
    for name, part in (("d0", "behaviour"), ("d1", "headline"), ("d1", "behaviour"), ("d5", "behaviour")):
        assert (found.expected[name][part].measure, found.expected[name][part].quantity) == BEHAVIOUR
        assert found.expected[name][part].change < 8
    assert found.weights == {}


def test_three_targets_that_have_little_in_common_leave_wide_intervals_and_no_overflow():
    """Between 0.001 and 5 nats, as if at random: some were told so surely without one another that errors are huge."""
    for seed in range(12):
        draw = np.random.default_rng(seed)
        logs = draw.uniform(-7, 1.6, (3, len(NAMES)))
        runs = [
            Run(f"r{row}", f"{row}" * 64, {
                name: Found({"sts_icl": 1.0}, None, float(np.exp(value))) for name, value in zip(NAMES, of, strict=True)
            }, job=JOB)
            for row, of in enumerate(logs)
        ]  # fmt: skip
        found = forecast_of(World(0), ("d0", "d4"), runs=runs)
        ends = np.array([[one.low, one.change, one.high] for one in found.estimates.values()])
        assert np.isfinite(ends).all()
        assert (ends[:, 0] < ends[:, 1]).all()
        assert (ends[:, 1] < ends[:, 2]).all()
