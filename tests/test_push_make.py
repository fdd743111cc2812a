"""A part of a run goes to the hub in one commit, whole or not at all, without this machine's paths or a token."""

import functools
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
import yaml
from hub_stand_in import TOKEN, Hub, Repo, serving
from huggingface_hub import DatasetCard, ModelCard

from mixplan.errors import RunError
from mixplan.mixture.licences import restrictions
from mixplan.push import PushRequest, make, model_files, push_run
from mixplan.push.request import Stated

SECRET = "hf_" + "q" * 34


@pytest.fixture
def hub(monkeypatch):
    with serving(monkeypatch) as found:
        yield found


@pytest.fixture
def asked(loop) -> PushRequest:
    return PushRequest(loop[0] / "run", Stated("tiny"))


@pytest.fixture
def gathered_once(monkeypatch) -> None:
    """What of the unchanging run goes is gathered once for all tests that are about something else."""
    monkeypatch.setattr(make, "checked", functools.partial(gathered, make.checked))


GATHERED = {}


def gathered(real, request: PushRequest):
    key = (request.run, request.what, request.stated)
    if key not in GATHERED:
        GATHERED[key] = real(request)
    return GATHERED[key]


def only(hub: Hub) -> Repo:
    (repo,) = hub.repos.values()
    return repo


def changes(hub: Hub) -> list[str]:
    """Requests that change something on the hub, or upload to it."""
    return [line for line in hub.asked if line.startswith(("POST", "PUT")) and "validate" not in line]


def test_a_mixture_is_read_back_from_what_was_pushed(hub, asked, tmp_path):
    offer = push_run(replace(asked, private=True))
    assert (offer.repo, offer.kind, offer.private, len(offer.commit)) == ("ann/tiny", "dataset", True, 40)
    assert list(hub.repos) == ["datasets/ann/tiny"]
    assert only(hub).private
    for name, data in only(hub).files.items():
        (tmp_path / name).write_bytes(data)
    again = datasets.load_dataset(str(tmp_path), split="train", cache_dir=str(tmp_path / "cache"))
    planned = datasets.Dataset.from_parquet(
        str(asked.run / "mixture" / "train-00000.parquet"), cache_dir=str(tmp_path / "planned")
    )
    assert again.to_list() == planned.to_list()
    card = DatasetCard(only(hub).files["README.md"].decode()).data
    assert (card.size_categories, card.source_datasets, card.license) == (["n<1K"], ["original"], "unknown")
    assert card.configs[0]["data_files"] == [{"split": "train", "path": ["train-00000.parquet"]}]
    assert 'load_dataset("ann/tiny", split="train")' in only(hub).files["README.md"].decode()
    assert yaml.safe_load(only(hub).files["sft.yaml"])["dataset_name"] == "ann/tiny"


@pytest.mark.parametrize("what", ["mixture", "model", "report"])
def test_no_path_of_this_machine_and_no_token_goes(hub, asked, what):
    push_run(replace(asked, what=what))
    folder, home = str(asked.run.parent), str(Path.home())
    for name, data in only(hub).files.items():
        assert TOKEN.encode() not in data
        assert folder.encode() not in data, name
        assert f"{home}/".encode() not in data, name
    recipe = only(hub).files.get("recipe.yaml")
    assert recipe is None or yaml.safe_load(recipe)["target"]["data"]["file"] == "sum.jsonl"


def test_a_model_goes_as_safetensors_with_its_card(hub, asked):
    hub.large = (".safetensors",)
    offer = push_run(replace(asked, what="model", stated=Stated("ann/tiny", ("en",), "MIT")))
    repo = only(hub)
    assert repo.files["model.safetensors"] == (asked.run / "model" / "model.safetensors").read_bytes()
    assert repo.large == {"model.safetensors"}
    card = ModelCard(repo.files["README.md"].decode())
    assert (card.data.license, card.data.language, card.data.library_name) == ("mit", ["en"], "transformers")
    assert 'from_pretrained("ann/tiny")' in card.content
    assert "./model" not in card.content
    assert not any("language" in note or "licence" in note for note in offer.notes)


