"""`mixplan ls` lists what is in the current folder and what comes with mixplan."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mixplan.cli import COMMANDS, main
from mixplan.cli.ls import listing, state

REPOSITORY = Path(__file__).resolve().parents[1]


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mixplan", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mixplan.cli.ls.SHIPPED", tmp_path)
    files = {
        "recipes/b.yaml": "# What b is for.\nmodel: x\n",
        "recipes/a.yaml": "model: x\n",
        "configs/models/m.yaml": "# A model.\nname: m\n",
        "configs/domains/d.yaml": "# Two domains.\nlaw: {}\nart: {}\n",
        "runs/old/plan.json": "{}",
        "runs/new/recipe.yaml": "",
        "runs/other/notes.txt": "",
    }
    for number, (name, text) in enumerate(files.items()):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        os.utime(file, (1_700_000_000 + 60 * number,) * 2)
    return tmp_path


def test_everything_is_listed(here, monkeypatch, capsys):
    assert run(monkeypatch, "ls") == 0
    assert capsys.readouterr().out == (
        "Recipes\n"
        "  recipes/a.yaml\n"
        "  recipes/b.yaml  What b is for.\n"
        "Model configs\n"
        "  configs/models/m.yaml  A model.\n"
        "Domain suites\n"
        "  configs/domains/d.yaml  Two domains.\n"
        "Past runs\n"
        "  runs/new  unfinished, 2023-11-14 22:18 UTC\n"
        "  runs/old  planned, 2023-11-14 22:17 UTC\n"
    )


def test_json_says_the_same(here, monkeypatch, capsys):
    assert run(monkeypatch, "ls", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recipes"][1] == {"path": "recipes/b.yaml", "name": "b", "about": "What b is for."}
    assert found["domains"][0]["domains"] == ["art", "law"]
    assert [entry["planned"] for entry in found["runs"]] == [False, True]


def test_a_run_s_furthest_artifact_says_how_far_it_is(here, monkeypatch, capsys):
    (here / "runs" / "old" / "outcome.json").write_text("{}")
    os.utime(here / "runs" / "old" / "outcome.json", (1_700_000_000,) * 2)
    run(monkeypatch, "ls")
    assert "  runs/old  trained and measured, 2023-11-14" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"outcome.json": {"hashes": {"plan": "p"}}}, "trained and measured"),
        ({"outcome.json": {"hashes": {"plan": "other"}}}, "planned again since it was trained and measured"),
        ({"outcome.json": {"hashes": {"plan": "p"}, "elsewhere": {"name": "m"}}}, "trained elsewhere and measured"),
        ({"outcome.json": None}, "planned; its outcome.json cannot be read"),
        ({"training/done.json": {}, "training/job.json": {"hashes": {"mixture": "m"}}}, "trained, not yet measured"),
        ({"training/done.json": {}, "training/job.json": {"hashes": {}}}, "planned again since it was trained"),
        ({"training/job.json": {"hashes": {"mixture": "m"}}}, "planned"),
    ],
)
def test_what_is_of_an_earlier_plan_is_said_to_be_so(here, files, said):
    for name, values in {"plan.json": {"hashes": {"plan": "p", "mixture": "m"}}, **files}.items():
        file = here / "runs" / "old" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("{" if values is None else json.dumps(values))
    (about,) = (entry["about"] for entry in listing()["runs"] if entry["name"] == "old")
    assert about.startswith(f"{said}, 20")


def test_a_run_that_is_planned_anew_with_another_budget_is_no_longer_measured(trained, monkeypatch):
    folder, _ = trained
    assert state(folder) == "trained and measured"
    assert run(monkeypatch, "plan", str(folder / "recipe.yaml"), "--run", str(folder), "--set", "seed=5") == 0
    assert state(folder).startswith("planned again since it was trained")


def test_an_empty_folder_has_none_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mixplan.cli.ls.SHIPPED", tmp_path)
    assert run(monkeypatch, "ls") == 0
    assert capsys.readouterr().out == "Recipes: none\nModel configs: none\nDomain suites: none\nPast runs: none\n"


def test_what_ships_is_listed_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = {path.stem for path in (REPOSITORY / "recipes").glob("*.yaml")}
    assert {entry["name"] for entry in listing()["recipes"]} == shipped


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_help_loads_no_command_and_nothing_heavy():
    heavy = {"torch", "transformers", "sae_lens", "datasets", "numpy", "pydantic", "rich", "yaml", "cvxpy"}
    code = (
        "import sys; from mixplan.cli import main\n"
        "sys.argv = ['mixplan', '--help']\n"
        "try: main()\n"
        "except SystemExit as ended: assert ended.code == 0\n"
        f"print(sorted(({heavy!r} | {{'mixplan.cli.ls', 'mixplan.recipe'}}) & set(sys.modules)))"
    )
    lines = python(code).splitlines()
    assert lines[-1] == "[]"
    assert [line.split()[0] for line in lines[lines.index("Commands:") + 1 : -1]] == list(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["lss"], "No such command 'lss'."),
        (["ls", "--jsn"], "No such option: --jsn"),
        (["ls", "extra"], "Got unexpected extra argument(s) (extra)"),
        (["new"], "Missing argument 'NAME'."),
    ],
)
def test_wrong_usage_exits_2(arguments, complaint, monkeypatch, capsys):
    assert run(monkeypatch, *arguments) == 2
    assert complaint in capsys.readouterr().err


def test_version(monkeypatch, capsys):
    from mixplan import __version__

    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"mixplan {__version__}\n"


def test_an_interrupt_exits_130_and_says_where_the_command_goes_on(monkeypatch, capsys):
    def interrupted(*_, **__) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mixplan.cli.ls.listing", interrupted)
    assert run(monkeypatch, "ls") == 130
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("mixplan.cli.plan.make_plan", interrupted)
    assert run(monkeypatch, "plan", "recipes/quickstart.yaml") == 130
    told = "Interrupted. What is done is kept: the same command goes on from there.\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(("words", "count", "expected"), [("mixplan ch", 1, "check"), ("mixplan ls --js", 2, "--json")])
def test_shell_completion(words, count, expected):
    environment = {**os.environ, "_MIXPLAN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    code = "from mixplan.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert expected in done.stdout.split()


@pytest.mark.parametrize("words", [("train",), ("compare",), ("eval",), ("export", "--to", "trl")])
def test_a_run_that_is_not_there_is_refused_before_torch_is_loaded(words, tmp_path):
    code = (
        "import sys; from mixplan.cli import main\n"
        "try:\n main()\n"
        "except SystemExit as end:\n print(end.code, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, words[0], "nowhere", *words[1:]]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.stdout == "1 False\n"
    assert ended.stderr.startswith("nowhere: there is no such run folder")
