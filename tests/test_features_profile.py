"""Profiles against a NumPy transcription that reads every sequence whole, kept and found again."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from dense_features import dense_pairs, make_rows, open_pair
from evaluated import loaded

from mixplan.features import measure, profile
from mixplan.features.measure import measure_unit
from mixplan.features.profile import (
    Profile,
    from_bytes,
    measure_profile,
    profile_key,
    read_each,
    read_profiles,
    to_bytes,
)
from mixplan.features.queries import plan_reading, without_demonstrations
from mixplan.features.statistics import to_bytes as statistics_bytes

DEPTH = 3


def planned(model, **changes):
    rows, demos = make_rows(14, 1), make_rows(6, 2)
    given = {"tokens": 110, "shots": 2, "draws": 3, "seed": 5} | changes
    return rows, demos, plan_reading(model, rows, demos, **given)


def transcribed(found):
    """The sums written out, from ([tokens, d_sae] alone, the same in context, [tokens, d_in] alone, in context)."""
    alone, context, x, y = (np.concatenate([entry[side] for entry in found]).astype(np.float64) for side in range(4))
    d, e = context - alone, y - x
    return {
        "tokens": len(alone), "shift": (d**2).sum(0), "delta": d.sum(0), "act": alone.sum(0),
        "fired": (alone > 0).sum(0), "raw_shift": (e**2).sum(0), "raw_delta": e.sum(0), "raw_sum": x.sum(0),
    }  # fmt: skip


def assert_equals(made, expected, *, tokens):
    assert made.tokens == expected["tokens"] == tokens
    for name, value in expected.items():
        scale = max(1e-3, float(np.abs(value).max()))
        np.testing.assert_allclose(getattr(made, name), value, rtol=2e-3, atol=1e-4 * scale, err_msg=name)


@pytest.mark.parametrize("pack_tokens", [1, 4096])
def test_sums_equal_numpy_for_every_kind_of_sae(tiny_model, tmp_path, tiny_sae, sae_kind, pack_tokens):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, sae_kind)
    rows, demos, reading = planned(model)
    units = [measure_profile(model, sae, unit, pack_tokens=pack_tokens) for unit in reading.units]
    found = dense_pairs(model, tmp_path, reading, rows, {row.id: row for row in demos}, DEPTH)
    made = units[0] + units[1] + units[2]
    assert_equals(made, transcribed(found), tokens=110)
    assert {getattr(made, entry.name).dtype for entry in fields(made) if entry.name not in ("tokens", "fired")} == {
        np.dtype(np.float64)
    }
    assert made.fired.dtype == np.int64


def test_slices_of_tokens_change_nothing_and_statistics_agree(tiny_model, tmp_path, tiny_sae, monkeypatch):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, "jumprelu")
    unit = planned(model)[2].units[0]
    whole, told = measure_profile(model, sae, unit), []
    monkeypatch.setattr(profile, "ENCODED_VALUES", 7 * sae.d_sae)
    monkeypatch.setattr(measure, "ENCODED_VALUES", 7 * sae.d_sae)
    cut = measure_profile(model, sae, unit, pack_tokens=30, on_tokens=told.append)
    statistics = measure_unit(model, sae, unit, pack_tokens=30)
    assert sum(told) == unit.tokens == cut.tokens
    assert len(told) > 1
    for entry in fields(whole):
        np.testing.assert_allclose(getattr(cut, entry.name), getattr(whole, entry.name), rtol=1e-4, atol=1e-5)
    for name in ("shift", "act", "fired", "raw_shift"):
        np.testing.assert_allclose(getattr(cut, name), getattr(statistics, name), rtol=1e-9, atol=1e-12)


def test_a_trained_model_reads_the_context(tiny_model, build_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path / "sae", tiny_sae, "jumprelu")
    trained = loaded(build_model("llama", tmp_path / "trained", seed=5))
    unit = without_demonstrations(planned(model)[2].units[1])
    made = measure_profile(model, sae, unit, trained=trained)
    streams = []
    for query in unit.queries:
        for one in (model, trained):
            with torch.inference_mode():
                output = one.lm(input_ids=torch.tensor([query.alone]), output_hidden_states=True, use_cache=False)
            streams.append(output.hidden_states[DEPTH][0, -query.count :])
    pairs = list(zip(streams[::2], streams[1::2], strict=True))
    found = [(sae.encode(x).numpy(), sae.encode(y).numpy(), x.numpy(), y.numpy()) for x, y in pairs]
    assert_equals(made, transcribed(found), tokens=unit.tokens)
    assert made.raw_shift.sum() > 1
    assert measure_profile(model, sae, unit).raw_shift.sum() < 1e-6


def test_answers_are_profiled_as_questions_are(tiny_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, "standard")
    reading = planned(model, answers=True, tokens=70)[2]
    made = [measure_profile(model, sae, unit) for unit in reading.units]
    assert sum(part.tokens for part in made) == reading.tokens == 70
    assert all(np.isfinite(part.delta).all() and part.shift.sum() > 0 for part in made)


def test_bytes_round_trip_and_others_are_refused(tiny_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, "topk")
    unit = planned(model)[2].units[0]
    first, again = (to_bytes(measure_profile(model, sae, unit)) for _ in "ab")
    assert first == again
    back = from_bytes(first)
    assert isinstance(back, Profile)
    assert type(back.tokens) is int
    assert to_bytes(back) == first
    assert from_bytes(b"nonsense") is None
    assert from_bytes(statistics_bytes(measure_unit(model, sae, unit))) is None


def test_profiles_are_kept_and_damaged_ones_read_again(tiny_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path / "sae", tiny_sae, "jumprelu")
    units, folder = planned(model)[2].units, tmp_path / "kept"
    first, told = read_profiles(model, sae, units, folder=folder), []
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    assert len(files) == len(units) == 3
    again = read_profiles(model, sae, units, folder=folder, on_tokens=told.append)
    assert told == [unit.tokens for unit in units]
    assert [to_bytes(one) for one in again] == [to_bytes(one) for one in first]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")} == files
    damaged = next(iter(files))
    damaged.write_bytes(damaged.read_bytes()[:-9] + b"garbage!!")
    mended = read_profiles(model, sae, units, folder=folder)
    assert [to_bytes(one) for one in mended] == [to_bytes(one) for one in first]
    assert damaged.with_name(damaged.name + ".aside").exists()


def test_saes_of_one_hook_point_share_a_reading_and_give_what_each_gives_alone(
    tiny_model, tmp_path, tiny_sae, monkeypatch
):
    model, one = open_pair(tiny_model, tmp_path / "a", tiny_sae, "standard")
    _, two = open_pair(tiny_model, tmp_path / "b", tiny_sae, "topk")
    _, early = open_pair(tiny_model, tmp_path / "c", tiny_sae, "standard", hook="blocks.1.hook_resid_post")
    units, saes = planned(model)[2].units, {"one": one, "two": two, "early": early}
    alone = {name: [to_bytes(measure_profile(model, sae, unit)) for unit in units] for name, sae in saes.items()}
    read, told = [], []
    real = profile.read_unit

    def counted(model, depth, *rest, **more):
        read.append(depth)
        return real(model, depth, *rest, **more)

    monkeypatch.setattr(profile, "read_unit", counted)
    read_profiles(model, two, units[:1], folder=tmp_path / "kept")
    assert read == [DEPTH]
    found = read_each(model, saes, units, folder=tmp_path / "kept", on_tokens=told.append)
    assert {name: [to_bytes(part) for part in parts] for name, parts in found.items()} == alone
    assert read == [DEPTH, *[DEPTH, 2] * len(units)]
    assert sum(told) == 2 * sum(unit.tokens for unit in units)
    read_each(model, saes, units, folder=tmp_path / "kept")
    assert len(read) == 1 + 2 * len(units)


def test_each_thing_that_a_profile_depends_on_is_in_its_key(tiny_model, build_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path / "a", tiny_sae, "standard")
    _, other_sae = open_pair(tiny_model, tmp_path / "b", tiny_sae, "standard", hook="blocks.1.hook_resid_post")
    other = loaded(build_model("llama", tmp_path / "trained", seed=5))
    unit = planned(model)[2].units[0]
    others = [planned(model, **change)[2].units[0] for change in ({"answers": True}, {"neutral": True}, {"seed": 6})]
    keys = [
        profile_key(model, sae, unit), profile_key(other, sae, unit), profile_key(model, other_sae, unit),
        profile_key(model, sae, unit, trained=other), *(profile_key(model, sae, one) for one in others),
    ]  # fmt: skip
    assert len(set(keys)) == 7
    assert profile_key(model, sae, planned(model)[2].units[0]) == keys[0]
