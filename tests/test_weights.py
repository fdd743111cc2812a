"""A model's identity is what its files hold: not their names, their number, nor what computes with them."""

import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from mixplan.errors import ModelError
from mixplan.weights import stored_tensors, weight_files, weights_hash


def tensors() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {
        "small": torch.randn(3, 5, generator=draw),
        "short": torch.randn(70, 90, generator=draw).bfloat16(),
        "eights": torch.randint(0, 255, (4000,), generator=draw, dtype=torch.uint8),
        "bits": torch.randn(64, generator=draw).to(torch.float8_e4m3fn),
        "none": torch.zeros(0, 4),
    }


def saved(folder, values, name="model.safetensors"):
    folder.mkdir(exist_ok=True)
    save_file(values, folder / name)
    return folder


def test_the_headers_describe_what_the_format_s_own_library_reads(tmp_path):
    saved(tmp_path / "m", tensors())
    found = {tensor.name: tensor for tensor in stored_tensors(tmp_path / "m" / "model.safetensors")}
    assert {name: tensor.shape for name, tensor in found.items()} == {k: tuple(v.shape) for k, v in tensors().items()}
    data = (tmp_path / "m" / "model.safetensors").read_bytes()
    for name, value in load_file(tmp_path / "m" / "model.safetensors").items():
        stored = data[found[name].start : found[name].stop]
        assert stored == value.contiguous().view(torch.uint8).numpy().tobytes(), name


def test_how_tensors_are_dealt_to_files_does_not_count(tmp_path):
    one, values = saved(tmp_path / "one", tensors()), tensors()
    two = saved(tmp_path / "two", {"small": values.pop("small"), "none": values.pop("none")}, "a.safetensors")
    saved(two, values, "b.safetensors")
    weight_map = dict.fromkeys(("small", "none"), "a.safetensors") | dict.fromkeys(values, "b.safetensors")
    (two / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (two / "stranger.safetensors").write_bytes(b"not of the model")
    assert weights_hash(weight_files(one)) == weights_hash(weight_files(two))


@pytest.mark.parametrize(
    "change",
    [
        lambda value: {**value, "small": value["small"] + 1e-6},
        lambda value: {**value, "small": value["small"].reshape(5, 3)},
        lambda value: {**value, "short": value["short"].half()},
        lambda value: {"renamed" if name == "small" else name: each for name, each in value.items()},
        lambda value: {name: each for name, each in value.items() if name != "none"},
    ],
    ids=["a value", "a shape", "a type", "a name", "a tensor"],
)
def test_whatever_a_model_is_made_of_counts(tmp_path, change):
    first, second = saved(tmp_path / "a", tensors()), saved(tmp_path / "b", change(tensors()))
    assert weights_hash(weight_files(first)) != weights_hash(weight_files(second))


def test_of_a_large_tensor_values_from_all_over_it_count(tmp_path):
    value = torch.zeros(1 << 20)
    places = range(0, 1 << 20, 1 << 10)
    marks = set()
    for place in (0, places[511], places[-1]):
        changed = value.clone()
        changed[place] = 1
        marks.add(weights_hash(weight_files(saved(tmp_path / str(place), {"w": changed}))))
    marks.add(weights_hash(weight_files(saved(tmp_path / "same", {"w": value}))))
    assert len(marks) == 4


def header(length: int, text: bytes) -> bytes:
    return struct.pack("<Q", length) + text


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[:-1], "bytes, but its header describes at least"),
        (lambda data: data[:40], "its header cannot be read"),
        (lambda data: b"", "its header cannot be read"),
        (lambda data: header(2, b"[]"), "its header cannot be read"),
        (lambda data: header(1 << 40, b"{}"), "its header cannot be read"),
        (
            lambda data: header(60, b'{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,8]}}'.ljust(60) + b"\0" * 8),
            "the bytes of its tensor 'w' are not as its header says",
        ),
    ],
    ids=["cut", "header cut", "empty", "a list", "a huge header", "another shape"],
)
def test_a_file_that_is_not_whole_is_named(tmp_path, damage, told):
    folder = saved(tmp_path / "m", tensors())
    file = folder / "model.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ModelError) as caught:
        weights_hash([file])
    assert str(caught.value).startswith(f"{file}: this is not a whole safetensors file: ")
    assert told in str(caught.value)
    assert "delete it and fetch it again" in str(caught.value)


def test_a_shard_that_the_index_names_and_that_is_not_there_is_named(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "one", "b": "two"}}))
    (tmp_path / "two").write_bytes(b"")
    with pytest.raises(ModelError) as caught:
        weight_files(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: 1 of 2 weight files are missing, one among them: the download was cut. Fetch the model again."
    )


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}', "{}"])
def test_an_index_that_is_none_is_named(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ModelError, match="this is not an index of weight files"):
        weight_files(tmp_path)


def test_shards_without_their_index_are_named_and_other_files_are_no_weights(tmp_path):
    saved(tmp_path / "m", tensors(), "model-00001-of-00002.safetensors")
    with pytest.raises(ModelError) as caught:
        weight_files(tmp_path / "m")
    assert str(caught.value) == (
        f"{tmp_path / 'm'}: 1 weight files, model-00001-of-00002.safetensors first, but no "
        "model.safetensors.index.json that says which tensors they hold. Fetch the model again, or put that file "
        "beside them."
    )
    assert weight_files(saved(tmp_path / "other", tensors(), "vision.safetensors")) == []
