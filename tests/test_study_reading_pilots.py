"""A study of GRPO jobs on a tiny model: its pilots, what is read of rollouts, what that costs, and how it is judged."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from random_table import random_table
from small_study import bench, lay, study_values

from mixplan.drift.rollouts import Sampler, against_nothing, draw_pairs, taught
from mixplan.errors import DriftError
from mixplan.features.contrast import plan_contrast
from mixplan.features.queries import without_demonstrations
from mixplan.features.weighted import answers_unit, measure_weighted
from mixplan.model import load_trained
from mixplan.runs import cache_folder
from mixplan.study import judge
from mixplan.study.asked.spec import load_study
from mixplan.study.forecasts.rewarded import SCORED, RewardedReading
from mixplan.study.jobs import Bench, cells_of
from mixplan.study.judged.dry_run import rehearse
from mixplan.study.judged.judge import judge as judge_table
from mixplan.study.reading import forecasts
from mixplan.study.reading.pilots import forecast_cost, pilot_seed, rewarded_reading, train_pilots
from mixplan.train.launch import Launch

ARGS = {"num_generations": 2, "max_completion_length": 4, "per_device_train_batch_size": 4, "learning_rate": 0.01,
        "max_steps": 2, "logging_steps": 1}  # fmt: skip
TRAIN = {"method": "grpo", "args": ARGS, "rewards": {"format": 1.0}, "answer_format": "[aeiou]"}
"""A random model's short answers hold a vowel now and then."""
ROLLOUTS = {"samples": 6, "answer_tokens": 4}
MARKS = ("overlap/differences/rollouts - icl", "overlap/variants/rollouts_answers/held_out")


SHIPPED = Path(__file__).resolve().parent.parent / "recipes" / "studies" / "smollm2-135m-grpo" / "study.yaml"


def rewarded_study(folder: Path, model: Path, tiny_sae, **reading) -> Path:
    """The small study with GRPO jobs and pilots of one step."""
    values = study_values(model)
    return lay(
        folder,
        model,
        tiny_sae,
        recipe=values["recipe"] | {"train": TRAIN},
        reading=values["reading"] | {"rollouts": ROLLOUTS, "pilot_steps": 1} | reading,
        marks=[{"text": "It holds.", "quantity": quantity, "at_least": 0} for quantity in MARKS],
    )


def test_the_shipped_study_of_grpo_jobs_loads():
    study = load_study(SHIPPED)
    assert study.rewarded
    assert len(study.spec.targets) >= 3
    assert len(study.spec.seeds) == 2
    for loaded in study.recipes.values():
        rows, args = loaded.recipe.mixture.target_rows, loaded.recipe.train.args
        prompts_a_step = args["per_device_train_batch_size"] // args["num_generations"]
        assert 30 <= rows // prompts_a_step <= 40
        assert pilot_seed(study) not in study.spec.seeds


def test_a_pilot_s_seed_is_none_of_the_study_s():
    for seeds, expected in (([3], 0), ([0, 1], 2), ([2, 0], 1)):
        assert pilot_seed(SimpleNamespace(spec=SimpleNamespace(seeds=seeds))) == expected


def test_what_only_grpo_reads_is_registered_with_grpo_alone(tmp_path, tiny_model, tiny_sae):
    place = lay(tmp_path, tiny_model, tiny_sae)

    def hash_with(**changes) -> str:
        values = yaml.safe_load(place.read_text())
        values["recipe"]["train"] = changes.pop("train", values["recipe"]["train"])
        values["reading"] |= changes
        (tmp_path / "other.yaml").write_text(yaml.safe_dump(values))
        return load_study(tmp_path / "other.yaml").hash

    assert hash_with() == hash_with(pilot_steps=20) == hash_with(rollouts={"samples": 3})
    rewarded = {hash_with(train=TRAIN), hash_with(train=TRAIN, pilot_steps=20)}
    rewarded |= {hash_with(train=TRAIN, rollouts={"samples": 3})}
    assert len(rewarded | {hash_with()}) == 4
    assert hash_with(train=TRAIN) == hash_with(train=TRAIN, pilot_steps=10)


def test_jobs_without_rewards_have_no_pilots(tmp_path, tiny_model, tiny_sae):
    ours = bench(lay(tmp_path, tiny_model, tiny_sae), tmp_path / "run")
    train_pilots(ours, Launch())
    assert forecast_cost(ours, {"sums": None}) is None
    assert not (ours.run / "pilots").exists()


