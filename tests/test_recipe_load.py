"""A recipe's problems come all at once; a right one says where its keys stand and which config gave them."""

import re
from pathlib import Path

import pytest
from wrong_recipes import BASE, COUNT, lay_out

from mixplan.errors import RecipeError
from mixplan.recipe import load_recipe
from mixplan.recipe.lines import MAX_BYTES


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    return lay_out(tmp_path, monkeypatch)


def test_all_problems_come_at_once_each_once_in_the_order_of_the_lines(here):
    text = BASE.replace("embedded: true", "embedded: true, pth: x").replace("rows: 100", "rows: many, tokns: 1")
    text = text.replace("options: o, ", "").replace("generator: chain_sum", "generator: chain_sum, limit: .nan")
    (here / "recipe.yaml").write_text(text + "seed: -1\n")
    with pytest.raises(RecipeError) as raised:
        load_recipe(Path("recipe.yaml"))
    assert str(raised.value).splitlines() == [
        "recipe.yaml:3: model.sae.pth: unknown key. Did you mean 'path'?",
        "recipe.yaml:12: domains.law.columns: format choice needs the column `options`.",
        "recipe.yaml:14: .nan is not a finite number.",
        f"recipe.yaml:17: budget.rows: found the text 'many', expected {COUNT} or 'auto' or a list, each item {COUNT}.",
        "recipe.yaml:17: budget.tokns: unknown key. Did you mean 'tokens'?",
        "recipe.yaml:18: seed: found the number -1, expected a whole number from 0 to 2147483647.",
    ]


def test_problems_in_a_named_config_carry_the_config_s_line(here):
    (here / "configs/models/tiny.yaml").write_text("name: local\nname: again\nsae:\n  pth: sae\nsaes: {}\n")
    text = "model: tiny\n" + BASE[BASE.index("target:") :].replace("rows: 100", "row: 100")
    (here / "recipe.yaml").write_text(text)
    with pytest.raises(RecipeError) as raised:
        load_recipe(Path("recipe.yaml"))
    assert str(raised.value).splitlines() == [
        "configs/models/tiny.yaml:2: the key 'name' is given twice (first on line 1).",
        "configs/models/tiny.yaml:4: model.sae.pth: unknown key. Did you mean 'path'?",
        "configs/models/tiny.yaml:5: model.saes: unknown key. Did you mean 'sae'?",
        "recipe.yaml:15: budget.row: unknown key. Did you mean 'rows'?",
    ]


