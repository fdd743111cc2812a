"""A domain is read once, whatever target asks: other drift dimensions, another target, a damaged cache, a kill."""

import json
import os
import signal
import time

import numpy as np
import pytest
from dense_features import D_SAE, make_rows, open_pair
from small_plan import plan, recipe, write_rows  # noqa: F401 - a fixture is used by its name

from mixplan.errors import MixplanError
from mixplan.features import forward, measure_sparse
from mixplan.features.forward import reading_way
from mixplan.features.queries import plan_reading
from mixplan.features.statistics import Columns, to_bytes
from mixplan.reading.progress import Silent
from mixplan.reading.units import Reader
from mixplan.reading.workers import Workers
from mixplan.saved.write import timeless


@pytest.fixture
def passes(monkeypatch):
    """The tokens of every forward pass that reads features, in order."""
    read, real = [], forward.read_stream

    def counted(model, depth, tokens, **how):
        read.append(model.tokenizer.decode(tokens[0].tolist()))
        return real(model, depth, tokens, **how)

    monkeypatch.setattr(forward, "read_stream", counted)
    return read


@pytest.fixture
def reader(tiny_model, tmp_path, tiny_sae):
    """A reader of a tiny model, and the units of a small reading."""
    model, sae = open_pair(tiny_model, tmp_path / "sae", tiny_sae, "jumprelu")
    reading_way(model, sae.depth)  # checked once, with passes of its own
    reading = plan_reading(model, make_rows(17, 1), make_rows(6, 2), tokens=150, shots=2, draws=3, seed=5)
    return Reader(model, sae, tmp_path / "kept", Silent(), Workers(0, 1)), reading.units


def columns(*drift: int) -> Columns:
    return Columns(np.array(drift), np.array([50]), np.array([3]))


def test_other_dimensions_are_read_from_what_is_kept(reader, passes):
    reader, units = reader
    reader.read_columns(units, columns(1, 2, 3))
    count = len(passes)
    assert count
    more = reader.read_columns(units, columns(9, 2, 40), whole=True)
    assert len(passes) == count
    assert reader.watcher.advanced == 2 * sum(unit.tokens for unit in units)
    cold = Reader(reader.model, reader.sae, reader.folder / "cold", Silent(), Workers(0, 1))
    fresh = cold.read_columns(units, columns(9, 2, 40), whole=True)
    assert [to_bytes(part) for part in more] == [to_bytes(part) for part in fresh]
    assert len(passes) == 2 * count


def test_one_damaged_unit_is_read_again_and_no_other(reader, passes):
    reader, units = reader
    first = reader.read_columns(units, columns(1, 2))
    count = len(passes)
    damaged = sorted(reader.folder.rglob("*.safetensors"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-9] + b"garbage!!")
    again = reader.read_columns(units, columns(1, 2))
    assert [to_bytes(part) for part in again] == [to_bytes(part) for part in first]
    assert 0 < len(passes) - count < count
    assert damaged.with_name(damaged.name + ".aside").exists()


def test_a_file_that_holds_something_else_is_read_again(reader, passes):
    from mixplan.runs import store

    reader, units = reader
    first = reader.read_columns(units[:1], columns(1, 2))
    [path] = reader.folder.rglob("*.safetensors")
    store(path, to_bytes(first[0]))
    count = len(passes)
    again = reader.read_columns(units[:1], columns(1, 2))
    assert to_bytes(again[0]) == to_bytes(first[0])
    assert len(passes) == 2 * count


def test_an_sae_that_fires_too_much_is_kept_by_dimensions(reader, passes, monkeypatch):
    reader, units = reader
    sparse = reader.read_columns(units, columns(1, 2, 3))
    monkeypatch.setattr(measure_sparse, "MOST_ACTIVE", 2)
    dense = Reader(reader.model, reader.sae, reader.folder / "dense", Silent(), Workers(0, 1))
    found = dense.read_columns(units, columns(1, 2, 3))
    assert dense.watcher.advanced == sum(unit.tokens for unit in units)
    for one, other in zip(found, sparse, strict=True):
        for name, value in one.rows.items():
            np.testing.assert_allclose(value, other.rows[name], rtol=3e-6, err_msg=name)
        np.testing.assert_array_equal(one.example_places, other.example_places)
    count = len(passes)
    again = dense.read_columns(units, columns(1, 2, 3))
    assert [to_bytes(part) for part in again] == [to_bytes(part) for part in found]
    assert len(passes) == count


