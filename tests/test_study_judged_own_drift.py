"""How much of an overlap is the target's own: against plain counting, on readings made up feature by feature."""

from types import SimpleNamespace

import numpy as np
import pytest
from as_saved import plain, typed

from mixplan.drift import drift_dimensions
from mixplan.study.files.judgement import Specific
from mixplan.study.judged import own_drift as module
from mixplan.study.judged.own_drift import judge_specific
from mixplan.study.results.page import specific

FEATURES, COUNT, TARGETS, SEEDS = 60, 10, ("sums", "poems", "code"), (0, 1, 2)


@pytest.fixture
def made(monkeypatch):
    """Shifts of three targets and seeds; a variant that knows the target, and one that knows what all share."""
    rng = np.random.default_rng(0)
    common = rng.random(FEATURES)
    own = {name: rng.random(FEATURES) for name in TARGETS}
    shifts = {(t, s): common + own[t] + 0.1 * rng.random(FEATURES) for t in TARGETS for s in SEEDS}
    readings = {name: SimpleNamespace(knows=own[name]) for name in TARGETS}
    monkeypatch.setattr(
        module,
        "drift_variants",
        lambda reading, *, count: {
            "own": drift_dimensions(reading.knows + common, count=count),
            "all": drift_dimensions(common, count=count),
        },
    )
    return readings, shifts


def test_each_prediction_is_held_against_every_target(made):
    readings, shifts = made
    found = plain(judge_specific(readings, shifts, count=COUNT))
    actual = {key: set(drift_dimensions(shift, count=COUNT).tolist()) for key, shift in shifts.items()}
    for variant, one in found["variants"].items():
        elsewhere, own = [], []
        for t in TARGETS:
            chosen = set(module.drift_variants(readings[t], count=COUNT)[variant].tolist())
            elsewhere.append(np.mean([len(chosen & actual[u, s]) for u in TARGETS if u != t for s in SEEDS]))
            own.append(np.mean([len(chosen & actual[t, s]) for s in SEEDS]))
        assert one["elsewhere"]["value"] == pytest.approx(np.mean(elsewhere))
        assert one["more"]["value"] == pytest.approx(np.mean(own) - np.mean(elsewhere))
    pairs = [len(actual[t, a] & actual[t, b]) for t in TARGETS for a, b in ((0, 1), (0, 2), (1, 2))]
    assert found["between_seeds"]["value"] == pytest.approx(np.mean(pairs))
    apart = [len(actual[t, s] & actual[u, r]) for t in TARGETS for u in TARGETS if t != u for s in SEEDS for r in SEEDS]
    assert found["between_targets"]["value"] == pytest.approx(np.mean(apart))
    # What is common to all targets tells none of them from the others.
    assert found["variants"]["own"]["more"]["value"] > 2
    assert abs(found["variants"]["all"]["more"]["value"]) < 2


def test_with_one_seed_nothing_is_known_between_seeds(made):
    readings, shifts = made
    found = plain(judge_specific(readings, {key: shift for key, shift in shifts.items() if key[1] == 0}, count=COUNT))
    assert found["between_seeds"]["value"] is None
    text, _ = specific(typed(Specific, found))
    assert text.startswith("Trainings of two targets share ")


def test_it_is_told_beside_the_overlaps(made):
    found = plain(judge_specific(*made, count=COUNT))
    text, table = specific(typed(Specific, found))
    seeds = found["between_seeds"]
    assert text.startswith(
        "Two trainings of one target that differ in their seed alone share "
        f"{seeds['value']:.1f} [{seeds['low']:.1f}, {seeds['high']:.1f}] of 10: no prediction can be expected to share "
        "more. Trainings of two targets share "
    )
    one = found["variants"]["own"]
    assert table.splitlines()[2].startswith(f"| `own` | {one['elsewhere']['value']:.1f} [")
    assert f"| {one['more']['value']:+.1f} [" in table.splitlines()[2]
    assert list(specific(None)) == []
