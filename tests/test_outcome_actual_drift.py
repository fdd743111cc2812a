"""What training moved, against a NumPy transcription of both models on dense features; overlap against exact chance."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
import yaml
from as_saved import plain
from dense_features import dense_queries
from hypothesis import given
from hypothesis import strategies as st

from mixplan.domains.cached_domains import opened
from mixplan.model import load_model
from mixplan.outcome.actual_drift import Readings, actual_drift, by_chance, held_against, largest
from mixplan.plan import PlanRequest, looks, make_plan
from mixplan.reading.progress import Silent
from mixplan.recipe import load_recipe
from mixplan.saved import read_plan

COUNT = 12


@pytest.fixture
def planned(tmp_path, tiny_model, tiny_sae, sae_kind):
    """A planned recipe, its plan and target, for each SAE kind."""
    tiny_sae(sae_kind, 32, 96, "blocks.2.hook_resid_post", tmp_path / "sae")
    for topic in ("sum", "fox"):
        lines = [json.dumps({"q": f"what is the {topic} of {n} and {n * 7 % 13} ?", "a": f"{n}"}) for n in range(60)]
        (tmp_path / f"{topic}.jsonl").write_text("\n".join(lines))
    spec = {"format": "question_answer", "columns": {"question": "q", "answer": "a"},
            "split": {"evaluation": 8, "query": 16, "demonstration": 6}}  # fmt: skip
    value = {
        "model": {"name": str(tiny_model), "dtype": "float32", "device": "cpu", "sae": {"path": "sae"}},
        "target": {"data": {"file": "sum.jsonl"}, **spec},
        "domains": {"fox": {"data": {"file": "fox.jsonl"}, **spec}},
        "drift": {"features": COUNT, "demonstrations": 2, "draws": 2, "query_tokens": 120},
        "sts": {"demonstrations": 2, "draws": 2, "query_tokens": 60, "resamples": 100},
        "budget": {"rows": 5},
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    folder = make_plan(PlanRequest(path, run=tmp_path / "run"), watcher=Silent())
    loaded = load_recipe(path)
    return loaded, opened(loaded)[0], read_plan(folder)


def moved_from(model, *, blocks):
    """The model with random changes to some blocks, as if trained."""
    changed = load_model_again(model)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for index in blocks:
            for weight in changed.blocks[index].parameters():
                weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    return dataclasses.replace(changed, weights=f"trained {blocks}")


def load_model_again(model):
    import copy

    lm = copy.deepcopy(model.lm)
    return dataclasses.replace(model, lm=lm, blocks=lm.get_decoder().layers)


def test_it_is_the_mean_squared_change_of_each_feature(planned, tmp_path):
    loaded, target, plan = planned
    untrained = load_model(loaded.recipe.model)
    trained, watcher = moved_from(untrained, blocks=[0, 1]), Silent()
    found = plain(actual_drift(loaded, untrained, trained, target, plan, watcher=watcher))
    (one, x), (other, y) = (dense_queries(model, target, tmp_path / "sae", 120) for model in (untrained, trained))
    shift, raw = np.square(other - one).sum(0), np.square(y - x).sum(0)
    predicted = [entry[0] for entry in plan.drift.features]
    order = np.argsort(-shift, kind="stable")
    moved = [int(index) for index in order[:COUNT] if shift[index] > 0]
    live = np.flatnonzero((one > 0).any(0) | (other > 0).any(0))
    assert found["query_tokens"] == len(one) == 120
    assert found["overlap"] == len(set(moved) & set(predicted))
    assert found["of"] == len(moved)
    assert found["live"] == len(live)
    assert found["chance"] == pytest.approx(len(moved) * len(set(live) & set(predicted)) / len(live))
    assert found["share_of_shift"] == pytest.approx(shift[predicted].sum() / shift.sum(), rel=1e-4)
    assert dict(map(tuple, found["concentration"]))[10] == pytest.approx(
        shift[order[:10]].sum() / shift.sum(), rel=1e-4
    )
    active = np.argsort(-one.sum(0), kind="stable")[:COUNT]
    assert found["active_overlap"] == len(set(active[one.sum(0)[active] > 0]) & set(moved))
    assert found["raw_of"] == COUNT
    assert 0 <= found["raw_overlap"] <= COUNT
    assert found["raw_chance"] == pytest.approx(COUNT * COUNT / raw.size)
    for entry in found["unexpected"]:
        feature = entry["feature"]
        assert feature in moved
        assert feature not in predicted
        assert entry["share"] == pytest.approx(shift[feature] / shift.sum(), rel=1e-4)
        assert entry["before"] == pytest.approx(one[:, feature].mean(), abs=1e-6)
        assert entry["predicted_rank"] is None or entry["predicted_rank"] > COUNT
    for entry in found["unexpected"][:5]:
        assert entry["after"] == pytest.approx(other[:, entry["feature"]].mean(), abs=1e-6)
        largest_after = other[:, entry["feature"]].max()
        shown = [context["activation"] for context in entry["contexts"]]
        assert shown == sorted(shown, reverse=True)
        assert (shown[0] if shown else 0.0) == pytest.approx(max(0.0, largest_after), abs=1e-5)
    assert [name for name, *_ in watcher.stages] == [
        "reading the target with demonstrations",
        "reading the target before and after training",
        *(["reading what moved unexpectedly"] if found["unexpected"] else []),
    ]


def test_a_second_look_reads_nothing_and_finds_the_same(planned):
    loaded, target, plan = planned
    untrained = load_model(loaded.recipe.model)
    trained = moved_from(untrained, blocks=[1])
    first = actual_drift(loaded, untrained, trained, target, plan, watcher=Silent())

    def refuse(*_args, **_kwargs):
        raise AssertionError("read again")

    for model in (untrained, trained):
        model.lm.get_decoder().forward = refuse
    assert actual_drift(loaded, untrained, trained, target, plan, watcher=Silent()) == first


def test_a_job_that_changes_nothing_below_the_sae_moves_no_feature(planned):
    loaded, target, plan = planned
    untrained = load_model(loaded.recipe.model)
    above = moved_from(untrained, blocks=[3])
    assert actual_drift(loaded, untrained, above, target, plan, watcher=Silent()) is None


def test_of_a_plan_that_stopped_as_much_is_read_as_it_read(planned, monkeypatch):
    monkeypatch.setattr(looks, "SAME_DIMENSIONS", 0.0)
    loaded, target, _ = planned
    sets = ("drift.query_tokens=auto", "drift.most_tokens=120")
    plan = read_plan(make_plan(PlanRequest(loaded.path, sets, None, loaded.path.parent / "stops"), watcher=Silent()))
    untrained, watcher = load_model(loaded.recipe.model), Silent()
    stopping = load_recipe(loaded.path, sets)
    found = actual_drift(stopping, untrained, moved_from(untrained, blocks=[1]), target, plan, watcher=watcher)
    assert found.query_tokens == plan.drift.query_tokens < 120
    assert {tokens for name, tokens, _ in watcher.stages if name.startswith("reading the target")} == {
        found.query_tokens
    }


@given(st.integers(1, 40), st.data())
def test_chance_is_hypergeometric(dimensions, data):
    chosen, drawn = (data.draw(st.integers(0, dimensions)) for _ in range(2))
    low, high, mean = by_chance(dimensions, chosen, drawn)
    ways = [math.comb(chosen, k) * math.comb(dimensions - chosen, drawn - k) for k in range(drawn + 1)]
    whole = math.comb(dimensions, drawn)
    assert sum(ways) == whole
    assert mean == pytest.approx(sum(k * way for k, way in enumerate(ways)) / whole)
    # The central interval: as much as can be cut off with at most 2.5 % on each side.
    assert sum(ways[:low]) <= 0.025 * whole * (1 + 1e-9)
    assert sum(ways[high + 1 :]) <= 0.025 * whole * (1 + 1e-9)
    assert sum(ways[: low + 1]) >= 0.025 * whole * (1 - 1e-9)
    assert sum(ways[high:]) >= 0.025 * whole * (1 - 1e-9)


def test_overlap_by_hand():
    sums = Readings(
        predicted=np.array([9.0, 8, 7, 0, 0, 1]),
        actual=np.array([5.0, 0, 3, 2, 0, 0]),
        raw_predicted=np.array([3.0, 2, 1]),
        raw_actual=np.array([1.0, 2, 3]),
        active=np.array([1.0, 9, 0, 4, 0, 0]),
        live=np.array([True, True, True, True, False, False]),
        tokens=2,
    )
    found = plain(held_against(sums, np.array([0, 1])))
    assert (found["overlap"], found["of"], found["live"], found["chance"]) == (1, 2, 4, 1.0)
    assert (found["raw_overlap"], found["raw_of"]) == (1, 2)
    assert found["active_overlap"] == 0
    assert found["share_of_shift"] == 0.5
    assert found["unexpected"] == [
        {"feature": 2, "share": 0.3, "predicted_rank": 3, "before": 0.0, "after": None, "contexts": []}
    ]


def test_features_that_stand_still_are_not_among_the_largest():
    assert largest(np.array([0.0, 2, 0, 3, 2]), 4).tolist() == [3, 1, 4]
