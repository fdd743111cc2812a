"""The command line loads a command's modules only to run it, apart from garbage collection."""

import gc

import pytest

from mixplan.cli import imported


def test_a_command_s_modules_are_set_aside_from_garbage_collection_once(monkeypatch, tmp_path):
    """Objects that live as long as the process are not gone through; what commands make themselves still is."""
    (tmp_path / "fresh_command.py").write_text("made = [[number] for number in range(1000)]\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = gc.get_freeze_count()
    module = imported("fresh_command")
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(module.made)
    frozen = gc.get_freeze_count()
    assert imported("fresh_command") is module
    assert gc.get_freeze_count() <= frozen
    with pytest.raises(ModuleNotFoundError):
        imported("no_such_command")
    assert gc.isenabled()
