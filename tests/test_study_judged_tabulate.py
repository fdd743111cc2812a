"""A finished study as a table, cell by cell against its files, and the table's parts against formulas by hand."""

import json
from statistics import mean, stdev

import numpy as np
import pytest
from random_readings import RAW, WIDE, largest, random_sums
from small_study import DOMAINS, TARGETS, bench

from mixplan.saved.evaluation import EvaluatedModel, Evaluation, Measured, read_evaluation
from mixplan.study.forecasts.formulas import BOUNDS, COMPETITORS, TargetReading
from mixplan.study.jobs import cells_of, evaluated
from mixplan.study.judged.tabulate import (
    SIGNS,
    _Changes,
    concentration,
    over_seeds,
    paired,
    predictors_of,
    shared_dimensions,
    tabulate,
    whole,
)
from mixplan.study.reading.forecasts import read_forecasts


@pytest.fixture
def made(studied):
    """A finished study's bench, and its table."""
    ours = bench(studied / "study.yaml", studied / "run")
    return ours, tabulate(ours, cells_of(ours.study, ours.run), read_forecasts(ours), ours.run)


def test_each_change_is_the_mean_over_the_items_of_both_evaluations(made):
    ours, table = made
    assert (table.targets, table.domains, table.seeds) == (TARGETS, DOMAINS, (3,))
    assert (table.development, table.held_out) == (("sums",), ("doctors",))
    assert table.kinds == {"sum": "short", "patient": "short", "fox": "short", "colours": "choice"}
    assert set(table.measures) == {"kl", "bits_per_byte", "correct", "gold_probability"}
    for t, target in enumerate(TARGETS):
        before = evaluated(ours, ours.taught(target), ours.model)
        after = read_evaluation(ours.run / "cells" / f"{target}-3" / "evaluation.json")
        for d, domain in enumerate(DOMAINS):
            if domain not in after.domains:
                assert (target, domain) == ("sums", "sum")
                assert all(np.isnan(values[t, d, 0]) for values in table.measures.values())
                continue
            for measure, late in after.domains[domain].items():
                early = before.domains[domain][measure]
                assert early.rows == late.rows
                for quantity in late.values:
                    steps = [y - x for x, y in zip(early.values[quantity], late.values[quantity], strict=True)]
                    assert table.measures[quantity][t, d, 0] == pytest.approx(mean(steps))
                    assert table.noise[quantity][t, d, 0] == pytest.approx(stdev(steps) / len(steps) ** 0.5)
                    assert table.items[quantity][d] == len(steps) == 6


def test_quantities_of_choices_are_measured_on_choices_alone(made):
    _, table = made
    assert np.isnan(table.measures["correct"][:, :3]).all()
    assert not np.isnan(table.measures["correct"][:, 3]).any()
    assert table.items["correct"] == (0, 0, 0, 6)


def test_forecasts_bounds_and_signs_stand_beside_the_changes(made):
    ours, table = made
    written = json.loads((ours.run / "forecasts.json").read_bytes())["forecasts"]
    assert set(COMPETITORS + BOUNDS) <= set(table.predictors)
    assert not any("gold" in name for name in table.predictors)  # known of choices alone
    for name in ("sts_icl", "behind_excess", "preview_kl", "pool_rows"):
        by_hand = [[written[t].get(d, {}).get(name, float("nan")) for d in DOMAINS] for t in TARGETS]
        np.testing.assert_array_equal(table.predictors[name], by_hand)
    assert set(table.signs) == set(SIGNS)
    np.testing.assert_array_equal(table.signs["preview_bits_per_byte"], -table.predictors["preview_bits_per_byte"])
    assert table.signs["preview_gold_margin"][1, 3] == written["doctors"]["colours"]["preview_gold_margin"]
    from safetensors.numpy import load

    from mixplan.runs import unseal

    drift = load(unseal(ours.run / "cells" / "doctors-3" / "drift.safetensors"))
    np.testing.assert_allclose(table.predictors["actual_shift"][1, 2], drift["fox.shift"].sum())
    assert np.isnan(table.predictors["actual_shift"][0, 0])


