"""`train` as the command calls it: two real processes, what is reused, what another job leaves, refusals in full."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from small_jobs import ARGS, lay_run

from mixplan.errors import DataError, RecipeError, TrainError
from mixplan.reading import standalone
from mixplan.reading.progress import Silent
from mixplan.recipe import load_recipe
from mixplan.runs import content_hash
from mixplan.saved.outcome import LogLine
from mixplan.train.job import files_hash, read_job
from mixplan.train.launch import Launch
from mixplan.train.make import Trained, finished, prepare, train

FINISHES = """
import json, sys
from pathlib import Path
from mixplan.train.job import files_hash, read_job
run = Path(sys.argv[1])
(run / "model").mkdir(exist_ok=True)
(run / "model" / "model.safetensors").write_bytes(b"weights")
(run / "training" / "done.json").write_text(json.dumps({
    "job": read_job(run).key, "steps": 2, "seconds": 1.5, "log": [{"step": 2, "loss": 1.0}], "consumption": {},
    "warnings": ["1 of 5 rows of 'law' were cut."], "model_hash": files_hash(run / "model")}))
"""
FAILS = """
import json, sys
from pathlib import Path
Path(sys.argv[1], "training", "error.json").write_text(json.dumps({"kind": "DataError", "message": "rows are gone"}))
sys.exit(1)
"""


@pytest.fixture
def planned(tmp_path, tiny_model):
    return lay_run(tmp_path, tiny_model)


def stand_in(monkeypatch, program: str) -> list[int]:
    """Start a few lines in place of accelerate, and count how often."""
    starts = []

    def command(run: Path, launch: Launch, **_: object) -> list[str]:
        starts.append(1)
        return [sys.executable, "-c", program, str(run)]

    monkeypatch.setattr("mixplan.train.make.launch_command", command)
    return starts


def test_two_processes_train_on_all_that_was_planned(tmp_path, tiny_model):
    args = {**ARGS, "max_steps": -1, "num_train_epochs": 2, "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 2}  # fmt: skip
    run, loaded, plan = lay_run(tmp_path, tiny_model, args=args, lora={"r": 4})
    watcher = Silent()
    trained = train(run, loaded, plan, launch=Launch(processes=2), watcher=watcher)
    done = json.loads((run / "training" / "done.json").read_text())
    # 16 rows, 2 processes × 2 rows × 2 accumulated a step: 2 steps an epoch.
    assert (trained.steps, done["processes"], done["epochs"]) == (4, 2, 2.0)
    # Each epoch reads all of them, whichever process does.
    assert {name: entry.rows for name, entry in trained.consumption.items()} == {"target": 14, "law": 10, "fox": 8}
    assert [entry.distinct_rows for entry in trained.consumption.values()] == [7, 5, 4]
    assert [point.step for point in trained.log] == [1, 2, 3, 4]
    assert watcher.stages == [("training", 4, "steps")]
    assert watcher.advanced == 4
    assert watcher.said[0] == "starting training: sft with 2 processes"
    assert watcher.said[-1].startswith("step 4 of 4: loss ")
    assert trained.model_hash == files_hash(run / "model")
    states = {path.name for path in (run / "training" / "checkpoints" / "checkpoint-4").iterdir()}
    assert {"rng_state_0.pth", "rng_state_1.pth", "adapter_model.safetensors", "mixplan.json"} <= states
    # What is done is not run again.
    assert train(run, loaded, plan, launch=Launch(processes=1), watcher=watcher) == trained
    reused = f"training is reused from an earlier run: 4 steps, {run / 'model'}"
    others = f"{run / 'model'} was trained by 2 processes, where 1 is started now"
    assert watcher.said[-2:] == [reused, f"{others}. To train once more, give another folder by --run."]
    assert train(run, loaded, plan, launch=Launch(), watcher=watcher) == trained
    assert watcher.said[-1] == reused
    # One process that reads as many rows in each step trains on the same ones.
    (tmp_path / "alone").mkdir()
    alone = lay_run(tmp_path / "alone", tiny_model, args=args | {"per_device_train_batch_size": 4}, lora={"r": 4})
    found = train(*alone, launch=Launch(), watcher=Silent())
    assert [point.loss for point in found.log] == pytest.approx([point.loss for point in trained.log], rel=1e-5)


@pytest.mark.parametrize(
    ("launch", "told"),
    [
        (Launch(), ["The job is too short for its mixture: 2 steps of 2 rows read 4 of 16 rows. Set "
                    "`train.args.max_steps: 8` to read each once.", "starting training: sft with 1 process"]),
        (Launch(processes=8), ["starting training: sft with 8 processes"]),
        (Launch(extra=("--num_processes", "8")),
         ["starting training: sft with the processes that accelerate's flags ask for"]),
    ],
)  # fmt: skip
def test_what_a_job_reads_is_foretold_where_its_processes_are_known(tmp_path, tiny_model, monkeypatch, launch, told):
    run, loaded, plan = lay_run(tmp_path, tiny_model, args={**ARGS, "max_steps": 2, "per_device_train_batch_size": 2})
    stand_in(monkeypatch, FINISHES)
    watcher = Silent()
    train(run, loaded, plan, launch=launch, watcher=watcher)
    assert watcher.said[: len(told)] == told


def test_a_finished_job_is_known_by_its_hash_and_its_model_s_files(planned, monkeypatch):
    run, loaded, plan = planned
    starts, watcher = stand_in(monkeypatch, FINISHES), Silent()
    trained = train(run, loaded, plan, launch=Launch(), watcher=watcher)
    assert trained == Trained(run / "model", 2, 1.5, [LogLine(step=2, loss=1.0)], {}, files_hash(run / "model"))
    assert watcher.said == ["starting training: sft with 1 process", "1 of 5 rows of 'law' were cut."]
    train(run, loaded, plan, launch=Launch(), watcher=watcher)
    (run / "model" / "README.md").write_text("a card")
    train(run, loaded, plan, launch=Launch(), watcher=watcher)
    assert len(starts) == 1
    (run / "model" / "model.safetensors").write_bytes(b"damaged")
    train(run, loaded, plan, launch=Launch(), watcher=watcher)
    assert len(starts) == 2
    train(run, loaded, plan, launch=Launch(), watcher=watcher, seed=9)
    train(run, loaded, plan, launch=Launch(), watcher=watcher, seed=9, max_steps=3)
    assert len(starts) == 4
    assert read_job(run).train["args"]["max_steps"] == 3


def test_what_another_job_left_is_removed_and_the_same_job_s_kept(planned):
    run, loaded, plan = planned
    prepare(run, loaded, plan)
    (run / "training" / "checkpoints").mkdir()
    prepare(run, loaded, plan)
    assert (run / "training" / "checkpoints").is_dir()
    prepare(run, loaded, plan, seed=3)
    assert sorted(path.name for path in (run / "training").iterdir()) == ["job.json"]
    (run / "training" / "job.json").write_text("{")
    prepare(run, loaded, plan, seed=3)
    assert read_job(run).train["args"]["seed"] == 3


def test_a_job_of_a_mixplan_that_kept_no_settings_goes_on(planned, monkeypatch):
    run, loaded, plan = planned
    assert "settings" in prepare(run, loaded, plan).hashes
    place = run / "training" / "job.json"
    written = json.loads(place.read_bytes())
    del written["hashes"]["settings"]
    place.write_text(json.dumps(written))
    older = read_job(run)
    stand_in(monkeypatch, FINISHES)
    train(run, loaded, plan, launch=Launch(), watcher=Silent())
    again = Silent()
    train(run, loaded, plan, launch=Launch(), watcher=again)
    assert again.said == [f"training is reused from an earlier run: 2 steps, {run / 'model'}"]
    assert prepare(run, loaded, plan).key == older.key


def test_a_reward_that_is_not_there_leaves_what_was_trained(planned):
    run, loaded, plan = planned
    prepare(run, loaded, plan)
    other = load_recipe(loaded.path, ["train.method=grpo", "train.rewards={nowhere_at_all:score: 1.0}"])
    with pytest.raises(RecipeError, match="no module 'nowhere_at_all' is in this folder or installed"):
        prepare(run, other, replace(plan, recipe=content_hash(standalone(other))))
    assert read_job(run).train["method"] == "sft"


def test_an_arm_trains_on_its_own_mixture_beside_the_run(planned, tmp_path):
    run, loaded, plan = planned
    arm = run / "arms" / "uniform-0"
    job = prepare(arm, loaded, plan, mixture=run / "mixture", max_steps=4, seed=1)
    assert job.mixture == str((run / "mixture").resolve())
    assert (arm / "training" / "job.json").is_file()


def test_a_failure_is_the_training_process_s_own_message(planned, monkeypatch):
    run, loaded, plan = planned
    stand_in(monkeypatch, FAILS)
    with pytest.raises(DataError) as error:
        train(run, loaded, plan, launch=Launch(), watcher=Silent())
    assert str(error.value) == "rows are gone"
    # An older message is not taken for that of the next failure.
    stand_in(monkeypatch, "raise SystemExit('no model')")
    with pytest.raises(TrainError) as again:
        train(run, loaded, plan, launch=Launch(), watcher=Silent())
    log = run / "training" / "worker.log"
    assert str(again.value) == f"{run}: training ended without a model. {log} ends with: no model"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"job": "another"}'])
def test_a_damaged_record_is_not_taken_for_a_result(planned, text):
    run, loaded, plan = planned
    job = prepare(run, loaded, plan)
    (run / "training" / "done.json").write_text(text)
    assert finished(run, job) is None


def test_vllm_is_asked_for_where_it_is_not_installed(planned):
    run, loaded, plan = planned
    other = load_recipe(loaded.path, ["train.method=grpo", "train.args={use_vllm: true}"])
    plan = replace(plan, recipe=content_hash(standalone(other)))
    with pytest.raises(RecipeError) as error:
        prepare(run, other, plan)
    assert str(error.value) == (
        "--set train.args={use_vllm: true}: train.args.use_vllm: the package vllm is not installed. "
        "Install it with `pip install 'trl[vllm]'`, or leave the key out."
    )
