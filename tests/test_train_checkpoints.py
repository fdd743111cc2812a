"""Checkpoints: only a whole one of the same job is gone on from; the others are cleared away."""

from pathlib import Path

import pytest

from mixplan.runs import file_hash
from mixplan.train.checkpoints import SEAL, Checkpoint, newest_checkpoint, seal_checkpoint

SEEN = {"readings": {"law": 4}, "tokens": {"law": 40}, "rows": "f"}


def lay(folder: Path, step: int, *, key: str | None = "job", seconds: float = 1.0) -> Path:
    """A checkpoint's files, sealed for a job when one is given."""
    place = folder / f"checkpoint-{step}"
    (place / "part").mkdir(parents=True)
    for name in ("model.safetensors", "optimizer.pt", "training_args.bin", "part/rank.pt"):
        (place / name).write_text(f"{name} at {step}")
    if key is not None:
        seal_checkpoint(place, key=key, processes=2, seconds=seconds, seen=SEEN)
    return place


def test_the_newest_is_found_with_what_is_behind_it(tmp_path):
    folder = tmp_path / "checkpoints"
    for step in (2, 10, 4):
        lay(folder, step, seconds=step / 2)
    assert newest_checkpoint(folder, key="job") == Checkpoint(folder / "checkpoint-10", 10, 2, 5.0, SEEN)
    assert not (folder / "checkpoint-10" / "training_args.bin").exists()
    assert newest_checkpoint(tmp_path / "none", key="job") is None


def test_an_interrupted_one_is_removed(tmp_path):
    folder = tmp_path / "checkpoints"
    good, part = lay(folder, 2), lay(folder, 4, key=None)
    found = newest_checkpoint(folder, key="job")
    assert found is not None
    assert found.folder == good
    assert not part.exists()


@pytest.mark.parametrize("record", ["", "{", "[]", '{"job": "job"}'])
def test_one_whose_record_is_cut_short_is_removed(tmp_path, record):
    folder = tmp_path / "checkpoints"
    part = lay(folder, 4)
    (part / SEAL).write_text(record)
    assert newest_checkpoint(folder, key="job") is None
    assert not part.exists()


def test_another_job_s_is_removed(tmp_path):
    folder = tmp_path / "checkpoints"
    lay(folder, 2, key="another")
    assert newest_checkpoint(folder, key="job") is None
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["optimizer.pt", "part/rank.pt"])
@pytest.mark.parametrize("missing", [False, True])
def test_a_damaged_one_is_set_aside_for_the_one_before(tmp_path, name, missing):
    folder = tmp_path / "checkpoints"
    good, bad = lay(folder, 2), lay(folder, 4)
    before = file_hash(bad / "model.safetensors")
    if missing:
        (bad / name).unlink()
    else:
        (bad / name).write_text("damaged")
    found = newest_checkpoint(folder, key="job")
    assert found is not None
    assert found.folder == good
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-2"]
    assert file_hash(tmp_path / "checkpoint-4.aside" / "model.safetensors") == before
