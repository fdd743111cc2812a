"""Artifacts are whole or absent, damage is noticed, one process holds a folder, and each refusal is one message."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixplan.errors import RunError
from mixplan.runs import (
    cache_folder,
    cached,
    canonical_json,
    content_hash,
    file_hash,
    locked,
    seal,
    set_aside,
    translated,
    unseal,
    write_atomic,
    write_json,
)


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a second process that speaks and listens line by line."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def refuse(number: int):
    """A stand-in for a system call that fails with the error number."""

    def failing(*arguments, **named):
        raise OSError(number, os.strerror(number))

    return failing


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON_VALUES))
def test_canonical_json_keeps_the_value_and_forgets_the_order(value):
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(dict(reversed(value.items()))) == text


def test_canonical_json_refuses_nan():
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        canonical_json(float("nan"))


def test_content_hash_is_sha256_over_lengths_and_parts():
    parts = [b"ab", b"c"]
    by_hand = hashlib.sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts)).hexdigest()
    assert content_hash(*parts) == by_hand
    assert content_hash(bytearray(b"ab"), memoryview(b"c")) == by_hand


def test_content_hash_tells_where_one_part_ends():
    assert content_hash(b"ab", b"c") != content_hash(b"a", b"bc")
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    assert content_hash([1]) != content_hash([1.5])


def test_file_hash_is_sha256_of_the_bytes(tmp_path):
    data = os.urandom(3_000_000)
    (tmp_path / "data").write_bytes(data)
    assert file_hash(tmp_path / "data") == hashlib.sha256(data).hexdigest()


def test_write_atomic_makes_the_folder_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "deep" / "er" / "plan.json"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [kept.name for kept in path.parent.iterdir()] == ["plan.json"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_killed_writer_leaves_the_old_bytes(tmp_path):
    path = tmp_path / "plan.json"
    path.write_bytes(b"old")
    writer = start(
        """
        import os, sys
        from pathlib import Path
        from mixplan import runs

        def stop_here(handle):
            print("written, not yet in place", flush=True)
            sys.stdin.read()

        os.fsync = stop_here
        runs.write_atomic(Path(sys.argv[1]), b"new" * 1000)
        """,
        path,
    )
    assert writer.stdout.readline() == "written, not yet in place\n"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_message_and_leaves_no_part(tmp_path, monkeypatch, number):
    path = tmp_path / "plan.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", refuse(number))
    with pytest.raises(RunError) as caught:
        write_atomic(path, b"new")
    assert str(caught.value) == (
        f"{path}: the disk is full. Free some space and run the same command again: it resumes."
    )
    assert path.read_bytes() == b"old"
    assert [kept.name for kept in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_no_permission_is_one_message(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "replace", refuse(number))
    with pytest.raises(RunError) as caught:
        write_atomic(tmp_path / "plan.json", b"new")
    assert str(caught.value) == (
        f"{tmp_path / 'plan.json'}: no permission to write here. Choose another run folder with --run FOLDER, "
        "or copy this one to where you may write."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_file_that_may_not_be_read_is_one_message(tmp_path, monkeypatch, number):
    path = tmp_path / "part"
    path.write_bytes(seal(b"data"))
    monkeypatch.setattr(Path, "read_bytes", refuse(number))
    with pytest.raises(RunError) as caught:
        unseal(path)
    assert str(caught.value) == (
        f"{path}: no permission to read it. Allow it with `chmod u+r {path}`, or move it away."
    )
    monkeypatch.undo()
    assert unseal(path) == b"data"


def test_another_refusal_keeps_the_systems_own_words(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", refuse(errno.EIO))
    with pytest.raises(RunError) as caught:
        write_atomic(tmp_path / "plan.json", b"new")
    assert str(caught.value) == f"{tmp_path / 'plan.json'}: {os.strerror(errno.EIO)}."


def in_the_way(place: Path) -> str:
    return (
        f"{place}: found a file, expected a folder. Move it away: `mv {place} {place}.aside`, "
        "or choose another run folder with --run FOLDER."
    )


def test_a_file_in_a_folders_place_is_named(tmp_path):
    (tmp_path / "taken").write_bytes(b"a file, not a folder")
    with pytest.raises(RunError) as caught:
        write_atomic(tmp_path / "taken" / "deep" / "plan.json", b"new")
    assert str(caught.value) == in_the_way(tmp_path / "taken")


def test_a_link_to_itself_in_a_folders_place_is_named(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(RunError) as caught:
        write_atomic(loop / "plan.json", b"new")
    assert f"{loop}: a link that leads nowhere. Move it away: `mv {loop} {loop}.aside`" in str(caught.value)
    os.rename(loop, f"{loop}.aside")
    write_atomic(loop / "plan.json", b"new")


def test_a_folder_in_a_files_place_is_named(tmp_path):
    path = tmp_path / "plan.json"
    path.mkdir()
    with pytest.raises(RunError) as caught:
        write_atomic(path, b"new")
    assert str(caught.value) == f"{path}: found a folder, expected a file. Move it away: `mv {path} {path}.aside`."
    assert [kept.name for kept in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_what_the_cache_refuses_is_mended_by_another_cache(own_cache, monkeypatch, number):
    monkeypatch.setattr(os, "replace", refuse(number))
    with pytest.raises(RunError) as caught:
        write_atomic(own_cache / "scores" / "x.json", b"new")
    assert "MIXPLAN_CACHE" in str(caught.value)
    assert "--run" not in str(caught.value)


def test_what_is_cached_is_made_once_and_anew_when_it_is_damaged(own_cache):
    made = []

    def make():
        made.append(1)
        return {"values": [0.1 + 0.2, float("inf"), None], "name": "ü"}

    first, again = (cached("things", "k", make) for _ in "ab")
    assert first == again == {"values": [0.1 + 0.2, float("inf"), None], "name": "ü"}
    assert cached("things", "other", make) == first
    assert len(made) == 2
    place = own_cache / "things" / "k.json"
    place.write_bytes(place.read_bytes()[:-7] + b"garbage")
    assert cached("things", "k", make) == first
    assert len(made) == 3
    assert place.with_name("k.json.aside").exists()


def test_what_is_not_to_be_kept_is_made_each_time(own_cache):
    made = []
    for _ in range(2):
        assert cached("things", "k", lambda: made.append(1), keep=lambda: len(made) > 1) is None
    assert len(made) == 2
    assert cached("things", "k", lambda: pytest.fail("it is kept")) is None


@pytest.mark.parametrize(("number", "passed"), [(errno.EACCES, True), (errno.EROFS, True), (errno.ENOSPC, False)])
def test_a_cache_that_keeps_nothing_still_lets_it_be_made(own_cache, monkeypatch, number, passed):
    monkeypatch.setattr(os, "replace", refuse(number))
    with nullcontext() if passed else pytest.raises(RunError, match="the disk is full"):
        assert cached("things", "k", lambda: 1) == 1


def test_a_file_in_the_caches_place_is_mended_by_another_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "taken"))
    (tmp_path / "taken").write_bytes(b"a file, not a folder")
    with pytest.raises(RunError) as caught:
        write_atomic(cache_folder() / "scores" / "x.json", b"new")
    assert f"{tmp_path / 'taken'}: found a file, expected a folder." in str(caught.value)
    assert "set MIXPLAN_CACHE to another folder" in str(caught.value)


def test_a_folder_that_may_not_be_entered_is_the_one_to_open(tmp_path, monkeypatch):
    path = tmp_path / "closed" / "plan.json"
    write_atomic(path, b"one")
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != path.parent)
    monkeypatch.setattr(Path, "read_bytes", refuse(errno.EACCES))
    with pytest.raises(RunError) as caught:
        unseal(path)
    assert f"`chmod u+rx {path.parent}`" in str(caught.value)


def test_a_refusal_without_words_is_named_by_its_type(tmp_path):
    with pytest.raises(RunError) as caught, translated(tmp_path):
        raise OSError("made of words alone")
    assert str(caught.value) == f"{tmp_path}: made of words alone."
    assert isinstance(caught.value.__cause__, OSError)


def test_write_json_reads_back_in_the_order_given(tmp_path):
    value = {"b": [1, 2.5, None], "a": "é"}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert text.index('"b"') < text.index('"a"')
    assert "é" in text
    assert text.endswith("}\n")


def test_write_json_refuses_nan_and_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        write_json(tmp_path / "x.json", {"score": float("inf")})
    assert list(tmp_path.iterdir()) == []


def test_set_aside_keeps_each_file(tmp_path):
    path = tmp_path / "plan.json"
    for number in range(3):
        path.write_text(str(number))
        set_aside(path)
    assert not path.exists()
    kept = {name: (tmp_path / name).read_text() for name in ("plan.json.aside", "plan.json.aside1", "plan.json.aside2")}
    assert kept == {"plan.json.aside": "0", "plan.json.aside1": "1", "plan.json.aside2": "2"}


def test_set_aside_gives_up_at_a_thousand(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "lexists", lambda path: True)
    with pytest.raises(RunError) as caught:
        set_aside(tmp_path / "plan.json")
    assert str(caught.value) == f"{tmp_path}: a thousand files are set aside here. Delete the *.aside files."


@given(st.binary(max_size=200))
def test_what_is_sealed_is_unsealed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("seal") / "part"
    write_atomic(path, seal(data))
    assert unseal(path) == data


def test_an_absent_file_unseals_to_nothing(tmp_path):
    assert unseal(tmp_path / "part") is None
    assert list(tmp_path.iterdir()) == []


@given(st.data())
def test_any_change_to_a_sealed_file_is_noticed_and_set_aside(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("seal") / "part"
    sealed = bytearray(seal(b"features of one batch"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    damage = data.draw(st.sampled_from(["flip", "cut", "add", "empty"]))
    if damage == "flip":
        sealed[place] ^= 1 << data.draw(st.integers(0, 7))
    damaged = {"cut": bytes(sealed[:place]), "add": bytes(sealed) + b"0", "empty": b""}.get(damage, bytes(sealed))
    path.write_bytes(damaged)
    assert unseal(path) is None
    assert not path.exists()
    assert path.with_name("part.aside").read_bytes() == damaged


def test_a_folder_or_link_in_a_sealed_files_place_is_set_aside(tmp_path):
    path = tmp_path / "part"
    path.mkdir()
    assert unseal(path) is None
    assert path.with_name("part.aside").is_dir()
    path.symlink_to(path)
    assert unseal(path) is None
    assert path.with_name("part.aside1").is_symlink()
    write_atomic(path, seal(b"data"))
    assert unseal(path) == b"data"


HOLD = """
    import sys
    from pathlib import Path
    from mixplan.runs import locked

    with locked(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
    """


def test_a_second_process_is_refused_until_the_first_ends(tmp_path):
    holder = start(HOLD, tmp_path / "run")
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RunError) as caught, locked(tmp_path / "run"):
        pass
    assert str(caught.value) == (
        f"{tmp_path / 'run'}: another mixplan run (process {holder.pid}) is using this folder. "
        "Wait for it to end, or choose another folder with --run FOLDER."
    )
    holder.communicate("")
    assert holder.returncode == 0
    with locked(tmp_path / "run"):
        assert (tmp_path / "run" / ".lock").read_text() == str(os.getpid())


def test_a_killed_holder_holds_nothing(tmp_path):
    holder = start(HOLD, tmp_path / "run")
    assert holder.stdout.readline() == "held\n"
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with locked(tmp_path / "run"):
        assert (tmp_path / "run" / ".lock").read_text() == str(os.getpid())


def test_a_lock_goes_when_the_work_fails(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError("work")
    with locked(tmp_path):
        pass


def test_a_lock_where_no_folder_can_be_made_is_one_message(tmp_path):
    (tmp_path / "taken").write_bytes(b"a file, not a folder")
    with pytest.raises(RunError) as caught, locked(tmp_path / "taken"):
        pass
    assert str(caught.value) == in_the_way(tmp_path / "taken")


def test_the_cache_is_where_it_is_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXPLAN_CACHE", "/somewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == Path("/somewhere")
    monkeypatch.delenv("MIXPLAN_CACHE")
    assert cache_folder() == Path("/caches/mixplan")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / ".cache" / "mixplan"
