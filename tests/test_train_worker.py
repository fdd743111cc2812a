"""Training a tiny model resumes to the same weights when killed, puts loss where it belongs, and refuses."""

import json
import os
import shutil
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from small_jobs import ARGS, GRPO_ARGS, ROWS, ended, lay_run, train_to_end, training_process

from mixplan.errors import RunError, TrainError
from mixplan.model import load_model, render
from mixplan.recipe import DuringSpec
from mixplan.recipe.spec import StopSpec
from mixplan.runs import file_hash
from mixplan.saved.trajectory import OWN, read_trajectory
from mixplan.train.checkpoints import SEAL, seal_checkpoint
from mixplan.train.failure import failure_of
from mixplan.train.job import read_job, write_job
from mixplan.train.make import prepare

PLANNED = {"target": 7, **ROWS}
ONE_STEP = {**ARGS, "per_device_train_batch_size": 16, "max_steps": 1, "save_strategy": "no"}
GRPO = {"method": "grpo", "args": GRPO_ARGS, "rewards": {"graded": 1.0, "format": 0.5}, "answer_format": "[a-m ]"}
LORA = {"lora": {"r": 4, "lora_alpha": 8, "lora_dropout": 0.1, "use_rslora": True, "target_modules": ["q_proj"]}}


def hashes(run: Path) -> dict[str, str]:
    return {path.name: file_hash(path) for path in sorted((run / "model").iterdir())}


def interrupt(run: Path, when: str, number: int) -> int:
    """Start the training process and send it a signal once a path or a text in its log is there."""
    log, path = run / "training" / "log.jsonl", run / "training" / when
    former = log.stat().st_ino if log.exists() else 0
    process = training_process(run)
    until = time.monotonic() + 120
    while process.is_alive() and time.monotonic() < until:
        if path.exists() if "/" in when else log.exists() and log.stat().st_ino != former and when in log.read_text():
            os.kill(process.pid, number)
            break
        time.sleep(0.002)
    process.join()
    return int(process.exitcode)


def test_killed_stopped_and_damaged_it_resumes_to_the_same_weights(tmp_path, tiny_model):
    run, loaded, plan = lay_run(tmp_path, tiny_model, **LORA)
    prepare(run, loaded, plan)
    other = shutil.copytree(run, tmp_path / "other")
    whole = training_process(run)
    checkpoints = other / "training" / "checkpoints"

    assert interrupt(other, '"event": "step", "step": 1', signal.SIGKILL) == -signal.SIGKILL
    # Killed while the first checkpoint is being written, so that there is none.
    assert interrupt(other, "checkpoints/checkpoint-2", signal.SIGKILL) == -signal.SIGKILL
    assert not (checkpoints / "checkpoint-2" / SEAL).exists()
    # Asked to stop: it saves a checkpoint after the step under way and ends well.
    assert interrupt(other, '"event": "step", "step": 1', signal.SIGINT) == 0
    stopped = max(int(path.name.split("-")[1]) for path in checkpoints.glob("checkpoint-*"))
    assert f'{{"event": "stopped", "step": {stopped}}}' in (other / "training" / "log.jsonl").read_text()
    assert not (other / "training" / "done.json").exists()
    # A damaged newest checkpoint is set aside; the one before it is good.
    assert interrupt(other, '"event": "saved", "step": 4', signal.SIGKILL) == -signal.SIGKILL
    (checkpoints / "checkpoint-4" / "optimizer.pt").write_bytes(b"damaged")
    resumed, undisturbed = train_to_end(other), ended(whole, run)

    assert (other / "training" / "checkpoint-4.aside" / "optimizer.pt").read_bytes() == b"damaged"
    assert hashes(other) == hashes(run)
    assert resumed["steps"] == undisturbed["steps"] == 6
    assert resumed["log"] == undisturbed["log"]
    assert resumed["consumption"] == undisturbed["consumption"]
    # Six steps of four rows are one and a half times through sixteen.
    assert sum(entry["rows"] for entry in resumed["consumption"].values()) == 24
    assert {name: entry["distinct_rows"] for name, entry in resumed["consumption"].items()} == PLANNED
    assert [point["step"] for point in resumed["log"]] == [1, 2, 3, 4, 5, 6]
    assert not [path.name for path in (run / "model").iterdir() if path.suffix in (".bin", ".pt", ".pth", ".pkl")]
    assert not list((run / "training" / "checkpoints").rglob("training_args.bin"))


