"""Levels follow scores on made worlds where these say something, and stay as they are where they do not."""

import math

import numpy as np
import pytest

from mixplan.forecast.completion import RANKS, Seen, complete, filled
from mixplan.forecast.completion_scores import SHARES, Way, apart, left_out_with_scores, logs_of, ways, with_scores

TARGETS, DOMAINS, PLACES = 8, 15, [0, 5, 10]


def world(seed, slope=1.5, noise=0.1):
    """Logarithms of changes and of scores, the last row a new target's."""
    rng = np.random.default_rng(seed)
    scores = (
        rng.standard_normal((TARGETS + 1, DOMAINS)) + rng.normal(0, 2, DOMAINS) + rng.normal(0, 2, TARGETS + 1)[:, None]
    )
    own = scores - scores.mean(0) - (scores - scores.mean(0)).mean(1, keepdims=True)
    logs = -3 + rng.normal(0, 1, DOMAINS) + rng.normal(0, 1, TARGETS + 1)[:, None] + slope * own
    return logs + noise * rng.standard_normal(logs.shape), scores


def error(factors, row):
    found = complete(factors, Seen.exact(PLACES, row)).mean
    return float(np.sqrt(np.mean(np.square(found - row))))


@pytest.mark.parametrize("seed", range(4))
def test_a_new_target_is_completed_by_what_scores_say(seed):
    logs, scores = world(seed)
    errors = {
        share: error(with_scores(logs[:-1], scores[:-1], scores[-1], Way(0, share)), logs[-1]) for share in SHARES
    }
    assert errors[1.0] < 0.35  # the noise is 0.1, and levels are learned from eight targets
    assert errors[1.0] < errors[0.5] < errors[0.0]
    assert errors[0.0] > 1


def test_of_levels_of_scores_nothing_is_taken():
    """How high a domain scores anyway, and how high a target does, change nothing."""
    logs, scores = world(0)
    rng = np.random.default_rng(1)
    moved = scores + rng.normal(0, 3, DOMAINS) + rng.normal(0, 3, TARGETS + 1)[:, None]
    first, second = (with_scores(logs[:-1], each[:-1], each[-1], Way(1, 1.0)) for each in (scores, moved))
    np.testing.assert_allclose(first.level, second.level, atol=1e-6)
    np.testing.assert_allclose(first.covariance, second.covariance, atol=1e-6)


def test_without_scores_it_is_the_plain_completion():
    logs, scores = world(2)
    found, plain = with_scores(logs[:-1], scores[:-1], scores[-1], Way(1, 0.0)), filled(logs[:-1], 1)
    np.testing.assert_array_equal(found.level, plain.level)
    np.testing.assert_array_equal(found.loadings, plain.loadings)
    flat = with_scores(logs[:-1], np.ones_like(logs[:-1]), np.ones(DOMAINS), Way(1, 1.0))
    np.testing.assert_allclose(flat.level, plain.level)


def test_cells_that_were_not_measured_are_left_out_with_their_scores():
    logs, scores = world(3)
    holes = [(0, 2), (1, 2), (4, 7), (6, 14)]
    for row, column in holes:
        logs[row, column] = np.nan
    first = with_scores(logs[:-1], scores[:-1], scores[-1], Way(0, 1.0))
    for row, column in holes:
        scores[row, column] = 50.0
    second = with_scores(logs[:-1], scores[:-1], scores[-1], Way(0, 1.0))
    np.testing.assert_array_equal(first.level, second.level)
    assert error(first, logs[-1]) < 0.35


def test_scores_further_out_than_any_before_say_no_more_than_the_furthest():
    logs, scores = world(7)
    near, far = scores[-1].copy(), scores[-1].copy()
    near[4], far[4] = near[4] - 50, far[4] - 5000  # a score of nearly 0
    first, second = (with_scores(logs[:-1], scores[:-1], own, Way(0, 1.0)) for own in (near, far))
    np.testing.assert_allclose(first.level[4], second.level[4])
    assert abs(second.level[4] - filled(logs[:-1], 0).level[4]) < 15


def test_what_is_not_known_of_a_targets_own_slope_widens_what_scores_move():
    rng = np.random.default_rng(8)
    logs, scores = world(8)
    own = scores - scores.mean(0)
    logs = logs + rng.normal(0, 1, TARGETS + 1)[:, None] * (own - own.mean(1, keepdims=True))  # a slope a target
    found, plain = (with_scores(logs[:-1], scores[:-1], scores[-1], Way(0, share)) for share in (1.0, 0.0))
    moved = np.abs(found.level - plain.level)
    seen = Seen.exact(PLACES, logs[-1])
    deviation = complete(found, seen).deviation
    rest = [place for place in range(DOMAINS) if place not in PLACES]
    assert np.corrcoef(moved[rest], deviation[rest])[0, 1] > 0.5


def test_scores_that_differ_by_rounding_alone_say_nothing():
    logs, scores = world(9)
    flat = np.tile(scores[0], (TARGETS, 1)) * (1 + 1e-15)
    found = with_scores(logs[:-1], flat, scores[-1], Way(1, 1.0))
    np.testing.assert_allclose(found.level, filled(logs[:-1], 1).level)


def test_a_domain_without_a_score_of_its_own_has_the_level_that_it_has_anyway():
    logs, scores = world(4)
    own = scores[-1].copy()
    own[3] = np.nan
    found = with_scores(logs[:-1], scores[:-1], own, Way(0, 1.0))
    assert np.isfinite(found.level).all()
    np.testing.assert_allclose(found.level[3], logs[:-1].mean(0)[3], atol=0.6)


def test_a_target_that_is_left_out_teaches_nothing_but_its_scores():
    logs, scores = world(5)
    first = left_out_with_scores(logs, scores, Way(1, 1.0))
    changed = logs.copy()
    changed[2] += np.linspace(-3, 3, DOMAINS)
    second = left_out_with_scores(changed, scores, Way(1, 1.0))
    np.testing.assert_array_equal(first[2].level, second[2].level)
    assert not np.allclose(first[3].level, second[3].level)
    assert error(first[2], logs[2]) < error(left_out_with_scores(logs, scores, Way(1, 0.0))[2], logs[2])


def test_shares_are_tried_where_every_score_is_known():
    logs, scores = world(6)
    all_ways = ways(logs, scores, scores[-1])
    assert len(all_ways) == len(RANKS) * len(SHARES)
    assert all_ways[: len(RANKS)] == tuple(Way(rank, 0.0) for rank in RANKS)
    lacking = scores.copy()
    lacking[1, 1] = np.nan
    assert ways(logs, lacking, scores[-1]) == all_ways[: len(RANKS)]
    assert ways(logs, scores, np.full(DOMAINS, np.nan)) == all_ways[: len(RANKS)]
    logs[1, 1] = np.nan  # what was not measured needs no score
    assert ways(logs, lacking, scores[-1]) == all_ways


def test_scores_apart_and_their_logarithms():
    np.testing.assert_allclose(apart(np.array([1.0, 3.0, np.nan]), np.array([0.0, 0.0, 5.0])), [-1, 1, 0])
    found = logs_of({"a": math.e, "b": 0.0}, ("a", "b", "c"))
    np.testing.assert_array_equal(np.isnan(found), [False, True, True])
    assert found[0] == pytest.approx(1)
