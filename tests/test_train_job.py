"""The job: what decides the outcome is in its hash, what does not is not; it moves with its folder."""

import json
import shutil

import pytest
from small_jobs import ARGS, lay_run

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
    assert files_hash(tmp_path) != before
