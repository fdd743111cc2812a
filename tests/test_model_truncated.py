"""A model loaded up to a block reads the whole one's stream, to the bit, and leaves the rest on the disk."""

import json

import pytest
import torch
from evaluated import spec_of
from other_models import EXPERTS, WRAPPED, save_other

from mixplan.errors import ModelError
from mixplan.model import load_model, read_stream

TOKENS = torch.randint(6, 300, (2, 40), generator=torch.Generator().manual_seed(0))


def same_stream(folder, depth, **changes):
    whole, part = load_model(spec_of(folder, **changes)), load_model(spec_of(folder, **changes), depth=depth)
    assert torch.equal(read_stream(part, depth, TOKENS), read_stream(whole, depth, TOKENS))
    assert (part.d_model, len(part.blocks), part.parameters) == (whole.d_model, len(whole.blocks), whole.parameters)
    assert (part.weights, part.fingerprint, part.window) == (whole.weights, whole.fingerprint, whole.window)
    assert (part.loaded_blocks, whole.loaded_blocks) == (depth, None)
    return whole, part


def held(model):
    return {name for name, _ in model.lm.named_parameters()}


def test_every_architecture_reads_the_same_from_fewer_blocks(any_model):
    for depth in (0, 2, 4):
        whole, part = same_stream(any_model, depth)
        blocks = {id(value) for block in whole.blocks[depth:] for value in block.parameters()}
        expected = {name for name, value in whole.lm.named_parameters() if id(value) not in blocks}
        assert held(part) - expected == set()
        assert expected - held(part) <= {"lm_head.weight", "embed_out.weight"}


@pytest.mark.parametrize("family", [*WRAPPED, *EXPERTS])
def test_of_a_wrapped_model_only_the_decoder_is_loaded(tmp_path, family):
    folder = save_other((WRAPPED | EXPERTS)[family](), tmp_path / family)
    _, part = same_stream(folder, 2)
    decoder = {id(value) for value in part.lm.get_decoder().parameters()}
    assert [name for name, value in part.lm.named_parameters() if id(value) not in decoder] in ([], ["lm_head.weight"])


def test_in_a_short_type_too(tiny_model):
    same_stream(tiny_model, 2, dtype="bfloat16")


def test_tensors_above_the_depth_are_never_read(tmp_path, build_model):
    folder = build_model("llama", tmp_path / "model")
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    for name, entry in header.items():
        if name.startswith(("model.layers.3", "lm_head")):
            start, stop = entry["data_offsets"]
            data[8 + length + start : 8 + length + stop] = b"\xff" * (stop - start)  # not-a-numbers
    path.write_bytes(data)
    with pytest.raises(ModelError):
        load_model(spec_of(folder))
    part = load_model(spec_of(folder), depth=3)
    assert torch.isfinite(read_stream(part, 3, TOKENS)).all()


def test_above_its_blocks_it_is_refused(tiny_model):
    part = load_model(spec_of(tiny_model), depth=2)
    with pytest.raises(ModelError) as caught:
        read_stream(part, 3, TOKENS)
    assert str(caught.value) == f"model '{tiny_model}': its blocks were loaded up to 2, but 3 are to be read."