def test_a_watched_job_that_was_killed_goes_on_with_its_trajectory_and_its_choice(trained, tmp_path):
    run, _ = trained
    job = read_job(run)
    shutil.rmtree(run / "training")
    during = DuringSpec(cost=1e6, drift=False, keep="best").model_dump()
    write_job(replace(job, train={**job.train, "args": {**ARGS, "seed": 0}}, during=during), run)
    other = shutil.copytree(run, tmp_path / "other")
    done = train_to_end(other)
    assert interrupt(run, "checkpoints/checkpoint-2/mixplan.json", signal.SIGKILL) == -signal.SIGKILL
    assert train_to_end(run)["steps"] == done["steps"] == 6
    assert hashes(run) == hashes(other)
    found, whole = (read_trajectory(folder / OWN) for folder in (run, other))
    assert [point.step for point in found.points] == list(range(7))
    assert [point.parts for point in found.points] == [point.parts for point in whole.points]
    assert found.end.kept == whole.end.kept
    assert done["notes"][0].startswith(f"The model of step {found.end.kept.step} is kept")
    assert done["kept_step"] == found.end.kept.step
    assert sorted(path.name for path in (run / OWN).iterdir()) == ["trajectory.jsonl"]


def test_a_watched_job_stops_where_a_domain_moves_too_far_and_is_done(trained):
    run, _ = trained
    job = read_job(run)
    shutil.rmtree(run / "training")
    during = DuringSpec(cost=1e6, drift=False, stop=StopSpec(worst_kl=1e-4)).model_dump()
    write_job(replace(job, train={**job.train, "args": {**ARGS, "seed": 0}}, during=during), run)
    done = train_to_end(run)
    assert done["steps"] == 1
    assert "Training was stopped at step 1 of 6" in done["notes"][0]
    # Killed before it was done, it does not go on behind the step at which it was stopped.
    (run / "training" / "done.json").unlink()
    first = hashes(run)
    shutil.rmtree(run / "model")
    again = train_to_end(run)
    assert (again["steps"], again["notes"]) == (1, done["notes"])
    assert hashes(run) == first


def test_grpo_resumes_to_the_same_weights_in_the_midst_of_a_batch_of_answers(tmp_path, tiny_model):
    # Two optimiser steps share a batch of answers; a checkpoint that is due between them waits.
    args = {**GRPO_ARGS, "steps_per_generation": 2, "max_steps": 4, "save_steps": 1}
    run, loaded, plan = lay_run(tmp_path, tiny_model, **{**GRPO, "args": args})
    prepare(run, loaded, plan)
    other = shutil.copytree(run, tmp_path / "other")
    whole = training_process(run)
    assert interrupt(other, '"event": "step", "step": 3', signal.SIGKILL) == -signal.SIGKILL
    assert sorted(path.name for path in (other / "training" / "checkpoints").glob("*-*")) == ["checkpoint-2"]
    resumed, undisturbed = train_to_end(other), ended(whole, run)
    assert hashes(other) == hashes(run)
    assert resumed["log"] == undisturbed["log"]
    assert [point["step"] for point in resumed["log"] if "reward" in point] == [1, 3]
    assert all({"step", "loss", "learning_rate"} <= set(point) for point in resumed["log"])
    assert resumed["consumption"] == undisturbed["consumption"]
    # Four steps of two prompts, answered twice each: some of the sixteen rows were read, none twice.
    assert sum(entry["rows"] for entry in resumed["consumption"].values()) == 8
    assert sum(entry["distinct_rows"] for entry in resumed["consumption"].values()) == 8
    assert all(0 < entry["trainable_tokens"] <= 6 * 2 * entry["rows"] for entry in resumed["consumption"].values())
    assert set(json.loads((run / "training" / "rewards.json").read_text())) == {"graded", "format"}


def test_a_reward_that_fails_is_told_when_the_job_is_done(tmp_path, tiny_model):
    rewards = {"format": 1.0, "os.path:getsize": 0.5}
    run, loaded, plan = lay_run(
        tmp_path, tiny_model, **{**GRPO, "rewards": rewards, "args": GRPO_ARGS | {"max_steps": 2}}
    )
    prepare(run, loaded, plan)
    [warning] = train_to_end(run)["warnings"]
    tally = json.loads((run / "training" / "rewards.json").read_text())
    assert tally["format"]["failed"] == tally["format"]["timed_out"] == 0
    answers, example = tally["os.path:getsize"]["graded"], tally["os.path:getsize"]["example"]
    assert answers == tally["format"]["graded"] > 0
    assert example.startswith("TypeError: getsize() got an unexpected keyword argument 'completions'; the answer was '")
    assert warning == (
        f"reward `os.path:getsize`: {answers} of {answers} answers counted as 0 because its scorer failed ({answers}) "
        f"or took too long (0). The first: {example}."
    )


NO_DROPOUT = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}


