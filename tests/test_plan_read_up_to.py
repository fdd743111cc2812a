"""Plans that read until it is enough: what they read, say, keep and take up again, beside plans of given budgets."""

import json

import pytest
from small_plan import plan, recipe  # noqa: F401 - a fixture

from mixplan.plan import looks, make, read_up_to

AUTO = (
    *("drift.query_tokens=auto", "drift.most_tokens=120"),
    *("sts.query_tokens=auto", "sts.most_tokens=90"),
)


@pytest.fixture(autouse=True)
def soon_enough(monkeypatch):
    """A rule that a random model's ten features of ninety-six can meet: by its rows alone."""
    monkeypatch.setattr(looks, "SAME_DIMENSIONS", 0.0)
    monkeypatch.setattr(looks, "SAME_ORDER", -1.0)


@pytest.fixture
def never_enough(monkeypatch, soon_enough):
    """A rule by which nothing is settled before all is read."""
    monkeypatch.setattr(looks, "SAME_DIMENSIONS", 2.0)


def computed(folder):
    """A plan's bytes without when it was made and how long it took."""
    values = json.loads((folder / "plan.json").read_text())
    return {key: value for key, value in values.items() if key not in ("created", "seconds", "hash")}


def test_it_stops_before_all_is_read_and_says_why(recipe, tmp_path):
    found, watcher = plan(recipe, tmp_path / "run", *AUTO)
    stopped = found["stopped"]
    read = sum(one["query_tokens"] for one in found["reading"].values())
    assert stopped["query_tokens"] == read < stopped["at_most"] == 120 + 3 * 90
    assert stopped["text"] in watcher.said
    assert f"Read {read} of at most 390 query tokens (look {stopped['look'] + 1} of 5)" in stopped["text"]
    assert found["recipe"]["sts"]["most_tokens"] == 90
    assert all(one["wanted_tokens"] in (120, 90) for one in found["reading"].values())
    assert not any("query tokens asked for" in warning for warning in found["warnings"])


def test_read_to_the_end_it_has_the_scores_of_a_given_budget(recipe, tmp_path, never_enough):
    read, _ = plan(recipe, tmp_path / "auto", *AUTO)
    given, _ = plan(recipe, tmp_path / "given")
    assert read["stopped"]["look"] == len(looks.LOOKS) - 1
    assert read["reading"] == given["reading"]
    assert [one[0] for one in read["drift"]["features"]] == [one[0] for one in given["drift"]["features"]]
    for name, domain in given["domains"].items():
        for score in ("sts_icl", "sts_act", "raw_icl", "total_shift"):
            own, other = read["domains"][name][score], domain[score]
            assert own["value"] == pytest.approx(other["value"], rel=1e-5)
            rows = given["reading"][name]["query_rows"]
            assert own["high"] - own["value"] == pytest.approx(
                looks.widening(rows, 2) * (other["high"] - other["value"]), rel=1e-3
            )


def test_a_plan_has_the_same_bytes_whether_it_was_read_now_in_parts_or_before(recipe, tmp_path, monkeypatch):
    def stop_there(*_):
        raise KeyboardInterrupt

    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "interrupted"))
    with monkeypatch.context() as patch:
        patch.setattr(make, "stopped_at", stop_there)
        with pytest.raises(KeyboardInterrupt):
            plan(recipe, tmp_path / "run", *AUTO)
    plan(recipe, tmp_path / "run", *AUTO)
    resumed = computed(tmp_path / "run")
    _, watcher = plan(recipe, tmp_path / "run", *AUTO)
    assert "scores are reused from an earlier run; no model is loaded" in watcher.said
    assert not watcher.stages
    assert computed(tmp_path / "run") == resumed
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "fresh"))
    plan(recipe, tmp_path / "run", *AUTO)
    assert computed(tmp_path / "run") == resumed


def test_a_larger_budget_reads_on_where_its_rows_hang_on_it(recipe, tmp_path):
    by_scores = (*AUTO, "allocate.objective=alpha_fair", "budget.max_repeats=1000")
    few, _ = plan(recipe, tmp_path / "few", *by_scores, budget="1")
    many, _ = plan(recipe, tmp_path / "many", *by_scores, budget="5000")
    even, _ = plan(recipe, tmp_path / "even", *AUTO, "budget.max_repeats=1000", budget="5000")
    assert even["stopped"]["rows"] == 1.0  # with nothing measured, an even spread follows no score
    assert few["stopped"]["rows"] == 1.0
    assert few["stopped"]["look"] < many["stopped"]["look"]


def test_one_side_alone_stops_by_itself(recipe, tmp_path):
    target, _ = plan(recipe, tmp_path / "target", *AUTO[:2], budget="2")
    domains, _ = plan(recipe, tmp_path / "domains", "sts.query_tokens=auto", "sts.most_tokens=180", budget="2")
    assert target["reading"]["target"]["query_tokens"] < 120
    assert {target["reading"][name]["query_tokens"] for name in ("patient", "fox", "doctor")} == {90}
    assert domains["reading"]["target"]["query_tokens"] == 120
    assert domains["reading"]["fox"]["query_tokens"] < 180
    assert domains["stopped"]["dimensions"] == 1.0


def test_where_not_all_features_are_kept_all_is_read_and_that_is_said(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(read_up_to, "rows_of", lambda *_, **__: None)
    found, _ = plan(recipe, tmp_path / "run", *AUTO)
    assert found["stopped"]["query_tokens"] == found["stopped"]["at_most"]
    assert "fires on too many features" in found["stopped"]["text"]
    assert found["stopped"]["rows"] is None