FILES = {
    "latin-1": (b"model: tiny\n# caf\xe9\n", "recipe.yaml:2: not UTF-8 text. Save the file as UTF-8."),
    "utf-16": ("model: tiny\n".encode("utf-16"), "recipe.yaml:1: not UTF-8 text. Save the file as UTF-8."),
    "too large": (
        b"#" * (MAX_BYTES + 1),
        "recipe.yaml: larger than 1,000,000 bytes, which no recipe or config needs. Is it a data file?",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_no_text_are_refused(case, here):
    data, message = FILES[case]
    (here / "recipe.yaml").write_bytes(data)
    with pytest.raises(RecipeError, match=f"^{re.escape(message)}$"):
        load_recipe(Path("recipe.yaml"))


def test_places_that_hold_no_recipe_are_refused(here):
    (here / "folder.yaml").mkdir()
    (here / "loop.yaml").symlink_to("loop.yaml")
    (here / "run").mkdir()
    (here / "run" / "recipe.yaml").write_text("model: tiny\n")
    (here / "rows.jsonl").write_text('{"q": 1}\n')
    expected = {
        "folder.yaml": "folder.yaml: not a regular file.",
        "run": "run: a run folder. Its recipe is run/recipe.yaml.",
        "rows.jsonl": (
            "rows.jsonl: a data file. Name it in a recipe, under `data: {file: …}`; `mixplan new` starts one."
        ),
        "loop.yaml": "loop.yaml: there is no such recipe. Did you mean 'recipe.yaml'?",
        "recip.yaml": "recip.yaml: there is no such recipe. Did you mean 'recipe.yaml'?",
    }
    for name, message in expected.items():
        with pytest.raises(RecipeError, match=f"^{re.escape(message)}$"):
            load_recipe(Path(name))


def test_a_study_is_told_from_a_recipe(here):
    (here / "study.yaml").write_text("recipe: {model: embedded}\ntargets: {one: {}}\nquestions: [why]\n")
    with pytest.raises(
        RecipeError, match=r"^study\.yaml: this is a study, not a recipe\. Give it to `mixplan study run`\.$"
    ):
        load_recipe(Path("study.yaml"))
    (here / "mixed.yaml").write_text(BASE + "targets: {one: {}}\n")
    with pytest.raises(RecipeError, match=r"targets: unknown key\. Did you mean 'target'\?$"):
        load_recipe(Path("mixed.yaml"))


def test_a_byte_order_mark_is_no_mistake(here):
    (here / "recipe.yaml").write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load_recipe(Path("recipe.yaml")).recipe.budget.rows == 100


def test_every_key_knows_its_line_and_folder(here):
    text = "model: tiny\n" + BASE[BASE.index("target:") :]
    text = text.replace("domains:\n", "domains:\n  config: small\n").replace("    data: {file: law.jsonl}\n", "")
    (here / "recipes").mkdir()
    (here / "recipes/mine.yaml").write_text(text)
    loaded = load_recipe(Path("recipes/mine.yaml"), ["target.data.file=other.jsonl"])
    assert loaded.where(("model",)) == "recipes/mine.yaml:1"
    assert loaded.where(("model", "sae", "path")) == "configs/models/tiny.yaml:3"
    assert loaded.where(("domains", "law")) == "recipes/mine.yaml:8"
    assert loaded.where(("domains", "law", "data", "file")) == "configs/domains/small.yaml:2"
    assert loaded.where(("domains", "law", "split", "query")) == "recipes/mine.yaml:8"
    assert loaded.where(("target", "data", "file")) == "--set target.data.file=other.jsonl"
    assert loaded.folder(("model", "sae", "path")) == here / "configs/models"
    assert loaded.folder(("domains", "law", "data", "file")) == here / "configs/domains"
    assert loaded.folder(("target", "columns")) == Path("recipes")
    assert loaded.folder(("target", "data", "file")) == here
    assert loaded.recipe.model.trust_remote_code is False


def test_the_recipe_wins_over_its_config_and_null_removes_a_domain(here):
    text = BASE.replace("  name: embedded\n  sae: {embedded: true}\n", "  config: tiny\n  sae: {hook_name: x}\n")
    text = text.replace(
        "domains:\n  law:\n    data: {file: law.jsonl}\n    format: choice\n", "domains:\n  config: small\n  law:\n"
    )
    (here / "recipe.yaml").write_text(text)
    recipe = load_recipe(Path("recipe.yaml")).recipe
    assert (recipe.model.name, recipe.model.sae.path, recipe.model.sae.hook_name) == ("local", "sae", "x")
    assert recipe.domains["law"].format == "choice"
    assert list(load_recipe(Path("recipe.yaml"), ["domains.law=null"]).recipe.domains) == ["sums"]


def test_configs_beside_the_recipe_come_before_those_of_the_current_folder(here):
    elsewhere = here / "job"
    (elsewhere / "configs/models").mkdir(parents=True)
    (elsewhere / "configs/models/tiny.yaml").write_text("name: beside\nsae: {path: sae}\n")
    (elsewhere / "recipes").mkdir()
    (elsewhere / "recipes/r.yaml").write_text("model: tiny\n" + BASE[BASE.index("target:") :])
    assert load_recipe(elsewhere / "recipes/r.yaml").recipe.model.name == "beside"


def test_what_is_said_by_default_and_aloud_resolves_alike(here):
    implied = load_recipe(Path("recipe.yaml"))
    said = ["drift.features=100", "sts={}", "model={config: tiny}", "model.name=embedded", "model.sae={embedded: true}"]
    aloud = load_recipe(Path("recipe.yaml"), said)
    assert aloud.resolved == implied.resolved
    assert load_recipe(Path("recipe.yaml"), ["drift.features=99"]).resolved != implied.resolved
