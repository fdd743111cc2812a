"""Saved drift dimensions and scores against a NumPy transcription, whatever the rows' order and number of processes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from dense_features import dense_pairs
from evaluated import spec_of
from small_plan import Silent, plan, recipe  # noqa: F401 - a fixture is used by its name
from started_commands import plan_by_processes

from mixplan.domains.cached_domains import opened
from mixplan.model import DTYPES, load_model
from mixplan.plan.loaded_alike import load_alike
from mixplan.plan.scores import plan_readings
from mixplan.reading.workers import Workers
from mixplan.recipe import load_recipe


def transcribed(path: Path) -> tuple[list[int], dict[str, tuple[float, float]]]:
    """Drift dimensions, and each domain's STS_ICL and STS_act, from dense features of every token."""
    loaded = load_recipe(path)
    target, domains = opened(loaded)
    model = load_model(loaded.recipe.model)
    readings = plan_readings(loaded.recipe, model, target, domains)
    sae = loaded.folder(("model", "sae", "path")) / loaded.recipe.model.sae.path

    def features(name, domain):
        demos = {row.id: row for row in domain.demonstration}
        pairs = dense_pairs(model, sae, readings[name], domain.query, demos, layer=3)
        alone, context = (np.concatenate([pair[side] for pair in pairs]).astype(np.float64) for side in (0, 1))
        return alone, (context - alone) ** 2

    shift = features("target", target)[1].mean(0)
    order = np.argsort(-shift, kind="stable")
    count = loaded.recipe.drift.features
    assert shift[order[count - 1]] > 1.01 * shift[order[count]], "too close a race for float32"
    chosen = order[:count]
    scores = {}
    for name, domain in domains.items():
        alone, squares = features(name, domain)
        scores[name] = squares[:, chosen].sum(1).mean(), alone[:, chosen].sum(1).mean()
    return sorted(chosen.tolist()), scores


def assert_agrees(made: dict, expected: tuple) -> None:
    chosen, scores = expected
    assert sorted(feature for feature, *_ in made["drift"]["features"]) == chosen
    for name, (icl, act) in scores.items():
        assert made["domains"][name]["sts_icl"]["value"] == pytest.approx(icl, rel=2e-3)
        assert made["domains"][name]["sts_act"]["value"] == pytest.approx(act, rel=2e-3)


def test_a_plan_agrees_with_numpy_in_any_row_order_and_by_any_number_of_processes(
    recipe, tmp_path, monkeypatch
):  # fmt: skip
    expected = transcribed(recipe)
    one, _ = plan(recipe, tmp_path / "one")
    assert_agrees(one, expected)

    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "shared"))
    plan_by_processes(3, recipe, tmp_path / "three")
    assert_agrees(json.loads((tmp_path / "three" / "plan.json").read_text()), expected)

    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "shuffled"))
    for seed, path in enumerate(sorted(tmp_path.glob("*.jsonl"))):
        lines = path.read_text().splitlines()
        np.random.default_rng(seed).shuffle(lines)
        path.write_text("\n".join(lines) + "\n")
    shuffled, _ = plan(recipe, tmp_path / "again")
    assert_agrees(shuffled, expected)
    # The rows are ordered by their content, so that nothing that is read differs at all.
    assert shuffled["drift"] == one["drift"]
    assert [shuffled["domains"][name]["sts_icl"] for name in one["domains"]] == [
        entry["sts_icl"] for entry in one["domains"].values()
    ]


def test_a_process_reads_in_the_first_ones_type(tiny_model, monkeypatch):
    """Each times its CPU by itself, and what one has read the others look for under its type."""

    class Second(Workers):
        def agreed(self, make):
            assert make() == [types.index("bfloat16")]
            return [types.index("float32")]

    types = list(DTYPES)
    seconds = {torch.float32: 1.0, torch.bfloat16: 0.5}
    monkeypatch.setattr("mixplan.model.device.time_matmul", lambda dtype, _: seconds[dtype])
    spec = spec_of(tiny_model, dtype="auto")
    model = load_alike(spec, Second(1, 2), folder=Path())
    assert (model.dtype, model.lm.dtype) == ("float32", torch.float32)
    assert load_alike(spec, Workers(0, 1), folder=Path()).dtype == "bfloat16"
