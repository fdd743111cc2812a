"""`--set` reaches every key of every section, and what is wrong with one names it."""

import re
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo
from recipe_leaves import sections

from mixplan.errors import RecipeError
from mixplan.recipe import Recipe, load_recipe

RECIPE = """\
model:
  name: some/model
  sae: {release: some-release, id: layer-1}
target:
  data: {hub: some/data}
  demonstrations: {hub: some/shots}
  format: question_answer
  columns: {question: q, answer: a}
domains:
  law:
    data: {generator: chain_sum}
    demonstrations: {file: shots.jsonl}
    format: question_answer
    columns: {question: q, answer: a}
  art.v2:
    data: {file: art.jsonl}
    demonstrations: {generator: gcd}
    format: choice
    columns: {question: q, options: o, answer: a}
budget: {rows: 100}
allocate: {prior: uniform, groups: {both: {domains: [law]}}}
"""
TOGETHER = {
    "model.sae.repo": ["model.sae.release=null"],
    "model.sae.path": ["model.sae.release=null", "model.sae.id=null"],
    "model.sae.embedded": ["model.sae.release=null", "model.sae.id=null"],
    "model.sae.format": ["model.sae.release=null", "model.sae.repo=a/b"],
    "budget.tokens": ["budget.rows=null"],
    "allocate.alpha": ["allocate.objective=alpha_fair"],
    "drift.most_tokens": ["drift.query_tokens=auto"],
    "sts.most_tokens": ["sts.query_tokens=auto"],
    "data.generator": ["{data}.hub=null", "{data}.file=null"],
    "data.hub": ["{data}.generator=null", "{data}.file=null"],
    "data.file": ["{data}.generator=null", "{data}.hub=null"],
    "data.package": ["{data}.generator=null", "{data}.hub=null", "{data}.file=x.jsonl"],
    "data.config": ["{data}.generator=null", "{data}.file=null", "{data}.hub=a/b"],
    "data.options": ["{data}.hub=null", "{data}.file=null", "{data}.generator=gcd"],
    "format": ["{domain}.columns={{messages: m}}"],
    "labels": ["{domain}.format=choice", "{domain}.columns={{question: q, options: o, answer: a}}"],
    "roles": ["{domain}.format=messages", "{domain}.columns={{messages: m}}"],
    "turns": ["{domain}.format=messages", "{domain}.columns={{messages: m}}"],
    "turn_order": ["{domain}.format=messages", "{domain}.columns={{messages: m}}"],
    "sts.score": ["model.sae=none"],
    "sts.preview.rows": ["model.sae=none"],
    "sts.preview.answer_tokens": ["model.sae=none"],
    "drift.checkpoint": ["drift.from=checkpoint"],
    "forecast.pilot.steps": ["forecast.from=pilot"],
    "forecast.pilot.domains": ["forecast.from=pilot"],
    "forecast.pilot.rows": ["forecast.from=pilot"],
    "drift.rollouts.prompts": ["drift.from=rollouts"],
    "drift.rollouts.samples": ["drift.from=rollouts"],
    "drift.rollouts.temperature": ["drift.from=rollouts"],
    "drift.rollouts.answer_tokens": ["drift.from=rollouts"],
}
"""What must change with a key for the recipe to stay valid."""
VALUES: dict[str, tuple[str, Any]] = {
    "chat_template_kwargs": ("{enable_thinking: false}", {"enable_thinking": False}),
    "template_date": ("'2031-02-03'", "2031-02-03"),
    "options": ("{a: 1}", {"a": 1}),
    "where": ("{c: [x, 1]}", {"c": ["x", 1]}),
    "format": ("messages", "messages"),
    "labels": ("index1", "index1"),
    "hub": ("my/rows", "my/rows"),
    "roles": ("{bot: assistant}", {"bot": "assistant"}),
    "grader": ("exact", "exact"),
    "tolerances": ("{law: 0.2 nats}", {"law": "0.2 nats"}),
    "floors": ("{law: 3}", {"law": 3}),
    "caps": ("{law: 30}", {"law": 30}),
    "shares": ("{law: 0.5}", {"law": 0.5}),
    "prior": ("{law: 2}", {"law": 2}),
    "domains": ("[art.v2]", ["art.v2"]),
    "measures": ("{law: exact}", {"law": "exact"}),
    "also": ("[likelihood]", ["likelihood"]),
    "tasks": ("{law: mmlu}", {"law": "mmlu"}),
    "rewards": ("{format: 0.5}", {"format": 0.5}),
    "runs": ("[runs/*]", ["runs/*"]),
    "args": ("{learning_rate: 1e-5}", {"learning_rate": 1e-5}),
    "lora": ("{r: 4}", {"r": 4}),
    "resamples": ("500", 500),
    "from": ("rollouts", "rollouts"),
    "floor": ("2", 2),
    "cap": ("20", 20),
}


NAMED = {"domains": ["domains.law", "domains.art.v2"], "allocate.groups": ["allocate.groups.both"]}
LEAVES = dict(sections(Recipe, "", NAMED))


