"""Which earlier runs are learned from, and every warning in full."""

import hashlib
import json
from pathlib import Path

import pytest
from saved_outcome import sample, save

from mixplan.forecast.earlier_runs import NO_SAE, Kind, LeftOut, earlier_runs, settings_of
from mixplan.saved import outcome_hash
from mixplan.saved.outcome import Settings

SETTINGS = {"method": "sft", "features": 100, "drift_demonstrations": 2, "drift_from": "icl", "sts_demonstrations": 5}
KIND = Kind("m" * 64, "s" * 64, Settings(**SETTINGS))


def outcome(seed=0, *, model="m" * 64, sae="s" * 64, **settings):
    made = sample(seed, domains=4)
    made["hashes"] |= {"model": model, "sae": sae}
    made["settings"] = SETTINGS | {"score": "icl"} | settings
    return made


def names(history):
    return sorted(run.name for run in history.runs)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two earlier runs, one of another model, one planned only, beside the run `own`, which has an outcome too."""
    save(tmp_path / "runs" / "first", outcome(1))
    save(tmp_path / "runs" / "second", outcome(2))
    save(tmp_path / "runs" / "own", outcome(3))
    save(tmp_path / "runs" / "foreign", outcome(4, model="x" * 64))
    (tmp_path / "runs" / "planned").mkdir()
    (tmp_path / "runs" / "notes.txt").write_text("no run")
    return tmp_path / "runs"


def test_the_folders_beside_the_run_and_never_itself(runs, monkeypatch):
    found = earlier_runs(None, folder=Path("/nowhere"), run=runs / "own", kind=KIND)
    assert names(found) == ["first", "second"]
    assert found.warnings == ()
    assert [run.hash for run in found.runs] == sorted(
        hashlib.sha256((runs / name / "outcome.json").read_bytes()).hexdigest() for name in ("first", "second")
    )
    monkeypatch.chdir(runs)
    assert names(earlier_runs(None, folder=Path(), run=Path("own"), kind=KIND)) == ["first", "second"]
    (runs / "link").symlink_to(runs / "own")
    assert names(earlier_runs(["link", "own"], folder=runs, run=runs / "own", kind=KIND)) == []


def test_patterns_are_relative_to_the_recipe_and_name_each_run_once(runs):
    def found(*patterns):
        return earlier_runs(patterns, folder=runs.parent, run=runs / "own", kind=KIND)

    assert names(found("runs/*", "runs/first", "./runs/../runs/first")) == ["first", "second"]
    assert names(found(str(runs / "sec*"))) == ["second"]
    assert names(found()) == []
    save(runs / "copy", outcome(1))
    assert len(found("runs/*").runs) == 2  # a copied run is one run


def test_a_pattern_that_meets_nothing_is_told(runs):
    found = earlier_runs(["runs/foreign", "runs/none*"], folder=runs.parent, run=runs / "own", kind=KIND)
    assert found.runs == ()
    assert found.warnings == (
        "forecast.runs: 'runs/none*' meets no folder with an outcome.json or evidence.json, so nothing is "
        "learned there.",
    )


def test_a_run_of_another_kind_is_left_out_with_the_key_that_would_let_it_in(runs):
    for name, change in (
        ("a", {"sae": "x" * 64}), ("b", {"method": "grpo"}), ("c", {"features": 50}),
        ("d", {"sts_demonstrations": 2, "drift_from": "rollouts"}),
    ):  # fmt: skip
        save(runs / name, outcome(7, **change))
    for patterns in (None, ["runs/*"]):
        found = earlier_runs(patterns, folder=runs.parent, run=runs / "own", kind=KIND)
        assert names(found) == ["first", "second"]
        asked = patterns is not None
        beside = "runs/" if asked else ""
        assert found.left_out == (
            LeftOut(f"{beside}a", "SAE", ("model.sae: embedded",), asked),
            LeftOut(f"{beside}b", "training method", ("train.method: grpo",), asked),
            LeftOut(f"{beside}c", "settings", ("drift.features: 50",), asked),
            LeftOut(f"{beside}d", "settings", ("drift.from: rollouts", "sts.demonstrations: 2"), asked),
            LeftOut(f"{beside}foreign", "model", ("model.name: SmolLM2-135M-Instruct",), asked),
        )
    assert earlier_runs([], folder=runs, run=runs / "own", kind=KIND).closed


def test_a_run_with_an_sae_teaches_a_plan_without_one_whatever_that_previews(runs):
    kind = Kind("m" * 64, NO_SAE, Settings(**SETTINGS | {"preview_tokens": 5}))
    found = earlier_runs(None, folder=runs.parent, run=runs / "own", kind=kind)
    assert names(found) == ["first", "second"]
    # One without an SAE was scored by previews, of so many tokens.
    save(runs / "a", outcome(7, sae=NO_SAE, preview_tokens=8))
    found = earlier_runs(None, folder=runs.parent, run=runs / "own", kind=kind)
    assert [part.keys for part in found.left_out if part.name == "a"] == [("sts.preview.answer_tokens: 8",)]


def without(path):
    value = outcome(9)
    *way, last = path
    part = value
    for key in way:
        part = part[key]
    del part[last]
    return json.dumps(value)


def with_nan():
    value = outcome(9)
    value["domains"]["law"]["predictors"]["sts_icl"] = float("nan")
    return json.dumps(value)


def changed():
    """An outcome in which a person has written another number."""
    value = outcome(9)
    value["hashes"]["outcome"] = outcome_hash(value)
    value["domains"]["law"]["predictors"]["sts_icl"] += 1
    return json.dumps(value)


def test_a_model_that_was_trained_elsewhere_teaches_nothing(runs):
    """Nobody knows what its trainer read."""
    value = {key: part for key, part in outcome(9).items() if key != "training"}
    save(runs / "second", value | {"elsewhere": {"model": "x", "label": None}})
    found = earlier_runs(None, folder=runs, run=runs / "own", kind=KIND)
    assert names(found) == ["first"]
    assert found.warnings == (
        "second holds a model that was trained without mixplan: what its trainer read is not known, so the forecast "
        "does not learn from it.",
    )


BROKEN = {
    "": "not JSON: EOF while parsing a value at line 1 column 0",
    "{": "not JSON: EOF while parsing an object at line 1 column 1",
    "[]": "the file: expected an object, found []",
    "null": "the file: expected an object, found null",
    "[" * 100_000: "not JSON: recursion limit exceeded at line 1 column 202",
    json.dumps(outcome(9) | {"version": 2}): "it is of version 2, not 1",
    without(["domains", "law", "predictors"]): "`domains.law.predictors` is missing",
    without(["domains", "law", "measures", "behaviour", "kl", "change"]): (
        "`domains.law.measures.behaviour.kl.change` is missing"
    ),
    with_nan(): "`domains.law.predictors.sts_icl`: expected a finite number, found NaN",
    changed(): "its content does not match its own hash",
}


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_an_outcome_that_cannot_be_read_is_counted_with_its_reason_and_passed_over(runs, text):
    (runs / "second" / "outcome.json").write_text(text)
    found = earlier_runs(None, folder=runs, run=runs / "own", kind=KIND)
    assert names(found) == ["first"]
    assert found.warnings == (
        "1 earlier run cannot be read, so the forecast does not learn from it: second/outcome.json "
        f"({BROKEN[text]}). Measure it again with `mixplan eval RUN`, or leave it out of `forecast.runs`.",
    )


def test_outcomes_that_cannot_be_read_are_reported_together(runs):
    for number in range(10):
        (runs / f"torn-{number}").mkdir()
        (runs / f"torn-{number}" / "outcome.json").write_bytes(b"\xff\xfe\x00{")
    (warning,) = earlier_runs(["runs/*"], folder=runs.parent, run=runs / "own", kind=KIND).warnings
    assert warning.startswith(
        "10 earlier runs cannot be read, so the forecast does not learn from them: runs/torn-0/outcome.json (not JSON: "
    )
    assert warning.endswith(
        "; and 2 more. Measure them again with `mixplan eval RUN`, or leave them out of `forecast.runs`."
    )
    assert warning.count("torn-") == 8


def test_no_model_s_hash_and_a_damaged_sketch_are_reasons(runs):
    nameless, torn = outcome(7), outcome(8)
    del nameless["hashes"]["model"]
    torn["content"] = {"target": {"source": None, "rows": 9, "keys": "xyz"}, "domains": {}}
    save(runs / "nameless", nameless)
    save(runs / "torn", torn)
    (warning,) = earlier_runs(None, folder=runs, run=runs / "own", kind=KIND).warnings
    assert "nameless/outcome.json (`hashes.model` is missing); torn/outcome.json (keys: expected hashes of" in warning


def test_runs_of_version_0_1_0_still_teach():
    """Their files state no hash of their own."""
    folder = Path(__file__).parent / "helpers" / "runs-0.1.0"
    data = (folder / "sums" / "outcome.json").read_bytes()
    value = json.loads(data)
    assert "outcome" not in value["hashes"]
    settings = {name: setting for name, setting in value["settings"].items() if name != "score"}
    kind = Kind(value["hashes"]["model"], value["hashes"]["sae"], Settings(**settings))
    found = earlier_runs(None, folder=folder, run=folder / "own", kind=kind)
    assert [(run.name, run.hash) for run in found.runs] == [("sums", hashlib.sha256(data).hexdigest())]
    assert found.warnings == found.left_out == ()


def test_settings_are_what_gives_scores_their_meaning():
    recipe = {
        "train": {"method": "sft", "args": {"learning_rate": 1}},
        "drift": {"features": 100, "demonstrations": 2, "query_tokens": 9},
        "sts": {"demonstrations": 5, "score": "act"},
    }
    assert settings_of(recipe) == Settings(**SETTINGS)
    assert Kind.of(recipe, "m" * 64, "s" * 64) == KIND


def test_drift_of_another_origin_teaches_nothing_and_an_outcome_that_names_none_is_of_worked_examples(runs):
    (runs / "first" / "outcome.json").unlink()
    old = outcome(5)
    del old["settings"]["drift_from"]
    save(runs / "old", old)
    save(runs / "rolled", outcome(6, drift_from="rollouts"))
    assert names(earlier_runs(None, folder=runs, run=runs / "own", kind=KIND)) == ["old", "second"]
    recipe = {"train": {"method": "sft"}, "drift": {"from": "rollouts", "features": 100, "demonstrations": 2},
              "sts": {"demonstrations": 5}}  # fmt: skip
    rolled = Kind.of(recipe, "m" * 64, "s" * 64)
    assert names(earlier_runs(None, folder=runs, run=runs / "own", kind=rolled)) == ["rolled"]


RECIPE = {"train": {"method": "sft"}, "drift": {"features": 100, "demonstrations": 2}, "sts": {"demonstrations": 5}}


@pytest.mark.parametrize(
    ("lever", "section", "values", "key"),
    [
        ("replay_kl", "train", {"method": "sft", "replay_kl": {"weight": 2.0}}, "train.replay_kl.weight: 2.0"),
        ("target_answers", "mixture", {"target_answers": "own_voice"}, "mixture.target_answers: own_voice"),
    ],
)
def test_a_job_with_another_lever_does_not_teach_one_without_nor_the_other_way(runs, lever, section, values, key):
    with_it = settings_of({**RECIPE, section: values})
    assert settings_of(RECIPE) == settings_of({**RECIPE, "mixture": {"target_answers": "given"}})
    save(runs / "first", outcome(1, **{lever: with_it.fields()[lever]}))
    without = earlier_runs(None, folder=runs, run=runs / "own", kind=KIND)
    assert names(without) == ["second"]
    assert next(one for one in without.left_out if one.name == "first").keys == (key,)
    kind = Kind("m" * 64, "s" * 64, Settings(**SETTINGS, **{lever: with_it.fields()[lever]}))
    found = earlier_runs(None, folder=runs, run=runs / "own", kind=kind)
    assert names(found) == ["first"]
    (second,) = (one for one in found.left_out if one.name == "second")
    assert second.keys == (
        {"replay_kl": "train.replay_kl: null", "target_answers": "mixture.target_answers: given"}[lever],
    )