def test_named_templates_go_with_a_model(hub, asked, monkeypatch):
    monkeypatch.setattr(model_files, "refuse_other_model", lambda run, outcome: None)
    folder = asked.run / "model" / "additional_chat_templates"
    folder.mkdir()
    try:
        (folder / "tool_use.jinja").write_text("{{ tools }}")
        push_run(replace(asked, what="model"))
    finally:
        shutil.rmtree(folder)
    assert only(hub).files["additional_chat_templates/tool_use.jinja"] == b"{{ tools }}"


def test_a_report_is_a_space_that_shows_the_page(hub, asked):
    offer = push_run(replace(asked, what="report"))
    repo = only(hub)
    assert (list(hub.repos), repo.sdk, offer.url) == (["spaces/ann/tiny"], "static", f"{hub.url}/spaces/ann/tiny")
    assert repo.files["index.html"].startswith(b"<!DOCTYPE html>")
    assert yaml.safe_load(repo.files["README.md"].decode().split("---\n")[1])["sdk"] == "static"
    assert any("plan.json and outcome.json name folders of this machine" in note for note in offer.notes)
    assert not any(note.startswith("The examples of") for note in offer.notes)


def test_a_report_names_the_domains_whose_examples_are_restricted(hub, asked, monkeypatch):
    monkeypatch.setattr(
        "mixplan.push.page_files.restrictions",
        lambda spec: ("non_commercial",) if spec.data.file.endswith("fox.jsonl") else restrictions(spec),
    )
    offer = push_run(replace(asked, what="report"))
    assert "The examples of fox have a licence that forbids commercial use." in offer.notes


def test_a_dry_run_names_each_file_with_its_size_and_sends_nothing(hub, asked):
    offer = push_run(replace(asked, dry_run=True))
    assert {file.name: file.state for file in offer.files} == dict.fromkeys(
        ["train-00000.parquet", "README.md", "sft.yaml", "recipe.yaml"], "new"
    )
    sizes = {file.name: file.bytes for file in offer.files}
    assert sizes["train-00000.parquet"] == (asked.run / "mixture" / "train-00000.parquet").stat().st_size
    assert offer.bytes == sum(sizes.values())
    assert (offer.exists, offer.commit, changes(hub), hub.repos) == (False, None, [], {})
    told = []
    sent = push_run(asked, lambda offer: told.append((offer, dict(hub.repos))))
    assert [(one.files, repos) for one, repos in told] == [(offer.files, {})]  # before anything was sent
    assert {name: len(only(hub).files[name]) for name in sizes} == sizes
    assert sent.commit == only(hub).commits[-1]


def test_a_dry_run_needs_no_login(hub, asked, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "")
    offer = push_run(replace(asked, dry_run=True))
    assert {file.state for file in offer.files} == {"unknown"}
    assert "no one is logged in" in offer.notes[-1]
    assert hub.asked == []


def test_the_same_push_again_sends_nothing(hub, asked, gathered_once):
    first = push_run(asked)
    hub.asked.clear()
    again = push_run(asked)
    assert first.commit
    assert again.commit is None
    assert {file.state for file in again.files} == {"same"}
    assert changes(hub) == []


def test_what_is_there_already_is_replaced_only_when_asked(hub, asked, gathered_once):
    theirs = {
        "README.md": b"# Mine\n",
        "train-00000.parquet": b"theirs",
        "train-00001.parquet": b"old",
        "notes.txt": b"n",
    }
    hub.repos["datasets/ann/tiny"] = Repo(private=False, files=dict(theirs))
    with pytest.raises(
        RunError, match=r"holds train-00000\.parquet, README\.md, train-00001\.parquet already"
    ) as refused:
        push_run(asked)
    assert f"`mixplan push {asked.run} --repo ann/tiny --what mixture --replace`" in str(refused.value)
    assert only(hub).files == theirs
    assert changes(hub) == []
    offer = push_run(replace(asked, dry_run=True))
    assert offer.names("replaces") == ["train-00000.parquet", "README.md"]
    offer = push_run(replace(asked, replace=True))
    assert offer.names("deletes") == ["train-00001.parquet"]
    assert "What else is in the repository stays: notes.txt." in offer.notes
    assert only(hub).files["notes.txt"] == b"n"
    assert "train-00001.parquet" not in only(hub).files
    assert len(only(hub).commits) == 2


