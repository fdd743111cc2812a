"""Plans whose drift is found by rollouts or by a checkpoint, against NumPy and against what training has moved."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from as_saved import plain, typed
from dense_features import dense_behind, dense_queries
from small_adapter import save_adapter
from small_plan import Silent, plan, recipe  # noqa: F401 - a fixture is used by its name

from mixplan.domains.cached_domains import opened
from mixplan.drift.rollouts import Sampler, draw_pairs
from mixplan.errors import DriftError, MixplanError
from mixplan.features.contrast import plan_contrast
from mixplan.grading.process import GradingProcess
from mixplan.model import load_model, load_trained
from mixplan.outcome.actual_drift import actual_drift, largest
from mixplan.plan import drift_source
from mixplan.plan.drift_source import drift_reading, load_checkpoint, sampled
from mixplan.plan.scores import plan_readings
from mixplan.reading.identity import scores_key
from mixplan.reading.workers import Workers
from mixplan.recipe import load_recipe
from mixplan.runs import cache_folder
from mixplan.saved import Plan as SavedPlan

ROLLOUTS = ("drift.from=rollouts", "train.rewards={format: 1.0}", "train.answer_format='[aeiou]'",
            "drift.rollouts.answer_tokens=4", "drift.rollouts.samples=6")  # fmt: skip
"""A random model's short answers hold a vowel now and then."""
ALONE = Workers(0, 1)


def features_of(made: dict) -> list[int]:
    return [entry[0] for entry in made["drift"]["features"]]


def parts_of(path: Path, *overrides: str):
    """A recipe, its untrained model, its target and the target's questions behind worked examples."""
    loaded = load_recipe(path, overrides)
    target, domains = opened(loaded)
    model = load_model(loaded.recipe.model)
    return loaded, model, target, domains, plan_readings(loaded.recipe, model, target, {})["target"]


def test_rollouts_move_what_a_transcription_says(recipe, tmp_path):
    made, watcher = plan(recipe, tmp_path / "run", *ROLLOUTS)
    loaded, model, target, _, reading = parts_of(recipe, *ROLLOUTS)
    spec = loaded.recipe.drift.rollouts
    sampler = Sampler(model, target, spec, loaded.recipe.train, loaded.recipe.seed, cache_folder() / "rollouts")
    rollouts = [one for batch in sampler.batches() for one in sampler.kept(batch).rollouts]
    assert [one.row for one in rollouts] == list(target.demonstration)
    for one in rollouts:
        assert one.rewards == tuple(float(any(vowel in answer for vowel in "aeiou")) for answer in one.answers)
    pairs = draw_pairs(rollouts, shots=2, draws=2, seed=loaded.recipe.seed, spec=spec)
    contrast = plan_contrast(model, target.query, pairs, tokens=120)
    first, second = dense_behind(model, tmp_path / "sae", contrast, target.query, pairs)
    shift = np.square(second - first).mean(0)
    order = np.argsort(-shift, kind="stable")
    assert shift[order[9]] > 1.001 * shift[order[10]], "too close a race for float32"
    assert features_of(made) == order[:10].tolist()
    np.testing.assert_allclose([entry[1] for entry in made["drift"]["features"]], shift[order[:10]], rtol=2e-3)
    rewards = np.array([one.rewards for one in rollouts])
    mixed = np.ptp(rewards, axis=1) > 0
    assert made["drift"]["from"] == "rollouts"
    assert made["drift"]["rollouts"] == {
        "prompts": 6, "kept": int(mixed.sum()), "samples": 6, "accepted": rewards[mixed].sum() / rewards.size,
        "mean_reward": pytest.approx(rewards.mean()), "failures": 0, "temperature": 1.0, "answer_tokens": 4,
    }  # fmt: skip
    assert made["reading"]["target"]["query_tokens"] == reading.tokens == 120
    assert ("sampling the model's own answers", 36, "answers") in watcher.stages
    assert features_of(plan(recipe, tmp_path / "icl")[0]) != features_of(made)


def test_answers_are_sampled_once(recipe, tmp_path, monkeypatch):
    first, _ = plan(recipe, tmp_path / "one", *ROLLOUTS)
    shutil.rmtree(cache_folder() / "scores")
    monkeypatch.setattr("mixplan.drift.rollouts.generate", None)
    again, _ = plan(recipe, tmp_path / "two", *ROLLOUTS)
    assert again["drift"] == first["drift"]


