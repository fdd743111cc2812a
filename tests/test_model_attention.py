"""Masks by kind of layer against a loop over pairs, windows of none, and positions that a text's length turns."""

from types import SimpleNamespace

import pytest
import torch
from evaluated import loaded

from mixplan.model.attention import has_windows, masks_by_kind, reaches, shrunk, stretches_at


def with_config(**fields):
    """A model of which only the config matters here."""
    config = SimpleNamespace(**fields)
    lm = torch.nn.Linear(1, 1)
    lm.config = SimpleNamespace(get_text_config=lambda: config)
    return SimpleNamespace(lm=lm, device=torch.device("cpu"), dtype="float32", window=512)


PLACES = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 8])
CAUSAL = PLACES[:, None] >= PLACES[None, :]


def seen(mask):
    return mask[0, 0] == 0


def looped(sees):
    return torch.tensor([[bool(key <= own and sees(own, key)) for key in range(9)] for own in range(9)])


@pytest.mark.parametrize("window", [0, None])
def test_a_window_of_none_hides_nothing(window):
    model = with_config(sliding_window=window)
    assert torch.equal(seen(masks_by_kind(model, CAUSAL, PLACES, PLACES)), CAUSAL)
    assert not has_windows(model)


def test_each_kind_of_layer_has_its_own_mask():
    kinds = ["sliding_attention", "full_attention", "chunked_attention", "sliding_attention"]
    model = with_config(sliding_window=3, attention_chunk_size=4, layer_types=kinds)
    masks = masks_by_kind(model, CAUSAL, PLACES, PLACES)
    assert set(masks) == set(kinds)
    assert torch.equal(seen(masks["full_attention"]), CAUSAL)
    assert torch.equal(seen(masks["sliding_attention"]), looped(lambda own, key: own - key < 3))
    assert torch.equal(seen(masks["chunked_attention"]), looped(lambda own, key: own // 4 == key // 4))


def test_layers_of_one_kind_share_one_mask():
    narrow = with_config(sliding_window=3, layer_types=["sliding_attention"] * 2)
    assert torch.equal(seen(masks_by_kind(narrow, CAUSAL, PLACES, PLACES)), looped(lambda own, key: own - key < 3))
    full = with_config(sliding_window=3, layer_types=["full_attention"] * 2)
    assert torch.equal(seen(masks_by_kind(full, CAUSAL, PLACES, PLACES)), CAUSAL)
    unnamed = with_config(sliding_window=3)
    assert torch.equal(seen(masks_by_kind(unnamed, CAUSAL, PLACES, PLACES)), looped(lambda own, key: own - key < 3))


def test_what_bounds_a_tokens_sight_is_found_by_name_and_shrunk_for_a_while():
    model = with_config(
        sliding_window=64, window_size=32, index_topk=7, hidden_size=16, use_window=True, chunk_size=9999
    )
    assert reaches(model) == {"sliding_window": 64, "window_size": 32, "index_topk": 7}
    config = model.lm.config.get_text_config()
    with shrunk(model, 12):
        assert config.sliding_window == 12
    with pytest.raises(KeyError), shrunk(model, 12):
        raise KeyError
    with shrunk(model, None):
        assert config.sliding_window == 64
    assert config.sliding_window == 64


def test_ropes_that_depend_on_a_texts_length_are_known(build_model, tmp_path):
    dynamic = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0, "original_max_position_embeddings": 100}
    assert stretches_at(loaded(build_model("llama", tmp_path / "a"))) is None
    assert stretches_at(loaded(build_model("llama", tmp_path / "b", rope_parameters=dynamic))) == 100
    by_kind = {"full_attention": {"rope_type": "longrope", "original_max_position_embeddings": 64}, "sliding": None}
    assert stretches_at(with_config(rope_parameters=by_kind)) == 64