def sample(path: str, field: FieldInfo) -> tuple[str, Any]:
    """Another value for a key, as YAML and as Python."""
    name = path.rsplit(".", 1)[1] if "." in path else path
    if path == "forecast.from":
        return "pilot", "pilot"
    if path == "model.sae.format":
        return "sparsify", "sparsify"
    if name == "options" and ".columns." in path:
        return "other", "other"
    if path == "mixture.licences.exclude":
        return "[unknown]", ["unknown"]
    if name in VALUES:
        return VALUES[name]
    annotation = field.annotation
    parts = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    first = parts[0]
    if get_origin(first) is Literal:
        value = next(choice for choice in reversed(get_args(first)) if choice != field.default)
        return str(value), value
    if first is bool:
        return str(not field.default).lower(), not field.default
    if first is str:
        return "other", "other"
    if get_origin(first) is not None and not isinstance(first, type):
        first = get_args(first)[0]
    return ("0.25", 0.25) if first is float else ("7", 7)


def at(values: Any, path: str) -> Any:
    while path:
        key = next(key for key in sorted(values, key=len, reverse=True) if path == key or path.startswith(f"{key}."))
        values, path = values[key], path[len(key) + 1 :]
    return values


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return Path("recipe.yaml")


def companions(path: str) -> list[str]:
    parent, _, name = path.rpartition(".")
    kind = "data" if parent.rsplit(".", 1)[-1] in ("data", "demonstrations") else parent
    key = f"data.{'config' if name in ('split', 'revision') else name}" if kind == "data" else path
    if name in ("format", "labels", "roles", "turns", "turn_order") and key not in TOGETHER:
        key = name
    return [text.format(data=parent, domain=parent) for text in TOGETHER.get(key, [])]


@pytest.mark.parametrize("path", LEAVES)
def test_every_key_can_be_set(path, recipe):
    text, value = sample(path, LEAVES[path])
    extra = companions(path)
    if ".columns." in path:
        extra = column_companions(path)
    before = load_recipe(recipe).recipe.model_dump()
    after = load_recipe(recipe, [*extra, f"{path}={text}"]).recipe.model_dump()
    assert at(after, path) == value
    assert before != after


def column_companions(path: str) -> list[str]:
    """The format under which a column may be given, with the columns it needs."""
    domain, column = path.split(".columns.")
    columns = {
        **dict.fromkeys(("messages", "role", "content", "tools"), ("messages", "messages: m")),
        "prompt": ("prompt_completion", "prompt: p, completion: c"),
        "completion": ("prompt_completion", "prompt: p, completion: c"),
        "options": ("choice", "question: q, options: o, answer: a"),
    }
    form, needed = columns.get(column, ("question_answer", "question: q, answer: a"))
    return [f"{domain}.format={form}", f"{domain}.columns={{{needed}}}"]


def test_the_walk_reaches_every_section():
    tops = {path.split(".", 1)[0] for path in LEAVES}
    assert tops == set(Recipe.model_fields)
    assert {"model.sae.hook_name", "domains.art.v2.demonstrations.limit", "allocate.groups.both.cap", "seed"} <= set(
        LEAVES
    )


def test_a_later_override_wins(recipe):
    assert load_recipe(recipe, ["seed=1", "seed=2"]).recipe.seed == 2


def test_an_empty_value_is_null(recipe):
    assert load_recipe(recipe, ["model.revision=x", "model.revision="]).recipe.model.revision is None


def test_an_override_may_name_a_config(recipe):
    configs = recipe.resolve().parent / "configs/models"
    configs.mkdir(parents=True)
    (configs / "tiny.yaml").write_text("name: other/model\nsae: {path: sae}\n")
    loaded = load_recipe(recipe, ["model=tiny", "model.dtype=float32"])
    assert (loaded.recipe.model.name, loaded.recipe.model.dtype) == ("other/model", "float32")


WRONG = {
    "seed": "--set seed: expected key=value, such as drift.features=50.",
    "=5": "--set =5: expected key=value, such as drift.features=50.",
    "drift..features=5": "--set drift..features=5: expected key=value, such as drift.features=50.",
    "sed=5": "--set sed=5: sed: unknown key. Did you mean 'seed'?",
    "drift.featurs=5": "--set drift.featurs=5: drift.featurs: unknown key. Did you mean 'features'?",
    "seed=many": "--set seed=many: seed: found the text 'many', expected a whole number from 0 to 2147483647.",
    "seed=.nan": "--set seed=.nan: .nan is not a finite number.",
    "budget.rows=[1, 2": "--set budget.rows=[1, 2: not valid YAML: expected ',' or ']', but got '<stream end>'.",
    "budget.rows={a: 1, a: 2}": "--set budget.rows={a: 1, a: 2}: the key 'a' is given twice.",
    "budget.rows.x=1": "--set budget.rows.x=1: this key holds a single value, so there is no 'x' below it.",
    "domains.lawe=null": "--set domains.lawe=null: domains.lawe: there is no such domain to remove.",
    "model=nowhere": "--set model=nowhere: model: no model config is named 'nowhere'.",
    "allocate.floors={lew: 1}": "--set allocate.floors={lew: 1}: allocate.floors.lew: there is no domain 'lew'. "
    "Did you mean 'law'?",
    "train.args.max_lenght=5": "--set train.args.max_lenght=5: train.args.max_lenght: SFTConfig has no such field. "
    "Did you mean 'max_length'?",
    "x=" + "y" * 100: f"--set x={'y' * 75}...: x: unknown key.",
}


@pytest.mark.parametrize("override", WRONG)
def test_a_wrong_override_is_named(override, recipe, monkeypatch):
    monkeypatch.setattr("mixplan.recipe.configs.SHIPPED", recipe.resolve().parent)
    with pytest.raises(RecipeError, match=f"^{re.escape(WRONG[override])}"):
        load_recipe(recipe, [override])