def test_two_processes_sample_a_half_each(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("mixplan.drift.rollouts.BATCH_PROMPTS", 2)
    loaded, model, target, *_ = parts_of(recipe, *ROLLOUTS)

    def at(folder):
        return Sampler(model, target, loaded.recipe.drift.rollouts, loaded.recipe.train, 0, folder)

    class Other(Workers):
        """The second of two, which meets the first at the end of its own work."""

        def wait(self):
            process = GradingProcess(seconds=5.0)
            for batch in shared.batches()[::2]:
                assert shared.kept(batch) is None
                shared.made(batch, process)
            process.close()

    shared = at(tmp_path / "shared")
    assert sampled(shared, Silent(), Other(1, 2)) == sampled(at(tmp_path / "alone"), Silent(), ALONE)

    class Lost(Workers):
        def wait(self):
            pass

    with pytest.raises(MixplanError) as caught:
        sampled(at(tmp_path / "lost"), Silent(), Lost(1, 2))
    assert str(caught.value) == (
        f"{tmp_path / 'lost'}: another process's answers did not arrive. "
        "All processes must share one cache folder: set MIXPLAN_CACHE to a shared one."
    )


def test_too_few_accepted_answers_end_the_plan(recipe, tmp_path):
    with pytest.raises(DriftError) as caught:
        plan(recipe, tmp_path / "run", "drift.from=rollouts", "drift.rollouts.answer_tokens=2")
    assert str(caught.value) == (
        "drift.from is rollouts and drift.demonstrations is 2, but of 6 target questions 0 have answers that are "
        "rewarded differently (all answers rewarded alike: 6 at 0). Raise `drift.rollouts.samples` (now 8) or "
        "`drift.rollouts.temperature` (now 1), sample more questions with `drift.rollouts.prompts` and "
        "`target.split.demonstration`, or set `drift.from: icl`."
    )


def test_rewards_that_fail_are_warned_about(recipe, tmp_path, monkeypatch):
    code = "def score(completions, **_):\n    text = completions[0][0]['content']\n    assert 'e' not in text, 'an e'\n"
    (tmp_path / "fussy.py").write_text(code + "    return [float('a' in text)]\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    overrides = (*ROLLOUTS, "train.rewards={format: 1.0, 'fussy:score': 1.0}")
    made, _ = plan(recipe, tmp_path / "run", *overrides)
    failures = made["drift"]["rollouts"]["failures"]
    assert failures
    [warning] = [text for text in made["warnings"] if text.startswith("drift.rollouts")]
    start = (
        f"drift.rollouts: {failures} of 36 sampled answers counted as 0 because a reward's scorer failed on them or "
        "took too long. The first: AssertionError: an e; the answer was "
    )
    assert warning.startswith(start)
    assert "e" in warning.removeprefix(start)


def test_a_checkpoint_moves_what_training_is_found_to_move(recipe, tiny_model, tmp_path):
    save_adapter(tiny_model, tmp_path / "pilot" / "model", scale=0.05)
    overrides = ("drift.from=checkpoint", f"drift.checkpoint={tmp_path / 'pilot' / 'model'}")
    made, watcher = plan(recipe, tmp_path / "run", *overrides)
    loaded, model, target, _, _ = parts_of(recipe, *overrides)
    trained = load_trained(loaded.recipe.model, tmp_path / "pilot" / "model")
    (one, _), (other, _) = (dense_queries(side, target, tmp_path / "sae", 120) for side in (model, trained))
    shift = np.square((other - one).astype(np.float64)).mean(0)
    assert features_of(made) == largest(shift, 10).tolist()
    found = plain(actual_drift(loaded, model, trained, target, typed(SavedPlan, made), watcher=Silent()))
    assert (found["overlap"], found["of"]) == (10, 10)
    assert found["unexpected"] == []
    assert found["share_of_shift"] == pytest.approx(made["drift"]["share_of_shift"])
    assert made["drift"]["from"] == "checkpoint"
    assert made["drift"]["checkpoint"] == {
        "folder": str(tmp_path / "pilot" / "model"), "hash": trained.weights,
    }  # fmt: skip
    assert f"loading the checkpoint from {tmp_path / 'pilot' / 'model'}" in watcher.said
    assert str(tmp_path / "pilot" / "model") in (tmp_path / "run" / "recipe.yaml").read_text()


def test_the_outcome_reads_the_target_again_as_the_plan_did(recipe, tiny_model, tmp_path):
    save_adapter(tiny_model, tmp_path / "model", scale=0.05)
    made, _ = plan(recipe, tmp_path / "run", *ROLLOUTS)
    loaded, model, target, _, _ = parts_of(recipe, *ROLLOUTS)
    trained, watcher = load_trained(loaded.recipe.model, tmp_path / "model"), Silent()
    found = plain(actual_drift(loaded, model, trained, target, typed(SavedPlan, made), watcher=watcher))
    assert ("reading the target with rejected and accepted answers", 120, "tokens") in watcher.stages
    (one, _), (other, _) = (dense_queries(side, target, tmp_path / "sae", 120) for side in (model, trained))
    moved = largest(np.square((other - one).astype(np.float64)).sum(0), 10)
    assert found["overlap"] == len(set(moved.tolist()) & set(features_of(made)))
    ranks = [entry["predicted_rank"] for entry in found["unexpected"]]
    assert all(rank is None or rank > 10 for rank in ranks)


def test_worked_examples_are_read_as_ever(recipe):
    loaded, model, target, _, reading = parts_of(recipe)
    told = drift_reading(loaded, model, target, reading, watcher=Silent(), workers=ALONE)
    assert told == drift_source.DriftReading(reading, "with demonstrations")


def test_a_folder_without_a_trained_model_is_refused(recipe, tmp_path, monkeypatch):
    expected = (
        "expected adapter_config.json or config.json with safetensors weights. "
        "Name the `model` folder of a run that `mixplan train` finished."
    )
    monkeypatch.chdir(tmp_path)
    for name, folder, found in (
        ("nowhere", tmp_path / "nowhere", "is not there"),
        (".", tmp_path, "holds no trained model"),
    ):
        with pytest.raises(DriftError) as caught:
            plan(recipe, tmp_path / "run", "drift.from=checkpoint", f"drift.checkpoint={name}")
        where = f"--set drift.checkpoint={name}"
        assert str(caught.value) == f"{where}: drift.checkpoint: the folder {folder} {found}; {expected}"
    text = recipe.read_text().replace("drift:\n", "drift:\n  from: checkpoint\n  checkpoint: pilot/model\n")
    recipe.write_text(text)
    line = 1 + text.splitlines().index("  checkpoint: pilot/model")
    with pytest.raises(DriftError) as caught:
        plan(recipe, tmp_path / "run")
    assert str(caught.value) == (
        f"tiny.yaml:{line}: drift.checkpoint: the folder {tmp_path / 'pilot' / 'model'} is not there; {expected}"
    )


def test_a_checkpoint_of_another_model_is_refused(recipe, build_model, tiny_model, tmp_path):
    loaded, model, *_ = parts_of(recipe)
    other = build_model("llama", tmp_path / "shallow", num_hidden_layers=3)
    with pytest.raises(DriftError) as caught:
        load_checkpoint(loaded, model, other)
    where = loaded.where(("drift", "checkpoint"))
    assert str(caught.value) == (
        f"{where}: drift.checkpoint: {other} is a checkpoint of another model than '{tiny_model}': its "
        f"num_hidden_layers is 3 instead of 4. Name one that was trained from '{tiny_model}'."
    )
    wide = build_model("llama", tmp_path / "wide", hidden_size=64)
    save_adapter(wide, tmp_path / "adapter")
    with pytest.raises(DriftError) as caught:
        load_checkpoint(loaded, model, tmp_path / "adapter")
    start = (
        f"{where}: drift.checkpoint: {tmp_path / 'adapter'}: the trained model cannot be loaded: "
        f"the adapter cannot be put on '{tiny_model}': "
    )
    assert str(caught.value).startswith(start)
    assert "size mismatch" in str(caught.value)


def test_a_checkpoint_is_read_in_the_models_own_type(recipe, tiny_model, tmp_path, monkeypatch):
    """`auto` goes by timings, which may come out otherwise the second time; rounding would pass for drift."""
    save_adapter(tiny_model, tmp_path / "adapter")
    seconds = {torch.float32: 1.0, torch.bfloat16: 1.0}
    monkeypatch.setattr("mixplan.model.device.time_matmul", lambda dtype, _: seconds[dtype])
    loaded, model, *_ = parts_of(recipe, "model.dtype=auto")
    seconds[torch.bfloat16] = 0.5
    assert load_model(loaded.recipe.model).dtype == "bfloat16"
    assert (model.dtype, load_checkpoint(loaded, model, tmp_path / "adapter").dtype) == ("float32", "float32")


def test_a_checkpoint_that_changes_nothing_below_the_sae_is_refused(recipe, tiny_model, tmp_path):
    with pytest.raises(DriftError) as caught:
        plan(recipe, tmp_path / "run", "drift.from=checkpoint", f"drift.checkpoint={tiny_model}")
    assert str(caught.value) == (
        "no feature moved between the untrained model and drift.checkpoint on the target's questions. It changed "
        "nothing below the SAE's hook point: train it longer or with lower layers, or set `drift.from: icl`."
    )


def test_scores_stand_for_their_rewards_and_checkpoint_alone(recipe, tiny_model, tmp_path):
    target, domains = opened(load_recipe(recipe))

    def key(*overrides, target=target):
        return scores_key(load_recipe(recipe, overrides), target, domains)

    graded = dataclasses.replace(target, grader="number")
    assert key() == key("drift.rollouts.samples=3", "drift.checkpoint=x", "train.grader_seconds=3.0", target=graded)
    save_adapter(tiny_model, tmp_path / "pilot")
    pilot = ("drift.from=checkpoint", f"drift.checkpoint={tmp_path / 'pilot'}")
    first = key(*pilot)
    settings = json.loads((tmp_path / "pilot" / "adapter_config.json").read_text())
    (tmp_path / "pilot" / "adapter_config.json").write_text(json.dumps(settings | {"lora_alpha": 1}))
    keys = [
        key(), first, key(*pilot), key("drift.from=rollouts"), key("drift.from=rollouts", target=graded),
        key(*ROLLOUTS), key(*ROLLOUTS, "train.grader_seconds=3.0"), key(*ROLLOUTS, "drift.rollouts.prompts=3"),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)
