"""Sets of features to hold others against: what they are drawn from, and that they are as active."""

import numpy as np

from mixplan.study.ablations.control_features import NEAREST, live_features, matched_sets, random_sets

POOL = np.arange(10, 90)


def test_live_features_fire_or_move():
    assert live_features(np.array([0, 3, 0, 1]), np.array([0.0, 0.0, 0.2, 1.0])).tolist() == [1, 2, 3]


def test_random_sets_are_seeded_and_without_repeats():
    sets = random_sets(POOL, count=30, sets=4, seed=5)
    assert [len(set(one.tolist())) for one in sets] == [30] * 4
    assert all(np.isin(one, POOL).all() for one in sets)
    assert len({tuple(sorted(one.tolist())) for one in sets}) == 4
    again = random_sets(POOL, count=30, sets=4, seed=5)
    assert [one.tolist() for one in again] == [one.tolist() for one in sets]
    assert [sorted(one.tolist()) for one in random_sets(POOL[:3], count=30, sets=2, seed=5)] == [[10, 11, 12]] * 2


def test_random_sets_reach_each_feature_as_often_as_chance():
    drawn = np.concatenate(random_sets(POOL, count=20, sets=2000, seed=1))
    counts = np.bincount(drawn, minlength=90)[POOL]
    assert np.abs(counts / 2000 - 20 / 80).max() < 5 * np.sqrt(0.25 * 0.75 / 2000)


def test_matched_sets_are_about_as_active_and_hold_none_of_the_chosen():
    rng = np.random.default_rng(0)
    act = np.exp(rng.normal(size=2000))
    pool = np.arange(1800)
    chosen = np.argsort(-act[:1800] * np.exp(rng.normal(size=1800)))[:100]  # active ones, mostly
    sets = matched_sets(act, chosen, pool, sets=6, seed=2)
    for one in sets:
        assert len(one) == len(set(one.tolist())) == 100
        assert np.isin(one, pool).all()
        assert not np.isin(one, chosen).any()
        assert abs(act[one].sum() / act[chosen].sum() - 1) < 0.1
    blind = random_sets(pool, count=100, sets=6, seed=2)
    assert max(act[one].sum() for one in blind) < 0.8 * act[chosen].sum()
    assert len({tuple(one.tolist()) for one in sets}) == 6
    assert [o.tolist() for o in matched_sets(act, chosen, pool, sets=6, seed=2)] == [o.tolist() for o in sets]


def test_a_stand_in_is_one_of_the_nearest():
    act = np.arange(40, dtype=float)
    drawn = {int(one[0]) for one in matched_sets(act, np.array([20]), np.arange(40), sets=300, seed=0)}
    assert drawn == {18, 19, 21, 22, 17}  # of 17 and 23, as near, the first
    assert len(drawn) == NEAREST


def test_a_pool_that_is_too_small_is_used_up():
    found = matched_sets(np.ones(6), np.array([0, 1, 2]), np.arange(5), sets=3, seed=0)
    assert [sorted(one.tolist()) for one in found] == [[3, 4]] * 3
    assert [len(one) for one in matched_sets(np.ones(3), np.arange(3), np.arange(3), sets=2, seed=0)] == [0, 0]
