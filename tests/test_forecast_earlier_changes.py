"""Earlier targets as a table of logarithms, and what scores say of a domain that none of them measured."""

import math

import numpy as np
import pytest

from mixplan.forecast.completion import FLOOR
from mixplan.forecast.earlier_changes import pooled_slope, slope_of, table_of
from mixplan.forecast.matching import Planned
from mixplan.forecast.measured_run import Found, Run
from mixplan.forecast.target_only import Known, Recognised, comparable


def run(name, changes, scores=None):
    return Run(name, f"hash of {name}", {
        domain: Found({"sts_icl": (scores or {}).get(domain, 1.0)}, None, change) for domain, change in changes.items()
    })  # fmt: skip


def known(runs, groups=None):
    if groups is None:
        return comparable(runs, Planned(), lambda: None)
    return Known(Recognised(tuple(runs), groups), ())


def test_a_row_is_a_target_and_a_column_a_domain_of_the_plan_that_two_measured():
    runs = [run("a", {"x": 0.1, "y": 0.2, "z": 0.3}), run("b", {"x": 0.4, "other": 9.0}), run("c", {"y": None, "x": 0})]
    found = table_of(known(runs), ["y", "x", "z", "never"])
    assert found.names == ("x",)
    np.testing.assert_allclose(found.logs[:, 0], np.log([0.1, 0.4, FLOOR]))
    assert found.runs == (("hash of a",), ("hash of b",), ("hash of c",))


def test_runs_of_one_target_share_a_row():
    runs = [run("a", {"x": 0.1, "y": 0.2}), run("b", {"x": 0.4}), run("c", {"x": 0.5, "y": 0.3})]
    found = table_of(known(runs, (0, 0, 1)), ["x", "y"])
    np.testing.assert_allclose(found.logs, np.log([[0.2, 0.2], [0.5, 0.3]]))
    assert found.runs[0] == ("hash of a", "hash of b")


def test_scores_lie_beside_changes():
    runs = [run("a", {"x": 0.1, "y": 0.2}, {"x": 2.0, "y": 0.0}), run("b", {"x": 0.4, "y": 0.1}, {"x": 8.0, "y": 3.0})]
    found = table_of(known(runs, (0, 0)), ["x", "y"], "sts_icl")
    assert found.names == ()
    runs.append(run("c", {"x": 0.4, "y": 0.1}))
    found = table_of(known(runs, (0, 0, 1)), ["x", "y"], "sts_icl")
    np.testing.assert_allclose(found.scores, np.log([[4.0, 3.0], [1.0, 1.0]]))
    assert np.isnan(table_of(known(runs, (0, 0, 1)), ["x", "y"]).scores).all()


def test_of_no_runs_the_table_is_empty():
    assert table_of(known([]), ["x"]).logs.shape == (0, 0)


def test_the_slope_within_targets_is_that_of_the_world():
    rng = np.random.default_rng(0)
    runs = []
    for number in range(6):
        scores = {f"d{place}": math.exp(value) for place, value in enumerate(rng.normal(size=9))}
        strength = rng.normal()
        changes = {name: math.exp(strength + 2 * math.log(value)) for name, value in scores.items()}
        runs.append(run(f"r{number}", {name: max(change, 2 * FLOOR) for name, change in changes.items()}, scores))
    floorless = [r for r in runs if all(part.behaviour > 2 * FLOOR for part in r.domains.values())]
    found = slope_of(known(floorless), "sts_icl")
    assert len(floorless) > 2
    assert found.value == pytest.approx(2)
    assert found.deviation == pytest.approx(0, abs=1e-9)


def test_scores_that_say_nothing_are_not_used():
    rng = np.random.default_rng(1)
    runs = [
        run(f"r{number}", {f"d{place}": math.exp(rng.normal()) for place in range(12)},
            {f"d{place}": math.exp(0.01 * rng.normal()) for place in range(12)})
        for number in range(5)
    ]  # fmt: skip
    found = slope_of(known(runs), "sts_icl")
    assert found.value == 0
    assert found.deviation == pytest.approx(1, rel=0.3)


def test_a_target_that_was_trained_again_says_no_more_of_the_slope():
    logs = np.random.default_rng(2).normal(size=6)
    scores = {f"d{place}": math.exp(value) for place, value in enumerate(logs)}
    runs = [
        run(f"r{slope}", {name: score**slope for name, score in scores.items()}, scores) for slope in (0.2, 1.0, 1.2)
    ]
    once, twice = (slope_of(known(runs * times, (0, 1, 2) * times), "sts_icl") for times in (1, 2))
    spread = logs.std(ddof=1)
    assert (once.value, once.deviation) == pytest.approx((0.8, spread * math.sqrt((0.9**2 + 0.3**2 + 0.6**2) / 3)))
    assert twice == once
    # As six targets they would foretell themselves.
    assert slope_of(known(runs * 2, range(6)), "sts_icl").deviation == pytest.approx(0.8 * once.deviation)


def test_too_few_domains_have_no_slope():
    assert slope_of(known([run("a", {"x": 0.1, "y": 0.2})]), "sts_icl") is None
    assert slope_of(known([]), "sts_icl") is None


def test_the_pooled_slope_is_least_squares_over_all_runs():
    parts = [(np.array([1.0, -1.0]), np.array([2.0, -2.0])), (np.array([2.0, -2.0]), np.array([2.0, -2.0]))]
    x, y = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    assert pooled_slope(parts) == pytest.approx(np.linalg.lstsq(x[:, None], y, rcond=None)[0][0])
    assert pooled_slope([(np.zeros(2), np.ones(2))]) == 0
