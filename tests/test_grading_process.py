"""The grading process: scorers that raise, hang, end it or eat memory cost one answer, and no process is left."""

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import reasoning_gym

from mixplan.grading.grade import Grade, grade
from mixplan.grading.process import LEFT_OUT, PRINTED_BYTES, GradingProcess, ScorerError, ScorerTimedOut, serve

SCORERS = """
import ctypes, os, random, resource, signal, subprocess, sys, time

def lengths(prompts, completions, reference, **columns):
    return [len(c[-1]["content"]) - len(r) for c, r in zip(completions, reference)]

def opinion(completions, **columns):
    return [None if c == "?" else True for c in completions]

async def later(completions, **columns):
    return [0.25 for _ in completions]

def noisy(completions, **columns):
    print("printed"); sys.stdin.read(); os.write(1, b"written")
    return [1.0 for _ in completions]

def endless(completions, **columns):
    while True: print("x" * 10_000); os.write(2, b"y" * 10_000)

def few(completions, **columns): return [1.0]
def scalar(completions, **columns): return 1.0
def infinite(completions, **columns): return [float("inf") for _ in completions]
def text(completions, **columns): return ["good" for _ in completions]
class Odd(Exception): pass
def odd(completions, **columns): raise Odd("neither this nor that")
def silent(completions, **columns): raise KeyError
def leaves(completions, **columns): sys.exit(3)
def ends(completions, **columns): os._exit(3)
def crashes(completions, **columns): os.kill(os.getpid(), signal.SIGSEGV)
def loops(completions, **columns):
    while True: pass
def blocks(completions, **columns): ctypes.PyDLL(None).sleep(60)
def deaf(completions, **columns):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True: time.sleep(1)
def parent(completions, **columns):
    child = subprocess.Popen(["sleep", "60"])
    open("child.pid", "w").write(str(child.pid))
    child.wait()
def greedy(completions, **columns):
    return [len(bytearray(resource.getrlimit(resource.RLIMIT_DATA)[0])) for _ in completions]
def deep(completions, **columns): return deep(completions)
def heavy(completions, **columns):
    return [len({"torch", "transformers", "trl", "sae_lens"} & set(sys.modules)) for _ in completions]
def pid(completions, **columns): return [os.getpid() for _ in completions]
"""
TURN = [{"role": "assistant", "content": "twelve"}]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GradingProcess]:
    """A process of 1 second an answer that can import `scorers`; tests share it, for it outlives what they do to it."""
    folder = tmp_path_factory.mktemp("scorers")
    (folder / "scorers.py").write_text(SCORERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made = GradingProcess(seconds=1)
        yield made
        made.close()


def ask(process: GradingProcess, name: str, *completions: object) -> list[float | None]:
    return process.scores(f"scorers:{name}", {"completions": list(completions) or [TURN]})


def failure(process: GradingProcess, name: str) -> str:
    with pytest.raises(ScorerError) as caught:
        ask(process, name)
    return str(caught.value)


def gone(pid: int) -> bool:
    """Whether a process has ended; what nobody has waited for yet counts as ended."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def wait_until_gone(pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not gone(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.02)


def test_grades_are_those_of_the_grading_module(process: GradingProcess) -> None:
    entry = json.dumps(reasoning_gym.create_dataset("products", size=1, seed=3)[0])
    for text, reference, grader, saved, accepted in [
        ("<answer>Paris</answer>", "paris", "exact", None, ()),
        ("Lutetia", "Paris", "exact", None, ("Lutetia",)),
        ("The answer is B", "C", "choice", None, ()),
        ("seven", "7", "number", None, ()),
        (r"\boxed{0.5}", r"\frac{1}{2}", "math", None, ()),
        ("It is 12", "-", "generator", entry, ()),
    ]:
        assert process.grade(text, reference, grader, saved, accepted) == grade(
            text, reference, grader, saved, accepted
        )


def test_a_pattern_is_found_across_lines(process: GradingProcess) -> None:
    assert process.finds("<answer>.+</answer>", "so <answer>1\n2</answer>.")
    assert not process.finds("<answer>.+</answer>", "<answer></answer>")


def test_a_users_function_is_called_as_trl_calls_it(process: GradingProcess) -> None:
    columns = {"prompts": [TURN] * 2, "completions": [TURN] * 2, "reference": ["", "abc"], "domain": ["law"] * 2}
    assert process.scores("scorers:lengths", columns) == [6.0, 3.0]


@pytest.mark.parametrize(
    ("name", "completions", "scores"),
    [("opinion", ["?", "!"], [None, 1.0]), ("later", ["a", "b"], [0.25, 0.25]), ("noisy", ["a"], [1.0])],
)
def test_scores_come_back_as_numbers(process, name, completions, scores):
    assert ask(process, name, *completions) == scores


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("odd", "Odd: neither this nor that"),
        ("silent", "KeyError"),
        ("leaves", "SystemExit: 3"),
        ("ends", "its process ended (exit code 3)"),
        ("crashes", "its process ended (SIGSEGV)"),
        ("deep", "RecursionError: maximum recursion depth exceeded"),
        ("greedy", "MemoryError"),
        ("scalar", "TypeError: 'float' object is not iterable"),
        ("infinite", "ValueError: the score is inf, not a finite number"),
        ("text", "ValueError: could not convert string to float: 'good'"),
        ("lenghts", "LookupError: module 'scorers' has no function 'lenghts'. Did you mean 'lengths'?"),
        ("random", "LookupError: module 'scorers' has no function 'random'."),
    ],
)
def test_a_failing_scorer_says_why_and_the_next_answer_is_graded(process, name, message):
    assert failure(process, name) == message
    assert process.grade("7", "7", "number") == Grade(1.0, "right")


def test_scores_must_be_as_many_as_answers(process: GradingProcess) -> None:
    with pytest.raises(ScorerError, match=r"^it gave 1 scores for 2 answers$"):
        ask(process, "few", "a", "b")


@pytest.mark.parametrize("name", ["loops", "blocks", "deaf"])
def test_a_scorer_that_never_returns_is_ended(process: GradingProcess, name: str) -> None:
    [first] = ask(process, "pid")
    start = time.monotonic()
    with pytest.raises(ScorerTimedOut, match=r"^it took longer than 1 seconds$"):
        ask(process, name)
    assert 1 <= time.monotonic() - start < 20
    wait_until_gone(int(first), 10)
    [second] = ask(process, "pid")
    assert second != first


def test_a_scorer_that_prints_without_end_fills_no_disk(tmp_path: Path) -> None:
    (tmp_path / "scorers.py").write_text(SCORERS)
    program = """
        from mixplan.grading.process import LEFT_OUT, PRINTED_BYTES, GradingProcess, ScorerTimedOut
        process = GradingProcess(seconds=1)
        try:
            process.scores("scorers:endless", {"completions": ["a"]})
        except ScorerTimedOut:
            print("timed out")
        print(process.scores("scorers:noisy", {"completions": ["a"]}))
        process.close()
    """
    with open(tmp_path / "worker.log", "wb") as log:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=log
        )
    assert done.stdout == b"timed out\n[1.0]\n"
    printed = (tmp_path / "worker.log").read_bytes()
    assert PRINTED_BYTES < len(printed) < PRINTED_BYTES + 1_000
    assert LEFT_OUT in printed


def test_a_batch_has_the_time_of_its_answers(process: GradingProcess) -> None:
    with pytest.raises(ScorerTimedOut, match=r"^it took longer than 2 seconds$"):
        ask(process, "loops", "a", "b")


def test_what_a_scorer_started_is_ended_with_it(process: GradingProcess) -> None:
    with pytest.raises(ScorerTimedOut):
        ask(process, "parent")
    wait_until_gone(int(Path("child.pid").read_text()), 10)


def test_a_pattern_that_backtracks_without_end_is_ended(process: GradingProcess) -> None:
    with pytest.raises(ScorerTimedOut):
        process.finds("(a|a)*$", "a" * 40 + "b")


def test_a_grader_that_never_returns_is_ended(process: GradingProcess) -> None:
    assert process.grade(r"\boxed{7}", "7", "math") == Grade(1.0, "right")
    with pytest.raises(ScorerTimedOut):
        process.grade(r"\boxed{9^{9^{9^{9}}} - 1}", "10^{10^{10}} - 1", "math")


def test_the_child_is_one_and_the_same_until_it_fails(process: GradingProcess) -> None:
    first = ask(process, "pid")
    assert failure(process, "odd") == "Odd: neither this nor that"
    assert ask(process, "pid") == first


def test_the_child_loads_no_model_library(process: GradingProcess) -> None:
    assert process.grade("7", "7", "math") == Grade(1.0, "right")
    assert ask(process, "heavy") == [0]


def test_a_closed_process_starts_again(process: GradingProcess) -> None:
    [first] = ask(process, "pid")
    process.close()
    process.close()
    wait_until_gone(int(first), 10)
    assert ask(process, "pid") != [first]


def test_a_child_that_was_killed_between_answers_is_counted_and_replaced(process: GradingProcess) -> None:
    [first] = ask(process, "pid")
    os.kill(int(first), signal.SIGKILL)
    wait_until_gone(int(first), 10)
    assert failure(process, "pid") == "its process ended (SIGKILL)"
    assert ask(process, "pid") != [first]


@pytest.mark.parametrize("scorer", ["pid", "loops"])
def test_no_child_outlives_a_killed_parent(tmp_path: Path, scorer: str) -> None:
    (tmp_path / "scorers.py").write_text(SCORERS)
    program = f"""
        import time
        from mixplan.grading.process import GradingProcess
        process = GradingProcess(seconds=3)
        print(int(process.scores("scorers:pid", {{"completions": ["a"]}})[0]), flush=True)
        process.scores("scorers:{scorer}", {{"completions": ["a"]}})
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.3)
        assert not gone(child)
        parent.kill()
    wait_until_gone(child, 20)


def test_requests_are_answered_line_by_line() -> None:
    requests = [["grade", ["7", "7", "number", None], 1], ["finds", ["(", "text"], 1], ["prepare", ["exact"], 1]]
    replies = io.BytesIO()
    serve(io.BytesIO(b"".join(json.dumps(request).encode() + b"\n" for request in requests)), replies)
    assert [json.loads(line) for line in replies.getvalue().splitlines()] == [
        {"value": {"score": 1.0, "outcome": "right"}},
        {"raised": "error: missing ), unterminated subpattern at position 0"},
        {"value": None},
    ]
