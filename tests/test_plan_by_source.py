"""A plan of several sources: amounts, proportions and, against NumPy, which source puts which domain at risk."""

import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from dense_features import dense_pairs
from small_plan import Silent, plan
from small_sources import AMOUNTS, lay_sources

from mixplan.domains.cached_domains import opened
from mixplan.errors import MixplanError
from mixplan.features.statistics import Statistics
from mixplan.mixture import read_mixture
from mixplan.model import load_model
from mixplan.plan import PlanRequest, make_plan
from mixplan.plan.by_source import SourceDrift, drift_of, scores_by_source, source_reading
from mixplan.plan.scores import plan_readings
from mixplan.recipe import load_recipe
from mixplan.saved.scores import BySource
from mixplan.saved.write import timeless


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_model, tiny_sae):
    """The recipe, its run folder, its plan and what was said, planned once."""
    folder = tmp_path_factory.mktemp("sources")
    recipe = lay_sources(folder, tiny_model, tiny_sae)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXPLAN_CACHE", str(folder / "cache"))
        value, watcher = plan(recipe, folder / "run")
    return recipe, folder / "run", value, watcher


@pytest.fixture
def standing(made, monkeypatch):
    """What was planned, with its cache."""
    monkeypatch.setenv("MIXPLAN_CACHE", str(made[0].parent / "cache"))
    return made


def test_the_mixture_has_the_amounts_and_each_row_says_its_source(made):
    _, run, value, _ = made
    rows = pq.read_table(run / "mixture" / "train-00000.parquet").to_pylist()
    wanted = {f"target.{name}": amount for name, amount in AMOUNTS.items()}
    wanted |= {name: count for name, count in value["allocation"]["rows"].items() if count}
    assert Counter(row["domain"] for row in rows) == wanted
    assert {row["data"] for row in rows if row["domain"] == "target.chat"} == {"chat.jsonl"}
    assert {row["data"] for row in rows if row["domain"] == "target.count"} == {"sum.jsonl"}
    assert (value["mixture"]["target_rows"], value["mixture"]["rows"]) == (9, 17)
    ratios = value["allocation"]["ratios"]
    assert sum(ratios.values()) == pytest.approx(1)
    assert {name: ratio for name, ratio in ratios.items() if name.startswith("target")} == {
        "target.count": 6 / 17,
        "target.chat": 3 / 17,
    }


def test_the_plan_and_its_account_tell_the_sources_apart(made):
    _, run, value, watcher = made
    said = {text.partition(":")[0]: text for text in watcher.said}
    assert said["target.count"] == (
        "target.count: 60 rows: evaluation 6, pool 54, of which query 16 and demonstration 6; 6 in the mixture"
    )
    assert said["target.chat"].startswith("target.chat: 40 rows: evaluation 6, pool 34, ")
    sources = value["target"]["sources"]
    assert list(sources) == ["chat", "count"]
    assert {name: one["mixture_rows"] for name, one in sources.items()} == AMOUNTS
    assert (sources["count"]["grader"], sources["chat"]["grader"]) == ("exact", "none")
    assert value["target"]["grader"] == "by source"
    assert value["target"]["licence"] == "chat: not stated; count: MIT"
    assert value["target"]["rows"]["pool"] == sum(one["rows"]["pool"] for one in sources.values())
    card = (run / "mixture" / "README.md").read_text()
    assert "17 rows for SFT: 9 of the target, from 2 sources, and 8 of " in card
    assert "| target.count | `sum.jsonl` | MIT |" in card
    assert "`target.NAME` for a source of the target" in card
    assert [part.name for part in read_mixture(run / "mixture").parts][:2] == ["target.chat", "target.count"]


