"""Progress on a terminal and where there is none."""

import io
import re

import pytest
from rich.console import Console

from mixplan.cli import progress
from mixplan.cli.progress import Drawn, time_left, waiting


def test_without_a_terminal_each_step_is_said_once(capsys):
    with Drawn(Console(highlight=False)) as drawn:
        drawn.stage("reading law", 1000, "tokens")
        drawn.advance(400)
        drawn.say("done soon")
    assert capsys.readouterr().out == "reading law: 1,000 tokens\ndone soon\n"


def test_without_a_terminal_a_long_step_says_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SAY_SECONDS", 0.0)
    with Drawn(Console(highlight=False)) as drawn:
        drawn.stage("reading law", 17, "rows")
        drawn.advance(3)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "reading law: 17 rows"
    assert re.fullmatch(r"reading law: 3 of 17 rows, \d+ s left", second)


def test_on_a_terminal_a_finished_step_is_full():
    drawn_to = io.StringIO()
    with Drawn(Console(file=drawn_to, force_terminal=True, width=120, color_system=None)) as drawn:
        drawn.stage("reading law", 1000, "tokens")
        drawn.advance(400)
        drawn.stage("reading physics", 10, "tokens")
    text = " ".join(drawn_to.getvalue().split())
    assert "1,000 of 1,000 tokens" in text
    assert "10 of 10 tokens" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (7.4, "7 s left"), (89, "89 s left"), (130, "2 min left"), (9000, "2.5 h left")]
)
def test_time_left(seconds, text):
    assert time_left(seconds) == text


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_waited_for_is_said_on_a_terminal_s_standard_error_alone(capsys, monkeypatch, terminal):
    monkeypatch.setenv("TTY_COMPATIBLE", "1" if terminal else "0")  # as rich is told what the stream cannot say
    monkeypatch.setenv("TERM", "xterm")  # nothing is drawn on a dumb one
    with waiting("asking TRL"):
        print("done")
    shown = capsys.readouterr()
    assert shown.out == "done\n"
    assert ("asking TRL" in shown.err) is terminal
    assert terminal or not shown.err