def test_a_whole_model_is_not_left_beside_the_shards_of_another(hub, asked):
    shards = {
        "model-00001-of-00002.safetensors": b"a",
        "model.safetensors.index.json": b"{}",
        "pytorch_model.bin": b"p",
    }
    hub.repos["models/ann/tiny"] = Repo(private=False, files=dict(shards))
    offer = push_run(replace(asked, what="model", replace=True))
    assert set(offer.names("deletes")) == set(shards)
    assert not set(shards) & set(only(hub).files)


@pytest.mark.parametrize(
    ("fails", "role", "token", "says"),
    [
        ({}, "write", "", "no one is logged in to the hub, so nothing can be pushed. Make one with write access"),
        ({}, "write", "hf_wrong_one_that_is_long_enough", "the hub answered 401. The token is not valid (any more)."),
        ({}, "read", TOKEN, "the token of ann may only read. Nothing was sent."),
        ({"whoami": 429}, "write", TOKEN, "Wait some minutes"),
        ({"whoami": 0}, "write", TOKEN, "Check the network"),
        ({"/api/datasets/ann/tiny": 403}, "write", TOKEN, "looking at ann/tiny: the hub answered 403"),
    ],
)
def test_what_keeps_a_push_from_beginning_is_said_before_anything_is_sent(
    hub, asked, gathered_once, monkeypatch, fails, role, token, says
):
    hub.fails, hub.role = fails, role
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(RunError) as refused:
        push_run(asked)
    assert says in str(refused.value)
    assert "hf_" not in str(refused.value)
    assert changes(hub) == []
    assert hub.repos == {}


def test_without_a_network_that_may_be_used(hub, asked, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_TOKEN", "")
    with pytest.raises(RunError, match=r"switched off by HF_HUB_OFFLINE, so nothing can be pushed\. Unset it"):
        push_run(asked)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("word", "status", "says"),
    [
        ("repos/create", 403, "creating ann/tiny: the hub answered 403 (refused with 403). The token may not write"),
        ("repos/create", 409, "creating ann/tiny: the hub answered 409 (refused with 409). Someone has made"),
        ("preupload", 403, "committing to ann/tiny: the hub answered 403"),
        ("commit", 401, "committing to ann/tiny: the hub answered 401"),
        ("commit", 413, "A file is larger than the hub takes."),
        ("commit", 0, "committing to ann/tiny: the connection to http"),
        ("object", 0, "committing to ann/tiny: the connection to http"),
    ],
)
def test_a_refusal_on_the_way_leaves_nothing_half_pushed(hub, asked, gathered_once, word, status, says):
    hub.large = (".parquet",)
    hub.fails = {word: status}
    with pytest.raises(RunError) as refused:
        push_run(asked)
    assert says in str(refused.value)
    if word == "repos/create":
        assert hub.repos == {}
    else:
        assert f"The new repository {hub.url}/datasets/ann/tiny is empty; the same command fills it." in str(
            refused.value
        )
        assert list(only(hub).files) == [".gitattributes"]
    hub.fails = {}
    assert push_run(asked).commit == only(hub).commits[-1]
    assert len(only(hub).commits) == 2


def test_a_commit_whose_answer_is_lost_is_found_on_the_hub(hub, asked, gathered_once):
    hub.repos["datasets/ann/tiny"] = Repo(private=False)
    hub.fails = {"commit": -1}
    offer = push_run(asked)
    assert offer.commit == only(hub).commits[-1]
    assert "the connection to" in offer.notes[-1]
    assert offer.notes[-1].endswith("All files are in the repository nevertheless.")
    assert len(only(hub).commits) == 2


