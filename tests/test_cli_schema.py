"""The shipped JSON Schema is the models' own, allows what a recipe may write, and refuses what it may not."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mixplan.cli import main
from mixplan.recipe import Recipe
from mixplan.recipe.schema import recipe_schema

REPOSITORY = Path(__file__).resolve().parents[1]
SHIPPED = REPOSITORY / "configs/recipe.schema.json"


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mixplan", "schema", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_the_shipped_schema_is_current(monkeypatch, tmp_path, capsys):
    assert run(monkeypatch, str(tmp_path / "schema.json")) == 0
    assert (tmp_path / "schema.json").read_bytes() == SHIPPED.read_bytes(), (
        "Run: mixplan schema configs/recipe.schema.json"
    )
    assert capsys.readouterr().out == f"Wrote {tmp_path / 'schema.json'}\n"


def test_it_prints_to_the_terminal(monkeypatch, capsys):
    assert run(monkeypatch) == 0
    assert json.loads(capsys.readouterr().out) == recipe_schema()


def test_json_names_the_file(monkeypatch, tmp_path, capsys):
    assert run(monkeypatch, str(tmp_path / "schema.json"), "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"written": str(tmp_path / "schema.json")}


def allows(part: dict[str, Any], value: Any) -> bool:
    """A small validator of the keywords that the schema uses, for it has no other judge here."""
    part = resolved(part)
    if "anyOf" in part:
        return any(allows(branch, value) for branch in part["anyOf"])
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    kind = part.get("type")
    if kind in ("integer", "number"):
        right = isinstance(value, int | (float if kind == "number" else int)) and not isinstance(value, bool)
        return right and part.get("minimum", value) <= value <= part.get("maximum", value)
    if kind is not None and not isinstance(value, kinds[kind]):
        return False
    if "enum" in part or "const" in part:
        return value in part.get("enum", [part.get("const")])
    if isinstance(value, list):
        return all(allows(part["items"], item) for item in value)
    return not isinstance(value, dict) or allows_mapping(part, value)


def allows_mapping(part: dict[str, Any], value: dict[str, Any]) -> bool:
    if not set(part.get("required", [])) <= set(value):
        return False
    others = part.get("additionalProperties", next(iter(part.get("patternProperties", {}).values()), True))
    if others is False and "patternProperties" in part:
        others = next(iter(part["patternProperties"].values()))
    for key, item in value.items():
        inner = part.get("properties", {}).get(key, others)
        if inner is False or (inner is not True and not allows(inner, item)):
            return False
    return True


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        part = recipe_schema()["$defs"][part["$ref"].rsplit("/", 1)[1]]
    return part


@pytest.mark.parametrize("path", sorted((REPOSITORY / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_it_allows_every_shipped_recipe(path):
    assert allows(recipe_schema(), yaml.safe_load(path.read_text()))


def quickstart(**changes: Any) -> dict[str, Any]:
    return {**yaml.safe_load((REPOSITORY / "recipes/quickstart.yaml").read_text()), **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"config": "smollm2-135m", "dtype": "float32"}},
        {"model": {"name": "x", "sae": {"path": "y"}}},
        {"domains": {"config": "everyday", "law": {"split": {"query": 5}}, "privacy": None}},
        {"budget": {"tokens": 5}},
    ],
)
def test_it_allows_what_overrides_a_config(changes):
    assert allows(recipe_schema(), quickstart(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"sed": 1},
        {"model": {"name": "x"}},
        {"model": {"config": "x", "dtyp": "float32"}},
        {"domains": {"law": {"split": {"query": 5}}}},
        {"domains": {"config": "everyday", "law": {"split": {"queries": 5}}}},
        {"budget": {"rows": "many"}},
        {"drift": {"features": "x"}},
    ],
)
def test_it_refuses_what_the_loader_refuses(changes):
    assert not allows(recipe_schema(), quickstart(**changes))


def test_every_key_says_what_it_is():
    undescribed = [
        f"{name}.{key}"
        for name, part in Recipe.model_json_schema()["$defs"].items()
        for key, value in part["properties"].items()
        if "description" not in value and "$ref" not in value
    ]
    assert undescribed == []
