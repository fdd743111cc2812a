"""`mixplan push` prints what to know, each file with its size and what becomes of it, and where it went."""

import json
import sys

import pytest
from hub_stand_in import Repo, serving

from mixplan.cli import main
from mixplan.cli.push import size


@pytest.fixture
def hub(monkeypatch):
    with serving(monkeypatch) as found:
        yield found


@pytest.fixture
def pushed(loop, monkeypatch, capsys):
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mixplan", "push", str(loop[0] / "run"), "--repo", "rows", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def test_a_dry_run_then_the_push(hub, pushed):
    code, out, _ = pushed("--dry-run", "--private", "--language", "en", "--license", "mit")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("- 16 rows come from files or generators of this machine: target 8, ")
    assert lines[1].split() == ["train-00000.parquet", *lines[1].split()[1:3], "new"]
    assert lines[-1].startswith(f"Would go to the private dataset {hub.url}/datasets/ann/rows, which would be made: ")
    code, out, _ = pushed("--private", "--language", "en", "--license", "mit")
    commit = hub.repos["datasets/ann/rows"].commits[-1]
    assert (code, out.splitlines()[-1]) == (
        0,
        f"Pushed to the private dataset {hub.url}/datasets/ann/rows, commit {commit[:12]}",
    )
    code, out, _ = pushed("--private", "--language", "en", "--license", "mit")
    assert out.splitlines()[1].endswith("there already")
    assert out.splitlines()[-1].endswith("/datasets/ann/rows already. Nothing was sent.")


def test_as_json(hub, pushed):
    code, out, _ = pushed("--what", "report", "--json")
    value = json.loads(out)
    assert (code, value["repo"], value["kind"], value["dry_run"]) == (0, "ann/rows", "space", False)
    assert value["commit"] == hub.repos["spaces/ann/rows"].commits[-1]
    assert [file["name"] for file in value["files"]] == ["index.html", "recipe.yaml", "README.md"]


def test_a_refusal_exits_with_one(hub, pushed):
    hub.repos["datasets/ann/rows"] = Repo(private=False, files={"README.md": b"theirs"})
    code, out, err = pushed()
    assert (code, out) == (1, "")
    assert "holds README.md already, which this push would replace. Nothing was sent." in err
    code, out, _ = pushed("--replace")
    assert code == 0
    assert "replaces the repository's own" in out


def test_a_run_that_is_not_there_is_told_before_the_hub_is_asked(hub, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mixplan", "push", "runs/none", "--repo", "rows"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err.startswith("runs/none: there is no such run folder.")
    assert hub.asked == []


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000_000, "2.5 GB")])
def test_sizes(count, text):
    assert size(count) == text
