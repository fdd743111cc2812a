"""A converted model is put in place whole, by whichever process of a group comes first."""

import pytest
import torch
from evaluated import loaded
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.distributed import mixin

from mixplan.errors import ModelError
from mixplan.model.converted import is_whole, save_whole


@pytest.fixture
def second_of_two(monkeypatch):
    monkeypatch.setattr(mixin, "_is_torch_distributed_initialized", lambda: True)
    monkeypatch.setattr(mixin, "_get_torch_distributed_rank", lambda: 1)


@pytest.fixture
def parts(tiny_model):
    model = loaded(tiny_model)
    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32), model.tokenizer


def test_the_second_of_two_processes_saves_all(parts, second_of_two, tmp_path):
    lm, tokenizer = parts
    lm.save_pretrained(tmp_path / "as asked of transformers")
    assert not is_whole(tmp_path / "as asked of transformers")
    save_whole(lm, tokenizer, tmp_path / "models" / "converted")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "models" / "converted", dtype=torch.float32)
    for name, value in lm.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    assert AutoTokenizer.from_pretrained(tmp_path / "models" / "converted").get_vocab() == tokenizer.get_vocab()
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["converted"]


def test_a_folder_without_weights_is_set_aside_and_a_whole_one_stands(parts, tmp_path):
    lm, tokenizer = parts
    place = tmp_path / "converted"
    tokenizer.save_pretrained(place)
    save_whole(lm, tokenizer, place)
    assert is_whole(place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["converted", "converted.aside"]
    (place / "mark").touch()
    save_whole(lm, tokenizer, place)
    assert (place / "mark").exists()


def test_what_cannot_be_saved_whole_is_refused(parts, tmp_path, monkeypatch):
    lm, tokenizer = parts
    monkeypatch.setattr(lm, "save_pretrained", lambda place: place.mkdir())
    with pytest.raises(ModelError, match="was not saved there whole"):
        save_whole(lm, tokenizer, tmp_path / "converted")
