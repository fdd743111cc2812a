"""Derives the JSON Schema that editors check a recipe file with from the recipe's models."""

from __future__ import annotations

import copy
from typing import Any

from mixplan.recipe.spec import Recipe

Schema = dict[str, Any]


def recipe_schema() -> Schema:
    """The JSON Schema of a recipe file.

    Beside what the models say, `model` and `domains` may name a config, alone or with keys that override it, and a
    domain may be null to leave it out of its suite.
    """
    schema = Recipe.model_json_schema()
    definitions, keys = schema["$defs"], schema["properties"]
    for name in list(definitions):
        definitions[f"Partial{name}"] = _partial(definitions[name])
    for part in (*definitions.values(), *keys.values()):
        _close(part)
    keys["target"]["anyOf"] = keys["target"].pop("oneOf")
    full = keys["domains"]
    keys["model"] = _named("A config in configs/models.", {"$ref": "#/$defs/ModelSpec"}, _model(definitions))
    keys["domains"] = _named("A suite in configs/domains.", full, _suite())
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "mixplan recipe"}
    return {**schema, **title}


def _named(description: str, whole: Schema, overriding: Schema) -> Schema:
    name = {"type": "string", "description": description}
    overriding["properties"]["config"] = name
    return {"anyOf": [name, {**overriding, "required": ["config"]}, whole]}


def _model(definitions: Schema) -> Schema:
    return copy.deepcopy(definitions["PartialModelSpec"])


def _suite() -> Schema:
    overriding = {"anyOf": [{"$ref": "#/$defs/PartialDomainSpec"}, {"type": "null"}]}
    return {"type": "object", "properties": {}, "additionalProperties": overriding}


def _partial(definition: Schema) -> Schema:
    """A section where every key may be missing, for it overrides one that has them."""
    partial = _renamed({key: value for key, value in definition.items() if key != "required"})
    return dict(partial)


def _renamed(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            key: value.replace("#/$defs/", "#/$defs/Partial") if key == "$ref" else _renamed(value)
            for key, value in part.items()
        }
    return [_renamed(item) for item in part] if isinstance(part, list) else part


def _close(part: Schema) -> None:
    """Refuse keys that no pattern of a mapping's names allows."""
    for inner in part.get("properties", {}).values():
        _close(inner)
    for branch in part.get("anyOf", []):
        _close(branch)
    if "patternProperties" in part:
        part["additionalProperties"] = False
