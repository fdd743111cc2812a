"""Logits of packed answers, and of answers side by side, are those of plain passes in models of many kinds."""

import pytest
import torch
from tiny_families import VARIANTS, tiny_model

from mixplan.model import answer_logits as module
from mixplan.model.answer_logits import answer_logits, answer_way

PROMPT = tuple(range(20, 50))
ANSWERS = ((60, 61, 62), (70,), (60, 61, 80, 81, 82))


def plain_logits(model):
    with torch.no_grad():
        return torch.cat([
            model.lm(input_ids=torch.tensor([[*PROMPT, *answer]])).logits[0, len(PROMPT) - 1 : -1] for answer in ANSWERS
        ])  # fmt: skip


@pytest.mark.parametrize(
    ("family", "way"),
    [("llama", "packed"), ("gemma2", "packed"), ("qwen3_moe", "packed"), ("mistral", "packed"), ("mamba", "whole"),
     ("bloom", "whole"), ("gpt2", "packed")],
)  # fmt: skip
def test_logits_are_those_of_plain_passes(family, way):
    """Sliding windows of 16 tokens are shorter than the prompt; a state and alibi know no mask."""
    model = tiny_model(family)
    assert answer_way(model).way == way
    expected = plain_logits(model)
    with torch.no_grad():
        found = {one: answer_logits(model, PROMPT, ANSWERS, one) for one in {way, "whole"}}
    for logits in found.values():
        assert logits.shape == expected.shape
        assert torch.allclose(logits, expected, atol=1e-4)


def test_a_row_that_a_layer_counts_as_longer_than_its_texts_is_not_packed(monkeypatch):
    monkeypatch.setitem(VARIANTS, "short steps", ("llama4_text", {"floor_scale": 37}))
    model = tiny_model("short steps")
    with torch.no_grad():
        assert torch.allclose(answer_logits(model, PROMPT, ANSWERS, "packed"), plain_logits(model), atol=1e-4)


def test_a_wrong_mask_is_seen_and_not_used(monkeypatch):
    model = tiny_model("llama")
    monkeypatch.setattr(module, "packed", lambda *given: module.side_by_side(*given) + torch.linspace(0, 1, 320))
    assert answer_way(model).way == "whole"
