"""What is missing of a model's folder is said in one line, without torch, and nothing is said of a whole one."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from mixplan.recipe.model_folder import absent_model, untrainable


@pytest.fixture
def folder(tmp_path, tiny_model):
    return shutil.copytree(tiny_model, tmp_path / "model")


@pytest.mark.parametrize("name", ["embedded", "gpt2", "google/gemma-3-1b-it", "Qwen/Qwen2.5-7B-Instruct", "a_b/c.d-e"])
def test_a_hub_id_is_left_to_the_hub(name, tmp_path):
    assert absent_model(name, tmp_path) is None


@pytest.mark.parametrize("name", ["./no/such", "no/such/deep", "../x", "/no/such", "~/no such", "C:\\models\\x"])
def test_a_name_that_can_only_be_a_folder_s(name, tmp_path):
    found = absent_model(name, tmp_path)
    assert found.startswith("there is no folder ")
    assert f"and '{name}' is no hub id. Check the path" in found


def test_a_whole_folder_lacks_nothing(folder):
    assert absent_model(folder.name, folder.parent) is None
    assert absent_model("model/config.json", folder.parent).startswith(f"{folder / 'config.json'} is a file. Name the")


def in_two_shards(folder):
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    (folder / "model.safetensors").unlink()
    files = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, held in files.items():
        save_file({name: tensors[name] for name in held}, folder / file, metadata={"format": "pt"})
    index = {"weight_map": {name: file for file, held in files.items() for name in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_shards(folder):
    in_two_shards(folder)
    assert absent_model(str(folder), folder) is None
    (folder / "model-00002-of-00002.safetensors").unlink()
    started = folder / ".cache" / "huggingface" / "download" / "x.incomplete"
    started.parent.mkdir(parents=True)
    started.touch()
    assert absent_model(str(folder), folder) == (
        f"{folder}: 1 of 2 weight files are missing, model-00002-of-00002.safetensors among them: the download was "
        "cut. Fetch the model again. 1 downloads into it were not finished."
    )


def cut(path, keep):
    data = path.read_bytes()
    path.write_bytes(data[: keep(len(data))])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "config.json").unlink(), "has no config.json."),
        (lambda f: (f / "config.json").rename(f / "adapter_config.json"), "holds an adapter, not a model."),
        (lambda f: (f / "config.json").write_text("["), "config.json is not a JSON object."),
        (lambda f: (f / "config.json").write_text("[]"), "config.json is not a JSON object."),
        (lambda f: (f / "model.safetensors").unlink(), "has no weights: model.safetensors"),
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "holds its weights as pickles only"),
        (lambda f: cut(f / "model.safetensors", lambda size: size - 1), "is not a whole safetensors file"),
        (lambda f: cut(f / "model.safetensors", lambda size: size // 2), "is not a whole safetensors file"),
        (lambda f: cut(f / "model.safetensors", lambda size: 0), "is not a whole safetensors file"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\2" + bytes(7) + b"{"), "is not a whole safetensors file"),
        (lambda f: [(f / name).unlink() for name in ("tokenizer.json", "tokenizer_config.json")], "has no tokenizer"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(folder, damage, says):
    damage(folder)
    found = absent_model(str(folder), folder)
    assert says in found
    assert str(folder) in found
    assert "\n" not in found


def test_quantised_weights_take_an_adapter_alone(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantization_config": {"quant_method": "mxfp4"}}))
    assert untrainable(str(folder), folder, adapter=True) is None
    assert untrainable(str(folder), folder, adapter=False) == (
        f"{folder} is stored quantised (mxfp4), so its own weights cannot be trained. Train an adapter with "
        "`train.lora: {r: 16}`, or name the model's unquantised weights."
    )
    assert untrainable("gpt2", folder, adapter=False) is None
