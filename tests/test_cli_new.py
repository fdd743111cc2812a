"""`mixplan new` writes a recipe that loads, beside the one it came from, and refuses what it cannot write."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from mixplan.cli import main
from mixplan.cli.preflight import unknown_sae
from mixplan.recipe import load_recipe

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def recipes(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in ("recipes", "configs"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    return tmp_path / "recipes"


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mixplan", "new", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_the_copy_loads_alike_and_names_itself(recipes, monkeypatch, capsys):
    assert run(monkeypatch, "mine", "--from", "recipes/math.yaml") == 0
    assert capsys.readouterr().out == "Wrote recipes/mine.yaml\nEdit it, then: mixplan check recipes/mine.yaml\n"
    old, new = (recipes / "math.yaml").read_text(), (recipes / "mine.yaml").read_text()
    assert new == old.replace("recipes/math.yaml", "recipes/mine.yaml")
    assert new != old
    assert load_recipe(recipes / "mine.yaml").resolved == load_recipe(recipes / "math.yaml").resolved


def test_json_names_the_file(recipes, monkeypatch, capsys):
    assert run(monkeypatch, "mine", "--from", "recipes/math.yaml", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"written": "recipes/mine.yaml", "from": "recipes/math.yaml"}


def test_only_comments_and_only_the_whole_name_change(recipes, monkeypatch):
    text = (recipes / "math.yaml").read_text()
    text = "# my-math.yaml and math.yaml.old stay, math.yaml goes\n" + text + "  # math.yaml\n"
    (recipes / "math.yaml").write_text(text)
    assert run(monkeypatch, "mine.yaml", "--from", "recipes/math.yaml") == 0
    lines = (recipes / "mine.yaml").read_text().splitlines()
    assert lines[0] == "# my-math.yaml and math.yaml.old stay, mine.yaml goes"
    assert lines[-1] == "  # math.yaml"


REFUSED = {
    "a path": (
        ["sub/mine", "--from", "recipes/math.yaml"],
        "'sub/mine' cannot name a recipe. Use letters, digits, `_`, `.` and `-`, such as 'my-job'.",
    ),
    "taken": (
        ["medical", "--from", "recipes/math.yaml"],
        "recipes/medical.yaml: there is a recipe of this name already. Choose another name.",
    ),
    "no source": (
        ["mine", "--from", "recipes/maths.yaml"],
        "recipes/maths.yaml: there is no such recipe. Did you mean 'recipes/math.yaml'?",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case, recipes, monkeypatch, capsys):
    arguments, message = REFUSED[case]
    assert run(monkeypatch, *arguments) == 1
    assert capsys.readouterr().err == message + "\n"


def test_a_folder_without_permission_is_said(recipes, monkeypatch, capsys):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    assert run(monkeypatch, "mine", "--from", "recipes/math.yaml") == 1
    message = "recipes/mine.yaml: cannot be written: Permission denied."
    assert capsys.readouterr().err == message + "\n"
    assert sorted(path.name for path in recipes.iterdir() if path.name.startswith((".", "mine"))) == []


def test_without_a_source_it_is_a_starter_that_loads(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "mine") == 0
    assert capsys.readouterr().out == "Wrote mine.yaml\nEdit it, then: mixplan check mine.yaml\n"
    text = (tmp_path / "mine.yaml").read_text()
    assert "NAME.yaml" not in text
    assert "mixplan plan mine.yaml " in text
    schema = next(line for line in text.splitlines() if "yaml-language-server" in line).partition("$schema=")[2]
    assert (tmp_path / schema).is_file()
    assert run(monkeypatch, "mine") == 1
    assert "there is a recipe of this name already" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["mixplan", "check", "mine.yaml"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("mine.yaml: valid\n")


def test_each_key_that_the_starter_comments_out_is_one_of_recipes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, "mine")
    text = (tmp_path / "mine.yaml").read_text()
    commented = text.replace("#      ", "")
    model = commented[commented.index("model:\n  name:") : commented.index("model: smollm2-135m")]
    assert yaml.safe_load(model)["model"]["sae"].keys() == {"release", "id"}
    (tmp_path / "rows.jsonl").write_text('{"instruction": "2 + 2", "output": "4"}\n' * 2)
    data = commented[commented.index("data: {file: rows.jsonl}") : commented.index("target:\n")]
    value = yaml.safe_load(text) | {"target": yaml.safe_load(data)} | yaml.safe_load(model)
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(value))
    loaded = load_recipe(tmp_path / "own.yaml")
    columns = loaded.recipe.target.columns
    assert (columns.question, columns.answer) == ("instruction", "output")
    assert unknown_sae(loaded) is None


def test_a_copy_of_what_comes_with_mixplan_goes_to_the_current_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "mine", "--from", "recipes/math.yaml") == 0
    assert capsys.readouterr().out.startswith("Wrote mine.yaml\n")
    assert load_recipe(tmp_path / "mine.yaml").resolved == load_recipe(REPOSITORY / "recipes/math.yaml").resolved
    assert "mixplan plan mine.yaml" in (tmp_path / "mine.yaml").read_text()


def test_another_trainers_config_becomes_a_recipe_and_what_is_left_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    chats = [[{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "!"}] for n in range(9)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    (tmp_path / "ax.yaml").write_text(
        "base_model: HuggingFaceTB/SmolLM2-135M-Instruct\ndatasets: [{path: rows.jsonl, type: chat_template}]\n"
        "learning_rate: 1e-5\nval_set_size: 0.1\n"
    )
    assert run(monkeypatch, "mine", "--from-config", "ax.yaml") == 0
    assert capsys.readouterr().out == (
        "Wrote mine.yaml\nNot taken over:\n"
        "  val_set_size: nothing to do: evaluation rows are held out by the section's `split`\n"
        "Edit it, then: mixplan check mine.yaml\n"
    )
    assert load_recipe(Path("mine.yaml")).recipe.train.args["learning_rate"] == 1e-5
    assert run(monkeypatch, "other", "--from-config", "ax.yaml", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["written"], told["from"], list(told["left"])) == ("other.yaml", "ax.yaml", ["val_set_size"])
    assert run(monkeypatch, "third", "--from-config", "ax.yaml", "--from", "mine.yaml") == 1
    assert capsys.readouterr().err == "--from and --from-config: a recipe has one origin. Give one of them.\n"