def test_overlaps_are_counted_among_live_dimensions(made):
    ours, table = made
    assert set(table.overlaps) == set(table.live) == set(table.drift_features)
    assert all(((values >= 0) & (values <= 10)).all() for values in table.overlaps.values())
    assert table.live["raw"] == 32
    assert 10 <= table.live["icl"] <= 96
    told = json.loads((ours.run / "concentration.json").read_bytes())
    assert told["features"] == 10
    assert set(told["share"]) == {"sums-3", "doctors-3"}


def evaluation(values: dict[str, dict[str, tuple[float, ...]]], rows: tuple[str, ...]) -> Evaluation:
    measured = {name: {"choice": Measured("choice", rows, kinds, {})} for name, kinds in values.items()}
    return Evaluation(EvaluatedModel(hash="", dtype="float32"), measured, {})


def test_only_items_that_both_hold_are_paired():
    early = Measured("choice", ("a", "b", "c"), {"correct": (0.0, 1.0, 1.0)}, {})
    late = Measured("choice", ("c", "x", "a"), {"correct": (0.0, 1.0, 1.0)}, {})
    np.testing.assert_array_equal(paired(early, late, "correct"), [-1.0, 1.0])


@pytest.mark.filterwarnings("error")
def test_one_item_has_a_change_and_no_standard_error():
    changes = _Changes((1, 2, 1))
    changes.add(
        (0, 1, 0), evaluation({"law": {"kl": (1.0,)}}, ("a",)), evaluation({"law": {"kl": (4.0,)}}, ("a",)), "law"
    )
    assert changes.change["kl"][0, 1, 0] == 3
    assert np.isnan(changes.noise["kl"][0, 1, 0])
    assert np.isnan(changes.change["kl"][0, 0, 0])
    assert changes.items["kl"] == (0, 1)


def test_predictors_are_nan_where_a_domain_is_left_out():
    forecasts = {"math": {"law": {"sts": 1.0, "gold": 2.0}}, "code": {"law": {"sts": 3.0}, "sums": {"sts": 4.0}}}
    found = predictors_of(("law", "sums"), ("math", "code"), forecasts)
    np.testing.assert_array_equal(found["sts"], [[1, np.nan], [3, 4]])
    np.testing.assert_array_equal(found["gold"], [[2, np.nan], [np.nan, np.nan]])


def test_a_forecast_is_one_where_at_most_a_fifth_is_missing():
    assert whole(np.array([1.0, 2, 3, 4, 5, np.nan]))
    assert not whole(np.array([1.0, 2, 3, 4, np.nan]))


def test_means_over_seeds_leave_out_what_is_not_known():
    np.testing.assert_array_equal(
        over_seeds(np.array([[[1.0, 3.0], [5.0, np.nan], [np.nan, np.nan]]])), [[2.0, 5.0, np.nan]]
    )


def test_concentration_is_the_leading_features_part_of_the_whole():
    assert concentration(np.array([1.0, 5.0, 0.0, 4.0]), 2) == pytest.approx(0.9)
    assert concentration(np.array([1.0, 5.0, 0.0, 4.0]), 4) == 1


@pytest.mark.parametrize("count", [8, 30])
def test_dimensions_are_shared_with_what_moved_also_where_the_stream_is_narrower(count):
    reading = TargetReading(random_sums(1), random_sums(2), random_sums(3), None)
    rng = np.random.default_rng(9)
    drift = {
        "target.shift": rng.random(WIDE) * (np.arange(WIDE) > 3),
        "target.raw_shift": rng.random(RAW),
        "target.fired": np.arange(WIDE) % 7.0,
    }
    found = shared_dimensions(reading, drift, count)
    moved = set(largest(drift["target.shift"], count))
    assert found["icl"][0] == len(moved & set(largest(reading.own.shift, count)))
    assert found["activation"][0] == len(moved & set(largest(reading.own.act, count)))
    assert found["icl"][1] == sum(1 for i in range(WIDE) if i % 7 > 0 or i > 3)
    raw = set(largest(drift["target.raw_shift"], count)) & set(largest(reading.own.raw_shift, count))
    assert found["raw"] == (len(raw), RAW)
