"""`python -m mixplan` is the command: the same text, exit codes and no model library for light ones."""

import subprocess
import sys

import pytest

from mixplan import __version__


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--version",), 0, __version__),
        (("check", "none.yaml"), 1, "none.yaml: there is no such recipe"),
        (("nothing",), 2, ""),
    ],
    ids=["version", "a mistake", "wrong usage"],
)
def test_it_ends_as_the_command_does(words, code, said, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mixplan", *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
