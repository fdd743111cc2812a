"""What a process that is no more has left half written is swept at the next start; what is being written stays."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from mixplan import runs, temporary_files
from mixplan.runs import locked, write_atomic
from mixplan.temporary_files import OLD_SECONDS, affixes, sweep, sweep_held

CRASHING = """
    import os, signal, sys
    from pathlib import Path
    from mixplan import runs

    path, at = Path(sys.argv[1]), sys.argv[2]
    module, name = at.split(".")
    module = {"os": os, "tempfile": runs.tempfile}[module]
    called = getattr(module, name)

    def crash(*arguments, **options):
        if sys.argv[3] == "after":
            called(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, name, crash)
    runs.write_atomic(path, b"x" * 100_000)
    """


def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def named(process: int | str, name: str = "report.html") -> str:
    before, after = affixes(name)
    return re.sub(rf"\.{os.getpid()}-", f".{process}-", before) + "ab12cd34" + after


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", ["tempfile.mkstemp", "os.fdopen", "os.fsync", "os.chmod", "os.replace"])
def test_each_crash_of_a_write_is_swept_at_the_next_start(tmp_path, at, when):
    path = tmp_path / "run" / "deep" / "plan.json"
    write_atomic(path, b"old")
    crashed = subprocess.run([sys.executable, "-c", textwrap.dedent(CRASHING), path, at, when])
    assert crashed.returncode == -signal.SIGKILL
    with locked(tmp_path / "run"):
        assert [kept.name for kept in path.parent.iterdir()] == ["plan.json"]
    assert path.read_bytes() in (b"old", b"x" * 100_000)


def test_what_another_process_writes_stays(tmp_path):
    running = named(os.getppid())
    for name in (running, named(os.getpid()), "plan.json", ".lock", ".hidden", "notes.part", ".notes.part"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / named(ended())).write_bytes(b"")
    sweep(tmp_path)
    assert running in os.listdir(tmp_path)
    assert len(os.listdir(tmp_path)) == 7


def test_what_another_machine_writes_stays_for_a_day(tmp_path, monkeypatch):
    path = tmp_path / named(ended())
    path.write_bytes(b"")
    monkeypatch.setattr(temporary_files, "machine", lambda: "ffffff")
    sweep(tmp_path)
    assert path.exists()
    os.utime(path, (time.time() - OLD_SECONDS - 9,) * 2)
    sweep(tmp_path)
    assert not path.exists()


def test_what_the_first_version_left_goes_after_a_day(tmp_path):
    for name, age in ((".report.html.ab12_x9z", 2), (".plan.json.ab12_x9z", 0.1), (".lock", 2)):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (time.time() - age * OLD_SECONDS,) * 2)
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".lock", ".plan.json.ab12_x9z"]


def test_a_half_converted_model_is_swept_whole(tmp_path):
    (tmp_path / "models" / named(ended(), "smollm2") / "model").mkdir(parents=True)
    sweep(tmp_path)
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("run", ["run", "run/arms/uniform"])
def test_half_made_folders_of_a_run_are_swept_when_it_is_held(tmp_path, run):
    for name in (".mixture.partial", ".mixture.old", ".model.partial", "mixture", "model"):
        (tmp_path / run / name / "deep").mkdir(parents=True)
    with locked(tmp_path / "run"):
        pass
    kept = {path.name for path in (tmp_path / run).iterdir() if path.is_dir()} - {"arms"}
    assert kept == {"mixture", "model"}


def test_the_only_whole_mixture_is_kept(tmp_path):
    (tmp_path / ".mixture.old").mkdir()
    sweep_held(tmp_path)
    assert (tmp_path / ".mixture.old").is_dir()


def test_the_cache_is_swept_at_the_start(tmp_path, own_cache: Path):
    place = own_cache / "scores" / named(ended())
    place.parent.mkdir()
    place.write_bytes(b"")
    runs.sweep_cache.cache_clear()
    with locked(tmp_path / "run"):
        assert not place.exists()


def test_what_cannot_be_removed_is_no_trouble(tmp_path, monkeypatch):
    (tmp_path / named(ended())).write_bytes(b"")

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    sweep(tmp_path)
    sweep(tmp_path / "nowhere")
