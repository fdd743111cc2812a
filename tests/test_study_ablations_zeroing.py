"""Trained models lose the right features, are measured without them, and the results say so."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from as_saved import plain, typed
from evaluated import loaded
from scipy.stats import ttest_1samp
from small_study import bench, lay, study_values

from mixplan.errors import DataError
from mixplan.evaluate.answering import Answering
from mixplan.evaluate.exact import measure_exact
from mixplan.evaluate.likelihood import measure_likelihood
from mixplan.features.zeroed import zeroed
from mixplan.runs import cache_folder
from mixplan.study.ablations import zeroing
from mixplan.study.ablations.control_features import live_features
from mixplan.study.ablations.zeroing import (
    InProcess,
    condition,
    conditions,
    differences,
    judge_zeroing,
    measure_now,
    measured,
)
from mixplan.study.files.zeroing import Conditions
from mixplan.study.forecasts.formulas import TargetReading
from mixplan.study.jobs import cells_of, read_drift, write_drift


@pytest.fixture
def finished(tmp_path, tiny_model, tiny_sae, build_model):
    """A study's bench, its cells, whose models were never trained, and its targets' readings."""
    ours = bench(lay(tmp_path, tiny_model, tiny_sae), tmp_path / "run")
    cells = cells_of(ours.study, ours.run)
    targets = {}
    for number, cell in enumerate(cells):
        build_model("llama", cell.folder / "model", seed=number + 1)
        taught = ours.taught(cell.target)
        write_drift(ours, taught, loaded(cell.folder / "model"), cell)
        own = ours.profile(ours.reading(taught.target, taught.target, tokens=90).units)
        targets[cell.target] = TargetReading(own, own, own, Counter())
    return ours, cells, targets


def test_each_condition_s_sets(finished):
    _, (cell, _), targets = finished
    drift, own = read_drift(cell), targets["sums"].own
    chosen = conditions(targets["sums"], drift, count=10, seed=3)
    assert list(chosen) == ["none", "drift", "predicted", "random", "matched"]
    assert [len(sets) for sets in chosen.values()] == [1, 1, 1, 5, 5]
    assert chosen["none"][0].tolist() == []
    assert chosen["drift"][0].tolist() == np.argsort(-drift["target.shift"], kind="stable")[:10].tolist()
    assert chosen["predicted"][0].tolist() == np.argsort(-own.shift, kind="stable")[:10].tolist()
    live = set(live_features(drift["target.fired"], drift["target.shift"]).tolist())
    for one in (*chosen["random"], *chosen["matched"]):
        assert len(set(one.tolist())) == 10
        assert set(one.tolist()) <= live - set(chosen["drift"][0].tolist())


def test_a_cell_is_measured_without_the_features_and_kept(finished, monkeypatch):
    ours, cells, targets = finished
    found = plain(judge_zeroing(ours, cells, targets))
    assert (found["features"], found["sets"]) == (10, 5)
    assert list(found["cells"]) == ["sums-3", "doctors-3"]
    for cell in cells:
        entry, target = found["cells"][f"{cell.target}-{cell.seed}"], ours.taught(cell.target).target
        model, rows = loaded(cell.folder / "model"), target.evaluation[:6]
        act = targets[cell.target].own.act / targets[cell.target].own.tokens
        for name, sets in conditions(targets[cell.target], read_drift(cell), count=10, seed=3).items():
            for number, features in enumerate(sets):
                with zeroed(model, ours.sae, features):
                    likely = measure_likelihood(model, rows, advance=lambda _: None).values["bits_per_byte"]
                    graded = measure_exact(
                        Answering(model), target, rows, answer_tokens=4, advance=lambda _: None
                    ).values["score"]
                assert entry[name]["bits_per_byte"]["values"][number] == pytest.approx(np.mean(likely), rel=1e-4)
                assert entry[name]["score"]["values"][number] == pytest.approx(np.mean(graded))
            assert entry[name]["activation"] == pytest.approx(np.mean([act[one].sum() for one in sets]))
        assert entry["drift"]["bits_per_byte"]["value"] != entry["none"]["bits_per_byte"]["value"]
        untrained = measure_likelihood(ours.model, rows, advance=lambda _: None).values["bits_per_byte"]
        assert entry["untrained"]["bits_per_byte"]["value"] == pytest.approx(np.mean(untrained), rel=1e-4)
    gap = [one["drift"]["bits_per_byte"]["value"] - one["random"]["bits_per_byte"]["value"]
           for one in found["cells"].values()]  # fmt: skip
    assert found["differences"]["bits_per_byte"]["drift - random"]["value"] == pytest.approx(np.mean(gap))

    def never(*_args, **_kwargs):
        raise AssertionError("measured twice")

    monkeypatch.setattr(zeroing, "measure_now", never)
    assert plain(judge_zeroing(ours, cells, targets)) == found


def test_what_the_study_measures_of_the_target_is_measured(tmp_path, finished, tiny_model, tiny_sae):
    ours, cells, targets = finished
    found = plain(judge_zeroing(ours, cells[:1], targets, measures=("likelihood",)))
    assert found["cells"]["sums-3"]["none"].keys() == {"bits_per_byte", "activation"}
    assert found["differences"].keys() == {"bits_per_byte"}
    values = study_values(tiny_model)["recipe"]
    values["evaluate"]["measures"] |= {"target": "likelihood"}
    asked = bench(lay(tmp_path, tiny_model, tiny_sae, recipe=values), tmp_path / "run")
    assert plain(judge_zeroing(asked, cells[:1], targets)) == found


def test_a_kept_measurement_is_of_its_own_features_model_and_measure(finished):
    ours, (cell, _), _ = finished
    model, target = loaded(cell.folder / "model"), ours.taught("sums").target
    places = set()
    for asked in (
        (model, target, [1, 2], ["likelihood"]),
        (model, target, [1, 3], ["likelihood"]),
        (ours.model, target, [1, 2], ["likelihood"]),
        (model, target, [1, 2], ["exact"]),
        (model, replace(target, grader="number"), [1, 2], ["exact"]),
    ):
        before = len(places)
        measured(ours, *asked)
        places = {path.name for path in (cache_folder() / "evaluation").rglob("*.json")}
        assert len(places) == before + 1 or before == 0
    measured(ours, model, target, [2, 1], ["likelihood"])  # the same set
    assert {path.name for path in (cache_folder() / "evaluation").rglob("*.json")} == places
    assert measured(ours, model, replace(target, grader="none"), [1], ["likelihood", "exact"]).keys() == {
        "bits_per_byte"
    }


def test_answers_are_made_in_this_process(finished, monkeypatch):
    ours, _, _ = finished
    monkeypatch.setattr("mixplan.evaluate.answering.is_served", lambda _model: True)
    rows = ours.taught("sums").target.evaluation[:4]
    kept, answers = InProcess(ours.model).answers(rows, answer_tokens=4, advance=lambda _: None)
    monkeypatch.undo()
    assert (kept, answers) == Answering(ours.model).answers(rows, answer_tokens=4, advance=lambda _: None)
    narrow = replace(ours.model, window=5)
    assert InProcess(narrow).answers(rows, answer_tokens=4, advance=lambda _: None) == ([], [])


def test_rows_that_do_not_fit(finished):
    ours, _, _ = finished
    target = ours.taught("sums").target
    with pytest.raises(DataError) as caught:
        measure_now(replace(ours.model, window=5), target, target.evaluation[:6], "likelihood", 4)
    assert str(caught.value) == (
        "target: none of its 6 evaluation rows fits the model's window of 5 tokens for `likelihood`. "
        "Give it shorter rows, or leave it out of the zeroing."
    )


def test_sets_are_averaged_with_their_interval():
    values = [2.0, 3.5, 2.5, 4.0]
    found = plain(condition([{"score": value} for value in values]))["score"]
    interval = ttest_1samp(values, 0).confidence_interval(0.95)
    assert found["values"] == values
    assert (found["value"], found["low"], found["high"]) == pytest.approx((3.0, interval.low, interval.high))
    assert plain(condition([{"score": 1.0}])) == {"score": {"values": [1.0], "value": 1.0, "low": None, "high": None}}


def test_differences_average_a_target_s_seeds_first():
    def cell(drift, none, **more):
        names = {"untrained": 0.0, "none": none, "drift": drift, "predicted": 1.0, "random": 0.5, "matched": 0.25}
        values = {
            name: {q: {"values": [], "value": scale * value, "low": None, "high": None} for q, scale in more.items()}
            for name, value in names.items()
        }
        return typed(Conditions, values)

    cells = [
        ("a", cell(3.0, 1.0, bits_per_byte=1)),
        ("a", cell(4.0, 1.0, bits_per_byte=1)),
        ("b", cell(2.0, 1.5, bits_per_byte=1, score=2)),
        ("c", cell(1.0, 1.0, bits_per_byte=1, score=2)),
    ]
    found = plain(differences(cells))
    interval = ttest_1samp([2.5, 0.5, 0.0], 0).confidence_interval(0.95)
    assert found["bits_per_byte"]["drift - none"] == pytest.approx(
        {"value": 1.0, "low": interval.low, "high": interval.high, "targets": 3}
    )
    assert found["score"]["drift - none"]["value"] == pytest.approx(0.5)
    assert found["score"]["drift - none"]["targets"] == 2
    assert set(found["bits_per_byte"]) == {f"{one} - {other}" for one, other in zeroing.DIFFERENCES}
