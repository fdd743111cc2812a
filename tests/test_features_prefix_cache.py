"""Prefixes and streams that are kept: read once, equal to the bit, within their room."""

import numpy as np
import pytest
import torch
from dense_features import make_rows, open_pair
from evaluated import loaded
from transformers import DynamicCache

from mixplan.features import forward
from mixplan.features.prefix_cache import Kept, bytes_of
from mixplan.features.profile import measure_profile, to_bytes
from mixplan.features.queries import plan_reading, without_demonstrations


def stream(kilobytes: int) -> torch.Tensor:
    return torch.zeros(kilobytes * 256)


def test_what_was_used_longest_ago_makes_room():
    kept, read = Kept(3000), []

    def get(key: str, kilobytes: int = 1) -> torch.Tensor:
        return kept.get(key, lambda: (read.append(key), stream(kilobytes))[1])

    first = get("a"), get("b")
    assert get("a") is first[0]
    get("c")  # 3,072 bytes: b goes
    assert (get("a") is first[0], len(kept), kept.used) == (True, 2, 2048)
    get("b")
    assert read == ["a", "b", "c", "b"]
    get("large", 4)  # never kept, and costs nobody its place
    get("large", 4)
    assert read[4:] == ["large", "large"]
    assert (len(kept), kept.used) == (2, 2048)


def test_a_cache_weighs_what_its_keys_and_values_do():
    cache = DynamicCache()
    assert bytes_of(cache) == 0
    cache.update(torch.zeros(1, 2, 5, 8), torch.zeros(1, 2, 5, 8), 0)
    cache.update(torch.zeros(1, 2, 5, 8), torch.zeros(1, 2, 5, 8), 1)
    assert bytes_of(cache) == 4 * 2 * 5 * 8 * 4


@pytest.mark.parametrize("pack_tokens", [40, 4096])
def test_profiles_behind_shared_demonstrations_are_the_same_bytes_for_fewer_tokens(
    tiny_model, tmp_path, tiny_sae, monkeypatch, pack_tokens
):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, "jumprelu")
    demonstrations = make_rows(6, 2)
    given = {"tokens": 110, "shots": 2, "draws": 2, "seed": 5}
    readings = [plan_reading(model, make_rows(14, seed), demonstrations, **given) for seed in (1, 3)]
    others = [plan_reading(model, make_rows(14, seed), make_rows(6, 4), **given) for seed in (1, 3)]
    units = [unit for reading in (*readings, *others) for unit in reading.units]
    units += map(without_demonstrations, readings[0].units)
    counted = []
    read_stream = forward.read_stream

    def counting(model, depth, tokens, **rest):
        counted.append(tokens.numel())
        return read_stream(model, depth, tokens, **rest)

    monkeypatch.setattr(forward, "read_stream", counting)
    apart = [to_bytes(measure_profile(model, sae, unit, pack_tokens=pack_tokens)) for unit in units]
    tokens_apart, counted[:] = sum(counted), []
    kept = Kept()
    together = [to_bytes(measure_profile(model, sae, unit, pack_tokens=pack_tokens, kept=kept)) for unit in units]
    assert together == apart
    prefixes = {unit.queries[0].context[: unit.context_prefix] for unit in units}
    saved = sum(unit.context_prefix for unit in units) - sum(map(len, prefixes))
    assert saved > 100
    assert sum(counted) <= tokens_apart - saved
    again = sum(counted)
    counted.clear()
    assert [to_bytes(measure_profile(model, sae, unit, pack_tokens=pack_tokens, kept=kept)) for unit in units] == apart
    assert sum(counted) < again


def test_a_model_s_streams_are_never_another_s(tiny_model, build_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, "jumprelu")
    trained = loaded(build_model("llama", tmp_path / "trained", seed=7))
    unit = without_demonstrations(
        plan_reading(model, make_rows(14, 1), make_rows(6, 2), tokens=60, shots=2, draws=1, seed=5).units[0]
    )
    kept = Kept()
    plain = measure_profile(model, sae, unit, kept=kept)
    moved = measure_profile(model, sae, unit, trained=trained, kept=kept)
    assert not np.any(plain.shift)
    assert moved.shift.sum() > 0
    assert to_bytes(moved) == to_bytes(measure_profile(model, sae, unit, trained=trained))
