"""An SAE's health is that of all tokens together, and a domain's part of it is read once."""

from dataclasses import replace

import pytest
import torch
from dense_features import make_rows, open_pair

from mixplan.errors import SaeError
from mixplan.features import health as module
from mixplan.features.forward import read_alone
from mixplan.features.health import from_bytes, measure_health, to_bytes
from mixplan.features.queries import plan_reading
from mixplan.sae.health import check_health, fit_of


@pytest.fixture
def opened(tiny_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path / "sae", tiny_sae, "jumprelu")
    readings = {
        name: plan_reading(model, make_rows(20, n), make_rows(4, 9), tokens=150, shots=1, draws=1, seed=n)
        for n, name in enumerate(("target", "law", "verse"))
    }
    return model, sae, readings


def test_health_is_that_of_the_streams_and_is_read_once(opened, tmp_path, monkeypatch):
    model, sae, readings = opened
    units = [reading.units[0] for reading in readings.values()]
    expected = check_health(sae, (read_alone(model, sae.depth, unit, tokens=module.TOKENS) for unit in units))
    read = []
    monkeypatch.setattr(module, "read_alone", lambda *given, **how: read.append(given[2]) or read_alone(*given, **how))
    assert measure_health(model, sae, readings, tmp_path / "kept") == expected
    assert measure_health(model, sae, readings, tmp_path / "kept") == expected
    assert read == units
    more = readings | {
        "other": plan_reading(model, make_rows(9, 7), make_rows(4, 9), tokens=50, shots=1, draws=1, seed=1)
    }
    measure_health(model, sae, more, tmp_path / "kept")
    assert read == [*units, more["other"].units[0]]


def test_a_damaged_part_is_read_again(opened, tmp_path):
    model, sae, readings = opened
    first = measure_health(model, sae, readings, tmp_path / "kept")
    damaged = next((tmp_path / "kept").rglob("*.safetensors"))
    damaged.write_bytes(b"garbage")
    assert measure_health(model, sae, readings, tmp_path / "kept") == first
    assert damaged.with_name(damaged.name + ".aside").exists()


def test_parts_come_back_from_their_bytes(opened):
    _, sae, _ = opened
    fit = fit_of(sae, torch.randn(30, 32) + 2, slice_tokens=7)
    assert to_bytes(from_bytes(to_bytes(fit), sae.d_sae)) == to_bytes(fit)
    assert from_bytes(b"nonsense", sae.d_sae) is None


def test_an_sae_of_doubtful_origin_that_explains_nothing_is_refused_from_the_cache_too(opened, tmp_path):
    model, sae, readings = opened
    doubtful = replace(sae, doubt="No file says that it belongs to this model.")
    for _ in "ab":
        with pytest.raises(SaeError, match=r"^No file says that .* of the variance unexplained with"):
            measure_health(model, doubtful, readings, tmp_path / "kept")
