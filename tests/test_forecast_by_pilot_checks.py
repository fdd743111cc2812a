"""Targets left out are completed from their own pilots where enough have one, and by a law that never saw them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from pilot_world import JOB, NAMES, RATIO, World

from mixplan.forecast.by_pilot_checks import errors_of, left_out, pilots_of
from mixplan.forecast.completion import complete, left_out_factors
from mixplan.forecast.earlier_changes import table_of
from mixplan.forecast.matching import Planned
from mixplan.forecast.pilot_law import ASSUMED, learn_law
from mixplan.forecast.target_only import comparable

PLACES = [0, 4, 8]
NO_SCORES = np.full(len(NAMES), np.nan)


def table(world, job=JOB):
    return table_of(comparable(world.runs(), Planned(job=job), lambda: None), NAMES)


def test_each_target_is_seen_by_its_own_pilot_and_the_law_of_the_others():
    world = World(0)
    found = pilots_of(table(world), PLACES, world.pairs())
    law = learn_law(world.pairs([place for place in range(8) if place != 3]))
    np.testing.assert_allclose(found[3].logs, world.pilots[3, PLACES] + law.exponent * RATIO)
    assert found[3].common == pytest.approx((law.spread * RATIO) ** 2)


def test_a_plan_of_another_strength_sees_pilots_scaled_like_its_runs():
    world = World(1)
    twice = JOB.model_copy(update={"steps": 60.0})
    first, second = (pilots_of(table(world, job), PLACES, world.pairs()) for job in (JOB, twice))
    np.testing.assert_allclose(second[2].logs - first[2].logs, math.log(2))


def test_a_domain_that_is_not_the_tables_is_left_out():
    world = World(2)
    pairs = list(world.pairs())
    other = pairs[3].job.copy()
    other[4] += 0.5  # of other content under the same name
    pairs[3] = replace(pairs[3], job=other)
    found = pilots_of(table(world), PLACES, pairs)
    assert found[3].places.tolist() == [0, 8]
    assert found[2].places.tolist() == PLACES


def test_the_error_is_that_of_domains_that_were_not_measured():
    world = World(3)
    earlier = table(world)
    seen = pilots_of(earlier, PLACES, world.pairs())
    fits = left_out_factors(earlier.logs, 1)
    error, _ = errors_of(earlier.logs, fits, seen)
    squares = []
    for row in range(8):
        change = np.exp(complete(fits[row], seen[row]).mean)
        others = [place for place in range(12) if place not in PLACES]
        squares.append(np.mean([(change[place] - math.exp(world.logs[row, place])) ** 2 for place in others]))
    assert error == pytest.approx(math.sqrt(np.mean(squares)))


def test_with_too_few_pilots_the_finished_jobs_stand_for_them():
    world = World(4)
    found = left_out(table(world), PLACES, NO_SCORES, world.pairs(range(3)), ASSUMED, RATIO)
    assert not found.by_pilots
    with_pilots = left_out(table(world), PLACES, NO_SCORES, world.pairs(), learn_law(world.pairs()), RATIO)
    assert with_pilots.by_pilots
    assert found.scale >= 1
    assert with_pilots.error == with_pilots.errors[with_pilots.way] == min(with_pilots.errors.values())


@pytest.mark.parametrize("pilots", [3, 8])
def test_what_scores_say_is_taken_where_it_errs_less(pilots):
    """Each target's changes follow its own scores; by its pilots or by finished jobs, that is found and used."""
    world = World(5)
    scores = world.follow_scores(0)
    earlier = replace(table(world), scores=scores[:-1])
    pairs = world.pairs(range(pilots))
    found = left_out(earlier, PLACES, scores[-1], pairs, learn_law(pairs), RATIO)
    assert found.by_pilots == (pilots == 8)
    assert found.way.share == 1
    without = min(error for way, error in found.errors.items() if not way.share)
    assert found.error < 0.7 * without
    plain = left_out(earlier, PLACES, NO_SCORES, pairs, learn_law(pairs), RATIO)
    assert plain.way.share == 0
    assert plain.error == pytest.approx(without)


@pytest.mark.parametrize("seed", range(8))
def test_the_reported_errors_agree_with_the_choice(seed):
    """Few targets whose scores say nothing: where they are used all the same, they err less by what is reported."""
    world, rng = World(seed), np.random.default_rng(seed)
    earlier = table(world)
    few = replace(earlier, logs=earlier.logs[:4], runs=earlier.runs[:4], scores=rng.standard_normal((4, len(NAMES))))
    found = left_out(few, PLACES, rng.standard_normal(len(NAMES)), (), ASSUMED, RATIO)
    assert not found.by_pilots
    without = [error for way, error in found.errors.items() if not way.share]
    assert found.error < min(without) if found.way.share else found.error in without
