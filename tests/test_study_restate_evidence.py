"""Evidence is written again with what an older mixplan left out, from the table, and never with other numbers."""

import hashlib
import json
import shutil

import pytest
from small_plan import Silent

from mixplan.errors import RunError
from mixplan.study.asked.spec import first_hash
from mixplan.study.restate_evidence import restate

ADDED = ("contents", "jobs", "dtype", "model", "sae")


@pytest.fixture
def older(whole_study, tmp_path):
    """A study beside its table, as it is shipped, and its evidence without what was added later."""
    folder, _ = whole_study
    for path in folder.iterdir():
        if path.name not in ("run", "cache"):
            (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    for name in ("table.json", "compute.json"):
        shutil.copy(folder / "run" / name, tmp_path / name)
    whole = json.loads((folder / "run" / "evidence.json").read_bytes())
    old = {key: value for key, value in whole.items() if key not in ADDED}
    old["targets"] = {
        target: {name: {k: v for k, v in part.items() if k != "noise"} for name, part in domains.items()}
        for target, domains in whole["targets"].items()
    }
    place = tmp_path / "evidence.json"
    place.write_text(json.dumps(old))
    return tmp_path / "study.yaml", place, whole


def test_what_was_left_out_is_added_and_the_first_hash_kept(older):
    study, place, whole = older
    first = hashlib.sha256(place.read_bytes()).hexdigest()
    assert restate(study, place, watcher=Silent()) == place
    assert json.loads(place.read_bytes()) == {**whole, "restates": first}
    assert first_hash(place.read_bytes()) == first
    restate(study, place, watcher=Silent())
    assert json.loads(place.read_bytes()) == {**whole, "restates": first}


def test_other_numbers_and_other_studies_are_refused(older):
    study, place, _ = older
    old = json.loads(place.read_bytes())
    name = next(iter(old["targets"]["sums"]))
    moved = json.loads(json.dumps(old))
    moved["targets"]["sums"][name]["behaviour"] += 1e-6
    for value, told in (
        (moved, f"targets.sums.{name}.behaviour is another number by the study's table.json"),
        (old | {"study": "f" * 64}, "the evidence of the study registered as ffffffffffffffff"),
        ({"version": 1}, "not an evidence that mixplan wrote, or changed or damaged since:\n  `title` is missing"),
    ):
        place.write_text(json.dumps(value))
        before = place.read_bytes()
        with pytest.raises(RunError, match=told.replace("(", r"\(")):
            restate(study, place, watcher=Silent())
        assert place.read_bytes() == before
