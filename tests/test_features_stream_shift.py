"""How far demonstrations move the raw stream, against plain passes of whole texts."""

import pytest
import torch
from dense_features import make_rows, open_pair

from mixplan.features.queries import plan_reading
from mixplan.features.stream_shift import depth_read, stream_shift


def stream(model, depth, ids, count):
    with torch.inference_mode():
        states = model.lm(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
    return states[depth][0, -count:].double()


def test_it_is_the_squared_distance_of_plain_passes(tiny_model, tmp_path, tiny_sae):
    model, _ = open_pair(tiny_model, tmp_path / "sae", tiny_sae, "jumprelu")
    depth = depth_read(model)
    assert depth == round(2 / 3 * 4)
    told = []
    reading = plan_reading(model, make_rows(9, 1), make_rows(6, 2), tokens=80, shots=2, draws=2, seed=5)
    for unit in reading.units:
        found = stream_shift(model, depth, unit, on_tokens=told.append)
        assert found.tokens.tolist() == [query.count for query in unit.queries]
        for query, squares in zip(unit.queries, found.squares, strict=True):
            alone, context = (stream(model, depth, ids, query.count) for ids in (query.alone, query.context))
            assert squares == pytest.approx(float(((context - alone) ** 2).sum()), rel=1e-4)
    assert sum(told) == reading.tokens