def test_questions_that_are_answered_alike_end_the_study(tmp_path, tiny_model, tiny_sae):
    place = rewarded_study(tmp_path, tiny_model, tiny_sae, rollouts={"samples": 2, "answer_tokens": 1})
    values = yaml.safe_load(place.read_text())
    values["recipe"]["train"]["answer_format"] = "never"
    place.write_text(yaml.safe_dump(values))
    with pytest.raises(DriftError) as caught:
        rewarded_reading(bench(place, tmp_path / "run"), "sums")
    assert str(caught.value) == (
        "sums: of 6 questions 0 have sampled answers that are rewarded differently, and `reading.demonstrations` asks "
        "for 2. Raise `reading.rollouts.samples` (now 2) or `reading.rollouts.temperature` (now 1), or take a target "
        "that the model gets right now and then."
    )


def test_pilots_and_rollouts_tell_drift_before_any_cell_is_trained(tmp_path, tiny_model, tiny_sae, monkeypatch):
    ours = bench(rewarded_study(tmp_path, tiny_model, tiny_sae), tmp_path / "run")
    train_pilots(ours, Launch())
    assert [text for text in ours.watcher.said if text.startswith("pilot")] == [
        "pilot run: sums, 1 steps, seed 0",
        "pilot run: doctors, 1 steps, seed 0",
    ]
    readings = forecasts.read_forecasts(ours)
    forecasts.write_forecasts(ours, readings)
    # The judgement has the marks' figures, which it would otherwise refuse.
    rehearse(ours, cells_of(ours.study, ours.run), readings, judge.marks_of(ours.study))
    assert not (ours.run / "cells").exists()
    written = json.loads((ours.run / "forecasts.json").read_bytes())
    assert written["cost"] == readings.cost.values()
    scores = {f"sts_{score}_{name}" for name in SCORED for score in ("icl", "act")}
    for target in ("sums", "doctors"):
        args = json.loads((ours.run / "pilots" / target / "training" / "job.json").read_bytes())["train"]["args"]
        pilot = written["cost"]["pilots"][target]
        assert (args["max_steps"], args["seed"]) == (pilot["steps"], pilot["seed"]) == (1, 0)
        assert 0 < written["cost"]["rollouts"][target]["accepted"] < 1
        assert scores <= set(written["forecasts"][target]["fox"])
    check_readings(ours, readings.targets["sums"].rewarded)
    stages = len(ours.watcher.said)
    train_pilots(ours, Launch())
    stands = [text for text in ours.watcher.said[stages:] if text.startswith("training is reused")]
    assert len(stands) == 2
    for name in ("tabulate", "write_table", "write_ablations", "judge_learned", "judge_specific"):
        monkeypatch.setattr(judge, name, lambda *_, **__: None)
    monkeypatch.setattr(judge, "evidence_of", lambda *_: SimpleNamespace(values=dict))
    judged = judge_table(random_table(), marks=[], resamples=0, seed=0)
    monkeypatch.setattr(judge, "judge", lambda *_, **__: judged)
    judge.conclude(ours, [], readings)
    assert json.loads((ours.run / "results.json").read_bytes())["cost"] == written["cost"]


def check_readings(ours: Bench, read: RewardedReading) -> None:
    """Put what was read together again from its own parts."""
    target = ours.taught("sums").target
    trained = load_trained(ours.spec, ours.run / "pilots" / "sums" / "model")
    bare = tuple(map(without_demonstrations, ours.reading(target, target, tokens=90).units))
    np.testing.assert_array_equal(read.pilot.shift, ours.profile(bare, trained).shift)
    assert read.pilot.shift.any()
    spec, train = ours.study.spec.reading.rollouts, ours.study.recipes["sums"].recipe.train
    sampler = Sampler(ours.model, target, spec, train, 3, cache_folder() / "rollouts")
    rollouts = [one for batch in sampler.batches() for one in sampler.kept(batch).rollouts]
    pairs = draw_pairs(rollouts, shots=2, draws=2, seed=3, spec=spec)
    for found, fronts in (
        (read.against, pairs),
        (read.accepted, against_nothing(pairs)),
        (read.rejected, [((), rejected) for rejected, _ in pairs]),
    ):
        expected = ours.profile(plan_contrast(ours.model, target.query, fronts, tokens=90).units)
        np.testing.assert_array_equal(found.shift, expected.shift)
    answers = [one.saying(i) for one in taught(rollouts) for i in range(6) if one.answers[i].strip()]
    numbers = [one.advantages[i] for one in taught(rollouts) for i in range(6) if one.answers[i].strip()]
    unit, _ = answers_unit(ours.model, answers)
    expected = measure_weighted(ours.model, ours.sae, unit, numbers)
    np.testing.assert_allclose(read.answers.signed, expected.signed, rtol=1e-4, atol=1e-6)
