"""What was started ends with the process that started it, whatever ends that, and with what lies between."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from mixplan.child_process import end_group, outside_group, started_child

FAMILY = """
    import subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    time.sleep(60)
    """
"""A launcher with a worker, whose numbers it prints."""

ASKING = """
    import sys, time
    from mixplan.child_process import started_child
    process = started_child([sys.executable, "-c", sys.argv[1]])
    time.sleep(60)
    """


def python(program: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(program)]


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def parents() -> dict[int, int]:
    """Every process with its parent."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        if alive(int(name)):
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                found[int(name)] = int(file.read().rpartition(")")[2].split()[1])
    return found


def below(pid: int) -> set[int]:
    """All that a process has started, and what that has."""
    family, found = parents(), {pid}
    while more := {child for child, above in family.items() if above in found} - found:
        found |= more
    return found - {pid}


def gone(pids: set[int], seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(alive, pids))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_all_end_with_the_process_that_asked(number):
    asking = subprocess.Popen([*python(ASKING), textwrap.dedent(FAMILY)], stdout=subprocess.PIPE)
    worker = int(asking.stdout.readline())
    family = below(asking.pid)
    assert worker in family
    assert len(family) == 3
    asking.send_signal(number)
    asking.wait()
    asking.stdout.close()
    assert gone(family)


def test_all_end_with_what_stands_between():
    process = started_child(python(FAMILY), stdout=subprocess.PIPE)
    worker = int(process.stdout.readline())
    process.kill()
    process.wait()
    assert alive(worker)
    end_group(process)
    process.stdout.close()
    assert gone({worker})


@pytest.mark.parametrize(("program", "code"), [("", 0), ("import sys; sys.exit(3)", 3)])
def test_its_exit_code_is_the_commands(program, code):
    assert started_child(python(program)).wait() == code


def test_a_signal_that_ended_the_command_is_in_its_exit_code():
    assert started_child(python("import os; os.kill(os.getpid(), 9)")).wait() == 128 + signal.SIGKILL


def test_signals_and_standard_input_reach_the_command():
    program = """
        import signal, sys, time
        signal.signal(signal.SIGINT, lambda *_: sys.exit(5))
        print(sys.stdin.readline(), end="", flush=True)
        time.sleep(60)
        """
    process = started_child(python(program), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"hello\n"
    process.send_signal(signal.SIGINT)
    assert process.wait() == 5
    process.stdin.close()
    process.stdout.close()


def test_a_child_outside_the_group_is_told_nothing_of_it(monkeypatch):
    """What torchrun's own documentation lists as set for each process, beside what a person has set."""
    told = ["LOCAL_RANK", "RANK", "GROUP_RANK", "ROLE_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE", "ROLE_WORLD_SIZE",
            "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_MAX_RESTARTS",
            "TORCHELASTIC_RUN_ID"]  # fmt: skip
    for name in told:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = outside_group()
    assert not set(told) & set(found)
    assert found == {name: value for name, value in os.environ.items() if name not in told}
    assert found["OMP_NUM_THREADS"] == "3"
