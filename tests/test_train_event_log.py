"""A trainer's events: the log, the places where it is saved, the wishes to stop, and a loss that is no number."""

import json
import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest

from mixplan.errors import TrainError
from mixplan.train.curve import FOLLOWED, curve_point, parsed
from mixplan.train.event_log import KILLED, Log, Stop, Watched


@pytest.fixture
def heard(monkeypatch):
    """Someone else's end of this process's standard input, and a wish that listens to it."""
    kept, (ours, theirs) = os.dup(0), os.pipe()
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    os.dup2(ours, 0)
    monkeypatch.setenv(FOLLOWED, "1")
    stop = Stop()
    stop.ended = []
    stop.end = lambda: stop.ended.append(KILLED)  # never undone: a thread may come to it late
    stop.listen()
    yield theirs, stop
    for end in (ours, kept):
        os.dup2(kept, 0)
        os.close(end)
    for number, handler in handlers:
        signal.signal(number, handler)


def soon(stop: Stop) -> bool:
    until = time.monotonic() + 5
    while not stop.asked and time.monotonic() < until:
        time.sleep(0.005)
    return stop.asked


def test_a_wish_comes_by_standard_input(heard):
    theirs, stop = heard
    assert not stop.anywhere()
    os.write(theirs, b"stop\n")
    os.close(theirs)
    assert soon(stop)
    assert stop.anywhere()


def test_the_end_of_the_follower_is_the_end(heard):
    theirs, stop = heard
    os.close(theirs)
    assert soon(stop)
    assert stop.ended == [KILLED]


def test_it_ends_without_anything_more(monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    Stop().end()
    assert ended == [KILLED]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wish_comes_by_signal(heard, number):
    theirs, stop = heard
    os.kill(os.getpid(), number)
    assert soon(stop)
    os.close(theirs)


def test_without_a_follower_standard_input_says_nothing(monkeypatch):
    monkeypatch.delenv(FOLLOWED, raising=False)
    before, handlers = threading.active_count(), [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    Stop().listen()
    assert threading.active_count() == before
    for number, handler in zip((signal.SIGINT, signal.SIGTERM), handlers, strict=True):
        signal.signal(number, handler)


def events(log: Log) -> list[dict]:
    return [json.loads(line) for line in log.path.read_text().splitlines()]


def test_a_new_start_keeps_the_curve_up_to_where_it_goes_on(tmp_path):
    log = Log(tmp_path / "log.jsonl", writes=True)
    log.begin(step=0, steps=6)
    for step in (1, 2, 3):
        log.write("step", step=step)
        log.write("log", step=step, loss=1.0 / step)
    with open(log.path, "a") as file:
        file.write('{"event": "log", "st')  # a kill cut it short
    log.begin(step=2, steps=6)
    assert events(log) == [
        {"event": "log", "step": 1, "loss": 1.0},
        {"event": "log", "step": 2, "loss": 0.5},
        {"event": "start", "step": 2, "steps": 6},
    ]
    silent = Log(tmp_path / "other.jsonl", writes=False)
    silent.begin(step=0)
    silent.write("step", step=1)
    assert not silent.path.exists()


def run_steps(watched: Watched, *, due: set[int], steps: int) -> tuple[list[int], int]:
    """Walk a trainer's steps: those after which it saved, and where it ended."""
    saved, control = [], SimpleNamespace(should_save=False, should_training_stop=False)
    for step in range(1, steps + 1):
        control.should_save = step in due
        watched.on_step_end(None, SimpleNamespace(global_step=step, max_steps=steps), control)
        if control.should_save:
            saved.append(step)
        if control.should_training_stop:
            return saved, step
    return saved, steps


def watched(tmp_path, cycle: int, *, asked: bool = False) -> Watched:
    stop = Stop()
    stop.asked = asked
    return Watched(Log(tmp_path / "log.jsonl", writes=True), stop, key="job", cycle=cycle)


def test_a_checkpoint_waits_for_the_end_of_a_batch_of_answers(tmp_path):
    assert run_steps(watched(tmp_path, 1), due={2, 5}, steps=6) == ([2, 5], 6)
    assert run_steps(watched(tmp_path, 3), due={2, 3, 4}, steps=8) == ([3, 6], 8)
    assert run_steps(watched(tmp_path, 3), due={7}, steps=8) == ([8], 8)


def test_a_wish_to_stop_saves_first(tmp_path):
    one = watched(tmp_path, 1, asked=True)
    assert run_steps(one, due=set(), steps=6) == ([1], 1)
    assert one.stopped
    three = watched(tmp_path, 3, asked=True)
    assert run_steps(three, due=set(), steps=6) == ([3], 3)
    last = watched(tmp_path, 1, asked=True)
    assert run_steps(last, due=set(), steps=1) == ([1], 1)
    assert not last.stopped  # it is done


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_training(tmp_path, loss):
    with pytest.raises(TrainError) as error:
        watched(tmp_path, 1).on_log(None, SimpleNamespace(global_step=4), None, logs={"loss": loss})
    assert str(error.value) == (
        f"training: the loss at step 4 is {loss}. "
        "Lower train.args.learning_rate, or train in float32 with `train.args.bf16: false`."
    )


def test_a_point_of_the_curve_has_no_times_and_null_for_what_is_not_finite():
    point = curve_point(
        {
            "loss": 2.5,
            "grad_norm": float("inf"),
            "step_time": 0.2,
            "num_tokens": 9,
            "reward": 0.5,
            "step": 3,
            "name": "x",
        }
    )
    assert list(point.items()) == [("step", 3), ("loss", 2.5), ("grad_norm", None), ("reward", 0.5)]
    assert parsed('{"step": 1}') == {"step": 1}
    assert parsed("{") == {}
