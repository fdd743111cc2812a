"""Streamed, packed feature statistics against a plain NumPy transcription that reads every sequence whole."""

import numpy as np
import pytest
import torch
from dense_features import D_SAE, dense_pairs, make_rows, numpy_encode, open_pair

from mixplan.domains import Row
from mixplan.drift import predict_drift
from mixplan.features.forward import read_unit
from mixplan.features.measure import measure_unit
from mixplan.features.queries import in_front, plan_reading
from mixplan.features.statistics import Columns, from_bytes, to_bytes
from mixplan.features.turns import query_tokens
from mixplan.model import load_model, render
from mixplan.recipe import ModelSpec, SaeSpec
from mixplan.sae import columns_of, load_sae


def check_against_dense(model, sae, folder, *, pack_tokens, layer=3):
    rows, demos = make_rows(17, 1), make_rows(6, 2)
    reading = plan_reading(model, rows, demos, tokens=150, shots=2, draws=3, seed=5)
    assert reading.tokens == 150
    assert len(reading.units) == 3
    slow = dense_pairs(model, folder, reading, rows, {row.id: row for row in demos}, layer)
    tokens = sum(len(a) for a, *_ in slow)
    shift = sum(((b - a).astype(np.float64) ** 2).sum(0) for a, b, *_ in slow)
    units = [measure_unit(model, sae, unit, replicas=20, pack_tokens=pack_tokens) for unit in reading.units]
    assert sum(int(part.tokens.sum()) for part in units) == tokens
    fast = np.sum([part.shift for part in units], axis=0)
    np.testing.assert_allclose(fast, shift, rtol=2e-3, atol=1e-3 * shift.max())
    drift = predict_drift(units, count=12, seed=0)
    expected = np.argsort(-shift, kind="stable")[:12]
    gap = np.sort(shift)[::-1]
    assert gap[11] > gap[12]
    assert set(drift.features.tolist()) == set(expected.tolist())
    columns = Columns(drift.features, drift.low, drift.raw)
    scored = [measure_unit(model, sae, unit, columns=columns, pack_tokens=pack_tokens) for unit in reading.units]
    by_row = np.concatenate([part.rows["drift_shift"] for part in scored])
    by_row_act = np.concatenate([part.rows["drift_act"] for part in scored])
    by_row_raw = np.concatenate([part.rows["raw_icl"] for part in scored])
    picked = drift.features
    np.testing.assert_allclose(by_row, [((b - a)[:, picked] ** 2).sum() for a, b, *_ in slow], rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(by_row_act, [a[:, picked].sum() for a, *_ in slow], rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(
        by_row_raw, [((y - x)[:, drift.raw] ** 2).sum() for *_, x, y in slow], rtol=2e-3, atol=1e-4
    )
    return drift


def test_every_architecture(any_model, tmp_path, tiny_sae):
    model, sae = open_pair(any_model, tmp_path, tiny_sae, "jumprelu")
    check_against_dense(model, sae, tmp_path, pack_tokens=120)


@pytest.mark.parametrize("normalize", ["none", "layer_norm"])
@pytest.mark.parametrize("pack_tokens", [1, 4096])
def test_every_sae_kind_alone_and_in_packs(tiny_model, tmp_path, tiny_sae, sae_kind, pack_tokens, normalize):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, sae_kind, normalize_activations=normalize)
    check_against_dense(model, sae, tmp_path, pack_tokens=pack_tokens)


def test_without_chat_template(build_model, tmp_path, tiny_sae):
    folder = build_model("gpt2", tmp_path / "model", chat=False)
    model, sae = open_pair(folder, tmp_path / "sae", tiny_sae, "standard", hook="blocks.3.hook_resid_pre")
    check_against_dense(model, sae, tmp_path / "sae", pack_tokens=200)
    text = render(
        model, [("system", "Be brief."), ("user", "Why?"), ("assistant", "So."), ("user", "How?")], awaiting=True
    )
    assert text == "<s>Be brief.\n\nQuestion: Why?\n\nAnswer: So.\n\nQuestion: How?\n\nAnswer:"


def test_last_block_and_embeddings(tiny_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path / "a", tiny_sae, "standard", hook="blocks.3.hook_resid_post")
    reading = plan_reading(model, make_rows(3, 1), make_rows(3, 2), tokens=20, shots=1, draws=1, seed=0)
    part = measure_unit(model, sae, reading.units[0])
    captured = []
    handle = model.blocks[3].register_forward_hook(lambda m, a, o: captured.append(o))
    query = reading.units[0].queries[0]
    with torch.inference_mode():
        model.lm(input_ids=torch.tensor([query.alone]), use_cache=False)
    handle.remove()
    stream = captured[0][0] if captured[0].ndim == 3 else captured[0]
    act = numpy_encode(tmp_path / "a", stream[-query.count :].numpy())
    one = measure_unit(model, sae, type(reading.units[0])(0, (), 0, (query,), 0, 0))
    np.testing.assert_allclose(one.act, act.sum(0), rtol=1e-3, atol=1e-4)
    assert part.tokens.sum() == 20


def test_columns_alone_equal_columns_of_all(tiny_model, tmp_path, tiny_sae, sae_kind):
    _, sae = open_pair(tiny_model, tmp_path, tiny_sae, sae_kind)
    x = torch.randn(40, 32)
    columns = torch.tensor([5, 90, 0, 33])
    part = columns_of(sae, columns)
    if sae_kind == "topk":
        assert part is None
    else:
        torch.testing.assert_close(part.encode(x), sae.encode(x)[:, columns], rtol=1e-5, atol=1e-6)


def test_reading_only_columns_gives_the_same_rows(tiny_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, "jumprelu")
    reading = plan_reading(model, make_rows(9, 1), make_rows(4, 2), tokens=80, shots=2, draws=1, seed=5)
    columns = Columns(np.array([3, 1, 50]), np.array([7]), np.array([2, 30]))
    full = measure_unit(model, sae, reading.units[0], columns=columns)
    narrow = measure_unit(model, sae, reading.units[0], columns=columns, whole=False)
    assert narrow.shift.shape == (0,)
    assert "total_shift" not in narrow.rows
    for name, value in narrow.rows.items():
        np.testing.assert_allclose(value, full.rows[name], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(narrow.example_places, full.example_places)


def test_bfloat16_streams_are_encoded_in_float32(tiny_model, tmp_path, tiny_sae):
    tiny_sae("jumprelu", 32, D_SAE, "blocks.2.hook_resid_post", tmp_path)
    spec = ModelSpec(name=str(tiny_model), dtype="bfloat16", device="cpu", sae=SaeSpec(path=str(tmp_path)))
    model = load_model(spec)
    sae = load_sae(spec.sae, model)
    unit = plan_reading(model, make_rows(6, 1), make_rows(4, 2), tokens=60, shots=2, draws=1, seed=5).units[0]
    packs = list(read_unit(model, sae.depth, unit))
    assert {stream.dtype for pack in packs for stream in (pack.alone, pack.context)} == {torch.bfloat16}
    alone, context = (
        numpy_encode(tmp_path, torch.cat([getattr(pack, side) for pack in packs]).float().numpy()).astype(np.float64)
        for side in ("alone", "context")
    )
    found = measure_unit(model, sae, unit)
    # Rounding each activation to bfloat16 would be off by up to 4e-3 of it.
    np.testing.assert_allclose(found.act, alone.sum(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.shift, ((context - alone) ** 2).sum(0), rtol=1e-5, atol=1e-5)
    assert {found.act.dtype, found.shift.dtype} == {np.dtype(np.float64)}


def test_examples_are_the_largest_activations(tiny_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, "jumprelu")
    rows, demos = make_rows(12, 1), make_rows(4, 2)
    reading = plan_reading(model, rows, demos, tokens=100, shots=1, draws=1, seed=5)
    columns = Columns(np.arange(D_SAE), np.array([0]), np.array([0]))
    part = measure_unit(model, sae, reading.units[0], columns=columns, pack_tokens=30)
    slow = dense_pairs(model, tmp_path, reading, rows, {row.id: row for row in demos}, 3)
    for column in range(D_SAE):
        flat = sorted((float(v) for a, *_ in slow for v in a[:, column] if v > 0), reverse=True)[:3]
        np.testing.assert_allclose(part.example_values[column][: len(flat)], flat, rtol=1e-3, atol=1e-4)
        for value, (query, offset) in zip(part.example_values[column], part.example_places[column], strict=True):
            if query >= 0:
                assert slow[query][0][offset, column] == pytest.approx(float(value), rel=1e-3, abs=1e-4)


def test_bytes_round_trip_and_repeat(tiny_model, tmp_path, tiny_sae):
    model, sae = open_pair(tiny_model, tmp_path, tiny_sae, "gated")
    reading = plan_reading(model, make_rows(9, 1), make_rows(4, 2), tokens=80, shots=2, draws=2, seed=5)
    columns = Columns(np.array([3, 1]), np.array([7]), np.array([2]))
    first, again = (to_bytes(measure_unit(model, sae, reading.units[1], columns=columns, replicas=5)) for _ in "ab")
    assert first == again
    assert to_bytes(from_bytes(first)) == first
    assert from_bytes(b"nonsense") is None


def test_context_beyond_the_window_drops_whole_demonstrations(tiny_model, tmp_path, tiny_sae):
    model, _ = open_pair(tiny_model, tmp_path, tiny_sae, "standard")
    long = Row("d", "d", (("user", "the quick brown fox " * 30),), "lazy dog " * 20)
    reading = plan_reading(model, make_rows(4, 1), (long,) * 8, tokens=40, shots=8, draws=1, seed=0)
    unit = reading.units[0]
    assert unit.dropped_demonstrations == 8 - len(unit.demonstrations) > 0
    assert max(len(query.context) for query in unit.queries) <= model.window
    whole, _ = query_tokens(model, in_front([long] * (len(unit.demonstrations) + 1), make_rows(4, 1)[0].prompt))
    assert len(whole) > model.window
    assert reading.tokens == 40
