"""Holds answers weighed by a number each, against a plain loop over one answer after another."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from evaluated import asked_rows, loaded
from small_plan import HOOK

from mixplan.features import weighted as module
from mixplan.features.queries import read_tokens
from mixplan.features.weighted import answers_unit, measure_weighted, read_weighted
from mixplan.model import read_stream
from mixplan.recipe import SaeSpec
from mixplan.sae import load_sae

NUMBERS = (1.5, -0.5, -1.0, 0.25)
ROWS = tuple(
    replace(row, answer=answer)
    for row, answer in zip(asked_rows(4), ("the quick fox", "lazy", "a brown dog and a fox", "no"), strict=True)
)


@pytest.fixture
def model(tiny_model):
    return loaded(tiny_model)


@pytest.fixture
def sae(model, tiny_sae, tmp_path):
    folder = tiny_sae("jumprelu", 32, 96, HOOK, tmp_path / "sae")
    return load_sae(SaeSpec(path=str(folder)), model)


def by_hand(model, sae):
    """Signed and absolute means over tokens, one answer at a time."""
    signed, size, tokens = np.zeros(sae.d_sae), np.zeros(sae.d_sae), 0
    for row, number in zip(ROWS, NUMBERS, strict=True):
        ids, count = read_tokens(model, (), row, answers=True)
        positions = torch.arange(len(ids))[None]
        with torch.inference_mode():
            stream = read_stream(model, sae.depth, torch.tensor([ids]), positions=positions)[0]
            features = sae.encode(stream[-count:].float()).double().numpy()
        signed += number * features.sum(0)
        size += abs(number) * features.sum(0)
        tokens += count
    return tokens, signed / tokens, size / tokens


@pytest.mark.parametrize("limit", [8, 2048])
def test_means_are_those_of_one_answer_after_another(model, sae, monkeypatch, limit):
    monkeypatch.setattr(module, "PACK_TOKENS", {"cpu": limit})
    monkeypatch.setattr(module, "ENCODED_VALUES", 3 * sae.d_sae)
    unit, there = answers_unit(model, ROWS)
    told = []
    found = measure_weighted(model, sae, unit, NUMBERS, on_tokens=told.append)
    tokens, signed, size = by_hand(model, sae)
    assert there == (0, 1, 2, 3)
    assert found.tokens == sum(told) == tokens
    np.testing.assert_allclose(found.signed, signed, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.size, size, rtol=1e-3, atol=1e-5)
    assert np.abs(found.signed).max() > 0


def test_empty_answers_and_rows_beyond_the_window_are_left_out(model):
    rows = (replace(ROWS[0], answer="  "), ROWS[1], replace(ROWS[2], answer="lazy dog " * 600), ROWS[3])
    unit, there = answers_unit(model, rows)
    assert there == (1, 3)
    assert [query.row for query in unit.queries] == [1, 3]


def test_it_is_kept_by_answers_and_numbers_and_read_again_when_damaged(model, sae, tmp_path, monkeypatch):
    unit, _ = answers_unit(model, ROWS)
    folder = tmp_path / "kept"
    first = read_weighted(model, sae, unit, NUMBERS, folder=folder)
    read_weighted(model, sae, unit, NUMBERS[::-1], folder=folder)
    assert len(list(folder.rglob("*.safetensors"))) == 2
    told = []
    with monkeypatch.context() as patched:
        patched.setattr(module, "measure_weighted", None)
        again = read_weighted(model, sae, unit, NUMBERS, folder=folder, on_tokens=told.append)
    np.testing.assert_array_equal(again.signed, first.signed)
    np.testing.assert_array_equal(again.size, first.size)
    assert told == [unit.tokens] == [again.tokens]
    for file in folder.rglob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:-3])
    np.testing.assert_array_equal(read_weighted(model, sae, unit, NUMBERS, folder=folder).signed, first.signed)
