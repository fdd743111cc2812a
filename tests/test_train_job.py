"""Holds that a job's hash has what decides the outcome and nothing else, and that a job moves with its folder."""

import json
import shutil
from pathlib import Path

import pytest
from small_jobs import ARGS, GRPO_ARGS, lay_run

from mixplan.errors import RunError
from mixplan.mixture import read_mixture
from mixplan.train.job import Job, files_hash, read_job, write_job
from mixplan.train.make import make_job


def made(run, loaded, **options) -> Job:
    options = {"model_hash": "m", "max_steps": None, "seed": None, **options}
    return make_job(run, loaded, read_mixture(run / "mixture"), **options)


@pytest.fixture
def planned(tmp_path, tiny_model):
    run, loaded, _ = lay_run(tmp_path, tiny_model, args={**ARGS, "seed": 5}, lora={"r": 4})
    return run, loaded


def test_it_comes_back_as_it_was_written_and_moves_with_its_folder(planned, tmp_path):
    run, loaded = planned
    job = made(run, loaded)
    write_job(job, run)
    shutil.move(run, tmp_path / "moved")
    assert read_job(tmp_path / "moved") == job
    assert str(run) not in (tmp_path / "moved" / "training" / "job.json").read_text()
    assert job.mixture == "mixture"
    assert job.planned_rows == {"target": 7, "law": 5, "fox": 4}
    assert job.spec == loaded.recipe.train


def test_seed_and_steps_given_win_over_the_recipe_s(planned):
    run, loaded = planned
    assert made(run, loaded).train["args"]["seed"] == 5
    given = made(run, loaded, seed=9, max_steps=3).train["args"]
    assert (given["seed"], given["max_steps"]) == (9, 3)
    assert given["learning_rate"] == ARGS["learning_rate"]


def test_the_hash_tells_jobs_apart_that_train_another_way(planned, tmp_path):
    run, loaded = planned
    job = made(run, loaded)
    keys = {made(run, loaded, **options).key for options in ({}, {"seed": 6}, {"max_steps": 2}, {"model_hash": "n"})}
    assert len(keys) == 4
    shutil.copytree(run / "mixture", tmp_path / "elsewhere")
    outside = make_job(run, loaded, read_mixture(tmp_path / "elsewhere"), model_hash="m", max_steps=None, seed=None)
    assert outside.mixture == str(tmp_path / "elsewhere")
    assert outside.key == job.key


@pytest.mark.parametrize(
    ("name", "mended"),
    [
        ("generation_config.json", {"eos_token_id": 3}),
        ("tokenizer_config.json", {"eos_token": "<pad>"}),
        ("config.json", {"rope_theta": 5000.0}),
    ],
)
def test_a_job_is_another_one_once_the_model_s_settings_are_mended(tmp_path, tiny_model, name, mended):
    """Its weights stay as they are, but what it is trained on and how it ends its answers does not."""
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    run, loaded, _ = lay_run(tmp_path, model)
    first = made(run, loaded).key
    (model / "README.md").write_text("a card")
    (model / "trainer_state.json").write_text("{}")
    assert made(run, loaded).key == first
    values = json.loads((model / name).read_bytes()) if (model / name).exists() else {}
    (model / name).write_text(json.dumps(values | mended))
    assert made(run, loaded).key != first


def test_the_embedded_model_s_job_is_known_by_its_weights_alone(tmp_path):
    run, loaded, _ = lay_run(tmp_path, Path("embedded"))
    assert set(made(run, loaded).hashes) == {"mixture", "model"}


def test_a_grpo_job_is_another_one_once_the_code_of_its_reward_has_changed(tmp_path, tiny_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = tmp_path / "my_reward_here.py"
    code.write_text("def short(completions, **columns):\n    return [1.0 for _ in completions]\n")
    run, loaded, _ = lay_run(tmp_path, tiny_model, method="grpo", args=GRPO_ARGS, rewards={"my_reward_here:short": 1.0})
    first = made(run, loaded).key
    assert made(run, loaded).key == first
    code.write_text(code.read_text().replace("1.0", "0.0"))
    assert made(run, loaded).key != first


@pytest.mark.parametrize("text", [None, "{", "[]", '{"version": 99}', '{"version": 1, "model": {}}'])
def test_a_job_that_cannot_be_read_is_one_message(tmp_path, text):
    path = tmp_path / "training" / "job.json"
    if text is not None:
        path.parent.mkdir()
        path.write_text(text)
    with pytest.raises(RunError) as error:
        read_job(tmp_path)
    assert str(error.value) == (
        f"{path}: there is no readable training job. Make it with `mixplan train {tmp_path}`, or with --emit for a "
        "cluster."
    )


def test_a_model_s_hash_is_over_all_but_its_card(tmp_path):
    assert files_hash(tmp_path) is None
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4}))
    before = files_hash(tmp_path)
    (tmp_path / "README.md").write_text("a card")
    assert files_hash(tmp_path) == before
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 5}))
    assert (other := files_hash(tmp_path)) != before
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "tool_use.jinja").write_text("{{ tools }}")
    assert files_hash(tmp_path) != other
