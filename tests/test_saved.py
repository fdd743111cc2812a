"""A plan or outcome that was changed, cut or damaged is refused in one message with the command that makes it again."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import damage
import pytest
import saved_run
from pydantic import ValidationError

from mixplan.errors import RunError
from mixplan.saved import Outcome, Plan, outcome_hash, plan_hash, read_outcome, read_plan, write_outcome, write_plan
from mixplan.saved.write import UNHASHED

READ = {"plan.json": read_plan, "outcome.json": read_outcome}
AGAIN = {"plan.json": "`mixplan plan {run}/recipe.yaml --run {run}`", "outcome.json": "`mixplan eval {run}`"}


@pytest.fixture
def run(tmp_path) -> Path:
    return saved_run.save(tmp_path / "run")


def leaves(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value that holds no others."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield (*above, key)
        yield from leaves(below, (*above, key))


def parent(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place[:-1]:
        value = value[key]
    return value


def counted(name: str, place: tuple[Any, ...]) -> bool:
    """Whether a place is one that the hash holds."""
    if name == "outcome.json":
        return place != ("hashes", "outcome")
    return place[0] not in ("created", "seconds") and place[-1] not in UNHASHED.get(place[0], ())


def refusal(path: Path) -> str:
    with pytest.raises(RunError) as caught:
        READ[path.name](path.parent)
    assert AGAIN[path.name].format(run=path.parent) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", READ)
def test_what_was_written_is_read(run, name):
    assert json.loads(json.dumps(READ[name](run).values())) == json.loads((run / name).read_bytes())


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("seed", range(20))
def test_any_value_that_is_another_one_is_refused(run, name, seed):
    path, draw = run / name, random.Random(seed)
    value = json.loads(path.read_bytes())
    place = draw.choice([place for place in leaves(value) if counted(name, place)])
    inside = parent(value, place)
    if draw.random() < 0.3:
        del inside[place[-1]]
    else:
        others = [None, 0, "x", [], {}, [[1]], -1.5, True]
        inside[place[-1]] = draw.choice([one for one in others if one != inside[place[-1]]])
    path.write_text(json.dumps(value))
    refusal(path)


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("value", [[], None, 3, "x", {}, {"version": 1}, {"version": 1, "hashes": []}], ids=str)
def test_any_other_json_is_refused(run, name, value):
    (run / name).write_text(json.dumps(value))
    refusal(run / name)


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("way", [way for way in damage.WAYS if way != "gone"])
def test_each_damage_is_refused(run, name, way):
    damage.WAYS[way](run / name, random.Random(0))
    assert str(run / name) in refusal(run / name)


def test_a_deep_nest_is_no_json(run):
    (run / "plan.json").write_text("[" * 100_000)
    assert "damaged" in refusal(run / "plan.json")


@pytest.mark.parametrize("name", READ)
def test_another_version_says_so(run, name):
    value = json.loads((run / name).read_bytes()) | {"version": 7, "mixplan": "9.0"}
    (run / name).write_text(json.dumps(value))
    assert "version 7, written by mixplan '9.0'; expected version 1" in refusal(run / name)


def test_what_a_plan_does_not_count_may_differ(run):
    value = json.loads((run / "plan.json").read_bytes())
    value["model"]["why_dtype"], value["seconds"] = "another machine", {"all": 2.0}
    assert plan_hash(value) == value["hashes"]["plan"]


def test_an_outcome_holds_the_hash_of_itself(tmp_path):
    _, values = saved_run.values()
    write_outcome(tmp_path, Outcome.model_validate_json(json.dumps(values)))
    found = json.loads((tmp_path / "outcome.json").read_bytes())
    assert found["hashes"].pop("outcome") == outcome_hash(values)
    values["hashes"].pop("outcome", None)
    assert found == values


@pytest.mark.parametrize("name", READ)
def test_what_is_read_is_written_to_the_same_bytes(run, name, tmp_path):
    write = {"plan.json": write_plan, "outcome.json": write_outcome}[name]
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    write(one, READ[name](run))
    write(two, READ[name](one))
    assert (two / name).read_bytes() == (one / name).read_bytes()


@pytest.mark.parametrize("kind", [Plan, Outcome])
def test_what_is_saved_cannot_be_changed(run, kind):
    found = read_plan(run) if kind is Plan else read_outcome(run)
    with pytest.raises(ValidationError):
        found.name = "another"
