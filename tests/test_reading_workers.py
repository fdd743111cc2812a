"""Processes that a launcher starts are one group, or are refused."""

import pytest

from mixplan.errors import MixplanError
from mixplan.reading.workers import Workers


def test_the_launchers_variables_say_which_process_this_is(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert Workers.here() == Workers(0, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert Workers.here() == Workers(2, 3)


def test_one_process_waits_for_nobody_and_agrees_with_itself():
    alone = Workers(0, 1)
    alone.wait()
    assert alone.agreed(lambda: [3, 1]) == [3, 1]


@pytest.mark.parametrize("what", [Workers.wait, lambda workers: workers.agreed(lambda: [1])], ids=["wait", "agreed"])
def test_processes_that_form_no_group_are_refused(what, monkeypatch):
    """Each would read its part alone, and wait for nobody."""
    from accelerate import PartialState

    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    PartialState._reset_state()
    with pytest.raises(MixplanError, match="WORLD_SIZE says 2 processes, but 1 of them formed a group"):
        what(Workers(1, 2))
    PartialState._reset_state()
