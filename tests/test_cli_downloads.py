"""What must be fetched is known by file names: nothing held, held in part, or cut before its end."""

import json

import pytest

from mixplan.cli.downloads import data_downloads, model_downloads
from mixplan.recipe import DataSpec, load_recipe

WEIGHTS = b"\x02\0\0\0\0\0\0\0{}"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def hold(hub, name: str, files: dict[str, bytes], revision: str = "main"):
    folder = hub / name.replace("/", "--") / "snapshots" / f"of-{revision}"
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    reference = hub / name.replace("/", "--") / "refs" / revision
    reference.parent.mkdir(exist_ok=True)
    reference.write_text(folder.name)
    return folder


def needed(tmp_path, **model) -> list[str]:
    data = {"data": {"file": "rows.jsonl"}, "format": "question_answer", "columns": {"question": "q", "answer": "a"}}
    model = {"name": "some/model", "sae": {"embedded": True}, **model}
    values = {"model": model, "target": data, "domains": {"law": data}, "budget": {"rows": 5}}
    (tmp_path / "recipe.yaml").write_text(json.dumps(values))
    return list(model_downloads(load_recipe(tmp_path / "recipe.yaml")))


def test_a_name_that_may_be_a_folder_s_says_that_there_is_none(hub):
    assert needed(hub, name="my-model") == [f"model my-model (there is no folder {hub / 'my-model'})"]


def test_a_model_with_half_its_weights_is_a_download(hub):
    assert needed(hub) == ["model some/model"]
    index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode()
    files = {"config.json": b"{}", "model.safetensors.index.json": index, "model-1.safetensors": WEIGHTS}
    hold(hub, "models--some/model", files)
    (found,) = needed(hub)
    assert found.startswith("model some/model, of which the cache holds a part: 1 of 2 weight files are missing")
    hold(hub, "models--some/model", {"model-2.safetensors": WEIGHTS})
    assert needed(hub) == []


def test_another_revision_s_files_do_not_count(hub):
    hold(hub, "models--some/model", {"config.json": b"{}", "model.safetensors": WEIGHTS}, revision="v1")
    assert needed(hub) == ["model some/model"]
    assert needed(hub, revision="v1") == []
    assert needed(hub, revision="of-v1") == []  # a commit needs no name


def test_an_sae_s_folder_counts_alone(hub):
    hold(hub, "models--some/model", {"config.json": b"{}", "model.safetensors": WEIGHTS})
    hold(hub, "models--some/saes", {"layer_3/cfg.json": b"{}"})
    assert needed(hub, sae={"repo": "some/saes", "id": "layer_3"}) == []
    assert needed(hub, sae={"repo": "some/saes", "id": "layer_4"}) == ["SAE layer_4 of some/saes"]


def test_a_data_set_without_rows_or_cut_is_a_download(hub):
    data = DataSpec(hub="some/data")
    folder = hold(hub, "datasets--some/data", {"README.md": b"card", "dataset_infos.json": b"{}"})
    assert list(data_downloads(data)) == ["data set some/data"]
    (folder / "train.parquet").symlink_to(folder / "gone")
    (found,) = data_downloads(data)
    assert found == "data set some/data, of which the cache holds a part: 1 of 3 files are missing"
    (folder / "gone").write_bytes(b"rows")
    assert list(data_downloads(data)) == []
    (folder.parent.parent / "blobs").mkdir()
    (folder.parent.parent / "blobs" / "abc.incomplete").write_bytes(b"ro")
    (found,) = data_downloads(data)
    assert found == "data set some/data, of which the cache holds a part: 1 downloads were not finished"
    assert list(data_downloads(DataSpec(file="rows.jsonl"))) == []
