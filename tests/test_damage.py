"""Files of a run and its cache, damaged in seven ways: each command does its work or names what mends it."""

import random
from pathlib import Path

import damage
import pytest

TRIED = 12
"""Of some 2,000 cases, drawn anew for each change of what a run holds; bin/damage tries them all."""


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("damage")
    damage.build(folder, arms=False)
    return folder


@pytest.mark.parametrize("number", range(TRIED))
def test_a_damaged_file_never_ends_in_a_trace_and_its_remedy_works(base, tmp_path, monkeypatch, number):
    damage.train_here(monkeypatch)
    drawn = [case for case in damage.cases(base) if case.name != "compare"]
    case = random.Random(17).sample(drawn, TRIED)[number]
    assert case.wrong(base, tmp_path / "copy", monkeypatch) is None, case


def test_each_kind_of_file_is_among_them(base):
    found = {str(case.file) for case in damage.cases(base)}
    assert {"run/plan.json", "run/outcome.json", "run/recipe.yaml", "run/report.html", "run/model/README.md"} <= found
    assert {path.split("/")[1] for path in found if path.startswith("cache/")} == {
        path.name for path in (base / "cache").iterdir()
    }
    assert len(damage.cases(base)) > 1_000


def test_no_file_holds_a_secret_of_the_environment(base):
    files = [path for path in base.rglob("*") if path.is_file()]
    assert len(files) > 60
    assert [str(path) for path in files if damage.SECRET.encode() in path.read_bytes()] == []
