"""What a finished study leaves for later plans: every target's scores and changes, read back by the forecast."""

import json

import numpy as np
import pytest
from small_study import DOMAINS, TARGETS, bench

from mixplan.domains.content_sketch import Content, sketch
from mixplan.forecast import History, Kind, evidence, with_studies
from mixplan.saved.outcome import Settings
from mixplan.saved.scores import SCORE_KEYS
from mixplan.study.evidence import noise_values
from mixplan.study.judged.table import Table, read_table

SETTINGS = {"method": "sft", "features": 10, "drift_demonstrations": 2, "drift_from": "icl", "sts_demonstrations": 2}


@pytest.fixture
def saved(whole_study):
    folder, _ = whole_study
    return folder / "run", json.loads((folder / "run" / "evidence.json").read_bytes())


def test_scores_and_changes_are_the_study_s_own(saved):
    run, found = saved
    table, forecasts = read_table(run / "table.json"), json.loads((run / "forecasts.json").read_bytes())["forecasts"]
    assert (found["settings"], found["seeds"], list(found["targets"])) == (SETTINGS, [3], list(TARGETS))
    assert {name: list(target) for name, target in found["targets"].items()} == {
        "sums": list(DOMAINS[1:]),  # without its own data
        "doctors": list(DOMAINS),
    }
    for t, target in enumerate(TARGETS):
        for name, domain in found["targets"][target].items():
            d = table.domains.index(name)
            own = forecasts[target][name]
            assert domain["scores"] == {score: own[score] for score in SCORE_KEYS.values()}
            quantity = "bits_per_byte"  # of colours too, whose choices by a random model are at chance
            assert domain["headline"] == ["likelihood", quantity, table.measures[quantity][t, d, 0]]
            assert domain["behaviour"] == table.measures["kl"][t, d, 0]
            assert domain["noise"] == {  # one seed has no spread
                part: {"items": pytest.approx(table.noise[unit][t, d, 0]), "seeds": None}
                for part, unit in (("headline", quantity), ("behaviour", "kl"))
            }
            assert np.isfinite([*domain["scores"].values(), domain["behaviour"], domain["headline"][2]]).all()


def test_correlations_are_the_judgement_s_over_all_targets(saved):
    run, found = saved
    pooled = json.loads((run / "results.json").read_bytes())["pooled"]["all"]["kl"]["pearson"]
    assert set(found["told"]) == set(SCORE_KEYS.values())
    for score, told in found["told"].items():
        assert told == {key: pooled[score][key] for key in ("value", "low", "high")}


def test_a_later_plan_reads_it_back(saved, whole_study, monkeypatch, tmp_path):
    monkeypatch.setattr(evidence, "SHIPPED", tmp_path)
    run, found = saved
    ours = bench(whole_study[0] / "study.yaml", run)
    kind = Kind(ours.model.weights, ours.sae.fingerprint, Settings(**SETTINGS))
    history, (study,) = with_studies(History(), None, folder=run, run=run.parent / "later", kind=kind)
    assert history.warnings == ()
    assert [each.name for each in history.runs] == [f"A small study: {name}" for name in TARGETS]
    assert (study.targets, study.domains, study.seeds) == (2, 4, 1)
    assert study.sentence("sts_icl", 2).startswith("On 2 targets with this model and SAE (4 domains, 1 training seed)")
    assert found["hashes"] == {"model": kind.model, "sae": kind.sae}


def test_targets_and_domains_are_recognised_by_the_plans_of_the_same_data(saved, whole_study):
    run, found = saved
    work = bench(whole_study[0] / "study.yaml", run)
    for name in TARGETS:
        assert Content.from_json(found["contents"]["targets"][name]) == sketch(work.taught(name).target)
        taught = work.taught(name).loaded.recipe
        rows = taught.mixture.target_rows or len(work.taught(name).target.pool)
        assert found["jobs"][name]["target_rows"] == rows
    assert set(found["contents"]["domains"]) == set(DOMAINS)
    assert found["dtype"] == work.model.dtype


def test_noise_of_several_seeds():
    table = Table(
        targets=("t",), domains=("d",), kinds={"d": "k"}, seeds=(0, 1, 2), development=(), competitors=(), bounds=(),
        measures={"kl": np.array([[[1.0, 2.0, 3.0]]])}, noise={"kl": np.array([[[3.0, 4.0, 5.0]]])}, predictors={},
    )  # fmt: skip
    found = noise_values(table, "kl", 0, 0)
    assert (found.items, found.seeds) == pytest.approx((np.sqrt(50 / 3), 1.0))
