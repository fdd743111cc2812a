"""Progress on a terminal and where there is none."""

import io

from rich.console import Console

from mixplan.cli.progress import Drawn


def test_without_a_terminal_each_step_is_said_once(capsys):
    with Drawn(Console(highlight=False)) as drawn:
        drawn.stage("reading law", 1000, "tokens")
        drawn.advance(400)
        drawn.say("done soon")
    assert capsys.readouterr().out == "reading law: 1,000 tokens\ndone soon\n"


def test_on_a_terminal_a_finished_step_is_full():
    drawn_to = io.StringIO()
    with Drawn(Console(file=drawn_to, force_terminal=True, width=120, color_system=None)) as drawn:
        drawn.stage("reading law", 1000, "tokens")
        drawn.advance(400)
        drawn.stage("reading physics", 10, "tokens")
    text = " ".join(drawn_to.getvalue().split())
    assert "1000/1000 tokens" in text
    assert "10/10 tokens" in text
