"""Labels and recalls against plain loops over made-up readings."""

import math
from collections import Counter

import numpy as np
import pytest
from as_saved import plain
from scipy.stats import hypergeom

from mixplan.features.profile import Profile
from mixplan.study.ablations import own_features as module
from mixplan.study.ablations.own_features import judge_labels, own_features, recall
from mixplan.study.forecasts.formulas import DomainReading, TargetReading

WIDTH = 60


def profile(seed, tokens=400, boosted=()):
    """Features that fire on some tokens; the boosted ones on many, and strongly."""
    rng = np.random.default_rng(seed)
    h = np.maximum(rng.normal(-1, 1, (tokens, WIDTH)), 0)
    h[:, list(boosted)] += np.maximum(rng.normal(1, 1, (tokens, len(boosted))), 0)
    h[:, 50:] = 0
    d = rng.normal(size=(tokens, WIDTH)) * np.linspace(0.1, 1, WIDTH) * (h > 0)
    flat = np.zeros(4)
    return Profile(tokens, (d**2).sum(0), d.sum(0), h.sum(0), (h > 0).sum(0), flat, flat, flat)


def target(own):
    return TargetReading(own, own, own, Counter())


def domain(own, behind):
    empty = dict.fromkeys(behind, own)
    return DomainReading(own, empty, empty, empty, empty, {}, {}, Counter(), 3, 0.5)


def test_a_target_s_own_features_by_plain_loops():
    here, others = profile(1, boosted=(4, 7)), [profile(2, 300), profile(3, 100, boosted=(9,))]
    ratios = {}
    for j in range(WIDTH):
        if here.fired[j] < 0.005 * here.tokens or here.fired[j] == 0:
            continue
        tokens = sum(one.tokens for one in others)
        elsewhere = sum(one.act[j] for one in others) / tokens
        once = here.act[j] / here.fired[j] / tokens
        ratios[j] = math.log(here.act[j] / here.tokens) - math.log(elsewhere + once)
    expected = sorted(ratios, key=lambda j: -ratios[j])
    assert own_features(here, others, count=12).tolist() == expected[:12]
    assert set(expected[:2]) == {4, 7}
    assert set(own_features(here, others, count=1000).tolist()) == set(ratios)


def test_a_feature_that_is_silent_on_the_domains_counts_as_if_it_fired_once():
    flat, zeros = np.zeros(1), np.zeros(3)
    here = Profile(100, zeros, zeros, np.array([50.0, 2.0, 30.0]), np.array([50, 1, 50]), flat, flat, flat)
    there = Profile(200, zeros, zeros, np.array([0.0, 0.0, 0.3]), np.array([0, 0, 1]), flat, flat, flat)
    # a_t / (m / n_d): (0.5) / (1 / 200) = 100, (0.02) / (2 / 200) = 2, (0.3) / (0.3 / 200 + 0.6 / 200) = 66.7
    assert own_features(here, [there], count=3).tolist() == [0, 2, 1]


def test_recall_is_a_share_of_the_labelled_and_chance_is_hypergeometric(monkeypatch):
    monkeypatch.setattr(module, "MOVERS", 15)
    here = profile(1, boosted=(4, 7))
    chosen = own_features(here, [profile(2)], count=10)
    found = plain(recall(chosen, here, here.shift, here.fired, seed=3))
    live = [j for j in range(WIDTH) if here.fired[j] > 0 or here.shift[j] > 0]
    movers = sorted(live, key=lambda j: -here.shift[j])[:15]
    assert found["recall"] == len(set(movers) & set(chosen.tolist())) / 10
    assert found["chance"] == pytest.approx(15 / len(live))
    assert found["chance_high"] == pytest.approx(hypergeom.ppf(0.975, len(live), 10, 15) / 10)
    assert found["live"] == len(live) == 50
    assert 0 <= found["matched"] <= 1


def test_recall_where_nothing_is_labelled_or_everything_moves(monkeypatch):
    here = profile(1)
    nothing = plain(recall(np.zeros(0, dtype=np.int64), here, here.shift, here.fired, seed=0))
    assert nothing == {"recall": None, "chance": None, "chance_high": None, "matched": None, "live": 50}
    # 500 movers of 50 features.
    everything = plain(recall(np.arange(50), here, here.shift, here.fired, seed=0))
    assert everything == {"recall": 1, "chance": 1, "chance_high": 1, "matched": None, "live": 50}


def test_features_that_move_because_they_are_active_move_in_their_matches_too(monkeypatch):
    monkeypatch.setattr(module, "MOVERS", 100)
    rng = np.random.default_rng(0)
    act, zeros, flat = np.exp(rng.normal(size=2000)), np.zeros(2000), np.zeros(1)
    here = Profile(1000, act, zeros, act, np.full(2000, 500), flat, flat, flat)
    chosen = np.argsort(-act * np.exp(rng.normal(size=2000)))[:80]  # active, and that is all there is to them
    found = plain(recall(chosen, here, act, here.fired, seed=1))
    assert found["recall"] > 3 * found["chance"]
    assert found["matched"] == pytest.approx(found["recall"], abs=0.15)


def test_targets_are_averaged_and_a_target_s_own_data_makes_no_label(monkeypatch):
    monkeypatch.setattr(module, "MOVERS", 15)
    monkeypatch.setattr(module, "LABELLED", 8)
    targets = {name: target(profile(seed, boosted=(seed,))) for name, seed in (("a", 1), ("b", 2), ("c", 3))}
    domains = {
        "same": domain(targets["a"].own, ("b", "c")),  # the data of target a
        "other": domain(profile(9), ("a", "b", "c")),
        "third": domain(profile(8), ("a", "b", "c")),
    }
    moved = {
        (name, seed): {"target.shift": profile(10 * seed + i).shift, "target.fired": targets[name].own.fired}
        for i, name in enumerate(targets)
        for seed in (0, 1)
    }
    judged = plain(judge_labels(targets, domains, moved, seed=4))
    assert (judged["labelled"], judged["movers"], judged["least_firing"]) == (8, 15, 0.005)
    without = own_features(targets["a"].own, [domains["other"].own, domains["third"].own], count=8)
    assert judged["targets"]["a"]["features"] == without.tolist()
    assert judged["targets"]["a"]["features"][0] == 1
    for i, name in enumerate(targets):
        chosen = np.array(judged["targets"][name]["features"])
        cells = []
        for seed in (0, 1):
            shift = profile(10 * seed + i).shift
            cells.append(np.isin(chosen, np.argsort(-shift, kind="stable")[:15]).mean())
        assert judged["targets"][name]["actual"]["recall"] == pytest.approx(np.mean(cells))
    for side in ("predicted", "actual"):
        each = [judged["targets"][name][side] for name in targets]
        assert judged[side]["recall"]["value"] == pytest.approx(np.mean([one["recall"] for one in each]))
        gaps = [one["recall"] - one["matched"] for one in each]
        assert judged[side]["difference"]["value"] == pytest.approx(np.mean(gaps))
        half = 4.302653 * np.std(gaps, ddof=1) / np.sqrt(3)
        assert judged[side]["difference"]["high"] == pytest.approx(np.mean(gaps) + half, abs=1e-6)
        assert judged[side]["chance"] == pytest.approx(np.mean([one["chance"] for one in each]))
