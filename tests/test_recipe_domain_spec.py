"""A target is one section or several sources: either form alone, every key of a source, and hashes that stand."""

from pathlib import Path

import pytest

from mixplan.errors import RecipeError
from mixplan.recipe import DomainSpec, SourceSpec, SourcesSpec, load_recipe
from mixplan.runs import content_hash

RECIPE = """\
model: {name: some/model, sae: {release: some-release, id: layer-1}}
target:
  sources:
    code:
      data: {file: code.jsonl}
      format: question_answer
      columns: {question: q, answer: a}
      rows: 30
    chat.v2: {data: {hub: some/chat}, format: messages, columns: {messages: m}, grader: none}
domains:
  law: {data: {file: law.jsonl}, format: choice, columns: {question: q, options: o, answer: a}}
budget: {rows: 100}
"""
SINGLE = """\
model: {name: some/model, sae: {release: some-release, id: layer-1}}
target: {data: {file: code.jsonl}, format: question_answer, columns: {question: q, answer: a}}
domains:
  law: {data: {file: law.jsonl}, format: choice, columns: {question: q, options: o, answer: a}}
budget: {rows: 100}
allocate: {objective: alpha_fair}
"""
SINGLE_HASH = "03d18a048a728aaadd18319f78d5decdf7d69f80865b57886a791faa59d8affb"
"""Of the recipe above, as mixplan wrote it before a target could have sources, when its objective was the default."""


@pytest.fixture
def recipe(tmp_path) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path / "recipe.yaml"


def test_sources_are_read_in_the_order_written_with_their_amounts(recipe):
    loaded = load_recipe(recipe)
    target = loaded.recipe.target
    assert isinstance(target, SourcesSpec)
    assert {name: source.rows for name, source in target.sources.items()} == {"code": 30, "chat.v2": None}
    assert loaded.recipe.target_sections == {
        "target.code": (("target", "sources", "code"), target.sources["code"]),
        "target.chat.v2": (("target", "sources", "chat.v2"), target.sources["chat.v2"]),
    }
    assert list(loaded.recipe.row_sections) == ["target.code", "target.chat.v2", "law"]


def test_a_target_of_one_section_keeps_its_hash(tmp_path):
    path = tmp_path / "single.yaml"
    path.write_text(SINGLE)
    loaded = load_recipe(path)
    assert isinstance(loaded.recipe.target, DomainSpec)
    assert content_hash(loaded.resolved) == SINGLE_HASH
    assert loaded.recipe.target_sections == {"target": (("target",), loaded.recipe.target)}


def test_a_source_has_every_key_of_a_domain_and_an_amount():
    assert set(SourceSpec.model_fields) == {*DomainSpec.model_fields, "rows"}
    for name, field in DomainSpec.model_fields.items():
        assert SourceSpec.model_fields[name].annotation == field.annotation
        assert SourceSpec.model_fields[name].get_default(call_default_factory=True) == field.get_default(
            call_default_factory=True
        )


def test_an_amount_that_says_nothing_changes_no_hash(recipe):
    values = load_recipe(recipe).resolved["target"]["sources"]
    assert values["code"]["rows"] == 30
    assert "rows" not in values["chat.v2"]
    assert "turns" not in values["chat.v2"]


WRONG = {
    "target.data.file=x.jsonl": "target.data: a target has either `sources` or keys of its own. Give each source this "
    "key, as `target.sources.NAME.data`, or remove `target.sources`.",
    "target.licence=MIT": "target.licence: a target has either `sources` or keys of its own. Give each source this "
    "key, as `target.sources.NAME.licence`, or remove `target.sources`.",
    "target.sources={}": "target.sources: found a mapping, expected a mapping with at least one entry.",
    "target.sources=null": "target.sources: found nothing, expected a mapping with at least one entry.",
    "target.sources.code.rows=0": "target.sources.code.rows: found the number 0, expected a whole number of at least "
    "1.",
    "target.sources.code.row=3": "target.sources.code.row: unknown key. Did you mean 'rows'?",
    "target.sources.code.columns={question: q}": "target.sources.code.columns: format question_answer needs the column "
    "`answer`.",
    "target.sources.code.columns.messages=m": "target.sources.code.columns.messages: format question_answer does not "
    "read this column. Remove it.",
    "mixture.target_rows=5": "mixture.target_rows: the target has several sources, each with an amount of its own. "
    "Give `target.sources.NAME.rows`, and leave this out.",
    "drift.from=rollouts": "drift.from: `from: rollouts` grades the model's own answers, but `target.sources.chat.v2` "
    "has the grader none. Choose one, or set `drift.from` to icl.",
    "evaluate.measures={target: exact}": "evaluate.measures.target: there is no domain 'target'. Did you mean "
    "'target.code'?",
    "evaluate.measures={target.chat.v2: exact}": "evaluate.measures.target.chat.v2: `exact` grades answers, but "
    "`target.chat.v2` has the grader none. Choose one, or another measure.",
    "evaluate.measures={target.code: choice}": "evaluate.measures.target.code: `choice` measures format choice, but "
    "the format is question_answer.",
    "evaluate.measures={target.code: lm_eval}": "evaluate.measures.target.code: `lm_eval` needs the domain's task. "
    "Add `evaluate.tasks.target.code`.",
    "domains={target.code: {data: {file: x}, format: messages, columns: {messages: m}}}": "domains.target.code: "
    "names that begin with `target.` are kept for the target's sources. Choose another.",
    f"target={{sources: {{{'a' * 94}: {{data: {{file: x}}, format: messages, columns: {{messages: m}}}}}}}}": "target."
    f"sources.{'a' * 94}: the name is too long to be measured as `target.{'a' * 94}`. Choose one of at most 93 "
    "letters.",
}


@pytest.mark.parametrize("override", WRONG)
def test_what_is_wrong_with_sources_is_said_with_a_remedy(override, recipe):
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe, [override])
    place = override if len(override) <= 80 else f"{override[:77]}..."
    assert str(caught.value) == f"--set {place}: {WRONG[override]}"


@pytest.mark.parametrize(
    "override",
    [
        "domains={code: {data: {file: x}, format: messages, columns: {messages: m}}}",
        "evaluate.measures={target.code: likelihood, target.chat.v2: likelihood}",
        "evaluate.measures={target.code: lm_eval}",
        "target.sources.code.rows=null",
    ],
)
def test_what_is_unambiguous_is_taken(override, recipe):
    tasks = ["evaluate.tasks={target.code: mine}"] if "lm_eval" in override else []
    assert load_recipe(recipe, [override, *tasks])