def test_the_target_is_read_in_proportion_to_the_amounts(standing):
    recipe, *_ = standing
    loaded = load_recipe(recipe)
    whole, domains = opened(loaded)
    reading = plan_readings(loaded.recipe, load_model(loaded.recipe.model), whole, domains)["target"]
    read = [whole.part_of(whole.query[query.row]).source for unit in reading.units for query in unit.queries]
    assert abs(read.count("count") - 2 / 3 * len(read)) <= 1
    assert len(read) > 6


def test_the_figures_by_source_agree_with_numpy(standing):
    recipe, _, value, watcher = standing
    loaded = load_recipe(recipe)
    whole, domains = opened(loaded)
    model, sae = load_model(loaded.recipe.model), recipe.parent / "sae"

    def features(reading, domain):
        demos = {row.id: row for row in domain.demonstration}
        pairs = dense_pairs(model, sae, reading, domain.query, demos, layer=3)
        alone, context = (np.concatenate([pair[side] for pair in pairs]).astype(np.float64) for side in (0, 1))
        return alone, (context - alone) ** 2

    half = loaded.recipe.drift.query_tokens // 2
    readings = plan_readings(loaded.recipe, model, whole, domains)
    for number, source in enumerate(whole.sources):
        reading = source_reading(loaded.recipe, model, source, tokens=half, number=number)
        shift = features(reading, source)[1].mean(0)
        order = np.argsort(-shift, kind="stable")
        assert shift[order[9]] > 1.01 * shift[order[10]], "too close a race for float32"
        found = value["target"]["sources"][source.source]
        assert found["query_tokens"] == reading.tokens == half
        assert sorted(feature for feature, _ in found["features"]) == sorted(order[:10].tolist())
        assert [one for _, one in found["features"]] == pytest.approx(shift[order[:10]], rel=2e-3)
        assert found["share_of_shift"] == pytest.approx(shift[order[:10]].sum() / shift.sum(), rel=2e-3)
        assert found["in_target"] == len({one for one, *_ in value["drift"]["features"]} & set(order[:10].tolist()))
        for name, domain in domains.items():
            alone, squares = features(readings[name], domain)
            scores = value["domains"][name]["by_source"][source.source]
            assert scores["sts_icl"] == pytest.approx(squares[:, order[:10]].sum(1).mean(), rel=2e-3)
            assert scores["sts_act"] == pytest.approx(alone[:, order[:10]].sum(1).mean(), rel=2e-3)
    # The sources together cost one more reading of the target, the domains none.
    stages = {name: total for name, total, unit in watcher.stages if unit == "tokens"}
    assert stages["reading target.chat"] + stages["reading target.count"] == stages["reading the target"]
    assert [stages[f"reading {name} ({number} of 3)"] for number, name in enumerate(domains, 1)] == [90, 90, 90]


def test_the_order_of_the_sources_changes_no_figure(standing, tmp_path):
    recipe, _, value, _ = standing
    written = yaml.safe_load(recipe.read_text())
    written["target"]["sources"] = dict(reversed(written["target"]["sources"].items()))
    turned = recipe.with_name("turned.yaml")
    turned.write_text(yaml.safe_dump(written, sort_keys=False))
    again, _ = plan(turned, tmp_path / "run")
    assert again["hashes"]["recipe"] == value["hashes"]["recipe"]
    assert timeless({**again, "name": "", "hashes": ""}) == timeless({**value, "name": "", "hashes": ""})
    assert again["hashes"]["data"] == value["hashes"]["data"]
    assert again["mixture"]["hash"] == value["mixture"]["hash"]


def test_a_new_budget_reuses_the_scores_and_a_new_amount_does_not(standing, tmp_path):
    recipe, *_ = standing
    _, watcher = plan(recipe, tmp_path / "budget", budget="4")
    assert "scores are reused from an earlier run; no model is loaded" in watcher.said
    other, watcher = plan(recipe, tmp_path / "amount", "target.sources.chat.rows=12")
    assert "scores are reused from an earlier run; no model is loaded" not in watcher.said
    assert other["mixture"]["target_rows"] == 18


