"""What a training process died of: one message each, in full, and the first of several processes is heard."""

import errno
import json

import pytest

from mixplan.errors import DataError, ModelError, RunError, TrainError
from mixplan.train import failure
from mixplan.train.failure import failure_of, record_failure, translated_failure
from mixplan.train.job import Job


@pytest.fixture
def run(tmp_path):
    (tmp_path / "training").mkdir()
    return tmp_path


def job(lora: dict | None = None, **args: object) -> Job:
    return Job(model={}, train={"args": args, "lora": lora}, mixture="mixture", planned_rows={}, hashes={})


@pytest.mark.parametrize(
    ("made", "remedy"),
    [
        (
            job(),
            "Set train.args.per_device_train_batch_size to 4 and gradient_accumulation_steps to 2, which trains on the "
            "same batches.",
        ),
        (
            job(per_device_train_batch_size=3, gradient_accumulation_steps=4),
            "Set train.args.per_device_train_batch_size to 1 and gradient_accumulation_steps to 12, which trains on "
            "the same batches.",
        ),
        (
            job(per_device_train_batch_size=1),
            "Train an adapter with `train.lora: {r: 16}`, or share the model among GPUs with --launch fsdp2.",
        ),
        (
            job({"r": 4}, per_device_train_batch_size=1),
            "Set train.args.max_length lower, or share the model among GPUs with --launch fsdp2.",
        ),
    ],
)
@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["system", "gpu", "cpu"],
)
def test_out_of_memory_names_what_takes_less(run, error, made, remedy):
    told = translated_failure(error, run, made)
    assert (type(told), str(told)) == (TrainError, f"{run}: training ran out of memory. {remedy}")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_message(run, error):
    told = translated_failure(error, run, None)
    text = f"{run}: the disk is full. Free some space and run the same command again: it resumes."
    assert (type(told), str(told)) == (RunError, text)


def test_a_failed_write_that_gives_no_reason_is_a_full_disk_where_nothing_is_free(run, monkeypatch):
    error = RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")
    assert isinstance(translated_failure(error, run, None), TrainError)
    monkeypatch.setattr(failure, "disk_is_full", lambda _: True)
    assert isinstance(translated_failure(error, run, None), RunError)
    assert str(failure_of(run)) == (
        f"{run}: the disk is full. Free some space and run the same command again: it resumes."
    )


def test_another_exception_names_itself_and_the_trace(run):
    told = translated_failure(ValueError("no such\n  scheduler"), run, None)
    assert str(told) == (
        f"{run}: training stopped: ValueError: no such scheduler\n"
        f"The whole trace is in {run / 'training' / 'worker.log'}."
    )


def test_the_first_message_of_several_processes_is_heard(run):
    record_failure(DataError("the cause"), run, None)
    record_failure(RuntimeError("connection reset by peer"), run, None)
    told = failure_of(run)
    assert (type(told), str(told)) == (DataError, "the cause")


def test_a_mixplan_error_is_passed_on_as_it_is(run):
    error = ModelError("model: a problem. A remedy.")
    assert translated_failure(error, run, None) is error


@pytest.mark.parametrize("printed", ["died with <Signals.SIGKILL: 9>.", "Signal 9 (SIGKILL) received by PID 7"])
def test_a_killed_process_is_told_as_such(run, printed):
    (run / "training" / "worker.log").write_text(f"loading\n{printed}\n")
    assert str(failure_of(run)) == (
        f"{run}: the training process was killed, as the system does when memory runs out. The same command goes on "
        "from the last checkpoint."
    )


def test_one_that_ends_without_a_word_is_told_by_its_last_line(run):
    log = run / "training" / "worker.log"
    assert str(failure_of(run)) == f"{run}: training ended without a model. {log} ends with: "
    log.write_text("loading\nFatal Python error: Segmentation fault\n\n")
    assert str(failure_of(run)) == (
        f"{run}: training ended without a model. {log} ends with: Fatal Python error: Segmentation fault"
    )


def test_a_damaged_message_is_no_reason_to_fail_again(run):
    (run / "training" / "error.json").write_text(json.dumps({"kind": "NoSuchError", "message": "x"}))
    assert isinstance(failure_of(run), TrainError)