@pytest.mark.parametrize(("architecture", "chat", "changes"), [("llama", True, {}), ("gpt2", False, NO_DROPOUT)])
def test_the_loss_is_that_of_the_completions_alone(tmp_path, build_model, architecture, chat, changes):
    model = build_model(architecture, tmp_path / "model", chat=chat, **changes)
    run, loaded, plan = lay_run(tmp_path, model, args=ONE_STEP)
    prepare(run, loaded, plan)
    done = train_to_end(run)
    untrained = load_model(loaded.recipe.model)
    losses, tokens = 0.0, Counter()
    for row in pq.read_table(run / "mixture" / "train-00000.parquet").to_pylist():
        turns = [(turn["role"], turn["content"]) for turn in row["prompt"]]
        answer = [("assistant", row["completion"][0]["content"])]
        question = render(untrained, turns, awaiting=True)
        whole = render(untrained, turns + answer, awaiting=False)
        asked, said = (untrained.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (question, whole))
        assert said[: len(asked)] == asked
        logits = untrained.lm(torch.tensor([said])).logits[0].log_softmax(-1)
        losses -= sum(float(logits[place - 1, said[place]]) for place in range(len(asked), len(said)))
        tokens[row["domain"]] += len(said) - len(asked)
    assert done["log"][0]["loss"] == pytest.approx(losses / tokens.total(), rel=1e-5)
    assert {name: entry["trainable_tokens"] for name, entry in done["consumption"].items()} == tokens
    assert {name: (entry["planned_rows"], entry["rows"]) for name, entry in done["consumption"].items()} == {
        name: (count, count) for name, count in PLANNED.items()
    }
    shipped = json.loads((run / "model" / "tokenizer_config.json").read_text())
    assert bool((run / "model" / "chat_template.jinja").exists() or shipped.get("chat_template")) is chat
    assert not (run / "training" / "data").exists()


def test_rows_cut_and_dropped_by_length_are_counted_and_the_packed_ones_are_all_there(tmp_path, tiny_model):
    run, loaded, plan = lay_run(tmp_path, tiny_model, args={**ONE_STEP, "max_length": 72, "packing": True})
    prepare(run, loaded, plan)
    done = train_to_end(run)
    tokenizer = load_model(loaded.recipe.model).tokenizer
    cut, dropped = Counter(), Counter()
    for row in pq.read_table(run / "mixture" / "train-00000.parquet").to_pylist():
        lengths = [
            len(tokenizer(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=awaiting),
                          add_special_tokens=False)["input_ids"])
            for turns, awaiting in ((row["prompt"], True), (row["prompt"] + row["completion"], False))
        ]  # fmt: skip
        dropped[row["domain"]] += lengths[0] >= 72
        cut[row["domain"]] += lengths[0] < 72 < lengths[1]
    assert 0 < cut.total() + dropped.total() < 16
    for name, count in PLANNED.items():
        entry = done["consumption"][name]
        assert (entry["truncated_rows"], entry["dropped_rows"]) == (cut[name], dropped[name])
        assert entry["rows"] == count - dropped[name]
    assert len(done["warnings"]) == sum(n > 0 for n in (*cut.values(), *dropped.values()))


def test_a_job_that_changes_no_weight_is_an_error(tmp_path, tiny_model):
    run, loaded, plan = lay_run(tmp_path, tiny_model, args={**ONE_STEP, "learning_rate": 0.0}, lora={"r": 2})
    prepare(run, loaded, plan)
    assert (
        refusal(run)
        == TrainError(
            "training: the job changed no weight: every saved tensor is as it was before the first step. "
            "Raise train.args.learning_rate, or the number of steps."
        ).args
    )
    assert not (run / "model").exists()


def test_other_rows_than_planned_are_an_error_before_the_first_step(tmp_path, tiny_model):
    run, loaded, plan = lay_run(tmp_path, tiny_model, args=ONE_STEP)
    prepare(run, loaded, plan)
    place = run / "training" / "job.json"
    job = json.loads(place.read_text())
    job["planned_rows"] |= {"law": 6}
    place.write_text(json.dumps(job))
    assert refusal(run) == (
        "training: the trainer's own data holds other rows than planned: 'law' 5 instead of 6. "
        "Leave out keys of train.args that select or drop rows, or plan again.",
    )
    assert not (run / "training" / "log.jsonl").exists()


def test_a_checkpoint_of_another_number_of_processes_is_refused(tmp_path, tiny_model):
    run, loaded, plan = lay_run(tmp_path, tiny_model, args=ONE_STEP)
    job, place = prepare(run, loaded, plan), run / "training" / "checkpoints" / "checkpoint-1"
    place.mkdir(parents=True)
    seal_checkpoint(place, key=job.key, processes=4, seconds=1.0, seen={})
    assert refusal(run) == (
        f"{place}: 4 processes wrote it, but 1 are started, which would train on other batches. "
        f"Give --processes 4, or delete {run / 'training'} to begin again.",
    )


def refusal(run: Path) -> tuple[str, ...]:
    """What a training process that fails leaves for the person."""
    process = training_process(run)
    process.join()
    assert process.exitcode == 1
    error = failure_of(run)
    assert isinstance(error, TrainError | RunError)
    return error.args
