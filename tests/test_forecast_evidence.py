"""Evidence of studies: what it says of a plan's scores, whom it teaches, and every refusal in full."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_evidence import KIND, SCORES, SETTINGS, evidence_values, lay_evidence

from mixplan.domains.content_sketch import Content
from mixplan.forecast import evidence, forecast, halving_rows, with_studies
from mixplan.forecast.earlier_runs import History, Kind, LeftOut, earlier_runs
from mixplan.forecast.evidence import Even, Study, Told
from mixplan.forecast.job import Job
from mixplan.forecast.measured_run import Found, Noise, Run
from mixplan.saved.outcome import Settings
from mixplan.sts import Score
from mixplan.study.asked.spec import load_study

OURS = evidence.SHIPPED
STUDIES = Path(__file__).resolve().parent.parent / "recipes" / "studies"


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch) -> Path:
    """Where studies that come with mixplan lie: none."""
    monkeypatch.setattr(evidence, "SHIPPED", tmp_path / "shipped")
    return tmp_path / "shipped"


def studies(runs: Path, patterns=None, history=None, kind=KIND):
    return with_studies(history or History(), patterns, folder=runs, run=runs / "own", kind=kind)


def test_what_comes_with_mixplan_teaches_plans_of_the_embedded_model(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "SHIPPED", OURS)
    files = {path.stem: json.loads(path.read_bytes()) for path in OURS.glob("*.json")}
    assert {name: value["study"] for name, value in files.items()} == {
        name: load_study(STUDIES / name / "study.yaml").hash
        for name in ("smollm2-135m", "smollm2-135m-arms", "smollm2-135m-held-out")
    }
    hashes = files["smollm2-135m"]["hashes"]
    kind = Kind(hashes["model"], hashes["sae"], Settings(**files["smollm2-135m"]["settings"]))
    history, known = studies(tmp_path / "runs", kind=kind)
    assert history.warnings == ()
    assert sorted((len(study.runs), study.even is not None) for study in known) == [(0, True), (6, False), (8, False)]
    found = halving_rows(None, folder=tmp_path, run=tmp_path / "runs" / "own", kind=kind, usual=100.0)
    assert "learned from arms of 3 targets with 24 to 64 extra rows" in found.text
    levered = replace(kind, settings=kind.settings.model_copy(update={"replay_kl": 10.0}))
    left_out = studies(tmp_path / "runs", kind=levered)[0].left_out
    assert {one.name: one.keys for one in left_out} == {
        value["title"]: ("train.replay_kl: null",) for value in files.values()
    }
    assert "no arms were compared" in halving_rows(
        None, folder=tmp_path, run=tmp_path / "runs" / "own", kind=levered, usual=100.0
    ).text  # fmt: skip


def test_a_study_beside_the_run_teaches_and_says_how_well_scores_told(tmp_path):
    lay_evidence(tmp_path / "runs" / "study", evidence_values())
    own = Run("mine", "b" * 64, {"law": Found({"sts_icl": 1.0}, None, 0.1)})
    history, (study,) = studies(tmp_path / "runs", history=History((own,), ("A warning.",)))
    assert [(run.name, run.studied) for run in history.runs] == [
        ("mine", False),
        ("Eight targets: small", True),
        ("Eight targets: middle", True),
        ("Eight targets: big", True),
    ]
    assert len({run.hash for run in history.runs}) == 4
    assert history.runs[3].domains["code"] == Found(
        {"sts_icl": 2.0, "sts_act": 1.0}, ("choice", "correct", -0.04), 0.4,
        headline_noise=Noise(count=2), behaviour_noise=Noise(count=2),
    )  # fmt: skip
    assert history.warnings == ("A warning.",)
    assert study.sentence("sts_icl", 2) == (
        "On 3 targets with this model and SAE (3 domains, 2 training seeds), STS_ICL had r = 0.46 [0.10, 0.70] with "
        "how far behaviour moved."
    )
    assert study.sentence("sts_act", 5) == (
        "On 3 targets with this model and SAE (3 domains, 2 training seeds), STS_act, read with 2 demonstrations, had "
        "r = 0.20 with how far behaviour moved; there is no evidence that it predicts anything."
    )


def test_what_learned_factors_tell_is_said_to_those_who_learn_them(tmp_path):
    lay_evidence(
        tmp_path / "runs" / "study", evidence_values(learned={"sts_icl": {"value": 0.65, "low": 0.18, "high": 0.88}})
    )
    (study,) = studies(tmp_path / "runs")[1]
    assert study.sentence("sts_icl", 2) == (
        "On 3 targets with this model and SAE (3 domains, 2 training seeds), STS_ICL had r = 0.46 [0.10, 0.70] with "
        "how far behaviour moved. Times each domain's own factor, learned on the other targets, it had "
        "r = 0.65 [0.18, 0.88]."
    )
    assert "own factor" not in study.sentence("sts_act", 2)
    (other,) = studies(tmp_path / "runs", kind=Kind(KIND.model, KIND.sae, Settings(**SETTINGS | {"features": 50})))[1]
    assert "own factor" not in other.sentence("sts_icl", 2)


def test_an_interval_that_holds_zero_shows_nothing_and_a_score_that_was_not_judged_is_not_told():
    study = Study("", "", 8, 21, 1, 2, {"sts_icl": Told(value=0.3, low=-0.1, high=0.6)}, ())
    assert study.sentence("sts_icl", 2) == (
        "On 8 targets with this model and SAE (21 domains, 1 training seed), STS_ICL had r = 0.30 [-0.10, 0.60] with "
        "how far behaviour moved; there is no evidence that it predicts anything."
    )
    assert study.sentence("sts_act", 2) is None


def test_an_interval_below_zero_is_evidence_against_a_score():
    study = Study("", "", 8, 21, 1, 2, {"sts_icl": Told(value=-0.4, low=-0.6, high=-0.1)}, ())
    wrong = "STS_ICL had r = -0.40 [-0.60, -0.10] with how far behaviour moved, the wrong way round."
    assert study.sentence("sts_icl", 2).endswith(wrong)
    worse = Even("sts_icl", "min_max", "kl", 3, -0.2, -0.3, -0.1)
    assert worse.sentence().endswith("worst domain's loss that an even spread did not: they did worse.")


def test_scores_of_other_settings_teach_nothing_but_their_evidence_is_told(tmp_path):
    lay_evidence(tmp_path / "runs" / "study", evidence_values())
    for other, needed in (
        ({"sts_demonstrations": 5}, ("sts.demonstrations: 2",)),
        ({"drift_demonstrations": 5}, (f"drift.demonstrations: {SETTINGS['drift_demonstrations']}",)),
        ({"drift_from": "rollouts"}, ("drift.from: icl",)),
        (
            {"features": 50, "sts_demonstrations": 5},
            (f"drift.features: {SETTINGS['features']}", "sts.demonstrations: 2"),
        ),
    ):
        history, (found,) = studies(tmp_path / "runs", kind=Kind(KIND.model, KIND.sae, Settings(**SETTINGS | other)))
        assert history.runs == ()
        assert history.left_out == (LeftOut("Eight targets", "settings", needed),)
        assert found.sentence("sts_icl", 2) is not None


def test_the_type_that_scores_were_read_in_is_told_where_it_is_another(tmp_path):
    lay_evidence(tmp_path / "runs" / "study", evidence_values(dtype="float32"))
    for dtype, told in (("float32", False), ("bfloat16", True), ("", False)):
        (found,) = studies(tmp_path / "runs", kind=Kind(KIND.model, KIND.sae, Settings(**SETTINGS), dtype))[1]
        sentence = " It was measured in float32; STS in bfloat16 is 0.6 % off its value in float32."
        assert (sentence in found.sentence("sts_icl", 2)) == told
        assert len(found.runs) == 3  # they teach in any type


def test_a_study_of_arms_says_how_its_plans_did_against_an_even_spread(tmp_path):
    worst = {"value": 0.01234, "low": 0.001, "high": 0.02}
    even = {"score": "sts_icl", "objective": "min_max", "unit": "bits_per_byte", "targets": 3, "worst": worst}
    lay_evidence(tmp_path / "runs" / "arms", evidence_values(told={}, targets={}, against_uniform=even))
    history, (study,) = studies(tmp_path / "runs")
    assert history.runs == ()
    assert study.sentence("sts_icl", 2) is None
    assert study.even.sentence() == (
        "On 3 targets with this model and SAE, plans by STS_ICL for `min_max` avoided +0.0123 [0.001, 0.02] bits per "
        "byte of the worst domain's loss that an even spread did not."
    )
    unsure = replace(study.even, value=-0.5, low=None, high=None, unit="accuracy").sentence()
    assert unsure == (
        "On 3 targets with this model and SAE, plans by STS_ICL for `min_max` avoided -0.5 of the worst domain's loss "
        "that an even spread did not; there is no evidence that they do better than an even spread."
    )


@pytest.mark.parametrize(
    ("other", "reason", "keys"),
    [(Kind("x" * 64, KIND.sae, Settings(**SETTINGS)), "model", ("model.name: embedded",)),
     (Kind(KIND.model, "x" * 64, Settings(**SETTINGS)), "SAE", ("model.sae",)),
     (Kind(KIND.model, KIND.sae, Settings(**SETTINGS | {"method": "grpo"})), "training method",
      ("train.method: sft",))],
)  # fmt: skip
def test_studies_of_another_model_sae_or_method_are_left_out_with_the_key(tmp_path, shipped, other, reason, keys):
    lay_evidence(tmp_path / "runs" / "study", evidence_values(model="embedded"))
    history, known = studies(tmp_path / "runs", kind=other)
    assert (history.runs, known, history.left_out) == ((), (), (LeftOut("Eight targets", reason, keys),))
    shipped.mkdir()
    (shipped / "same.json").write_text(json.dumps(evidence_values(model="embedded")))
    assert studies(tmp_path / "none", kind=other)[0].left_out == (LeftOut("Eight targets", reason, keys, shipped=True),)
    # What rows save does not hang on the SAE: such arms are learned from, see `amounts`.
    (shipped / "same.json").unlink()
    lay_evidence(tmp_path / "runs" / "study", evidence_values(targets={}, told={}, model="embedded"))
    assert (studies(tmp_path / "runs", kind=other)[0].left_out == ()) == (reason == "SAE")


def test_shipped_studies_stand_unless_runs_are_named_and_each_study_once(tmp_path, shipped):
    runs = tmp_path / "runs"
    lay_evidence(runs / "study", evidence_values())
    shipped.mkdir()
    (shipped / "same.json").write_text(json.dumps(evidence_values()))
    (shipped / "other.json").write_text(json.dumps(evidence_values("Others", study="b" * 64)))
    assert {study.title for study in studies(runs)[1]} == {"Eight targets", "Others"}
    assert len(studies(runs)[0].runs) == 6
    assert [study.title for study in studies(runs, ["stud*", "study"])[1]] == ["Eight targets"]
    assert studies(runs, [])[1] == ()


@pytest.mark.parametrize(
    "damaged",
    [
        *("", "[]", "{}", "NaN"),
        *(
            json.dumps(evidence_values(**change))
            for change in (
                {"version": 2},
                {"seeds": None},
                {"targets": []},
                {"told": {"sts_icl": {"value": None, "low": 0, "high": 1}}},
                {"told": {"sts_icl": {"value": float("nan"), "low": 0, "high": 1}}},
                {"targets": {"t": {"law": {"scores": {"sts_icl": "1"}, "headline": None, "behaviour": 1}}}},
                {
                    "against_uniform": {
                        "score": "x",
                        "objective": "min_max",
                        "unit": "kl",
                        "targets": 3,
                        "worst": {"value": 1, "low": 0, "high": 2},
                    }
                },
            )
        ),
    ],
)
def test_damaged_evidence_is_one_warning_and_stops_nothing(tmp_path, damaged):
    lay_evidence(tmp_path / "runs" / "study", damaged)
    assert studies(tmp_path / "runs") == (
        History(
            warnings=(
                "study/evidence.json is damaged or of another mixplan, so the forecast does not learn from it. Make it "
                "again with `mixplan study run`, or leave it out of `forecast.runs`.",
            )
        ),
        (),
    )


def test_a_pattern_that_meets_only_studies_is_no_mistake(tmp_path):
    lay_evidence(tmp_path / "runs" / "study", evidence_values())
    assert earlier_runs(["study"], folder=tmp_path / "runs", run=tmp_path / "own", kind=KIND).warnings == ()


def test_a_plan_of_the_kind_is_forecast_in_units_from_the_first(tmp_path):
    lay_evidence(tmp_path / "runs" / "study", evidence_values())
    history, _ = studies(tmp_path / "runs")
    found = forecast({name: Score(score, score, score) for name, score in SCORES.items()}, history)
    assert found.text.startswith("Learned from 3 targets of studies of this model and SAE; errors are root mean")
    assert found.learned is not None
    # Behaviour moves by 0.1, 0.15 and 0.2 a unit of score.
    expected = found.learned.expected["verse"]["behaviour"]
    assert expected.low < 0.15 * 4 < expected.high
    assert expected.change == pytest.approx(0.15 * 4, rel=0.2)
    assert found.learned.expected["verse"]["headline"].change < 0


def test_studies_and_own_runs_are_told_apart(tmp_path):
    lay_evidence(tmp_path / "runs" / "study", evidence_values())
    own = Run("mine", "b" * 64, {name: Found({"sts_icl": score}, None, 0.1) for name, score in SCORES.items()})
    history, _ = studies(tmp_path / "runs", history=History((own,)))
    found = forecast({name: Score(score, score, score) for name, score in SCORES.items()}, history)
    assert found.text.startswith("Learned from 3 targets of studies and 1 earlier run of this model and SAE;")


def test_what_a_study_says_of_its_targets_is_read(tmp_path):
    noise = {"headline": {"items": 0.01, "seeds": None}, "behaviour": {"items": None, "seeds": 0.02}}
    sketch = {"source": "s", "rows": 9, "keys": "a" * 12 + "b" * 12}
    job = {"target_rows": 200, "steps": 25.0, "learning_rate": 2e-4, "adapter": "full"}
    value = evidence_values(
        contents={"targets": {"small": sketch}, "domains": {"law": sketch}}, jobs={"small": job, "big": None}
    )
    value["targets"]["small"]["law"]["noise"] = noise
    lay_evidence(tmp_path / "runs" / "study", value)
    small, middle, big = studies(tmp_path / "runs")[0].runs
    content = Content("s", 9, ("a" * 12, "b" * 12))
    assert (small.target, small.job) == (content, Job(target_rows=200, steps=25.0, learning_rate=2e-4, adapter="full"))
    assert (middle.target, middle.job, big.job) == (None, None, None)
    law = small.domains["law"]
    assert (law.content, small.domains["code"].content) == (content, None)
    assert (law.headline_noise, law.behaviour_noise) == (Noise(0.01, None, 2), Noise(None, 0.02, 2))


@pytest.mark.parametrize(
    "change", [{"contents": {"targets": {"small": {"source": None, "rows": 1, "keys": "xyz"}}}},
               {"jobs": {"small": {"target_rows": 1, "steps": 0, "learning_rate": 1.0, "adapter": "full"}}}],
)  # fmt: skip
def test_a_damaged_sketch_or_job_is_one_warning(tmp_path, change):
    lay_evidence(tmp_path / "runs" / "study", evidence_values(**change))
    history, known = studies(tmp_path / "runs")
    assert (len(history.warnings), history.runs, known) == (1, (), ())


def test_what_comes_with_mixplan_names_what_its_targets_hold_how_they_trained_and_how_well_changes_are_known():
    value = json.loads((OURS / "smollm2-135m.json").read_bytes())
    assert set(value["contents"]["targets"]) == set(value["jobs"]) == set(value["targets"])
    assert value["dtype"] == "float32"
    for target in value["targets"].values():
        assert set(target) <= set(value["contents"]["domains"])
        assert all(domain["noise"]["behaviour"]["items"] > 0 for domain in target.values())
    for job in value["jobs"].values():
        assert job["steps"] == job["target_rows"] / 8  # one epoch in batches of 8, as its study.yaml says
