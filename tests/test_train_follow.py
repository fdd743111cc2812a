"""Processes that train are followed: progress and losses passed on, Ctrl-C once and twice, and none left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mixplan.errors import RunError
from mixplan.reading.progress import Silent
from mixplan.runs import locked
from mixplan.train import follow as following
from mixplan.train.follow import Tail, follow, wait_for_former

STAND_IN = """
import json, os, sys, time
place = sys.argv[1]
def write(path, *events):
    with open(path, "a") as file:
        file.writelines(json.dumps(event) + "\\n" for event in events)
fresh = place + "/fresh"
write(fresh, {"event": "log", "step": 1, "loss": 9.0}, {"event": "start", "step": 1, "steps": 4})
os.replace(fresh, place + "/log.jsonl")
"""
TO_THE_END = """
for step in (2, 3, 4):
    write(place + "/log.jsonl", {"event": "step", "step": step}, {"event": "log", "step": step, "loss": 3.0 / step,
          "reward": 0.25, "learning_rate": 1e-5})
write(place + "/log.jsonl", {"event": "done", "step": 4})
"""
ASKED = """
assert sys.stdin.buffer.readline() == b"stop\\n"
os.makedirs(place + "/checkpoints/checkpoint-3")
write(place + "/log.jsonl", {"event": "stopped", "step": 3})
"""
DEAF = "time.sleep(600)"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "log.jsonl").write_text('{"event": "start", "step": 0, "steps": 9}\n')
    return tmp_path


def started(run: Path, then: str) -> subprocess.Popen:
    program = [sys.executable, "-c", STAND_IN + then, str(run / "training")]
    return subprocess.Popen(program, stdin=subprocess.PIPE, start_new_session=True)


def press_ctrl_c(run: Path, seconds: tuple[float, ...]) -> None:
    """Send this process SIGINT, as a terminal would, some time after training has started."""
    until = time.monotonic() + 20
    while '"steps": 4' not in (run / "training" / "log.jsonl").read_text() and time.monotonic() < until:
        time.sleep(0.01)
    for wait in seconds:
        time.sleep(wait)
        os.kill(os.getpid(), signal.SIGINT)


def test_steps_and_losses_are_passed_on(run, monkeypatch):
    monkeypatch.setattr(following, "SAY_SECONDS", 0.0)
    watcher = Silent()
    assert follow(started(run, TO_THE_END), run, watcher)
    assert watcher.stages == [("training", 4, "steps")]
    assert watcher.advanced == 4
    assert watcher.said == [
        "training goes on from step 1 of 4",
        "step 2 of 4: loss 1.5, reward 0.25, learning rate 1e-05",
        "step 3 of 4: loss 1, reward 0.25, learning rate 1e-05",
        "step 4 of 4: loss 0.75, reward 0.25, learning rate 1e-05",
    ]


def test_a_failure_is_told_from_a_good_end(run):
    assert not follow(started(run, "sys.exit(3)"), run, Silent())


def test_ctrl_c_asks_for_a_checkpoint_and_says_where_it_goes_on(run):
    watcher = Silent()
    threading.Thread(target=press_ctrl_c, args=(run, (0.3,)), daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        follow(started(run, ASKED), run, watcher)
    assert watcher.said[1:] == [
        "stopping: a checkpoint is saved after this step. Ctrl-C again stops at once.",
        "stopped; step 3 is saved",
    ]


def test_ctrl_c_again_leaves_no_process_behind(run):
    process = started(run, DEAF)
    threading.Thread(target=press_ctrl_c, args=(run, (0.3, 0.6)), daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        follow(process, run, Silent())
    assert process.returncode == -signal.SIGKILL


def test_the_log_is_followed_over_a_line_in_two_parts_and_a_new_file(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"event": "former"}\n')
    tail = Tail(path)
    with open(path, "a") as file:
        file.write('{"event": "on')
        file.flush()
        assert list(tail.events()) == []
        file.write('e"}\nno JSON\n')
    assert list(tail.events()) == [{"event": "one"}, {}]
    (tmp_path / "new").write_text('{"event": "two"}\n')
    os.replace(tmp_path / "new", path)
    assert list(tail.events()) == [{"event": "two"}]
    path.unlink()
    assert list(tail.events()) == []


HOLDER = """
import sys, time
from pathlib import Path
from mixplan.runs import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(folder: Path, seconds: float) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, folder, str(seconds)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_training_process_that_outlived_its_starter_is_waited_for(run):
    watcher, former = Silent(), holder(run / "training", 0.7)
    wait_for_former(run, watcher)
    assert watcher.said == ["waiting for an earlier training process to end"]
    former.wait()
    with locked(run / "training"):
        pass


def test_one_that_does_not_end_is_named(run, monkeypatch):
    monkeypatch.setattr(following, "WAIT_SECONDS", 0.3)
    former = holder(run / "training", 60)
    with pytest.raises(RunError) as error:
        wait_for_former(run, Silent())
    former.kill()
    former.wait()
    assert str(error.value) == (
        f"{run / 'training'}: another mixplan run (process {former.pid}) is using this folder. "
        "Wait for it to end, or choose another folder with --run FOLDER."
    )