def test_an_amount_beyond_the_pool_is_refused_before_a_model_is_loaded(standing, tmp_path):
    recipe, *_ = standing
    watcher = Silent()
    with pytest.raises(MixplanError, match=r"^target\.sources\.chat\.rows is 99, but target\.chat has 34 pool rows\."):
        make_plan(PlanRequest(recipe, ("target.sources.chat.rows=99",), None, tmp_path / "run"), watcher=watcher)
    assert not [text for text in watcher.said if text.startswith("loading")]


def test_other_ways_of_telling_drift_plan_sources_too(standing, tmp_path):
    recipe, *_ = standing
    sampled = ("target.sources.chat.grader=exact", "drift.from=rollouts", "train.rewards={format: 1.0}",
               "train.answer_format='[aeiou]'", "drift.rollouts.answer_tokens=4", "drift.demonstrations=1")  # fmt: skip
    made, _ = plan(recipe, tmp_path / "rollouts", *sampled)
    assert made["drift"]["rollouts"]["prompts"] == 9  # six of count's demonstrations, and three of chat's
    assert all(entry["by_source"].keys() == {"chat", "count"} for entry in made["domains"].values())
    job = ("drift.from=reward_step", "train.method=grpo", "train.lora={r: 4, target_modules: all-linear}",
           "train.args={learning_rate: 3.0e-3}")  # fmt: skip
    along, _ = plan(recipe, tmp_path / "step", *sampled, *job)
    assert along["drift"]["rollouts"] == made["drift"]["rollouts"]
    assert along["drift"]["reward_step"]["answers"] > 0
    for domain, entry in along["domains"].items():
        assert entry["by_source"] != made["domains"][domain]["by_source"]  # sources are read through the step too
    assert all(entry["by_source"].keys() == {"chat", "count"} for entry in along["domains"].values())


def statistics(tokens: int, shift: list[float], act: list[float]) -> Statistics:
    empty = np.zeros((0, len(shift)))
    return Statistics(np.array([tokens]), np.array(shift), np.array(act), np.ones(len(shift), int), np.zeros(1), empty)


def test_a_source_that_moves_few_features_has_few_dimensions():
    units = [statistics(2, shift, [0.0] * 4) for shift in ([0.0, 6.0, 0.0, 1.0], [0.0, 2.0, 0.0, 3.0])]
    found = drift_of("a", units, count=3)
    assert (found.features.tolist(), found.shift.tolist()) == ([1, 3], [2.0, 1.0])
    assert (found.share_of_shift, found.tokens) == (1.0, 4)
    still = drift_of("b", [statistics(2, [0.0] * 4, [0.0] * 4)], count=3)
    assert (still.features.tolist(), still.share_of_shift) == ([], 0.0)


def test_a_domains_scores_add_up_over_its_units():
    sources = [
        SourceDrift(name, np.array(features), np.zeros(len(features)), 0.0, 1)
        for name, features in (("a", [0, 2]), ("b", [1]), ("c", np.zeros(0, np.int64)))
    ]
    units = [statistics(3, [3.0, 6.0, 0.5], [1.0, 2.0, 3.0]), statistics(1, [1.0, 2.0, 0.5], [1.0, 0.0, 1.0])]
    assert scores_by_source(sources, units) == {
        "a": BySource(sts_icl=5.0 / 4, sts_act=6.0 / 4),
        "b": BySource(sts_icl=8.0 / 4, sts_act=2.0 / 4),
        "c": BySource(sts_icl=0.0, sts_act=0.0),
    }


def test_the_saved_recipe_plans_the_same(standing, tmp_path):
    _, run, value, _ = standing
    again, _ = plan(run / "recipe.yaml", tmp_path / "again")
    assert json.dumps(again["domains"], sort_keys=True) == json.dumps(value["domains"], sort_keys=True)
    assert again["hashes"]["recipe"] == value["hashes"]["recipe"]