def test_top_k_kinds_give_sums_over_all_features_always(tiny_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path / "sae", tiny_sae, "topk")
    units = plan_reading(model, make_rows(5, 1), make_rows(6, 2), tokens=40, shots=1, draws=1, seed=5).units
    [part] = Reader(model, sae, tmp_path / "kept", Silent(), Workers(0, 1)).read_columns(units, columns(1))
    assert len(part.shift) == D_SAE
    assert part.rows["total_shift"].sum() == pytest.approx(part.shift.sum())


def test_each_process_reads_its_share_and_finds_the_others(reader, monkeypatch):
    reader, units = reader
    monkeypatch.setattr(Workers, "wait", lambda self: None)
    first = Reader(reader.model, reader.sae, reader.folder, Silent(), Workers(0, 2))
    with pytest.raises(MixplanError, match="another process's statistics did not arrive"):
        first.read_columns(units, columns(1))
    second = Reader(reader.model, reader.sae, reader.folder, Silent(), Workers(1, 2))
    found = second.read_columns(units, columns(1))
    assert [to_bytes(part) for part in found] == [to_bytes(part) for part in first.read_columns(units, columns(1))]


def value_of(folder) -> dict:
    return timeless(json.loads((folder / "plan.json").read_text()))


def test_more_drift_features_and_another_target_read_no_domain_again(recipe, tmp_path, monkeypatch, passes):
    write_rows(tmp_path / "river.jsonl", 60, "river")
    plan(recipe, tmp_path / "first")
    assert any("patient" in text for text in passes)
    asked = {
        "more": ("drift.features=17",),
        "outside": ("drift.features=17", "sts.outside=false"),
        "target": (f"target.data.file={tmp_path / 'river.jsonl'}",),
    }
    for name, overrides in asked.items():
        passes.clear()
        plan(recipe, tmp_path / name, *overrides)
        assert not [text for text in passes if any(topic in text for topic in ("patient", "fox", "doctor"))], name
        assert bool(passes) == (name == "target")
    more, outside = (json.loads((tmp_path / name / "plan.json").read_text())["domains"] for name in ("more", "outside"))
    for name, scored in more.items():
        assert scored["outside_shift"]["value"] > 0
        scored.pop("total_shift", None)
        assert outside[name] == scored | {"outside_shift": None}
    for name in ("more", "target"):
        monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "cold" / name))
        plan(recipe, tmp_path / f"{name}-cold", *asked[name])
        assert value_of(tmp_path / name) == value_of(tmp_path / f"{name}-cold"), name


def test_killed_among_the_domains_it_reads_none_of_those_kept_again(recipe, tmp_path, monkeypatch, passes):
    plan(recipe, tmp_path / "undisturbed")
    whole = len(passes)
    monkeypatch.setenv("MIXPLAN_CACHE", str(tmp_path / "fresh"))
    kept = tmp_path / "fresh" / "statistics"
    child = os.fork()
    if child == 0:
        make_slow(monkeypatch)
        try:
            plan(recipe, tmp_path / "run")
        finally:
            os._exit(0)
    # Four parts of the health, two units of the target, and then three of the six units of the domains.
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(kept.rglob("*.safetensors"))) < 9:
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not (tmp_path / "run" / "plan.json").exists()
    passes.clear()
    plan(recipe, tmp_path / "run")
    assert 0 < len(passes) < whole / 2
    assert not [text for text in passes if "patient" in text]
    assert value_of(tmp_path / "run") == value_of(tmp_path / "undisturbed")


def make_slow(monkeypatch) -> None:
    """Each unit waits a little before it is read, so that a kill comes between two."""
    from mixplan.reading import units

    real = units.measure_sparse

    def slow(*given, **how):
        time.sleep(0.1)
        return real(*given, **how)

    monkeypatch.setattr(units, "measure_sparse", slow)
