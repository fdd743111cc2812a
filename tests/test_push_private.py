"""Paths of this machine are cut to their last part in published texts, other text stays, and tokens are refused."""

import pytest

from mixplan.errors import RunError
from mixplan.push.files_to_send import Outgoing
from mixplan.push.private import OwnPlaces, absolute, last_part, refuse_secrets

PLACES = OwnPlaces(("/data/my rows/x.jsonl", "C:\\Users\\ann\\y.jsonl"), ("/home/ann/proj", "/home/ann"))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("file: /data/my rows/x.jsonl\n", "file: x.jsonl\n"),
        ('"C:\\Users\\ann\\y.jsonl"', '"y.jsonl"'),
        ("name: /home/ann/proj/models/mine", "name: mine"),
        ("in /home/ann.", "in ann."),
        ("<code>/home/ann/a.txt</code>", "<code>a.txt</code>"),
        ("file:///home/ann/a.txt, then", "file://a.txt, then"),
        ("https://x.org/home/ann/a", "https://x.org/home/ann/a"),
        ("/home/anna/a", "/home/anna/a"),
        ("/home/ann-b/a", "/home/ann-b/a"),
        ("ls /usr/bin", "ls /usr/bin"),
    ],
)
def test_cleaned(text, cleaned):
    assert PLACES.cleaned(text) == cleaned


def test_absolute_paths_of_a_recipe():
    value = {"a": ["/x/y", "x/y", "/", "/s", "~/m", "~5 m"], "b": {"c": "C:\\m\\n", "d": 3, "e": "/a\nb"}}
    assert list(absolute(value)) == ["/x/y", "~/m", "C:\\m\\n"]
    assert [last_part(path) for path in absolute(value)] == ["y", "m", "n"]


@pytest.mark.parametrize("token", ["hf_" + "a1" * 17, "ghp_" + "b2" * 18, "sk-proj-" + "c3" * 20, "known-secret-value"])
def test_a_token_is_refused_and_not_shown(token, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "known-secret-value")
    with pytest.raises(RunError) as refused:
        refuse_secrets([Outgoing("recipe.yaml", f"hub_token: {token}\n".encode())], PLACES, [])
    assert str(refused.value).startswith("recipe.yaml: it holds an access token")
    assert token not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["hf_hub_download(x)", "sk-estimator-doc-link-of-a-long-class-name-in-html", "an hf_token"]
)
def test_a_word_that_only_begins_like_a_token_is_none(text):
    refuse_secrets([Outgoing("README.md", text.encode())], PLACES, [""])


def test_a_path_that_is_left_in_a_config_is_refused():
    with pytest.raises(RunError, match=r"config\.json: it names a folder of this machine"):
        refuse_secrets([Outgoing("config.json", b'{"a": "/home/ann/y"}')], PLACES, [])
    refuse_secrets([Outgoing("vocab.json", b'{"/home/ann/y": 7}')], PLACES, [])
    refuse_secrets([Outgoing("README.md", b"https://x.org/home/ann/y")], PLACES, [])


def test_what_is_no_text_is_passed_over(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\xff\xfe/home/ann/x")
    refuse_secrets([Outgoing("model.safetensors", tmp_path / "model.safetensors")], PLACES, [])