def test_someone_elses_push_in_between_is_not_overwritten(hub, asked, gathered_once, monkeypatch):
    hub.repos["datasets/ann/tiny"] = Repo(private=False, files={"README.md": b"theirs"})
    real = make.commit

    def later(repository, *rest):
        only(hub).commits.append("1" * 40)
        return real(repository, *rest)

    monkeypatch.setattr(make, "commit", later)
    with pytest.raises(RunError, match=r"answered 412 .* Someone has pushed to it since") as refused:
        push_run(replace(asked, replace=True))
    assert str(refused.value).endswith("Nothing was committed: the repository is as it was.")
    assert only(hub).files == {"README.md": b"theirs"}


def test_a_token_in_the_recipe_is_refused_without_being_shown(hub, trained, monkeypatch):
    run, _ = trained
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("  args:\n", f"  args:\n    run_name: {SECRET}\n"))
    for what in ("mixture", "report"):
        with pytest.raises(RunError, match=r"recipe\.yaml: it holds an access token") as refused:
            push_run(PushRequest(run, Stated("tiny"), what))
        assert SECRET not in str(refused.value)
    assert changes(hub) == []


def test_a_model_that_is_not_the_measured_one_is_refused(hub, trained):
    run, _ = trained
    settings = json.loads((run / "model" / "generation_config.json").read_text())
    (run / "model" / "generation_config.json").write_text(json.dumps(settings | {"temperature": 0.1}))
    with pytest.raises(RunError, match=r"its files are not those that outcome\.json measured"):
        push_run(PushRequest(run, Stated("tiny"), "model"))
    assert changes(hub) == []


def test_weights_as_pickles_are_refused(hub, trained):
    run, _ = trained
    os.replace(run / "model" / "model.safetensors", run / "model" / "pytorch_model.bin")
    with pytest.raises(RunError, match=r"weights as pickles alone \(pytorch_model\.bin\)"):
        push_run(PushRequest(run, Stated("tiny"), "model"))


def test_a_public_repository_is_not_made_private_in_silence(hub, asked, gathered_once):
    hub.repos["datasets/ann/tiny"] = Repo(private=False)
    with pytest.raises(RunError, match="is public already, and --private"):
        push_run(replace(asked, private=True))


def test_restricted_rows_are_counted_before_a_public_push(hub, asked, monkeypatch):
    monkeypatch.setattr(
        "mixplan.push.data_set.restrictions",
        lambda spec: ("non_commercial",) if spec.data.file.endswith("fox.jsonl") else restrictions(spec),
    )
    says = r"is public, and \d rows have a licence that forbids commercial use: fox \d\. Nothing was sent"
    with pytest.raises(RunError, match=says) as refused:
        push_run(asked)
    assert f"`mixplan push {asked.run} --repo ann/tiny --what mixture --private`" in str(refused.value)
    assert changes(hub) == []
    offer = push_run(replace(asked, private=True))
    assert any("forbids commercial use: fox" in note for note in offer.notes)
    hub.repos.clear()
    assert push_run(replace(asked, publish_restricted=True)).commit
    assert b"forbids commercial use: fox" in only(hub).files["README.md"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"what": "adapter"}, "--what: found 'adapter', expected one of mixture, model, report."),
        ({"stated": Stated("a/b/c")}, "--repo a/b/c: the hub takes no such name"),
        ({"stated": Stated("tiny", ("english",))}, "--language english: expected an ISO 639 code"),
        ({"stated": Stated("tiny", licence="my own")}, "--license my own: the hub knows no such licence"),
    ],
)
def test_wrong_wishes(hub, asked, changed, says):
    with pytest.raises(RunError) as refused:
        push_run(replace(asked, **changed))
    assert says in str(refused.value)
