"""Runs the command line in fresh processes, one or several that a launcher starts."""

import subprocess
import sys
from pathlib import Path

ALONE = """\
import sys
from mixplan.train import dry_run
dry_run.asked_of_libraries = lambda questions: [None] * len(questions)
from mixplan.cli import app
"""
"""Begins a program that runs commands; as in the tests' own process, none asks TRL about a job, which takes seconds."""

EACH_SAYS = """\
import os
os.write(2, f"one of several: {os.environ.get('RANK')} of {os.environ.get('WORLD_SIZE')}\\n".encode())
"""
"""Behind `ALONE`: each process says that it is there, so that no test of several runs with one."""
MULTI_CPU = Path(__file__).parents[2] / "configs" / "launch" / "multi-cpu.yaml"


def fresh_process(program: str, *words: str | Path) -> str:
    """Run a program behind `ALONE` in a process of its own, which must end well.

    Args:
        program: Python; `app` runs commands.
        words: Its arguments.

    Returns:
        What it printed.
    """
    command = [sys.executable, "-c", ALONE + program]
    done = subprocess.run([*command, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def plan_by_processes(count: int, recipe: Path, run: Path) -> None:
    """Plan by several processes that accelerate starts, each with as many threads as this one."""
    import torch

    program = run.with_name("program.py")
    program.write_text(f"{ALONE}{EACH_SAYS}app()\n")
    # `accelerate launch --cpu --num_processes 2` starts one process: several need the config that mixplan ships.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", MULTI_CPU,
              "--num_processes", str(count), "--main_process_port", "0",
              "--num_cpu_threads_per_process", str(torch.get_num_threads())]  # fmt: skip
    done = subprocess.run([*launch, program, "plan", recipe, "--run", run], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("one of several: ") == count, "other than so many processes were started"
